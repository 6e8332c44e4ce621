"""3D U-Net with a folding stem: the network of both steps.

After Cicek et al., MICCAI 2016 (3D U-Net), with instance normalisation and leaky ReLU as
in Isensee et al., Nat Methods 2021 (nnU-Net).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from pelvimets.errors import SettingsError
from pelvimets.model.settings import NetworkSettings

SLOPE = 0.01


class UNet(nn.Module):
    """3D U-Net.

    Args:
        settings: Its form.
        inputs: Input channels.
        outputs: Output channels (logits).
        encoder: Makes the levels on the way down, finest first; None makes plain ones.

    Input (batch, inputs, z, y, x), output (batch, outputs, z, y, x); the grid must be a
    multiple of ``settings.multiple_of``.
    """

    def __init__(
        self,
        settings: NetworkSettings,
        inputs: int,
        outputs: int,
        encoder: Callable[[NetworkSettings], list[nn.Module]] | None = None,
    ) -> None:
        super().__init__()
        first, stem = settings.channels[0], settings.stem
        self.stem = nn.Conv3d(inputs, first, stem, stride=stem)
        self.down = nn.ModuleList((encoder or plain_encoder)(settings))
        self.dropout = nn.Dropout3d(settings.dropout)
        self.unfold = nn.ModuleList(_unfolds(settings))
        self.up = nn.ModuleList(_up_levels(settings))
        self.head = nn.ConvTranspose3d(first, outputs, stem, stride=stem)
        self.fine = FineLevel(settings, inputs, outputs) if settings.fine else None
        initialise(self, settings.initialisation)
        if self.fine is not None:
            nn.init.zeros_(self.fine.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        image = x
        x = self.stem(x)
        skips: list[Tensor] = []
        for level in self.down:
            x = level(x)
            skips.append(x)
        x = self.dropout(skips.pop())
        for unfold, level in zip(self.unfold, self.up, strict=True):
            x = level(torch.cat([unfold(x), skips.pop()], dim=1))
        logits: Tensor = self.head(x)
        return logits if self.fine is None else logits + self.fine(image, x)


class FineLevel(nn.Module):
    """A level on every voxel, where the stem folds some: what it corrects of the logits.

    Its convolutions lie in the slice, as voxels are longer across (nnU-Net does likewise on the
    first levels of such a grid). Its last layer starts at 0, so that training begins with the
    network without it.

    Args:
        settings: Form of the network.
        inputs: Input channels.
        outputs: Output channels (logits).
    """

    def __init__(self, settings: NetworkSettings, inputs: int, outputs: int) -> None:
        super().__init__()
        stem, width = settings.stem, settings.fine
        self.unfold = nn.ConvTranspose3d(settings.channels[0], width, stem, stride=stem)
        self.skip = _in_plane(inputs, width)
        self.convolutions = nn.Sequential(_in_plane(2 * width, width), _in_plane(width, width))
        self.head = nn.Conv3d(width, outputs, 1, bias=False)

    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        """Logits to add, from the input and the features of the first folded level."""
        both = torch.cat([self.unfold(features), self.skip(image)], dim=1)
        logits: Tensor = self.head(self.convolutions(both))
        return logits


class InstanceNorm(nn.InstanceNorm3d):
    """Instance normalisation that is fast in training on a CPU.

    PyTorch's own form copies the feature maps of a batch into another memory order, and under
    autocast widens them to float32: two fifths of a training step. Mean and deviation are taken
    in float32 either way, and an exported network is the same.

    Args:
        channels: Feature maps; each has a weight and a bias.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Features in the type of ``x``."""
        if not self._is_fast_for(x):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            images = [self._normalised(image) for image in torch.split(x, 1)]
        return images[0] if len(images) == 1 else torch.cat(images)

    def _is_fast_for(self, x: Tensor) -> bool:
        if x.device.type != "cpu":
            return False
        return x.dtype is torch.bfloat16 or (x.dtype is torch.float32 and self._learns())

    def _learns(self) -> bool:
        return self.training and torch.is_grad_enabled()

    def _normalised(self, image: Tensor) -> Tensor:
        features: Tensor = torch.native_batch_norm(  # of one image: instance normalisation
            image, self.weight, self.bias, None, None, True, 0.0, self.eps
        )[0]
        return features


class Level(nn.Module):
    """Convolutions of one level, each with instance normalisation and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, blocks: int) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * blocks
        self.convolutions = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv3d(a, b, 3, stride=stride if n == 0 else 1, padding=1, bias=False),
                    InstanceNorm(b),
                    nn.LeakyReLU(SLOPE),
                )
                for n, (a, b) in enumerate(pairwise(widths))
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, outputs, ...)."""
        features: Tensor = self.convolutions(x)
        return features


def _in_plane(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, (1, 3, 3), padding=(0, 1, 1), bias=False),
        InstanceNorm(outputs),
        nn.LeakyReLU(SLOPE),
    )


def plain_encoder(settings: NetworkSettings) -> list[nn.Module]:
    """Levels of convolutions on the way down; each but the first starts with a stride of 2."""
    widths = (settings.channels[0], *settings.channels)
    return [
        Level(a, b, stride=2 if n else 1, blocks=settings.blocks)
        for n, (a, b) in enumerate(zip(widths, settings.channels, strict=False))
    ]


def _unfolds(settings: NetworkSettings) -> list[nn.ConvTranspose3d]:
    pairs = zip(settings.channels, settings.channels[1:], strict=False)
    return [nn.ConvTranspose3d(deep, fine, 2, stride=2) for fine, deep in reversed(list(pairs))]


def _up_levels(settings: NetworkSettings) -> list[Level]:
    return [
        Level(2 * c, c, stride=1, blocks=settings.blocks) for c in reversed(settings.channels[:-1])
    ]


def initialise(network: nn.Module, how: str) -> None:
    """Draw the weights of all convolutions from torch's generator; biases become 0.

    Raises:
        SettingsError: if ``how`` is unknown.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
            _fill(layer.weight, how)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _fill(weight: Tensor, how: str) -> None:
    if how == "kaiming":
        nn.init.kaiming_normal_(weight, a=SLOPE, nonlinearity="leaky_relu")
    elif how == "xavier":
        nn.init.xavier_normal_(weight)
    elif how == "orthogonal":
        nn.init.orthogonal_(weight)
    else:
        raise SettingsError(
            "Unknown initialisation", got=how, remedy="Known: kaiming, xavier, orthogonal"
        )
