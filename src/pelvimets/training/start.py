"""Weights that a new run starts with: those of another run, or of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pelvimets.errors import InputError, listed
from pelvimets.model.engine import NetworkFiles
from pelvimets.model.import_weights import network_weights
from pelvimets.training.checkpoint import read_checkpoint, task_of
from pelvimets.training.module import SegmentationModule, build_network
from pelvimets.training.settings import Task, TrainingSettings

_AVERAGED = "averaged.module."
_FIRST, _FINE = "stem.weight", "fine."
_MOST_NAMED = 6


@dataclass(frozen=True, eq=False)
class Start:
    """Weights by name, and whose they are.

    Attributes:
        words: Where they come from, for messages and the run's record.
        task: Network they were trained for; None if that is not known.
        weights: By name in the PyTorch network.
    """

    words: str
    task: Task | None
    weights: Mapping[str, Tensor]


def start_of_checkpoint(checkpoint: Path, words: str) -> Start:
    """The averaged weights of a run's checkpoint.

    Raises:
        InputError: if the file is missing or cannot be read as a checkpoint of a run.
    """
    kept = read_checkpoint(checkpoint)
    return Start(words, task_of(kept), averaged_weights(kept))


def start_of_bundle(files: NetworkFiles, task: Task, words: str) -> Start:
    """The weights of one network of a bundle.

    Raises:
        BundleError: if the file does not name them.
    """
    return Start(words, task, network_weights(files))


def averaged_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The averaged weights in a checkpoint, by their names in the network."""
    state: Mapping[str, Tensor] = checkpoint["state_dict"]
    return {n.removeprefix(_AVERAGED): t for n, t in state.items() if n.startswith(_AVERAGED)}


def check_fits(start: Start, settings: TrainingSettings) -> tuple[str, ...]:
    """Whether a network of these settings can start from given weights.

    Those of the same network must fit as a whole. From the other network (bones for lesions
    or the other way round) what fits is taken: its first and last layer have other channels.

    Returns:
        Names of the weights that do not fit and stay as they are.

    Raises:
        InputError: with the weights that do not fit, if they are all or those of the same
            network.
    """
    with torch.device("meta"):  # shapes alone
        own = build_network(settings).state_dict()
    misfits = _misfits(own, grown(start.weights, own, len(settings.network.inputs)))
    if len(misfits) == len(own) or (misfits and start.task is settings.task):
        raise InputError(
            f"The weights of {start.words} do not fit the network of this run",
            got=listed(list(misfits.values()), _MOST_NAMED),
            remedy="Train with the same settings of the network (--settings), or without --from",
        )
    return tuple(misfits)


def grown(
    given: Mapping[str, Tensor], own: Mapping[str, Tensor], inputs: int
) -> Mapping[str, Tensor]:
    """Weights of a network, for one that sees further images or has a fine level besides.

    What is new is added to what was there and begins at 0 (new channels of the first layer, the
    last layer of the fine level), so that the network begins with what the other said.

    Args:
        given: Weights by name.
        own: Those of the network that is to take them; their shapes count.
        inputs: Further images that it sees.
    """
    level = {n: t for n, t in own.items() if n.startswith(_FINE)} if _FIRST in given else {}
    result = level | dict(given)
    for name, tensor in given.items():
        there = own.get(name)
        if not inputs or there is None or tensor.ndim < 2 or there.ndim != tensor.ndim:
            continue
        rest = (there.shape[0], *there.shape[2:]) == (tensor.shape[0], *tensor.shape[2:])
        if rest and there.shape[1] == tensor.shape[1] + inputs:
            new = tensor.new_zeros((tensor.shape[0], inputs, *tensor.shape[2:]))
            result[name] = torch.cat([tensor, new], dim=1)
    return result


def take_weights(module: SegmentationModule, start: Start) -> tuple[str, ...]:
    """Start from given weights, as far as ``check_fits`` allows.

    Returns:
        Names of the weights that were left as they were.

    Raises:
        InputError: as ``check_fits``.
    """
    left = check_fits(start, module.settings)
    own = module.network.state_dict()
    weights = grown(start.weights, own, len(module.settings.network.inputs))
    taken = {name: weights[name] for name in own if name not in left}
    module.network.load_state_dict(own | taken)
    module.averaged.module.load_state_dict(own | taken)
    if not left:  # the average goes on from the weights given, rather than from the first step
        module.averaged.n_averaged.fill_(1)
    return left


def _misfits(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, str]:
    """What is wrong with each weight that cannot be taken."""
    faults = {}
    for name, tensor in own.items():
        if name not in given:
            faults[name] = f"{name} is not there"
        elif given[name].shape != tensor.shape:
            faults[name] = f"{name} is {_size(given[name])}, not {_size(tensor)}"
    return faults


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
