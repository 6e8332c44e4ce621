"""The plan of nnU-Net's network in the comparison, against plans that nnU-Net is known for."""

from __future__ import annotations

import pytest
import torch

from benchmarks.nnunet_network import nnunet_network, plan


def test_an_isotropic_patch_is_halved_down_to_four_cells() -> None:
    """128 cubed at 1 mm, as for brain tumours: six levels, all kernels 3."""
    planned = plan((128, 128, 128), (1.0, 1.0, 1.0))
    assert planned.strides == ((1, 1, 1), *[(2, 2, 2)] * 5)
    assert set(planned.kernels) == {(3, 3, 3)}
    assert planned.channels == (32, 64, 128, 256, 320, 320)


def test_thick_slices_wait_until_the_plane_is_as_coarse() -> None:
    """ACDC, 20 x 256 x 224 at 5 x 1.56 x 1.56 mm, as published."""
    planned = plan((20, 256, 224), (5.0, 1.5625, 1.5625))
    in_plane, all_axes = (1, 2, 2), (2, 2, 2)
    assert planned.strides == ((1, 1, 1), in_plane, all_axes, all_axes, in_plane, in_plane)
    assert planned.kernels == ((1, 3, 3), *[(3, 3, 3)] * 5)
    assert planned.multiple_of == (4, 32, 32)


def test_grids_of_this_package_fit() -> None:
    assert plan((24, 48, 48), (8.0, 6.0, 6.0)).multiple_of == (4, 8, 8)
    assert plan((48, 80, 80), (4.0, 3.0, 3.0)).multiple_of == (8, 16, 16)


def test_its_network_reads_a_patch() -> None:
    pytest.importorskip("dynamic_network_architectures")
    network = nnunet_network(1, 9, plan((16, 16, 16), (2.0, 1.0, 1.0))).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 9, 16, 16, 16)
