"""Settings of a network's form; torch-free, saved with each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pelvimets.errors import SettingsError
from pelvimets.labels import FurtherInput, Sequence
from pelvimets.model.inputs import beside

KINDS = ("unet", "residual", "attention")


@dataclass(frozen=True)
class NetworkSettings:
    """Form of a network; ``model.variants.make_network`` builds it.

    Attributes:
        kind: ``unet``, the 3D U-Net; ``residual``, a U-Net whose encoder is made of residual
            blocks, as in nnU-Net's ResEnc; ``attention``, MONAI's Attention U-Net.
        channels: Feature maps per level, finest first; each level halves the grid.
        stem: Voxels (z, y, x) that the first convolution folds into one cell; the last layer
            unfolds them again. (1, 1, 1) works on every voxel, as in the paper; (1, 2, 2)
            makes an anisotropic grid four times cheaper.
        fine: Feature maps of a level on every voxel, whose convolutions lie in the slice, for
            what the stem folds; 0 has none.
        blocks: Convolutions per level: of a U-Net on the way down and up, of a residual
            encoder on the way up only. The Attention U-Net has always two.
        residual_blocks: Blocks of two convolutions on each level of a residual encoder,
            finest first; the last number holds for all deeper levels.
        dropout: Share of feature maps dropped at the deepest level; in the Attention U-Net,
            share of values dropped after every convolution.
        initialisation: ``kaiming``, ``xavier`` or ``orthogonal``.
        inputs: Further images of the same patient that it sees, a channel each: ``fat`` beside
            whatever is read, ``t1:fat`` beside T1 alone.
        input_dropout: Share of patches from which each of them is left out in training, so that
            a missing one is no failure in reading.
    """

    RETIRED: ClassVar[Mapping[str, Any]] = {"residual": False}

    kind: str = "unet"
    channels: tuple[int, ...] = (24, 48, 96, 128)
    stem: tuple[int, int, int] = (1, 2, 2)
    fine: int = 0
    blocks: int = 2
    residual_blocks: tuple[int, ...] = (1, 3, 4, 6)
    dropout: float = 0.0
    initialisation: str = "kaiming"
    inputs: tuple[str, ...] = ()
    input_dropout: float = 0.25

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingsError(
                "Unknown kind of network", got=self.kind, remedy=f"Known: {', '.join(KINDS)}"
            )
        if len(self.channels) < 2 or min(self.channels) < 1:
            raise SettingsError("A U-Net needs two levels or more", got=self.channels)
        if self.blocks < 1 or min(self.stem) < 1:
            raise SettingsError("Blocks and stem start at 1", got=f"{self.blocks}, {self.stem}")
        if self.fine < 0 or (self.fine and self.kind == "attention"):
            raise SettingsError(
                "A fine level has no feature map or more, and the Attention U-Net none",
                got=f"fine={self.fine}, {self.kind}",
            )
        if not self.residual_blocks or min(self.residual_blocks) < 1:
            raise SettingsError("Residual blocks start at 1", got=self.residual_blocks)
        if not all(0 <= share < 1 for share in (self.dropout, self.input_dropout)):
            raise SettingsError(
                "Dropout is a share below 1", got=f"{self.dropout}, {self.input_dropout}"
            )
        if self.kind == "attention" and self.blocks != 2:
            raise SettingsError(
                "The Attention U-Net has two convolutions per level", got=f"blocks={self.blocks}"
            )
        self._check_inputs()

    def _check_inputs(self) -> None:
        for sequence in Sequence:
            kinds = self.seen_beside(sequence)
            if len(set(kinds)) < len(kinds):
                raise SettingsError("A further image is named twice", got=", ".join(self.inputs))

    def seen_beside(self, sequence: Sequence) -> tuple[FurtherInput, ...]:
        """Further images that stand beside a sequence.

        >>> NetworkSettings(inputs=("stir", "t1:fat")).seen_beside(Sequence.T1)
        (<FurtherInput.STIR: 'stir'>, <FurtherInput.FAT: 'fat'>)
        """
        return tuple(kind for kind in beside(self.inputs, sequence) if kind is not None)

    @property
    def multiple_of(self) -> tuple[int, int, int]:
        """The input's shape must be a multiple of this.

        >>> NetworkSettings().multiple_of
        (8, 16, 16)
        """
        halvings = 2 ** (len(self.channels) - 1)
        z, y, x = (step * halvings for step in self.stem)
        return z, y, x


NETWORKS: Mapping[str, NetworkSettings] = {
    "unet": NetworkSettings(),
    "paper": NetworkSettings(channels=(16, 32, 64, 128), stem=(1, 1, 1)),
    "residual": NetworkSettings(kind="residual", blocks=1),
    "attention": NetworkSettings(kind="attention"),
    "fine": NetworkSettings(fine=16),
}
"""Forms with a name: the default one, one as in the paper, and three variants.

The paper gives neither width nor depth of its U-Net.
"""
