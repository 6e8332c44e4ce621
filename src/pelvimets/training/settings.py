"""Settings of training and its presets, every default in one place; saved with each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pelvimets.config import GridSettings, IntensitySettings, settings_from_dict
from pelvimets.errors import SettingsError
from pelvimets.labels import Sequence
from pelvimets.model.inputs import BONE_INPUTS, BONE_OUTPUTS, LESION_INPUTS, LESION_OUTPUTS
from pelvimets.model.settings import NetworkSettings

Triple = tuple[float, float, float]


class Task(StrEnum):
    """Which of the two networks."""

    BONES = "bones"
    LESIONS = "lesions"

    @property
    def channels(self) -> tuple[int, int]:
        """Input and output channels of a network that sees no further images."""
        if self is Task.BONES:
            return BONE_INPUTS, BONE_OUTPUTS
        return LESION_INPUTS, LESION_OUTPUTS


@dataclass(frozen=True)
class Stage:
    """A part of the training with its own patches; a coarse one first saves much time.

    Attributes:
        until: Share of the whole training (0-1) at which the stage ends.
        spacing_mm: Voxel distance (z, y, x); None keeps the voxels of the samples.
        shape: Voxels of a patch (z, y, x).
        batch: Patches in a step.
    """

    until: float
    spacing_mm: Triple | None
    shape: tuple[int, int, int]
    batch: int


@dataclass(frozen=True)
class Augmentation:
    """Cheap random changes of a patch; ranges are symmetric, 0 switches one off.

    Attributes:
        rotation_degrees: About each axis.
        scale: Log of the size along each axis.
        shear: Off-diagonal terms of the affine map.
        translation: Largest shift of the patch as a share of its size.
        flip_left_right: Mirror half of the patches; labels have no sides.
        gamma: Log of the exponent on the intensity.
        bias: Log of the strength of a smooth multiplicative field.
        noise: Largest standard deviation of added noise, in standard deviations of the image.
        blur_voxels: Largest sigma of blurring.
        shorter_field: Share of patches on which sides of the field are cut away.
    """

    rotation_degrees: float = 10.0
    scale: float = 0.12
    shear: float = 0.05
    translation: float = 0.05
    flip_left_right: bool = True
    gamma: float = 0.35
    bias: float = 0.3
    noise: float = 0.25
    blur_voxels: float = 0.8
    shorter_field: float = 0.3


@dataclass(frozen=True)
class LossSettings:
    """Cross-entropy plus a soft overlap (Dice; Tversky where the two weights differ).

    Attributes:
        cross_entropy: Weight of the cross-entropy.
        overlap: Weight of one minus the overlap.
        false_positives: Weight of false positives in the overlap, 0.5 gives Dice.
        false_negatives: Weight of false negatives in the overlap.
        positive_weight: Weight of positive voxels in the cross-entropy of lesions.
        small_lesion_cm3: Voxels of a metastasis smaller than this weigh more, by the square
            root of the ratio of the volumes, up to fivefold; 0 weighs all alike.
    """

    cross_entropy: float = 1.0
    overlap: float = 1.0
    false_positives: float = 0.5
    false_negatives: float = 0.5
    positive_weight: float = 1.0
    small_lesion_cm3: float = 0.0


@dataclass(frozen=True)
class PatchCentres:
    """Where patches are centred; the rest lies anywhere in the field.

    Attributes:
        on_lesion: Share centred on a metastasis, where there is one.
        on_mimic: Share centred on a mimic.
        on_bone: Share centred on bone.
    """

    on_lesion: float = 0.0
    on_mimic: float = 0.0
    on_bone: float = 0.3


@dataclass(frozen=True)
class TrainingSettings:
    """One training run.

    Attributes:
        task: Which network.
        grid: Grid on which the network reads whole images later.
        sample_grid: Grid on which samples are kept.
        intensity: As in reading.
        network: Form of the network.
        stages: Coarse to fine, with rising ``until``, the last one 1.
        augmentation, loss, centres: See there.
        sequences: Sequences to learn from and to measure on, by their short names.
        region_margin_voxels: Lesions only: the loss looks this far around the bones.
        simulated_share: Share of patches from simulated examinations, where digital patients
            of both kinds are there.
        real_share: Share of patches from real images with metastases put in, where there are
            such.
        epochs: Number of epochs.
        steps_per_epoch: Steps of each; checkpoints are kept between epochs.
        minutes: If set, the schedule follows the clock and ends then, at the latest.
        optimiser: ``adamw`` or ``adam``.
        learning_rate: Highest rate.
        schedule: ``cosine`` falls to zero at the end, ``constant`` stays.
        warmup_steps: Linear rise of the rate.
        weight_decay: Of the optimiser.
        gradient_norm: Gradients are clipped to this.
        average_decay: Weights are averaged with this decay; 0 keeps the last ones.
        precision: Of Lightning: ``bf16-mixed``, ``16-mixed``, ``32-true``; ``auto`` takes the
            faster of the first and the last, timed when the run begins.
        validate_every: Epochs between validations.
        patience: Stop after so many validations without a gain; None never does.
        seed: Of everything random.
    """

    task: Task
    grid: GridSettings
    sample_grid: GridSettings
    stages: tuple[Stage, ...]
    network: NetworkSettings = field(default_factory=NetworkSettings)
    intensity: IntensitySettings = field(default_factory=IntensitySettings)
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: LossSettings = field(default_factory=LossSettings)
    centres: PatchCentres = field(default_factory=PatchCentres)
    sequences: tuple[str, ...] = tuple(s.value for s in Sequence)
    region_margin_voxels: int = 3
    simulated_share: float = 0.8
    real_share: float = 0.2
    epochs: int = 60
    steps_per_epoch: int = 100
    minutes: float | None = None
    optimiser: str = "adamw"
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warmup_steps: int = 100
    weight_decay: float = 1e-2
    gradient_norm: float = 5.0
    average_decay: float = 0.995
    precision: str = "auto"
    validate_every: int = 5
    patience: int | None = None
    seed: int = 2021

    @property
    def channels(self) -> tuple[int, int]:
        """Input and output channels of the network, further images with them."""
        inputs, outputs = self.task.channels
        return inputs + len(self.network.inputs), outputs

    def __post_init__(self) -> None:
        if not self.sequences or not set(self.sequences) <= set(Sequence):
            raise SettingsError(
                "Unknown sequences to learn from",
                got=list(self.sequences),
                remedy=f"Choose from {', '.join(Sequence)}",
            )
        ends = [stage.until for stage in self.stages]
        if not ends or ends != sorted(ends) or ends[-1] != 1:
            raise SettingsError("Stages need rising ends, the last one 1", got=ends)
        for stage in self.stages:
            if any(n % m for n, m in zip(stage.shape, self.network.multiple_of, strict=True)):
                raise SettingsError(
                    "A patch does not fit the network's levels",
                    got=stage.shape,
                    remedy=f"Take multiples of {self.network.multiple_of}",
                )


def training_settings(data: Mapping[str, Any]) -> TrainingSettings:
    """Training settings from plain data, such as a run keeps.

    Raises:
        SettingsError: if a name is unknown.
    """
    return settings_from_dict(TrainingSettings, data)
