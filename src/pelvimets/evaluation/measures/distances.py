"""Distances between the surfaces of two masks, in mm.

Two conventions of what the surface of a mask is:

``Surface.VOXELS`` (default, as MedPy and MONAI)
    The centres of border voxels: inside, with one of the six neighbours outside. Outside the
    image counts as outside. Every border voxel has the same weight.
``Surface.ELEMENTS`` (as ``surface-distance``)
    Pieces of surface between voxel centres, one per block of 2 x 2 x 2 voxels that is partly
    filled, placed at the centre of the block and weighted by area (``surface_elements``).

Empty masks: a distance to a surface that does not exist is not defined, so all results are
NaN if either mask is empty. Summaries state how many there were.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import edt
import numpy as np
import numpy.typing as npt

from pelvimets.errors import SettingsError
from pelvimets.evaluation.measures.masks import (
    BoolArray,
    FloatArray,
    Spacing,
    as_pair,
    as_spacing,
    joint_crop,
)
from pelvimets.evaluation.measures.surface_elements import CORNERS, element_areas_mm2

_ROUNDING = 1e-6  # distance maps hold 32 bit floats


class Surface(StrEnum):
    """What the surface of a mask is."""

    VOXELS = "border voxels"
    ELEMENTS = "surface elements"


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distance of each piece of either surface to the nearest of the other, in mm.

    Attributes:
        from_reference, from_prediction: Distances, one per border voxel or surface element;
            both of length 0 if either mask is empty.
        reference_weights, prediction_weights: Areas in mm2, or ones for border voxels.
        surface: The convention.
    """

    from_reference: FloatArray
    from_prediction: FloatArray
    reference_weights: FloatArray
    prediction_weights: FloatArray
    surface: Surface

    @property
    def defined(self) -> bool:
        """Whether both surfaces exist."""
        return self.from_reference.size > 0 and self.from_prediction.size > 0

    @cached_property
    def _both(self) -> tuple[FloatArray, FloatArray]:
        distances = np.concatenate([self.from_reference, self.from_prediction])
        return distances, np.concatenate([self.reference_weights, self.prediction_weights])

    def hausdorff_mm(self, percentile: float = 100.0) -> float:
        """The larger of the two directed percentiles."""
        if not self.defined:
            return float("nan")
        if percentile == 100:
            return float(max(self.from_reference.max(), self.from_prediction.max()))
        if self.surface is Surface.VOXELS:
            directed = (self.from_reference, self.from_prediction)
            return max(float(np.percentile(values, percentile)) for values in directed)
        return max(
            _weighted_percentile(self.from_reference, self.reference_weights, percentile),
            _weighted_percentile(self.from_prediction, self.prediction_weights, percentile),
        )

    def average_mm(self) -> float:
        """Mean over both surfaces together."""
        distances, weights = self._both
        return float(np.average(distances, weights=weights)) if self.defined else float("nan")

    def share_within(self, tolerance_mm: float) -> float:
        """Share of both surfaces that lies within the tolerance of the other, 0-1."""
        distances, weights = self._both
        if not self.defined:
            return float("nan")
        within = distances <= tolerance_mm * (1 + _ROUNDING)
        return float(weights[within].sum() / weights.sum())


def _weighted_percentile(values: FloatArray, weights: FloatArray, percentile: float) -> float:
    """Smallest value below which at least this share of the weight lies."""
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    place = int(np.searchsorted(share, percentile / 100))
    return float(values[order][min(place, len(values) - 1)])


def surface_distances(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing: Spacing,
    surface: Surface = Surface.VOXELS,
) -> SurfaceDistances:
    """All distances between two surfaces.

    Args:
        reference: Boolean mask (z, y, x).
        prediction: Boolean mask of the same shape.
        spacing: Voxel distance in mm (z, y, x).
        surface: The convention.

    Raises:
        GeometryError: if the shapes differ.
        InputError: if the spacing is not three positive numbers.
    """
    cropped = joint_crop(*as_pair(reference, prediction))
    spacing, surface = as_spacing(spacing), Surface(surface)
    if cropped is None:
        nothing = np.zeros(0)
        return SurfaceDistances(nothing, nothing, nothing, nothing, surface)
    if surface is Surface.VOXELS:
        return _between_borders(*cropped, spacing)
    return _between_elements(*cropped, spacing)


