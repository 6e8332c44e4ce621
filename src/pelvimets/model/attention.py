"""MONAI's Attention U-Net behind the folding stem.

Gates on the skip connections learn where to look (Oktay et al., MIDL 2018). Of MONAI's networks
with attention it is the one that reads grids of any size: UNETR's positions belong to one
size; SwinUNETR asks for multiples of 32 along every axis, and OpenVINO refuses to run its exported
graph with free sizes, since its windows are cut by the size at hand.
"""

from __future__ import annotations

from torch import Tensor, nn

from pelvimets.errors import MissingExtraError
from pelvimets.model.network import InstanceNorm, initialise
from pelvimets.model.settings import NetworkSettings


class AttentionUNet(nn.Module):
    """Stem, MONAI's Attention U-Net, head.

    Args:
        settings: Its form.
        inputs: Input channels.
        outputs: Output channels (logits).

    Input (batch, inputs, z, y, x), output (batch, outputs, z, y, x); the grid must be a
    multiple of ``settings.multiple_of``.

    Raises:
        MissingExtraError: if MONAI is not installed.
    """

    def __init__(self, settings: NetworkSettings, inputs: int, outputs: int) -> None:
        super().__init__()
        first, stem = settings.channels[0], settings.stem
        self.stem = nn.Conv3d(inputs, first, stem, stride=stem)
        self.body = _monai_body(settings)
        self.head = nn.ConvTranspose3d(first, outputs, stem, stride=stem)
        initialise(self, settings.initialisation)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.head(self.body(self.stem(x)))
        return logits


def _monai_body(settings: NetworkSettings) -> nn.Module:
    try:
        from monai.networks.nets.attentionunet import AttentionUnet
    except ImportError as error:
        raise MissingExtraError(
            "The Attention U-Net needs MONAI",
            got=f"no module {error.name}",
            remedy="Install it with: pip install 'pelvimets[train]'",
        ) from error
    first = settings.channels[0]
    body: nn.Module = AttentionUnet(
        spatial_dims=3,
        in_channels=first,
        out_channels=first,
        channels=settings.channels,
        strides=(2,) * (len(settings.channels) - 1),
        dropout=settings.dropout,
    )
    _normalise_each_image(body)
    return body


def _normalise_each_image(module: nn.Module) -> None:
    """Instance instead of batch normalisation, as in the other networks.

    Batches hold two to four patches of two sequences; their statistics would not fit the one
    whole image that is read later.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm3d):
            setattr(module, name, InstanceNorm(child.num_features))
        else:
            _normalise_each_image(child)
