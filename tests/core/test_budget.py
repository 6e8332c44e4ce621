"""What a study will cost is known before it is read; measured figures: benchmarks/estimate.py."""

import json
from pathlib import Path

import numpy as np
import pytest

from pelvimets.config import ReadingSettings
from pelvimets.core.budget import Extent, estimate
from pelvimets.core.geometry import Geometry
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.engine import LARGEST_TILE_VOXELS, SMALL_TILE_VOXELS

SETTINGS = ReadingSettings()


def grid(*shape: int) -> Geometry:
    """The same field of view, however fine."""
    spacing = tuple(f / n for f, n in zip((280, 380, 400), shape, strict=True))
    return Geometry.from_axes(shape, spacing)


SMALL, LARGE = grid(40, 128, 128), grid(400, 512, 512)


def memory(*images: Geometry, **more) -> float:
    return estimate(Extent(images, **more), SETTINGS).memory_mib


def test_the_images_an_adc_map_and_files_to_unpack_all_count():
    assert memory(LARGE) > memory(SMALL) + 1000
    assert memory(SMALL, LARGE) > memory(LARGE) + 50
    assert memory(SMALL, adc=LARGE) > memory(SMALL) + 1500
    assert memory(SMALL, unpacked_bytes=4 << 30) > 8000
    assert memory(SMALL, unpacked_bytes=1 << 20) == memory(SMALL)


RECORD = json.loads((Path(__file__).parent / "measured_costs.json").read_text())


@pytest.mark.parametrize("run", RECORD)
def test_what_was_measured_is_below_the_estimate_and_near_it(run):
    """Peak memory as ``benchmarks/estimate.py --record`` measured it with the shipped bundle."""
    grids = {
        name: Geometry(tuple(image["shape"]), np.array(image["matrix"]))
        for name, image in run["images"].items()
    }
    adc = grids.pop("adc", None)
    tile = SMALL_TILE_VOXELS if run["small_tiles"] else LARGEST_TILE_VOXELS
    found = estimate(Extent(tuple(grids.values()), adc), load_segmenter().settings, tile)
    assert run["memory_mib"] <= found.memory_mib <= 1.25 * run["memory_mib"]


def test_small_tiles_take_less():
    whole = estimate(Extent((SMALL,)), SETTINGS, 2_600_000).memory_mib
    assert estimate(Extent((SMALL,)), SETTINGS, 650_000).memory_mib < whole


def test_time_grows_with_the_voxels():
    seconds = [estimate(Extent((g,)), SETTINGS).seconds for g in (SMALL, LARGE)]
    assert seconds[0] < 10 < 60 < seconds[1]
