"""The one place where settings become a network."""

from __future__ import annotations

from torch import nn

from pelvimets.model.network import UNet
from pelvimets.model.residual import residual_encoder
from pelvimets.model.settings import NetworkSettings


def make_network(settings: NetworkSettings, inputs: int, outputs: int) -> nn.Module:
    """A new network, its weights drawn from torch's generator.

    Args:
        settings: Its form.
        inputs: Input channels.
        outputs: Output channels (logits).

    Raises:
        MissingExtraError: if MONAI is asked for and is not installed.
    """
    if settings.kind == "attention":
        from pelvimets.model.attention import AttentionUNet  # the only one that needs MONAI

        return AttentionUNet(settings, inputs, outputs)
    encoder = residual_encoder if settings.kind == "residual" else None
    return UNet(settings, inputs, outputs, encoder)