def _between_borders(
    reference: BoolArray, prediction: BoolArray, spacing: Spacing
) -> SurfaceDistances:
    first, second = border(reference), border(prediction)
    to_first = _distance_to(first, spacing)
    to_second = _distance_to(second, spacing)
    from_first, from_second = to_second[first], to_first[second]
    ones = np.ones(from_first.size), np.ones(from_second.size)
    return SurfaceDistances(from_first, from_second, *ones, Surface.VOXELS)


def _between_elements(
    reference: BoolArray, prediction: BoolArray, spacing: Spacing
) -> SurfaceDistances:
    areas = element_areas_mm2(spacing)
    codes = [_block_codes(mask) for mask in (reference, prediction)]
    first, second = ((code != 0) & (code != 255) for code in codes)
    from_first = _distance_to(second, spacing)[first]
    from_second = _distance_to(first, spacing)[second]
    weights = areas[codes[0][first]], areas[codes[1][second]]
    return SurfaceDistances(from_first, from_second, *weights, Surface.ELEMENTS)


def border(mask: BoolArray) -> BoolArray:
    """Voxels inside with one of six neighbours outside; beyond the array is outside."""
    padded = np.pad(mask, 1)
    inner = mask.copy()
    for axis in range(3):
        for side in (slice(None, -2), slice(2, None)):
            neighbour = [slice(1, -1)] * 3
            neighbour[axis] = side
            inner &= padded[tuple(neighbour)]
    return mask & ~inner


def _block_codes(mask: BoolArray) -> npt.NDArray[np.uint8]:
    """Code of each block of 2 x 2 x 2 voxels, shape + 1 along every axis."""
    padded = np.pad(mask, 1).view(np.uint8)
    code = np.zeros([n + 1 for n in mask.shape], np.uint8)
    for bit, corner in enumerate(CORNERS):
        block = tuple(slice(c, n + 1 + c) for c, n in zip(corner, mask.shape, strict=True))
        code |= padded[block] << bit
    return code


def _distance_to(surface: BoolArray, spacing: Spacing) -> FloatArray:
    outside = np.ascontiguousarray(~surface).view(np.uint8)
    distance: npt.NDArray[np.float32] = edt.edt(outside, anisotropy=spacing, parallel=1)
    return distance.astype(np.float64)


def hausdorff_distance(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing: Spacing,
    *,
    percentile: float = 100.0,
    surface: Surface = Surface.VOXELS,
) -> float:
    """Hausdorff distance: the larger of the two directed distances.

    Args:
        reference: Boolean mask (z, y, x).
        prediction: Boolean mask of the same shape.
        spacing: Voxel distance in mm (z, y, x).
        percentile: 100 for the maximum, 95 for the robust form: then the larger of the two
            directed percentiles (as MONAI and Metrics Reloaded; MedPy pools both directions).
        surface: Centres of border voxels, or surface elements between voxels.

    Returns:
        mm; NaN if either mask is empty.

    Raises:
        GeometryError: if the shapes differ.
        InputError: if the spacing is not three positive numbers.
        SettingsError: if the percentile is outside 0-100.

    >>> one, two = np.zeros((2, 3, 4, 5), bool)
    >>> one[0, 0, 0] = two[0, 0, 3] = True
    >>> hausdorff_distance(one, two, (5.0, 2.0, 1.5))
    4.5
    """
    if not 0 <= percentile <= 100:
        raise SettingsError("A percentile lies between 0 and 100", got=percentile)
    distances = surface_distances(reference, prediction, spacing, surface)
    return distances.hausdorff_mm(percentile)


def average_symmetric_surface_distance(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing: Spacing,
    *,
    surface: Surface = Surface.VOXELS,
) -> float:
    """Mean distance over both surfaces together, in mm; NaN if either mask is empty.

    As MONAI and MedPy. The mean of the two directed means is another measure; it differs
    where the surfaces differ in size.
    """
    return surface_distances(reference, prediction, spacing, surface).average_mm()


def normalised_surface_distance(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    spacing: Spacing,
    *,
    tolerance_mm: float = 2.0,
    surface: Surface = Surface.ELEMENTS,
) -> float:
    """Share of both surfaces within the tolerance of the other; NaN if either mask is empty.

    With surface elements as Nikolov et al. (2021) define it (their surface Dice).

    Raises:
        SettingsError: if the tolerance is negative or not finite.
    """
    if not (np.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise SettingsError("A tolerance is 0 or more mm", got=tolerance_mm)
    return surface_distances(reference, prediction, spacing, surface).share_within(tolerance_mm)
