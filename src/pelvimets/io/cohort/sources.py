"""Images and masks of a source, read as a cohort keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from collections.abc import Sequence as Ordered
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.core.adc import adc_um2_per_s
from pelvimets.core.annotation import Truth, lesion_numbers, numbered, truth_of, whole_numbers
from pelvimets.core.judged import EVERYTHING, UNJUDGED_BONE, UNJUDGED_LESION, Judged
from pelvimets.core.resample import resample_labels
from pelvimets.core.volume import Volume
from pelvimets.errors import GeometryError, InputError
from pelvimets.io.cohort.plan import ImageSource, MaskSource
from pelvimets.io.nifti.files import read_nifti
from pelvimets.labels import UNIONS, Bone, Sequence

Fill = Callable[[Volume, Sequence], tuple[npt.NDArray[np.uint8], str]]
"""Draws the bones of an image: ``Bone`` values (z, y, x), and the name of what drew them."""


def read_image(source: ImageSource) -> Volume:
    """The image, in a number type that a NIfTI file can hold.

    Raises:
        InputError: if a file is damaged, or ``same_as`` holds another image.
    """
    image = storable(read_nifti(source.path))
    for path in source.same_as:
        if file_sha256(path) == file_sha256(source.path):
            continue
        other = read_nifti(path)
        if not other.geometry.matches(image.geometry) or (other.array != image.array).any():
            raise InputError(
                "Two sources hold different images of the same sequence of one patient",
                got=f"{source.path.name}, {path.name}",
                remedy="Rename the case in one of them",
            )
    return image


def read_truth(source: ImageSource, image: Volume) -> tuple[Truth, Judged]:
    """Masks of an image, and which bones a person drew.

    Masks of several readers become what most of them say; where they are even, nobody judged.

    Raises:
        GeometryError: if a mask lies on another grid.
        InputError: if it is damaged or holds values that no label explains.
    """
    read: dict[str, list[npt.NDArray[Any]]] = {"bones": [], "lesions": []}
    for mask in source.masks:
        truth = _read_mask(mask, image)
        for kind, array in (("bones", truth.bones), ("lesions", truth.lesions)):
            read[kind] += [array] if array is not None and kind in mask.kinds else []
    bones = agreed(read["bones"], UNJUDGED_BONE) if read["bones"] else None
    lesions = _agreed_lesions(read["lesions"]) if read["lesions"] else None
    if lesions is None and source.no_lesion:
        lesions = np.zeros(image.geometry.shape, dtype=np.uint16)
    return Truth(bones, lesions), _judged(source, bones)


def agreed(masks: Ordered[npt.NDArray[Any]], unjudged: int) -> npt.NDArray[Any]:
    """The value that most masks give each voxel; ``unjudged`` where two have as many voices.

    >>> agreed([np.array([1, 1, 2]), np.array([1, 2, 2])], 255).tolist()
    [1, 255, 2]
    """
    if len(masks) == 1:
        return masks[0]
    stacked = np.stack(masks)
    values = np.unique(stacked)
    votes = np.stack([(stacked == value).sum(axis=0) for value in values])
    most = votes.max(axis=0)
    even = (votes == most).sum(axis=0) > 1
    chosen = values[votes.argmax(axis=0)]
    return np.asarray(np.where(even, unjudged, chosen), dtype=masks[0].dtype)


def _agreed_lesions(masks: Ordered[npt.NDArray[np.uint16]]) -> npt.NDArray[np.uint16]:
    if len(masks) == 1:
        return masks[0]
    plain = [np.where(m == UNJUDGED_LESION, m, (m > 0).astype(np.uint16)) for m in masks]
    voted = agreed(plain, UNJUDGED_LESION)
    found = numbered(voted == 1)
    found[voted == UNJUDGED_LESION] = UNJUDGED_LESION
    return found


def bones_in(bones: npt.NDArray[Any]) -> frozenset[str]:
    """Keys of the bones and unions whose values occur."""
    values = set(np.unique(bones).tolist())
    names = {int(bone): bone.key for bone in Bone} | {u.value: u.key for u in UNIONS}
    return frozenset(key for value, key in names.items() if value in values)


def _judged(source: ImageSource, bones: npt.NDArray[Any] | None) -> Judged:
    """Which bones were drawn.

    Raises:
        InputError: if the mask holds one that was not.
    """
    if bones is None:
        return Judged(frozenset())
    there = bones_in(bones)
    if source.from_values:
        return Judged(there)
    drawn = EVERYTHING if source.annotated is None else source.annotated
    if source.annotated is not None and there - drawn:
        raise InputError(
            "A mask holds bones that are said not to be annotated",
            got=", ".join(sorted(there - drawn)),
            remedy="Add them to --annotated, or leave them out with --map NAME=none",
        )
    return Judged(drawn)


def filled_bones(
    truth: Truth, judged: Judged, image: Volume, sequence: Sequence, fill: Fill
) -> tuple[Truth, Judged]:
    """The bones with those that no person drew as networks draw them, marked as predicted.

    What a person drew stays, and so do the voxels that he left open.

    Args:
        truth, judged: As the source has them.
        image: Of which sequence.
        sequence: Input of the networks.
        fill: Draws the bones.
    """
    missing = judged.open_bones
    if not missing:
        return truth, judged
    found, by = fill(image, sequence)
    drawn = truth.bones if truth.bones is not None else np.zeros(found.shape, dtype=np.uint8)
    bones = np.where((drawn == 0) & np.isin(found, [int(b) for b in missing]), found, drawn)
    predicted = frozenset(bone.key for bone in missing)
    return Truth(bones.astype(np.uint8), truth.lesions), Judged(judged.structures, predicted, by)


def _read_mask(mask: MaskSource, image: Volume) -> Truth:
    volume = read_nifti(mask.path).turned_to(image.geometry)
    if mask.resample and not volume.geometry.matches(image.geometry):
        volume = _resampled(mask.path, volume, image)
    _check_grid(mask.path, volume, image)
    try:
        if mask.values is None:
            return Truth(None, lesion_numbers(volume.array, mask.unjudged))
        values = replace(mask.values, unjudged=mask.values.unjudged | mask.unjudged)
        return truth_of(volume.array, values, volume.geometry.spacing)
    except InputError as error:
        raise InputError(
            error.what, got=f"{mask.path.name}: {error.got}", remedy=error.remedy
        ) from error


def _resampled(path: Path, volume: Volume, image: Volume) -> Volume:
    """A mask on the grid of its image.

    Raises:
        GeometryError: if the two do not overlap.
    """
    placed = resample_labels(volume.with_array(whole_numbers(volume.array)), image.geometry)
    if volume.array.any() and not placed.array.any():
        raise GeometryError(
            "A mask and its image do not overlap",
            got=path.name,
            remedy="Look at both in a viewer; one of them was moved",
        )
    return placed


def _check_grid(path: Path, volume: Volume, image: Volume) -> None:
    if not volume.geometry.matches(image.geometry):
        shapes = f"{volume.geometry.shape} voxels, image {image.geometry.shape}"
        moved = "" if volume.geometry.shape != image.geometry.shape else ", at another place"
        raise GeometryError(
            "A file does not lie on the grid of its image",
            got=f"{path.name}: {shapes}{moved}",
            remedy="Draw it on the image itself, or --resample-masks",
        )


def read_adc(path: Path, dwi: Volume | None) -> Volume:
    """An ADC map in um2/s.

    Raises:
        GeometryError: if it lies on another grid than the DWI.
        InputError: if there is no DWI, or its values fit no known unit.
    """
    if dwi is None:
        raise InputError("An ADC map needs its DWI", got=path.name)
    volume = read_nifti(path).turned_to(dwi.geometry)
    _check_grid(path, volume, dwi)
    converted = adc_um2_per_s(volume.array.astype(np.float32))
    if converted is None:
        raise InputError(
            "The values of an ADC map fit no known unit",
            got=f"{path.name}, {volume.array.min():g} to {volume.array.max():g}",
            remedy="Write it in um2/s or mm2/s, or leave it out",
        )
    return volume.with_array(converted.array)


def storable(volume: Volume) -> Volume:
    """The volume in a number type that a NIfTI file can hold."""
    if volume.array.dtype.kind in "iu" and volume.array.dtype.itemsize == 8:
        return volume.with_array(volume.array.astype(np.int32))
    return volume


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
