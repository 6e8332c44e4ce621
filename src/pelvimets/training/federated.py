"""One network trained by several sites whose images stay where they are.

Each site trains as it would alone. Before each validation it hands in its weights, and takes the
mean of all sites, weighted by their patients (FedAvg; McMahan et al., AISTATS 2017): so what is
measured, kept and gone on with is the shared network. Weights, the number of patients and a score
travel, and nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import lightning
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn

from pelvimets.errors import InputError, MissingExtraError, ResourceError, SettingsError
from pelvimets.training.settings import TrainingSettings

Weights = Mapping[str, npt.NDArray[Any]]

_SHARED = ("network.", "averaged.module.")


class Channel(Protocol):
    """What lies between a site and the one who averages."""

    def receive(self) -> Weights | None:
        """The shared weights, empty where none were given to start with; None at the end."""
        ...

    def send(self, weights: Weights, patients: int, score: float | None) -> None:
        """Hand in weights, how many patients they learned from, and what they reached."""
        ...


def rounds_of(settings: TrainingSettings) -> int:
    """Rounds that the one who averages must hold: one per validation, and one to end with.

    >>> from pelvimets.training.presets import DEFAULT_BONES
    >>> rounds_of(replace(DEFAULT_BONES, epochs=11, validate_every=5))
    4
    """
    return -(-settings.epochs // settings.validate_every) + 1


def federated_settings(settings: TrainingSettings) -> TrainingSettings:
    """Settings under which all sites validate, and thus meet, after the same epochs.

    Raises:
        SettingsError: if the run would end by the clock.
    """
    if settings.minutes is not None:
        raise SettingsError(
            "Sites that train together cannot stop by the clock",
            got=f"{settings.minutes:g} minutes",
            remedy="Give --epochs instead of --minutes, the same at all sites",
        )
    return replace(settings, patience=None)


class Exchange(Callback):
    """Meets the other sites before each validation of a training run.

    Args:
        channel: To the one who averages.
        patients: How many this site learns from.
    """

    def __init__(self, channel: Channel, patients: int) -> None:
        self._channel, self._patients = channel, patients

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Begin with what all sites begin with, if there is such a thing."""
        self._take(trainer, pl_module)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Hand in one's own weights and go on with those of all."""
        if trainer.state.fn is TrainerFn.FITTING:
            self._give(trainer, pl_module)
            self._take(trainer, pl_module)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """End the last round, in which nobody trains."""
        self._give(trainer, pl_module)

    def _give(self, trainer: lightning.Trainer, module: Any) -> None:
        if trainer.is_global_zero:
            self._channel.send(shared_weights(module), self._patients, module.score)

    def _take(self, trainer: lightning.Trainer, module: Any) -> None:
        received = self._channel.receive() if trainer.is_global_zero else None
        received = trainer.strategy.broadcast(received)
        if received is None:
            raise ResourceError(
                "The others ended before this site had trained all its epochs",
                got=f"after {module.current_epoch} of {module.settings.epochs}",
                remedy="Give the same --epochs at all sites, and the job as many rounds as they "
                "need; see the reason in the log of the job",
            )
        if received:
            take_shared(module, received)


def shared_weights(module: torch.nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Weights of the network and of its running mean, by name in the module."""
    state = module.state_dict()
    return {
        name: tensor.detach().float().cpu().numpy()
        for name, tensor in state.items()
        if name.startswith(_SHARED)
    }


def take_shared(module: torch.nn.Module, weights: Weights) -> None:
    """Put shared weights into the module.

    Raises:
        InputError: if they are not those of this network, or not finite.
    """
    own = {name: value.shape for name, value in shared_weights(module).items()}
    given = {name: np.shape(value) for name, value in weights.items()}
    if own != given:
        differing = sorted(n for n in own.keys() | given.keys() if own.get(n) != given.get(n))
        raise InputError(
            "The shared weights are not those of this site's network",
            got=f"{len(differing)} differ, such as {differing[0]}",
            remedy="Train with the same settings of the network at all sites",
        )
    if not all(np.isfinite(value).all() for value in weights.values()):
        raise InputError(
            "The shared weights are not finite", remedy="Find the site whose training went wrong"
        )
    taken = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
    module.load_state_dict(module.state_dict() | taken)


class FlareChannel:
    """NVIDIA FLARE's Client API: this process is a site's part of one of its jobs.

    Raises:
        MissingExtraError: if NVFLARE is not installed.
    """

    def __init__(self) -> None:
        try:
            self._client: Any = importlib.import_module("nvflare.client")
        except ImportError as error:
            raise MissingExtraError(
                "Training together needs NVFLARE",
                remedy="Install it with: pip install 'pelvimets[train,federated]'",
            ) from error
        self._client.init()

    def receive(self) -> Weights | None:
        """The shared weights of the next round; None when the job is over."""
        model = self._client.receive() if self._client.is_running() else None
        return None if model is None else model.params or {}

    def send(self, weights: Weights, patients: int, score: float | None) -> None:
        """Hand in this round's weights."""
        model = self._client.FLModel(
            params=dict(weights),
            params_type=self._client.ParamsType.FULL,
            metrics=None if score is None else {"score": score},
            meta={"NUM_STEPS_CURRENT_ROUND": patients},  # what FLARE weights by
        )
        self._client.send(model)
