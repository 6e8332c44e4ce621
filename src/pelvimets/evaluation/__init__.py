"""Masks and scores against a reference: metrics, matching, statistics, tables, figures.

It knows masks, scores and patients, never a network. Arrays are (z, y, x), spacing is in mm
in the same order.
"""

from pelvimets.evaluation.measures.distances import (
    Surface,
    SurfaceDistances,
    average_symmetric_surface_distance,
    hausdorff_distance,
    normalised_surface_distance,
    surface_distances,
)
from pelvimets.evaluation.measures.overlap import (
    dice,
    intersection_over_union,
    volumetric_similarity,
)
from pelvimets.evaluation.measures.voxel import (
    Summary,
    VoxelMeasures,
    measure_labels,
    measure_mask,
    summarise,
)

__all__ = [
    "Summary",
    "Surface",
    "SurfaceDistances",
    "VoxelMeasures",
    "average_symmetric_surface_distance",
    "dice",
    "hausdorff_distance",
    "intersection_over_union",
    "measure_labels",
    "measure_mask",
    "normalised_surface_distance",
    "summarise",
    "surface_distances",
    "volumetric_similarity",
]
