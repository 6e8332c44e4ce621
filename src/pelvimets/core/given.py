"""Bones that someone else drew, in place of the bone network's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pelvimets.config import BoneSettings, GridSettings, ReadingSettings
from pelvimets.core.resample import resample_labels
from pelvimets.core.segmenter import N_BONE_CLASSES, Segmenter, beside, wanted_by
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError
from pelvimets.labels import FurtherInput, LearnedFrom, Sequence

_FINEST_MM = (2.0, 1.5, 1.5)
_AS_DRAWN = BoneSettings(
    keep_components_per_bone=1000, keep_vertebrae=1000, smallest_component_cm3=0.0
)


@dataclass(frozen=True)
class GivenBones:
    """A segmenter whose bones are given; its lesion networks are another's.

    Attributes:
        networks: Find the lesions.
        bones: ``Bone`` values in patient space, on any grid.
        digest: Of the given mask, for records.
    """

    networks: Segmenter
    bones: Volume
    digest: str

    @property
    def name(self) -> str:
        """Of the networks, and that bones were given."""
        return f"{self.networks.name}, bones given"

    @property
    def weights_sha256(self) -> str:
        """Of the networks and of the mask."""
        return f"{self.networks.weights_sha256}+{self.digest}"

    @property
    def learned_from(self) -> LearnedFrom:
        """What the lesion networks were trained on."""
        return self.networks.learned_from

    @property
    def wanted(self) -> frozenset[FurtherInput]:
        """Further images that the networks know."""
        return wanted_by(self.networks)

    def with_further(self, images: Mapping[FurtherInput, Volume]) -> GivenBones:
        """The networks with further images."""
        return replace(self, networks=beside(self.networks, images))

    @property
    def settings(self) -> ReadingSettings:
        """Of the networks; bones stay as they were drawn, on the grid of their mask."""
        steps = sorted(self.bones.geometry.spacing, reverse=True)
        spacing = tuple(max(a, b) for a, b in zip(steps, _FINEST_MM, strict=True))
        grid = GridSettings(spacing_mm=(spacing[0], spacing[1], spacing[2]))
        return replace(self.networks.settings, bone_grid=grid, bones=_AS_DRAWN)

    def bone_probabilities(self, image: Volume, sequence: Sequence) -> npt.NDArray[np.float32]:
        """One-hot of the given bones (9, z, y, x).

        Raises:
            InputError: if no bone lies in the image.
        """
        labels = resample_labels(self.bones, image.geometry).array
        if not labels.any():
            raise InputError(
                f"The given bones lie outside of the {sequence.title} image",
                remedy="Give a mask that was drawn on an image of the same examination",
            )
        return np.stack([labels == value for value in range(N_BONE_CLASSES)]).astype(np.float32)

    def lesion_probabilities(
        self, image: Volume, bones: Volume, sequence: Sequence
    ) -> npt.NDArray[np.float32]:
        """As the networks say inside the given bones (z, y, x)."""
        return self.networks.lesion_probabilities(image, bones, sequence)
