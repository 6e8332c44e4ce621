"""Masks and scores against a reference: metrics, matching, statistics, tables, figures.

It knows masks, scores and patients, never a network. Arrays are (z, y, x), spacing is in mm
in the same order. The measures below are imported when they are first used.
"""

from importlib import import_module
from typing import Any

_MEASURES = {
    "distances": (
        "Surface",
        "SurfaceDistances",
        "average_symmetric_surface_distance",
        "hausdorff_distance",
        "normalised_surface_distance",
        "surface_distances",
    ),
    "overlap": ("dice", "intersection_over_union", "volumetric_similarity"),
    "voxel": ("Summary", "VoxelMeasures", "measure_labels", "measure_mask", "summarise"),
}
_HOME = {name: module for module, names in _MEASURES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.measures.{_HOME[name]}"), name)
