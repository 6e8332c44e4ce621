"""What a study will cost is known before it is read; measured figures: benchmarks/estimate.py."""

import pytest

from pelvimets.config import ReadingSettings
from pelvimets.core.budget import Extent, estimate
from pelvimets.core.geometry import Geometry

SETTINGS = ReadingSettings()


def grid(*shape: int) -> Geometry:
    """The same field of view, however fine."""
    spacing = tuple(f / n for f, n in zip((280, 380, 400), shape, strict=True))
    return Geometry.from_axes(shape, spacing)


SMALL, LARGE = grid(40, 128, 128), grid(400, 512, 512)


def memory(*images: Geometry, **more) -> float:
    return estimate(Extent(images, **more), SETTINGS).memory_mib


def test_the_images_an_adc_map_and_files_to_unpack_all_count():
    assert memory(LARGE) > memory(SMALL) + 2000
    assert memory(SMALL, LARGE) > memory(LARGE) + 100
    assert memory(SMALL, adc=LARGE) > memory(SMALL) + 1500
    assert memory(SMALL, unpacked_bytes=4 << 30) > 8000
    assert memory(SMALL, unpacked_bytes=1 << 20) == memory(SMALL)


def test_what_was_measured_is_met_within_a_factor_of_one_and_a_half():
    """Peak memory (MiB) as measured with the shipped bundle: 52 million voxels, T1 alone."""
    assert memory(grid(200, 512, 512)) == pytest.approx(2144, rel=0.3)


def test_small_tiles_take_less():
    whole = estimate(Extent((SMALL,)), SETTINGS, 2_600_000).memory_mib
    assert estimate(Extent((SMALL,)), SETTINGS, 650_000).memory_mib < whole


def test_time_grows_with_the_voxels():
    seconds = [estimate(Extent((g,)), SETTINGS).seconds for g in (SMALL, LARGE)]
    assert seconds[0] < 10 < 60 < seconds[1]
