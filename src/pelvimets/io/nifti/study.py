"""A study from NIfTI files, each taken as what the caller says it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pelvimets.core.adc import adc_um2_per_s
from pelvimets.core.geometry import Geometry
from pelvimets.core.study import Acquisition, SeriesDecision, SeriesRole, Study
from pelvimets.errors import InputError
from pelvimets.io.nifti.files import nifti_geometry, nifti_notes, read_nifti
from pelvimets.labels import FurtherInput

_TITLES = {SeriesRole.HIGH_B_DWI: "DWI", SeriesRole.T1_IN_PHASE: "T1", SeriesRole.ADC: "ADC"}


def read_nifti_study(
    *,
    dwi: Path | str | None = None,
    t1: Path | str | None = None,
    adc: Path | str | None = None,
) -> Study:
    """Read a study from NIfTI files; each is taken as what the caller says it is.

    Args:
        dwi, t1: At least one of them.
        adc: ADC map; its unit is judged from its values.

    Raises:
        InputError: if neither DWI nor T1 is given, or a file cannot be read.
        GeometryError: if a file's axes are not at right angles.
    """
    if dwi is None and t1 is None:
        raise InputError("No image was given", remedy="Give --dwi FILE, --t1 FILE or both")
    files = {
        SeriesRole.HIGH_B_DWI: dwi,
        SeriesRole.T1_IN_PHASE: t1,
        SeriesRole.ADC: adc,
    }
    paths = {role: Path(path) for role, path in files.items() if path is not None}
    read = {role: _nifti_acquisition(path, role) for role, path in paths.items()}
    adc_image, adc_notes = _nifti_adc(read.get(SeriesRole.ADC))
    return Study(
        patient_key=_files_key(list(paths.values())),
        dwi=read.get(SeriesRole.HIGH_B_DWI),
        t1=read.get(SeriesRole.T1_IN_PHASE),
        adc=adc_image,
        decisions=tuple(_nifti_row(a) for a in read.values()),
        notes=missing_notes(dwi is not None, t1 is not None) + adc_notes,
    )


def read_further_files(files: Mapping[FurtherInput, Path]) -> dict[FurtherInput, Acquisition]:
    """Further images of a patient, each on its own grid.

    Raises:
        InputError: if one cannot be read.
        GeometryError: if its axes are not at right angles.
    """
    found = {}
    for kind, path in files.items():
        with _naming(kind.title):
            label, notes = f"{kind.title} file", nifti_notes(path)
            found[kind] = Acquisition(read_nifti(path), SeriesRole.OTHER, label, notes)
    return found


def _nifti_acquisition(path: Path, role: SeriesRole) -> Acquisition:
    """The image; its label does not repeat the file's name, which may be a patient's."""
    title = _TITLES[role]
    with _naming(title):
        return Acquisition(read_nifti(path), role, label=f"{title} file", notes=nifti_notes(path))


@contextmanager
def _naming(title: str) -> Iterator[None]:
    """Say in an error which of the files it is about."""
    try:
        yield
    except InputError as error:
        what = f"{title}: {error.what}"
        raise type(error)(what, got=error.got, remedy=error.remedy) from error


def nifti_grid(path: Path, role: SeriesRole) -> Geometry:
    """The grid of an image from its header; errors as ``read_nifti_study``."""
    with _naming(_TITLES[role]):
        return nifti_geometry(path)


def _nifti_adc(image: Acquisition | None) -> tuple[Acquisition | None, tuple[str, ...]]:
    if image is None:
        return None, ()
    converted = adc_um2_per_s(image.volume.array.astype("float32"))
    if converted is None:
        return None, (f"ADC map not used, its values fit no known unit: {image.label}",)
    notes = image.notes if converted.note is None else (*image.notes, converted.note)
    return replace(image, volume=image.volume.with_array(converted.array), notes=notes), ()


def _nifti_row(image: Acquisition) -> SeriesDecision:
    taken = {SeriesRole.HIGH_B_DWI: "dwi", SeriesRole.ADC: "adc"}.get(image.role, "t1")
    return SeriesDecision(
        number=None,
        description=image.label,
        images=image.volume.geometry.shape[0],
        role=image.role,
        taken_as=taken,
        reason="given as such",
    )


def _files_key(paths: Sequence[Path]) -> str:
    """Pseudonym from the files' content; names of files may hold a patient's name."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return "study-" + digest.hexdigest()[:10]


def missing_notes(has_dwi: bool, has_t1: bool) -> tuple[str, ...]:
    """What the report says where one sequence is missing."""
    if not has_dwi:
        return ("no high-b DWI: read on T1 alone",)
    return () if has_t1 else ("no T1: read on DWI alone",)
