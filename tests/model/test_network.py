from __future__ import annotations

import pytest
import torch

from pelvimets.errors import SettingsError
from pelvimets.model.network import FineLevel, InstanceNorm, UNet
from pelvimets.model.settings import NetworkSettings


@pytest.mark.parametrize("stem", [(1, 1, 1), (1, 2, 2), (2, 2, 2)])
def test_output_has_the_shape_of_the_input(stem: tuple[int, int, int]) -> None:
    settings = NetworkSettings(channels=(4, 6, 8), stem=stem)
    z, y, x = settings.multiple_of
    network = UNet(settings, 3, 9).eval()
    assert network(torch.zeros(1, 3, 2 * z, 3 * y, x)).shape == (1, 9, 2 * z, 3 * y, x)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last_3d])
def test_normalisation_in_half_precision_is_pytorchs(
    batch: int, order: torch.memory_format
) -> None:
    """Result and gradients those of InstanceNorm3d in float32, as far as bfloat16 tells."""
    torch.manual_seed(0)
    own, known = InstanceNorm(5), torch.nn.InstanceNorm3d(5, affine=True)
    torch.nn.init.normal_(own.weight)
    torch.nn.init.normal_(own.bias)
    known.load_state_dict(own.state_dict())
    half = (3 + 2 * torch.randn(batch, 5, 6, 7, 8)).to(torch.bfloat16, memory_format=order)
    given = [half.clone().requires_grad_(), half.float().requires_grad_()]
    target = torch.randn(batch, 5, 6, 7, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = own(given[0])
    expected = known(given[1])
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.05, rtol=0.02)
    (found * target).sum().backward()
    (expected * target).sum().backward()
    for a, b in ((given[0], given[1]), (own.weight, known.weight), (own.bias, known.bias)):
        assert a.grad is not None and b.grad is not None
        scale = float(b.grad.abs().max())
        torch.testing.assert_close(a.grad.float(), b.grad, atol=0.02 * scale, rtol=0.02)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last_3d])
def test_normalisation_in_training_is_pytorchs(batch: int, order: torch.memory_format) -> None:
    torch.manual_seed(0)
    own, known = InstanceNorm(5), torch.nn.InstanceNorm3d(5, affine=True)
    torch.nn.init.normal_(own.weight)
    known.load_state_dict(own.state_dict())
    image = (3 + 2 * torch.randn(batch, 5, 6, 7, 8)).contiguous(memory_format=order)
    given = [image.clone().requires_grad_() for _ in range(2)]
    target = torch.randn(batch, 5, 6, 7, 8)
    found, expected = own(given[0]), known(given[1])
    torch.testing.assert_close(found, expected)
    (found * target).sum().backward()
    (expected * target).sum().backward()
    for a, b in ((given[0], given[1]), (own.weight, known.weight), (own.bias, known.bias)):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=1e-4)


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


def test_a_fine_level_begins_with_what_the_network_says_without_it_and_learns() -> None:
    torch.manual_seed(0)
    fine = UNet(NetworkSettings(channels=(4, 6), fine=3), 1, 2)
    plain = UNet(NetworkSettings(channels=(4, 6)), 1, 2)
    plain.load_state_dict({n: t for n, t in fine.state_dict().items() if not n.startswith("fine.")})
    image = torch.randn(1, 1, 4, 16, 16)
    torch.testing.assert_close(fine(image), plain(image))
    optimiser = torch.optim.SGD(fine.parameters(), lr=0.1)
    for _ in range(2):  # the last layer first, then what lies before it
        optimiser.zero_grad()
        fine(image)[:, 0].square().mean().backward()
        optimiser.step()
    assert fine.fine is not None
    assert all((p.grad != 0).any() for p in fine.fine.parameters())


def test_a_fine_level_sees_single_voxels_of_its_slice() -> None:
    """What it adds to a voxel changes with the next voxel, and not with the next slice."""
    torch.manual_seed(0)
    level = FineLevel(NetworkSettings(channels=(4, 6), fine=3), 1, 2).eval()
    torch.nn.init.normal_(level.head.weight)
    for part in level.modules():  # statistics of the image would carry further
        if isinstance(part, InstanceNorm):
            part.forward = torch.nn.Identity().forward  # type: ignore[method-assign]
    image, features = torch.randn(1, 1, 4, 16, 16), torch.randn(1, 4, 4, 8, 8)
    changed = image.clone()
    changed[0, 0, 1, 8, 8] += 1
    different = (level(image, features) != level(changed, features)).any(1)[0]
    assert {int(z) for z in torch.nonzero(different)[:, 0]} == {1}
    assert different[1, 5:12, 5:12].all() and int(different.sum()) == 49


def test_weights_of_older_runs_still_fit() -> None:
    """Names and shapes of the default network are those of checkpoints that exist."""
    state = UNet(NetworkSettings(), 1, 9).state_dict()
    assert len(state) == 52
    assert state["stem.weight"].shape == (24, 1, 1, 2, 2)
    assert state["down.3.convolutions.0.0.weight"].shape == (128, 96, 3, 3, 3)
    assert state["down.0.convolutions.1.1.weight"].shape == (24,)
    assert state["unfold.0.weight"].shape == (128, 96, 2, 2, 2)
    assert state["up.2.convolutions.0.0.weight"].shape == (24, 48, 3, 3, 3)
    assert state["head.weight"].shape == (24, 9, 1, 2, 2)


def test_a_seed_still_gives_the_network_it_gave() -> None:
    """Numbers of the code that trained the first bundle."""
    torch.manual_seed(2021)
    network = UNet(NetworkSettings(channels=(4, 8)), 1, 2)
    first, last = (w.detach().flatten()[:3] for w in (network.stem.weight, network.head.weight))
    assert first.tolist() == pytest.approx([1.062276, -0.011436, -0.264024], abs=1e-5)
    assert last.tolist() == pytest.approx([0.138535, 0.516848, 0.530810], abs=1e-5)


def test_initialisations_differ_and_unknown_ones_are_refused() -> None:
    spread = set()
    for how in ("kaiming", "xavier", "orthogonal"):
        torch.manual_seed(0)
        network = UNet(NetworkSettings(channels=(4, 8), initialisation=how), 1, 2)
        spread.add(round(float(network.head.weight.detach().std()), 6))
    assert len(spread) == 3
    with pytest.raises(SettingsError, match="zeros"):
        UNet(NetworkSettings(channels=(4, 8), initialisation="zeros"), 1, 2)
