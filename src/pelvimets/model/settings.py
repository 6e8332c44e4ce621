"""Settings of a network's form; torch-free, saved with each run."""

from __future__ import annotations

from dataclasses import dataclass

from pelvimets.errors import SettingsError


@dataclass(frozen=True)
class NetworkSettings:
    """Form of a 3D U-Net.

    Attributes:
        channels: Feature maps per level, finest first; each level halves the grid.
        stem: Voxels (z, y, x) that the first convolution folds into one cell; the last layer
            unfolds them again. (1, 1, 1) works on every voxel, as in the paper; (1, 2, 2)
            makes an anisotropic grid four times cheaper.
        blocks: Convolutions per level, on the way down and on the way up.
        residual: Add each level's input to its output.
        dropout: Share of feature maps dropped at the deepest level.
        initialisation: ``kaiming``, ``xavier`` or ``orthogonal``.
    """

    channels: tuple[int, ...] = (24, 48, 96, 128)
    stem: tuple[int, int, int] = (1, 2, 2)
    blocks: int = 2
    residual: bool = False
    dropout: float = 0.0
    initialisation: str = "kaiming"

    def __post_init__(self) -> None:
        if len(self.channels) < 2 or min(self.channels) < 1:
            raise SettingsError("A U-Net needs two levels or more", got=self.channels)
        if self.blocks < 1 or min(self.stem) < 1:
            raise SettingsError("Blocks and stem start at 1", got=f"{self.blocks}, {self.stem}")
        if not 0 <= self.dropout < 1:
            raise SettingsError("Dropout is a share below 1", got=self.dropout)

    @property
    def multiple_of(self) -> tuple[int, int, int]:
        """The input's shape must be a multiple of this.

        >>> NetworkSettings().multiple_of
        (8, 16, 16)
        """
        halvings = 2 ** (len(self.channels) - 1)
        z, y, x = (step * halvings for step in self.stem)
        return z, y, x
