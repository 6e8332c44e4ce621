"""What the viewer shows beside a study: the other series of the examination, and a prior one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.core.between import motion_between
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError
from pelvimets.io.nifti.files import packed_nifti, read_nifti
from pelvimets.io.other_series import OtherSeries
from pelvimets.io.record.review import ReviewFolder, read_run_output, read_whole
from pelvimets.labels import Sequence

FloatArray = npt.NDArray[np.float64]

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TITLES = {"dwi": "DWI", "t1": "T1", "adc": "ADC"}


@dataclass(frozen=True, eq=False)
class PriorImage:
    """An image of a prior examination.

    Attributes:
        key: As the viewer asks for it.
        title: As printed.
        masks: Key to which ``_bones`` and ``_lesions`` are added; None without masks.
        labels: Highest number in the lesion mask.
        motion: 4 x 4; from places of the present examination to places of this one, RAS mm.
    """

    key: str
    title: str
    masks: str | None
    labels: int
    motion: FloatArray


@dataclass(frozen=True, eq=False)
class Beside:
    """What lies beside a study.

    Attributes:
        prior: Images of a prior examination.
        series: Titles of further series of this one, by key.
    """

    prior: tuple[PriorImage, ...] = ()
    series: Mapping[str, str] = field(default_factory=dict)
    _read: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)

    def image_bytes(self, key: str) -> bytes:
        """A packed NIfTI file for the viewer.

        Raises:
            KeyError: if there is nothing of this key.
        """
        return self._read[key]()


def open_beside(out: Path, *, prior: Path | None = None, study: Path | None = None) -> Beside:
    """Open what was asked for.

    Args:
        out: Result of the examination that is looked at.
        prior: Result of an earlier one.
        study: The DICOM study that ``out`` was made from.

    Raises:
        InputError: if ``prior`` is no result, or ``study`` is another one than was read.
    """
    read: dict[str, Callable[[], bytes]] = {}
    images = () if prior is None else _prior(out, prior, read)
    series = {} if study is None else _series(out, study, read)
    return Beside(images, series, read)


def _prior(out: Path, prior: Path, read: dict[str, Callable[[], bytes]]) -> tuple[PriorImage, ...]:
    here, there = read_run_output(ReviewFolder(out)), ReviewFolder(prior)
    earlier = read_run_output(there)
    motion = _TO_RAS @ motion_between(here.bones, earlier.bones) @ _TO_RAS
    first = next(iter(earlier.lesions))
    images = []
    for key in earlier.images:
        masks = key if key in earlier.lesions else first
        labels = int(_lesions(there, Sequence(masks)).array.max())
        title = f"Prior {_TITLES[key]}"
        images.append(PriorImage(f"prior-{key}", title, f"prior-{masks}", labels, motion))
        read[f"prior-{key}"] = partial(read_whole, there.image(key))
    for sequence in earlier.lesions:
        read[f"prior-{sequence}_bones"] = partial(read_whole, there.bones(sequence))
        read[f"prior-{sequence}_lesions"] = partial(read_whole, _lesion_file(there, sequence))
    return tuple(images)


def _lesion_file(folder: ReviewFolder, sequence: Sequence) -> Path:
    """As a reader left them, if one did."""
    corrected = folder.corrected(sequence)
    return corrected if corrected.is_file() else folder.lesions(sequence)


def _lesions(folder: ReviewFolder, sequence: Sequence) -> Volume:
    return read_nifti(_lesion_file(folder, sequence))


def _series(out: Path, study: Path, read: dict[str, Callable[[], bytes]]) -> dict[str, str]:
    run = read_run_output(ReviewFolder(out)).run
    inputs: dict[str, Any] = run.get("inputs", {})
    sources = [item["source"] for item in inputs.values() if item.get("source")]
    wanted = {source["study_instance_uid"] for source in sources}
    found = OtherSeries(study)
    if not wanted & found.study_instance_uids:
        found.close()
        raise InputError(
            "This is another study than the one that was read",
            got="its Study Instance UID differs" if wanted else "a result of NIfTI files",
            remedy="Give the DICOM study that the result was made from",
        )
    taken = {item["label"] for item in inputs.values()}
    titles = {}
    for number, label in enumerate(label for label in found.labels if label not in taken):
        titles[f"series-{number}"] = label.removeprefix("series ")
        read[f"series-{number}"] = partial(_packed, found, label)
    return titles


def _packed(series: OtherSeries, label: str) -> bytes:
    return packed_nifti(series.read(label))
