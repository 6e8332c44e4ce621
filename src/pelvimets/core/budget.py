"""What a study will cost, estimated from its size before the work starts."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from pelvimets.config import ReadingSettings
from pelvimets.core.field import search_windows
from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import network_grid
from pelvimets.core.study import Study

# Fits to ``benchmarks/estimate.py``: MiB with a margin of 5 %, seconds on two free cores,
# millions of voxels.
_BASE_MIB, _MIB_PER_NETWORK, _MIB_PER_NEXT_NETWORK = 985.0, 208.0, 44.0
_MIB_PER_IMAGE, _MIB_PER_MAP = 12.6, 27.3
_READING_MIB, _READING_MIB_PER_IMAGE, _READING_MIB_PER_MAP = 300.0, 11.0, 24.0
_SECONDS, _SECONDS_PER_IMAGE, _SECONDS_PER_NETWORK = 2.9, 0.6, 0.35
_MIB_PER_UNPACKED_MIB = 2.0  # the packed file beside its pixels


@dataclass(frozen=True)
class Extent:
    """Sizes of what would be read, known from headers.

    Attributes:
        images: Grids of DWI and T1, as far as present.
        adc: Grid of the ADC map, if there is one.
        unpacked_bytes: Of files that must be unpacked as a whole to read a part of them.
    """

    images: tuple[Geometry, ...]
    adc: Geometry | None = None
    unpacked_bytes: int = 0

    @staticmethod
    def of(study: Study) -> Extent:
        """Of what has been read."""
        images = tuple(image.geometry for image in study.images.values())
        return Extent(images, None if study.adc is None else study.adc.volume.geometry)


@dataclass(frozen=True)
class Budget:
    """Estimated peak memory, and time on two free cores."""

    memory_mib: float
    seconds: float


def estimate(
    extent: Extent, settings: ReadingSettings, largest_tile_voxels: float = float("inf")
) -> Budget:
    """Memory and time for reading a study with these settings.

    Both follow from the voxels of the images, on which masks and pictures are made, and from
    those of the networks' grids, of which at most a tile is shown at a time.
    """
    images = sum(grid.n_voxels for grid in extent.images) / 1e6
    adc = 0.0 if extent.adc is None else extent.adc.n_voxels / 1e6
    bones, both = [], 0.0
    for field in extent.images:
        bones.append(prod(network_grid(field, settings.bone_grid).shape) / 1e6)
        both += bones[-1] + prod(network_grid(field, settings.lesion_grid).shape) / 1e6
        both += _searched(field, settings)
    bones = [min(n, largest_tile_voxels / 1e6) for n in bones]
    networks = _MIB_PER_NETWORK * max(bones) + _MIB_PER_NEXT_NETWORK * sum(sorted(bones)[:-1])
    reading = _READING_MIB + _MIB_PER_UNPACKED_MIB * extent.unpacked_bytes / 1024**2
    reading += _READING_MIB_PER_IMAGE * images + _READING_MIB_PER_MAP * adc
    working = _BASE_MIB + networks + _MIB_PER_IMAGE * images + _MIB_PER_MAP * adc
    seconds = _SECONDS + _SECONDS_PER_IMAGE * (images + adc / 4) + _SECONDS_PER_NETWORK * both
    return Budget(max(reading, working), seconds)


def _searched(field: Geometry, settings: ReadingSettings) -> float:
    """Million voxels that the bone network sees while it looks for the pelvis in a tall field."""
    windows = search_windows(field, settings)
    return sum(prod(network_grid(w.geometry, settings.bone_grid).shape) for w in windows) / 1e6
