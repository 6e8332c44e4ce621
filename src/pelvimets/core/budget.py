"""What a study will cost, estimated from its size before the work starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from pelvimets.config import ReadingSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import network_grid

_BASE_MIB = 520.0
_BYTES_PER_IMAGE_VOXEL = 40.0
_BYTES_PER_NETWORK_VOXEL = 420.0
_SECONDS_PER_MILLION_IMAGE_VOXELS = 0.35
_SECONDS_PER_MILLION_NETWORK_VOXELS = 1.3


@dataclass(frozen=True)
class Budget:
    """Estimated peak memory and time on two cores."""

    memory_mib: float
    seconds: float


def estimate(fields: Iterable[Geometry], settings: ReadingSettings) -> Budget:
    """Memory and time for reading these images with these settings.

    The factors are fits to the measured stages of ``benchmarks/study_speed.py``, rounded up.
    """
    image, network = 0.0, 0.0
    largest_image, largest_network = 0.0, 0.0
    for field in fields:
        here = sum(
            prod(network_grid(field, grid).shape)
            for grid in (settings.bone_grid, settings.lesion_grid)
        )
        image, network = image + field.n_voxels, network + here
        largest_image = max(largest_image, field.n_voxels)
        largest_network = max(largest_network, here / 2)
    memory = (
        _BASE_MIB * 1024**2
        + image * _BYTES_PER_IMAGE_VOXEL / 2
        + largest_image * _BYTES_PER_IMAGE_VOXEL
        + largest_network * _BYTES_PER_NETWORK_VOXEL
    )
    seconds = (
        2.0
        + (
            image * _SECONDS_PER_MILLION_IMAGE_VOXELS
            + network * _SECONDS_PER_MILLION_NETWORK_VOXELS
        )
        / 1e6
    )
    return Budget(memory / 1024**2, seconds)
