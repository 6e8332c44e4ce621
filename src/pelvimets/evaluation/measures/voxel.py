"""All voxel measures of the structures of a label map, in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from pelvimets.errors import GeometryError
from pelvimets.evaluation.measures.distances import Surface, surface_distances
from pelvimets.evaluation.measures.masks import (
    BoolArray,
    Box,
    FloatArray,
    Spacing,
    as_spacing,
    joint_box,
)
from pelvimets.evaluation.measures.overlap import dice_of_counts, volumetric_similarity_of_counts

LabelArray = npt.NDArray[np.integer]

MEASURES = ("dsc", "vs", "hd_mm", "hd95_mm", "assd_mm", "nsd_2mm")
"""The voxel measures, by their names in ``results.json``."""

MEASURE_TITLES = {
    "dsc": "DSC",
    "vs": "VS",
    "hd_mm": "HD (mm)",
    "hd95_mm": "HD95 (mm)",
    "assd_mm": "ASSD (mm)",
    "nsd_2mm": "NSD at 2 mm",
}

HIGHER_IS_BETTER = {
    "dsc": True,
    "vs": True,
    "hd_mm": False,
    "hd95_mm": False,
    "assd_mm": False,
    "nsd_2mm": True,
}

NSD_TOLERANCE_MM = 2.0


@dataclass(frozen=True)
class VoxelMeasures:
    """Measures of one structure; NaN where the policy for empty masks says so.

    Attributes:
        dsc, vs: Dice and volumetric similarity, 0-1.
        hd_mm, hd95_mm, assd_mm: Distances between centres of border voxels.
        nsd_2mm: Normalised surface distance at 2 mm, of surface elements, 0-1.
        reference_cm3, prediction_cm3: Volumes.
    """

    dsc: float
    vs: float
    hd_mm: float
    hd95_mm: float
    assd_mm: float
    nsd_2mm: float
    reference_cm3: float
    prediction_cm3: float

    @property
    def reference_empty(self) -> bool:
        """Whether the reference holds no voxel of the structure."""
        return self.reference_cm3 == 0

    @property
    def prediction_empty(self) -> bool:
        """Whether the prediction holds no voxel of the structure."""
        return self.prediction_cm3 == 0


def measure_mask(reference: BoolArray, prediction: BoolArray, spacing: Spacing) -> VoxelMeasures:
    """All voxel measures of one structure.

    Args:
        reference: Boolean mask (z, y, x).
        prediction: Boolean mask of the same shape.
        spacing: Voxel distance in mm (z, y, x).

    Raises:
        GeometryError: if the shapes differ.
    """
    borders = surface_distances(reference, prediction, spacing, Surface.VOXELS)
    elements = surface_distances(reference, prediction, spacing, Surface.ELEMENTS)
    sizes = int(np.count_nonzero(reference)), int(np.count_nonzero(prediction))
    voxel_cm3 = float(np.prod(spacing)) / 1000.0
    return VoxelMeasures(
        dsc=dice_of_counts(*sizes, int(np.count_nonzero(reference & prediction))),
        vs=volumetric_similarity_of_counts(*sizes),
        hd_mm=borders.hausdorff_mm(),
        hd95_mm=borders.hausdorff_mm(95.0),
        assd_mm=borders.average_mm(),
        nsd_2mm=elements.share_within(NSD_TOLERANCE_MM),
        reference_cm3=sizes[0] * voxel_cm3,
        prediction_cm3=sizes[1] * voxel_cm3,
    )


def measure_labels(
    reference: LabelArray,
    prediction: LabelArray,
    spacing: Spacing,
    labels: Iterable[int],
) -> dict[int, VoxelMeasures]:
    """All voxel measures of every structure of a pair of label maps.

    Args:
        reference: Label map (z, y, x).
        prediction: Label map of the same shape.
        spacing: Voxel distance in mm (z, y, x).
        labels: The values to measure.

    Returns:
        Measures by label.

    Raises:
        GeometryError: if the shapes differ.
    """
    if reference.shape != prediction.shape:
        raise GeometryError(
            "Reference and prediction lie on different grids",
            got=f"reference {reference.shape}, prediction {prediction.shape}",
        )
    spacing = as_spacing(spacing)
    boxes = _label_boxes(reference), _label_boxes(prediction)
    measured = {}
    for label in labels:
        box = joint_box(boxes[0].get(label), boxes[1].get(label))
        measured[label] = measure_mask(reference[box] == label, prediction[box] == label, spacing)
    return measured


def _label_boxes(array: LabelArray) -> dict[int, Box]:
    """Bounding box of each label."""
    found = find_objects(array.astype(np.int32, copy=False))
    return {label: box for label, box in enumerate(found, start=1) if box is not None}


@dataclass(frozen=True)
class Summary:
    """Description of a measure over cases.

    Attributes:
        n: Values that exist.
        n_nan: Cases without a value (empty masks).
        mean, sd, median, lower_quartile, upper_quartile, smallest, largest: NaN for n = 0;
            ``sd`` (n - 1) also for n = 1.
    """

    n: int
    n_nan: int
    mean: float
    sd: float
    median: float
    lower_quartile: float
    upper_quartile: float
    smallest: float
    largest: float


def summarise(values: Sequence[float] | FloatArray) -> Summary:
    """Describe the values that exist and count those that do not.

    >>> summarise([0.8, 0.9, float("nan")]).n_nan
    1
    """
    array = np.asarray(values, dtype=np.float64)
    valid = array[np.isfinite(array)]
    missing = int(array.size - valid.size)
    if valid.size == 0:
        return Summary(0, missing, *[float("nan")] * 7)
    deviation = float(np.std(valid, ddof=1)) if valid.size > 1 else float("nan")
    low, middle, high = (float(q) for q in np.percentile(valid, [25, 50, 75]))
    return Summary(
        int(valid.size),
        missing,
        float(valid.mean()),
        deviation,
        middle,
        low,
        high,
        float(valid.min()),
        float(valid.max()),
    )
