"""The networks as the main path sees them, and a fixed stand-in for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pelvimets.config import ReadingSettings
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, FurtherInput, LearnedFrom, Sequence

N_BONE_CLASSES = len(Bone) + 1


class Segmenter(Protocol):
    """Two cascaded networks; each call is independent and deterministic.

    Images arrive prepared: float32, z-scored, on the network's grid, axes (superior,
    posterior, left), zero outside the field.
    """

    @property
    def name(self) -> str:
        """Bundle name and version, for records."""
        ...

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights, for records; empty if there are none."""
        ...

    @property
    def learned_from(self) -> LearnedFrom:
        """What the networks were trained on."""
        ...

    @property
    def settings(self) -> ReadingSettings:
        """How images are prepared for these networks and their output is read."""
        ...

    def bone_probabilities(self, image: Volume, sequence: Sequence) -> npt.NDArray[np.float32]:
        """Class probabilities (9, z, y, x); channel 0 is background."""
        ...

    def lesion_probabilities(
        self, image: Volume, bones: Volume, sequence: Sequence
    ) -> npt.NDArray[np.float32]:
        """Probability of metastasis (z, y, x); ``bones`` is the label map on the same grid."""
        ...


@runtime_checkable
class SeesFurther(Protocol):
    """Networks that may see further images of the patient beside the one that is read."""

    @property
    def wanted(self) -> frozenset[FurtherInput]:
        """Further images that the networks know; they read without them, too."""
        ...

    def with_further(self, images: Mapping[FurtherInput, Volume]) -> Segmenter:
        """The networks with the further images of one patient, as acquired."""
        ...


def wanted_by(segmenter: Segmenter) -> frozenset[FurtherInput]:
    """Further images that networks know; none for those that see but one image."""
    return segmenter.wanted if isinstance(segmenter, SeesFurther) else frozenset()


def beside(segmenter: Segmenter, images: Mapping[FurtherInput, Volume]) -> Segmenter:
    """The networks with those of a patient's further images that they know."""
    if not wanted_by(segmenter) or not isinstance(segmenter, SeesFurther):
        return segmenter
    return segmenter.with_further({k: v for k, v in images.items() if k in segmenter.wanted})


@dataclass(frozen=True)
class FixedSegmenter:
    """A segmenter with given answers, for tests of everything around the networks.

    ``bones`` and ``lesions`` are label maps in patient space; they are looked up with the
    nearest neighbour at the voxels asked for.
    """

    bones: Volume
    lesions: Volume
    settings: ReadingSettings
    name: str = "fixed"
    weights_sha256: str = ""
    learned_from: LearnedFrom = LearnedFrom.UNKNOWN
    cross_validated: frozenset[str] = frozenset()

    def bone_probabilities(self, image: Volume, sequence: Sequence) -> npt.NDArray[np.float32]:
        """One-hot of the given bones."""
        labels = _nearest(self.bones, image)
        return np.stack([labels == value for value in range(N_BONE_CLASSES)]).astype(np.float32)

    def lesion_probabilities(
        self, image: Volume, bones: Volume, sequence: Sequence
    ) -> npt.NDArray[np.float32]:
        """0.9 inside the given lesions, 0 elsewhere."""
        return (_nearest(self.lesions, image) > 0).astype(np.float32) * np.float32(0.9)


def _nearest(source: Volume, target: Volume) -> npt.NDArray[np.uint8]:
    index = np.indices(target.geometry.shape).reshape(3, -1).T
    at = np.rint(source.geometry.to_index(target.geometry.to_lps(index))).astype(int)
    inside = ((at >= 0) & (at < source.geometry.shape)).all(axis=1)
    values = np.zeros(len(at), dtype=np.uint8)
    values[inside] = source.array[tuple(at[inside].T)]
    return values.reshape(target.geometry.shape)
