"""One slice of a digital patient as a bundle reads it: images, bones, lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pelvimets.core.evidence import weigh_lesions
from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import resample_image, resample_labels
from pelvimets.core.segmentation import segment_study
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.volume import Volume
from pelvimets.labels import LESION_COLOUR, Bone, Sequence
from pelvimets.phantom.cohort.build import PatientSettings, build_patient
from pelvimets.phantom.physics.imaging import ImagedPatient, examine
from pelvimets.phantom.physics.scanner import DISCOVERY
from pelvimets.phantom.physics.sequences import DixonImage

SEED = 11  # a man with a metastasis beside a hip joint
LESION_VOLUMES_CM3 = (14.0, 6.0, 3.0, 1.5, 0.8)
WINDOW_MM = (255.0, 340.0)  # y, x
PIXEL_MM = 1.0
_BONE_SHARE, _LESION_SHARE = 0.6, 0.75


@dataclass(frozen=True, eq=False)
class View:
    """One sequence in the plane; pictures are (y, x, 3) uint8.

    Attributes:
        image: As acquired.
        bones: The same with the bones found.
        mask: Any bone, white on black.
        lesions: The image with the metastases found inside the bones.
    """

    image: np.ndarray
    bones: np.ndarray
    mask: np.ndarray
    lesions: np.ndarray


def draw_views(segmenter: Segmenter) -> dict[Sequence, View]:
    """The slice of most bones and, among those, most metastases; the same on both sequences."""
    settings = PatientSettings(metastases_probability=1.0, lesion_volumes_cm3=LESION_VOLUMES_CM3)
    imaged = examine(build_patient(SEED, settings), DISCOVERY)
    truth = imaged.diffusion.truth
    plane = _plane(imaged.diffusion.geometry, truth.bones, truth.lesions)
    images = _volumes(imaged)
    adc = imaged.diffusion.adc_um2_per_s.astype(np.float32)
    bones, lesions = _read(images, Volume(adc, imaged.diffusion.geometry), segmenter)
    return {s: _view(images[s], bones[s], lesions[s], plane) for s in images}


def _volumes(imaged: ImagedPatient) -> dict[Sequence, Volume]:
    diffusion, dixon = imaged.diffusion, imaged.dixon
    return {
        Sequence.DWI: Volume(diffusion.by_b[max(diffusion.by_b)], diffusion.geometry),
        Sequence.T1: Volume(dixon.images[DixonImage.IN_PHASE], dixon.geometry),
    }


def _read(
    images: dict[Sequence, Volume], adc: Volume, segmenter: Segmenter
) -> tuple[dict[Sequence, Volume], dict[Sequence, Volume]]:
    """Bones and lesions of both sequences, by the steps of reading."""
    found = segment_study(images, segmenter)
    listed = weigh_lesions(found, adc, segmenter.settings.lesions)
    return {s: own.bones for s, own in found.items()}, {s: listed[s] for s in found}


def _plane(geometry: Geometry, bones: np.ndarray, lesions: np.ndarray) -> Geometry:
    """A plane of patient space around the bones of one slice, by the truth."""
    numbers = [len(np.unique(labels)) for labels in bones]
    k = int(np.lexsort(((lesions > 0).sum(axis=(1, 2)), numbers))[-1])
    x, y, z = geometry.to_lps([k, *np.argwhere(bones[k] > 0).mean(axis=0)])
    rows, columns = (round(mm / PIXEL_MM) for mm in WINDOW_MM)
    corner = (x - WINDOW_MM[1] / 2, y - WINDOW_MM[0] / 2, z)
    return Geometry.from_axes((1, rows, columns), (PIXEL_MM, PIXEL_MM, PIXEL_MM), corner)


def _view(image: Volume, bones: Volume, lesions: Volume, plane: Geometry) -> View:
    grey = _grey(resample_image(image, plane, outside=0.0).array[0])
    bone = resample_labels(bones, plane).array[0]
    lesion = resample_labels(lesions, plane).array[0] > 0
    coloured = grey.copy()
    for structure in Bone:
        _paint(coloured, bone == structure, structure.colour, _BONE_SHARE)
    found = grey.copy()
    _outline(found, bone > 0, (255, 200, 0))
    _paint(found, lesion, LESION_COLOUR, _LESION_SHARE)
    _outline(found, lesion, (255, 255, 255))
    white = np.repeat((255 * (bone > 0)).astype(np.uint8)[..., None], 3, axis=2)
    return View(grey, coloured, white, found)


def _grey(image: np.ndarray) -> np.ndarray:
    level = np.clip(image / np.percentile(image, 99.7), 0, 1) ** 0.8
    return np.repeat((255 * level).astype(np.uint8)[..., None], 3, axis=2)


def _paint(rgb: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], share: float) -> None:
    rgb[mask] = ((1 - share) * rgb[mask] + share * np.array(colour)).astype(np.uint8)


def _outline(rgb: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> None:
    rgb[mask & ~ndimage.binary_erosion(mask)] = colour
