"""What a reader sees of each metastasis on an image, and what he therefore draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence
from pelvimets.phantom.physics.placement import Truth

BoolArray = npt.NDArray[np.bool_]

_SIGN = {Sequence.DWI: 1.0, Sequence.T1: -1.0}
"""Metastases are bright on diffusion images and dark on T1, as the paper's readers drew them."""
_RIM_MM = (3.0, 15.0)  # bone at this distance around a lesion is what it is compared with
_CORTEX_MM = 3.0  # bone deeper than this counts as marrow
_FEWEST_VOXELS = 10
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class ReaderSettings:
    """What a reader draws: on each sequence what he sees there, if one shows it well.

    Attributes:
        smallest_cm3: Volume in the image on one sequence (the paper's smallest lesion).
        smallest_seen_cm3: The same on a sequence to draw it there (the paper drops what is less).
        smallest_cnr: Contrast to noise on a sequence to draw it there.
    """

    smallest_cm3: float = 0.356
    smallest_seen_cm3: float = 0.2
    smallest_cnr: float = 1.5

    def sees(self, volume_cm3: float, cnr: float | None) -> bool:
        """Whether a sequence shows it at all."""
        shown = cnr is not None and cnr >= self.smallest_cnr
        return shown and volume_cm3 >= self.smallest_seen_cm3


@dataclass(frozen=True)
class Seen:
    """A metastasis in an image.

    Attributes:
        volume_cm3: Of its voxels.
        centre_lps_mm: Their centre (x, y, z).
        cnr: How much brighter (DWI) or darker (T1) than the marrow around it, in standard
            deviations of that marrow (noise and texture); None where there is no other bone.
        drawn: Whether a reader draws it on this sequence.
    """

    volume_cm3: float
    centre_lps_mm: tuple[float, float, float]
    cnr: float | None
    drawn: bool

    def as_data(self) -> dict[str, Any]:
        """Plain data for the patient's record."""
        return {
            "volume_cm3": round(self.volume_cm3, 3),
            "centre_lps_mm": [round(v, 1) for v in self.centre_lps_mm],
            "cnr": None if self.cnr is None else round(self.cnr, 2),
            "drawn": self.drawn,
        }


def lesions_seen(
    read: Mapping[Sequence, tuple[Volume, Truth]], reader: ReaderSettings | None
) -> dict[Sequence, dict[int, Seen]]:
    """Each metastasis with a voxel in an image, by sequence and number.

    Args:
        read: Image of each sequence, and the truth on its grid.
        reader: Who draws; None draws all.
    """
    seen = {s: _in_image(*images, s) for s, images in read.items()}
    if reader is None:
        return seen
    clear = {
        number
        for own in seen.values()
        for number, one in own.items()
        if reader.sees(one.volume_cm3, one.cnr) and one.volume_cm3 >= reader.smallest_cm3
    }
    return {
        s: {
            number: replace(one, drawn=number in clear and reader.sees(one.volume_cm3, one.cnr))
            for number, one in own.items()
        }
        for s, own in seen.items()
    }


def _in_image(image: Volume, truth: Truth, sequence: Sequence) -> dict[int, Seen]:
    """The metastases of one image, all as drawn."""
    seen = {}
    healthy = (truth.bones > 0) & (truth.lesions == 0) & (truth.mimics == 0)
    depth = edt.edt(np.ascontiguousarray(truth.bones > 0), anisotropy=image.geometry.spacing)
    marrow = healthy & (depth > _CORTEX_MM)
    for number, box in enumerate(ndimage.find_objects(truth.lesions.astype(np.int32)), start=1):
        if box is None:
            continue
        mask = truth.lesions[box] == number
        index = np.argwhere(mask).mean(axis=0) + [s.start for s in box]
        x, y, z = (float(v) for v in image.geometry.to_lps(index))
        volume = float(mask.sum()) * image.geometry.voxel_volume_mm3 / 1000.0
        around = _around(truth.lesions == number, box, (marrow, healthy), image)
        own = image.array[box][mask]
        cnr = None if around is None else _SIGN[sequence] * _deviations(own, around)
        seen[number] = Seen(volume, (x, y, z), cnr, drawn=True)
    return seen


def _deviations(own: npt.NDArray[np.integer[Any]], around: npt.NDArray[np.integer[Any]]) -> float:
    """How far the mean lies above the median of the surroundings, in their robust SD."""
    middle = float(np.median(around))
    spread = _MAD_TO_SD * float(np.median(np.abs(around - middle)))
    return (float(own.mean(dtype=np.float64)) - middle) / max(spread, 1e-6)


def _around(
    lesion: BoolArray,
    box: tuple[slice, slice, slice],
    tissues: tuple[BoolArray, ...],
    image: Volume,
) -> npt.NDArray[np.integer[Any]] | None:
    """Values near a lesion: of marrow, else of any healthy bone, else of all marrow or bone."""
    wide = _widened(box, image.geometry)
    away = edt.edt(np.ascontiguousarray(~lesion[wide]), anisotropy=image.geometry.spacing)
    rim = (away > _RIM_MM[0]) & (away <= _RIM_MM[1])
    near = (image.array[wide][tissue[wide] & rim] for tissue in tissues)
    far = (image.array[tissue] for tissue in tissues)
    return next((values for values in chain(near, far) if values.size >= _FEWEST_VOXELS), None)


def _widened(box: tuple[slice, slice, slice], geometry: Geometry) -> tuple[slice, slice, slice]:
    steps = [int(np.ceil(_RIM_MM[1] / step)) for step in geometry.spacing]
    z, y, x = (
        slice(max(s.start - n, 0), min(s.stop + n, size))
        for s, n, size in zip(box, steps, geometry.shape, strict=True)
    )
    return z, y, x


def drawn_truth(truth: Truth, seen: dict[int, Seen]) -> Truth:
    """The truth with the lesions that are drawn; bones keep the others as bone."""
    numbers = [number for number, one in seen.items() if one.drawn]
    return replace(truth, lesions=np.where(np.isin(truth.lesions, numbers), truth.lesions, 0))
