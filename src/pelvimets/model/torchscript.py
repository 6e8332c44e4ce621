"""The networks of a bundle as PyTorch has them, for tools that run PyTorch alone."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor, nn

from pelvimets.errors import BundleError
from pelvimets.model.engine import NetworkFiles
from pelvimets.model.export import WithProbabilities
from pelvimets.model.import_weights import network_weights
from pelvimets.model.settings import NetworkSettings
from pelvimets.model.variants import make_network

_FIRST_OF_LEVEL = {
    "unet": "down.{}.convolutions.0.0.weight",
    "residual": "down.{}.0.main.0.weight",
}


def bundle_network(
    files: NetworkFiles, inputs: int, outputs: int, settings: NetworkSettings | None = None
) -> nn.Module:
    """The network of a bundle with its weights; gives logits.

    Args:
        files: From the bundle.
        inputs: Input channels.
        outputs: Output channels.
        settings: Its form; None reads it off the weights.

    Raises:
        BundleError: if the file names no weights, or they fit no known network.
    """
    weights = network_weights(files)
    network = make_network(settings or form_of(weights), inputs, outputs)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise BundleError(
            "The weights of the bundle do not fit their network", got=str(error).splitlines()[0]
        ) from error
    return network.eval()


def form_of(weights: Mapping[str, Tensor]) -> NetworkSettings:
    """The form of a U-Net, plain or with a residual encoder, from the shapes of its weights.

    Raises:
        BundleError: if they are those of another network.
    """
    for kind, pattern in _FIRST_OF_LEVEL.items():
        channels = _channels(weights, pattern)
        if channels and "stem.weight" in weights:
            z, y, x = weights["stem.weight"].shape[2:]
            blocks = _counted(weights, "up.0.convolutions.{}.0.weight")
            plain = NetworkSettings(
                channels=channels, stem=(z, y, x), blocks=blocks, fine=_fine(weights)
            )
            if kind == "unet":
                return plain
            counts = _residual_blocks(weights, len(channels))
            return replace(plain, kind=kind, residual_blocks=counts)
    raise BundleError(
        "The form of a network cannot be read off its weights",
        got=", ".join(list(weights)[:3]),
        remedy="Export a bundle whose networks are U-Nets",
    )


def _fine(weights: Mapping[str, Tensor]) -> int:
    return int(weights["fine.head.weight"].shape[1]) if "fine.head.weight" in weights else 0


def _channels(weights: Mapping[str, Tensor], pattern: str) -> tuple[int, ...]:
    levels = _counted(weights, pattern)
    return tuple(int(weights[pattern.format(n)].shape[0]) for n in range(levels))


def _counted(weights: Mapping[str, Tensor], pattern: str) -> int:
    return next(n for n in count() if pattern.format(n) not in weights)


def _residual_blocks(weights: Mapping[str, Tensor], levels: int) -> tuple[int, ...]:
    return tuple(max(_counted(weights, f"down.{n}.{{}}.main.0.weight"), 1) for n in range(levels))


def torchscript_bytes(
    network: nn.Module, inputs: int, outputs: int, multiple_of: tuple[int, int, int]
) -> bytes:
    """TorchScript that gives probabilities, the mean over both mirror images, as the bundle does.

    Input (batch, inputs, z, y, x) in patient axes (superior, posterior, left), of any shape
    that is a multiple of ``multiple_of``; output (batch, outputs, z, y, x).
    """
    z, y, x = (2 * m for m in multiple_of)
    whole = WithProbabilities(network, outputs).eval().float()
    for parameter in whole.parameters():
        parameter.requires_grad_(False)
    stream = io.BytesIO()
    with warnings.catch_warnings():  # the format is frozen, not gone
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            whole, torch.zeros(1, inputs, z, y, x), check_trace=False
        )
        torch.jit.save(traced, stream)
    return stream.getvalue()


def state_bytes(network: nn.Module) -> bytes:
    """The weights by name, as ``torch.load`` reads them."""
    stream = io.BytesIO()
    torch.save(network.state_dict(), stream)
    return stream.getvalue()
