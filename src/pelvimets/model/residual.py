"""Residual encoder for the U-Net.

After Isensee et al., MICCAI 2024 (nnU-Net Revisited: ResEnc presets): more blocks on the deep
levels, which cost little, and a light decoder; the blocks after He et al., CVPR 2016.
"""

from __future__ import annotations

from torch import Tensor, nn

from pelvimets.model.network import SLOPE, InstanceNorm
from pelvimets.model.settings import NetworkSettings


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to the input.

    Where the grid is halved, the input is averaged over cells; where the number of feature
    maps changes, it is projected. The last normalisation starts at 0, so that training begins
    with a shallow network.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        last_norm = InstanceNorm(outputs)
        nn.init.zeros_(last_norm.weight)
        self.main = nn.Sequential(
            nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            InstanceNorm(outputs),
            nn.LeakyReLU(SLOPE),
            nn.Conv3d(outputs, outputs, 3, padding=1, bias=False),
            last_norm,
        )
        self.shortcut = _shortcut(inputs, outputs, stride)
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, outputs, ...)."""
        features: Tensor = self.activation(self.main(x) + self.shortcut(x))
        return features


def residual_encoder(settings: NetworkSettings) -> list[nn.Module]:
    """Levels of residual blocks, for ``UNet(..., encoder=residual_encoder)``."""
    levels: list[nn.Module] = []
    inputs = settings.channels[0]
    for n, outputs in enumerate(settings.channels):
        count = settings.residual_blocks[min(n, len(settings.residual_blocks) - 1)]
        first = ResidualBlock(inputs, outputs, stride=2 if n else 1)
        rest = (ResidualBlock(outputs, outputs) for _ in range(count - 1))
        levels.append(nn.Sequential(first, *rest))
        inputs = outputs
    return levels


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    parts: list[nn.Module] = []
    if stride > 1:
        parts.append(nn.AvgPool3d(stride))
    if inputs != outputs:
        parts.append(nn.Conv3d(inputs, outputs, 1, bias=False))
        parts.append(InstanceNorm(outputs))
    return nn.Sequential(*parts)
