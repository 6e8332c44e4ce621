"""What every kind of network must do, and what sets each apart."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from pelvimets.config import settings_from_dict, settings_to_dict
from pelvimets.errors import MissingExtraError, SettingsError
from pelvimets.model.engine import NetworkFiles, compile_network
from pelvimets.model.export import WithProbabilities, network_bytes, to_openvino
from pelvimets.model.network import UNet
from pelvimets.model.settings import KINDS, NETWORKS, NetworkSettings
from pelvimets.model.variants import make_network

every_kind = pytest.mark.parametrize("kind", KINDS)


def small(kind: str, **changes: object) -> NetworkSettings:
    form = {"channels": (4, 6, 8), "residual_blocks": (1, 2), **changes}
    return NetworkSettings(kind=kind, **form)


def drawn(kind: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return make_network(small(kind), 3, 2)


@every_kind
@pytest.mark.parametrize("stem", [(1, 1, 1), (1, 2, 2)])
def test_every_multiple_is_read(kind: str, stem: tuple[int, int, int]) -> None:
    settings = small(kind, stem=stem)
    z, y, x = settings.multiple_of
    assert (z, y, x) == tuple(4 * n for n in stem)
    network = make_network(settings, 3, 9).eval()
    for shape in ((2 * z, 3 * y, x), (3 * z, 2 * y, 5 * x)):
        assert network(torch.zeros(1, 3, *shape)).shape == (1, 9, *shape)


@every_kind
def test_every_weight_learns(kind: str) -> None:
    """After a step, so that normalisations that start at 0 let gradients through."""
    network = drawn(kind)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        network(torch.randn(1, 3, 8, 16, 16)).square().mean().backward()
        optimiser.step()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        if weight.ndim > 1:  # a bias in front of a normalisation has no effect
            assert weight.grad.abs().max() > 0, name


@every_kind
def test_openvino_answers_alike_at_any_shape(kind: str) -> None:
    settings, network = small(kind), drawn(kind).eval()
    files = network_bytes(to_openvino(network, 3, 2, settings.multiple_of), "n")
    compiled = compile_network(
        NetworkFiles(files["n.xml"], files["n.bin"], settings.multiple_of), threads=1
    )
    for shape in ((8, 16, 24), (4, 40, 16)):
        image = torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            expected = WithProbabilities(network, 2)(image).numpy()
        found = compiled(image.numpy())[0]
        np.testing.assert_allclose(found, expected, atol=5e-3)  # weights in half precision
        assert expected.std() > 0.02  # more than a constant


@every_kind
def test_a_seed_decides_the_weights(kind: str) -> None:
    one, same, other = (drawn(kind, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["stem.weight"], other["stem.weight"])


@every_kind
def test_a_batch_is_read_image_by_image(kind: str) -> None:
    """No network mixes the images of a batch: what it learns holds for a single study."""
    network = drawn(kind).train()
    pair = torch.randn(2, 3, 8, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(pair)[:1], network(pair[:1]), atol=1e-5, rtol=1e-4)


def test_a_residual_encoder_starts_shallow_and_grows_with_depth() -> None:
    torch.manual_seed(0)
    network = make_network(small("residual", residual_blocks=(1, 3)), 1, 2)
    assert isinstance(network, UNet)
    assert [len(level) for level in network.down] == [1, 3, 3]
    block = network.down[1][1]
    image = torch.randn(1, 6, 4, 4, 4)
    torch.testing.assert_close(block(image), nn.functional.leaky_relu(image, 0.01))


def test_dropout_acts_in_training_only() -> None:
    image = torch.randn(1, 1, 8, 16, 16)
    for kind in KINDS:
        torch.manual_seed(0)
        network = make_network(small(kind, dropout=0.5), 1, 2)
        assert not torch.equal(network(image), network(image)), kind
        network.eval()
        assert torch.equal(network(image), network(image)), kind


def test_monai_is_needed_by_its_own_network_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets.attentionunet", None)
    for kind in ("unet", "residual"):
        make_network(small(kind), 1, 2)
    with pytest.raises(MissingExtraError, match=r"pelvimets\[train\]"):
        make_network(small("attention"), 1, 2)


def test_the_cost_of_the_named_forms() -> None:
    """Parameters, in millions; half precision takes two bytes of a bundle for each."""
    millions = {
        name: sum(p.numel() for p in make_network(form, 1, 9).parameters()) / 1e6
        for name, form in NETWORKS.items()
    }
    expected = {"unet": 2.40, "paper": 1.41, "residual": 8.26, "attention": 2.43, "fine": 2.41}
    assert millions == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    "bad",
    [
        {"channels": (4,)},
        {"blocks": 0},
        {"dropout": 1.0},
        {"fine": -1},
        {"kind": "attention", "fine": 4},
        {"kind": "transformer"},
        {"residual_blocks": ()},
        {"kind": "attention", "blocks": 3},
    ],
)
def test_impossible_forms_are_refused(bad: dict) -> None:
    with pytest.raises(SettingsError):
        NetworkSettings(**bad)


def test_settings_of_older_runs_are_read() -> None:
    """They name no kind, and a switch that is no more."""
    older = {
        "channels": [24, 48, 96, 128],
        "stem": [1, 2, 2],
        "blocks": 2,
        "residual": False,
        "dropout": 0.0,
        "initialisation": "kaiming",
    }
    assert settings_from_dict(NetworkSettings, older) == NetworkSettings()
    with pytest.raises(SettingsError, match="residual"):
        settings_from_dict(NetworkSettings, {**older, "residual": True})


def test_settings_survive_json() -> None:
    for form in NETWORKS.values():
        assert settings_from_dict(NetworkSettings, settings_to_dict(form)) == form
