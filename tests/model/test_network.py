from __future__ import annotations

import pytest
import torch

from pelvimets.errors import SettingsError
from pelvimets.model.network import UNet
from pelvimets.model.settings import NetworkSettings


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("stem", [(1, 1, 1), (1, 2, 2), (2, 2, 2)])
def test_output_has_the_shape_of_the_input(stem: tuple[int, int, int], residual: bool) -> None:
    settings = NetworkSettings(channels=(4, 6, 8), stem=stem, residual=residual)
    z, y, x = settings.multiple_of
    network = UNet(settings, 3, 9).eval()
    assert network(torch.zeros(1, 3, 2 * z, 3 * y, x)).shape == (1, 9, 2 * z, 3 * y, x)


def test_every_weight_learns() -> None:
    network = UNet(NetworkSettings(channels=(4, 6, 8), residual=True), 1, 2)
    network(torch.randn(1, 1, 8, 16, 16)).square().mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name


def test_the_network_sees_far() -> None:
    """A voxel's answer depends on the far corner of the field: context, not texture alone."""
    torch.manual_seed(0)
    network = UNet(NetworkSettings(channels=(4, 6, 8, 8)), 1, 2).eval()
    image = torch.randn(1, 1, 16, 32, 32)
    changed = image.clone()
    changed[..., -4:, -8:, -8:] += 5
    with torch.no_grad():
        assert not torch.allclose(
            network(image)[..., 0, 0, 0], network(changed)[..., 0, 0, 0], atol=1e-4
        )


def test_initialisations_differ_and_unknown_ones_are_refused() -> None:
    spread = set()
    for how in ("kaiming", "xavier", "orthogonal"):
        torch.manual_seed(0)
        network = UNet(NetworkSettings(channels=(4, 8), initialisation=how), 1, 2)
        spread.add(round(float(network.head.weight.detach().std()), 6))
    assert len(spread) == 3
    with pytest.raises(SettingsError, match="zeros"):
        UNet(NetworkSettings(channels=(4, 8), initialisation="zeros"), 1, 2)


@pytest.mark.parametrize("bad", [{"channels": (4,)}, {"blocks": 0}, {"dropout": 1.0}])
def test_impossible_forms_are_refused(bad: dict) -> None:
    with pytest.raises(SettingsError):
        NetworkSettings(**bad)
