"""From lesion probabilities to single lesions with their measures and scores."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from pelvimets.config import LesionSettings
from pelvimets.core.distance import distance_mm
from pelvimets.core.findings import SequenceLesion
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume

FloatArray = npt.NDArray[np.float64]
Box = tuple[slice, slice, slice]

FAINT = 0.02
"""Probability below which nothing is looked at."""


def near_bone(bones: Volume, margin_mm: float) -> npt.NDArray[np.bool_]:
    """Voxels inside the bones or at most ``margin_mm`` outside of them."""
    distance = distance_mm(bones.array > 0, bones.geometry.spacing, margin_mm)
    return np.isfinite(distance)


def label_lesions(probability: Volume, bones: Volume, settings: LesionSettings) -> Volume:
    """Separate lesions: threshold inside bone, connected components, small ones dropped.

    With ``settings.grow_to`` each grows into what touches it down to that probability, and those
    that meet become one.

    Returns:
        uint16 label map on the same grid; lesions are numbered by falling volume.
    """
    return label_above(inside_bone(probability, bones, settings), settings)


def inside_bone(probability: Volume, bones: Volume, settings: LesionSettings) -> Volume:
    """The probability where a lesion may lie, 0 elsewhere."""
    inside = near_bone(bones, settings.bone_margin_mm)
    return probability.with_array(np.where(inside, probability.array, np.float32(0)))


def label_above(probability: Volume, settings: LesionSettings) -> Volume:
    """As ``label_lesions``, for a probability that is 0 where no lesion may lie."""
    smallest = settings.drop_below_cm3 * 1000 / probability.geometry.voxel_volume_mm3
    components, _ = _components(probability.array >= settings.threshold, settings.connectivity)
    sizes = np.bincount(components.ravel())
    large = np.flatnonzero(sizes >= smallest - 1e-6)
    if settings.grow_to is not None and settings.grow_to < settings.threshold:
        cores = np.isin(components, large[large > 0])
        components, _ = _components(probability.array >= settings.grow_to, settings.connectivity)
        sizes, large = np.bincount(components.ravel()), np.unique(components[cores])
    large = large[large > 0]
    by_size = large[np.argsort(-sizes[large], kind="stable")]
    return probability.with_array(renumbered(components, by_size.tolist()))


def shown_lesions(lesions: Volume, own: Volume, settings: LesionSettings) -> Volume:
    """Lesions that a sequence's own network sees, if faintly; the others are dropped.

    Args:
        lesions: Label map, drawn from both sequences.
        own: Probability of the sequence's network on the same grid.
        settings: ``smallest_own`` is the least score.
    """
    boxes = cc3d.statistics(lesions.array)["bounding_boxes"] if lesions.array.any() else []
    kept = [
        number
        for number, box in enumerate(boxes)
        if number and _own_score(lesions, own, number, box, settings) >= settings.smallest_own
    ]
    return lesions.with_array(renumbered(lesions.array, kept))


def _own_score(
    lesions: Volume, own: Volume, number: int, box: Box, settings: LesionSettings
) -> float:
    values = own.array[box][lesions.array[box] == number]
    return lesion_score(values, lesions.geometry, settings)


def renumbered(
    labels: npt.NDArray[np.unsignedinteger[Any]], kept: Sequence[int]
) -> npt.NDArray[np.uint16]:
    """The kept labels numbered 1..n in their order, all others 0."""
    numbers = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.uint16)
    numbers[np.asarray(kept, dtype=np.intp)] = np.arange(1, len(kept) + 1)
    return np.asarray(numbers[labels])


def faint_score(probability: Volume, settings: LesionSettings) -> float:
    """Highest ``lesion_score`` of what shows at a very low probability; 0 if nothing does.

    Args:
        probability: 0 where no lesion may lie.
        settings: Smallest lesion.
    """
    faint = label_above(probability, replace(settings, threshold=FAINT, grow_to=None)).array
    boxes = cc3d.statistics(faint)["bounding_boxes"] if faint.any() else []
    scores = (
        lesion_score(probability.array[box][faint[box] == n], probability.geometry, settings)
        for n, box in enumerate(boxes)
        if n
    )
    return max(scores, default=0.0)


def _components(
    mask: npt.NDArray[np.bool_], connectivity: int
) -> tuple[npt.NDArray[np.unsignedinteger[Any]], list[Box]]:
    """Connected components 1..n and their boxes."""
    components = cc3d.connected_components(mask, connectivity=cast("Any", connectivity))
    boxes = cc3d.statistics(components)["bounding_boxes"] if mask.any() else []
    return components, list(boxes[1:])


def lesion_score(
    values: npt.NDArray[np.float32], geometry: Geometry, settings: LesionSettings
) -> float:
    """The highest threshold at which the lesion would still be large enough to count.

    Args:
        values: Probabilities of the lesion's voxels.
        geometry: Their grid.
        settings: ``drop_below_cm3`` gives the smallest lesion.

    Returns:
        0-1; 0 for a lesion smaller than the smallest.
    """
    needed = int(np.ceil(settings.drop_below_cm3 * 1000 / geometry.voxel_volume_mm3 - 1e-6))
    needed = max(needed, 1)
    if len(values) < needed:
        return 0.0
    return float(np.partition(values, len(values) - needed)[len(values) - needed])


def measure_lesions(
    lesions: Volume,
    probability: Volume | None,
    settings: LesionSettings,
    scores: Mapping[int, float] | None = None,
) -> tuple[SequenceLesion, ...]:
    """Volume, diameter, centre and score of each lesion of a label map.

    Args:
        lesions: Label map.
        probability: The network's probabilities on the same grid; None is sure of all.
        settings: For the network's score.
        scores: Score of each label in place of the network's.
    """
    if not lesions.array.any():
        return ()
    statistics = cc3d.statistics(lesions.array)
    present = [
        n for n in range(1, len(statistics["voxel_counts"])) if statistics["voxel_counts"][n]
    ]
    measured = (
        _measured(n, lesions, probability, statistics["bounding_boxes"][n], settings)
        for n in present
    )
    given = scores or {}
    return tuple(
        replace(lesion, score=given.get(lesion.label, lesion.score)) for lesion in measured
    )


def _measured(
    number: int, lesions: Volume, probability: Volume | None, box: Box, settings: LesionSettings
) -> SequenceLesion:
    mask = lesions.array[box] == number
    values = np.ones(mask.sum()) if probability is None else probability.array[box][mask]
    index = np.argwhere(mask) + [s.start for s in box]
    x, y, z = lesions.geometry.to_lps(index.mean(axis=0))
    return SequenceLesion(
        label=number,
        volume_cm3=float(mask.sum() * lesions.geometry.voxel_volume_mm3 / 1000),
        largest_axial_diameter_mm=largest_axial_diameter_mm(index, lesions.geometry),
        centre_lps_mm=(float(x), float(y), float(z)),
        mean_probability=float(values.mean(dtype=np.float64)),
        score=lesion_score(values, lesions.geometry, settings),
    )


def largest_axial_diameter_mm(index: npt.NDArray[np.int64], geometry: Geometry) -> float:
    """Longest extent of a lesion within one slice.

    Slices are those of the array axis nearest to the patient's long axis. The distance of
    the outermost voxel centres is measured and one in-plane voxel added, so that a single
    voxel has its own size.

    Args:
        index: Voxels of the lesion (n, 3) in (z, y, x) order.
        geometry: Their grid.
    """
    axis = int(np.abs(geometry.axes[:, 2]).argmax())
    in_plane = [a for a in range(3) if a != axis]
    voxel = float(np.mean([geometry.spacing[a] for a in in_plane]))
    scaled = index[:, in_plane] * np.asarray([geometry.spacing[a] for a in in_plane])
    slices = index[:, axis]
    return voxel + max(_longest_distance(scaled[slices == s]) for s in np.unique(slices))


def _longest_distance(points: FloatArray) -> float:
    if len(points) < 2:
        return 0.0
    with contextlib.suppress(QhullError):  # all on one line
        points = points[ConvexHull(points).vertices]
    return float(pdist(points).max())
