from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.model.padding import padded_probabilities
from pelvimets.model.tiles import tile_boxes, tile_shape, tiled_probabilities

shapes = st.tuples(*[st.integers(1, 40)] * 3)


def doubled(channels: np.ndarray) -> np.ndarray:
    assert all(n % m == 0 for n, m in zip(channels.shape[1:], (2, 4, 4), strict=True))
    return np.concatenate([channels, 2 * channels]).astype(np.float32)


@settings(max_examples=15, deadline=None)
@given(shape=shapes, largest=st.integers(40, 4000))
def test_tiles_agree_with_the_whole_image(shape: tuple[int, int, int], largest: int) -> None:
    """For a network that looks at one voxel only, tiling must change nothing."""
    channels = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    found = tiled_probabilities(doubled, channels, (2, 4, 4), largest)
    np.testing.assert_allclose(found, np.concatenate([channels, 2 * channels]), atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(shape=shapes, largest=st.integers(32, 4000))
def test_tiles_cover_everything_and_stay_small(shape: tuple[int, int, int], largest: int) -> None:
    tile = tile_shape(shape, (2, 4, 4), largest)
    seen = np.zeros(shape, dtype=int)
    for box in tile_boxes(shape, tile):
        seen[box] += 1
    assert seen.min() >= 1
    assert np.prod(tile) <= max(largest, 32)


def test_padding_is_taken_off_again() -> None:
    channels = np.ones((1, 3, 5, 9), dtype=np.float32)
    found = padded_probabilities(doubled, channels, (2, 4, 4))
    np.testing.assert_array_equal(found, np.concatenate([channels, 2 * channels]))


def test_a_thin_slab_is_grown_before_the_network_sees_it() -> None:
    seen = []

    def watched(channels: np.ndarray) -> np.ndarray:
        seen.append(channels.shape)
        return doubled(channels)

    slab = np.random.default_rng(0).normal(size=(1, 3, 20, 9)).astype(np.float32)
    found = padded_probabilities(watched, slab, (2, 4, 4), (7, 8, 8))
    assert seen == [(1, 8, 20, 12)]
    np.testing.assert_array_equal(found[:1], slab)
