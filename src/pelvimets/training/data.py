"""Batches drawn on the fly from a store of samples."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pelvimets.errors import InputError
from pelvimets.labels import Sequence
from pelvimets.model.inputs import bone_input, further_channels, lesion_input
from pelvimets.model.settings import NetworkSettings
from pelvimets.training.patches import (
    Patch,
    cut_patch,
    draw_parameters,
    jittered_bones,
    lesion_weights,
    lesions_of,
    open_to_lesions,
)
from pelvimets.training.processes import Processes
from pelvimets.training.sample import REAL, SIMULATED, Sample, SampleSource, drawn_bones
from pelvimets.training.settings import Stage, Task, TrainingSettings

Item = dict[str, Any]


class PatchDataset(Dataset[Item]):
    """The patches of one epoch; item n of epoch e is the same in every run.

    Args:
        source: Where samples come from.
        settings: Of the run.
        stage: Size and spacing of the patches.
        epoch: Number of the epoch.
        names: Of the samples to draw from.
        processes: Which one this is of those that share the patches of an epoch; they take
            whole batches in turn.
    """

    def __init__(
        self,
        source: SampleSource,
        settings: TrainingSettings,
        stage: Stage,
        epoch: int,
        names: tuple[str, ...],
        processes: Processes | None = None,
    ) -> None:
        self._source, self._settings = source, settings
        self._stage, self._epoch = stage, epoch
        self._here = processes or Processes()
        self._real = tuple(name for name in names if name.startswith(REAL))
        self._simulated = tuple(name for name in names if name.startswith(SIMULATED))
        self._others = tuple(name for name in names if not name.startswith((SIMULATED, REAL)))
        if not names:
            raise InputError("There is no sample to train on")

    def __len__(self) -> int:
        return steps_of(self._settings, self._here.world) * self._stage.batch

    def __getitem__(self, number: int) -> Item:
        step, place = divmod(number, self._stage.batch)
        shared = (step * self._here.world + self._here.rank) * self._stage.batch + place
        rng = np.random.default_rng([self._settings.seed, self._epoch, shared])
        sample = self._source.read(self._draw_name(rng))
        drawn = draw_parameters(
            sample, self._stage, self._settings.augmentation, self._settings.centres, rng
        )
        spacing = self._stage.spacing_mm or sample.spacing_mm
        return network_item(sample, cut_patch(sample, drawn), spacing, self._settings, rng)

    def _draw_name(self, rng: np.random.Generator) -> str:
        if self._real and rng.random() < self._settings.real_share:
            return self._real[rng.integers(len(self._real))]
        names = self._simulated or self._others or self._real
        if self._simulated and self._others:
            simulated = rng.random() < self._settings.simulated_share
            names = self._simulated if simulated else self._others
        return names[rng.integers(len(names))]


def steps_of(settings: TrainingSettings, world: int) -> int:
    """Steps of an epoch; each of the processes takes its share of the batches."""
    return -(-settings.steps_per_epoch // world)


def network_item(
    sample: Sample,
    patch: Patch,
    spacing_mm: tuple[float, float, float],
    settings: TrainingSettings,
    rng: np.random.Generator,
) -> Item:
    """Input, target and region of one patch as tensors."""
    item = {"group": list(Sequence).index(sample.sequence), "name": sample.name}
    patch = _with_some_left_out(patch, sample.sequence, settings.network, rng)
    further = further_channels(
        settings.network.inputs, sample.sequence, patch.further, patch.image.shape
    )
    if settings.task is Task.BONES:
        bones = drawn_bones(patch.truth, sample.values)
        return item | {
            "image": torch.from_numpy(bone_input(patch.image, further)),
            "target": torch.from_numpy(np.ascontiguousarray(bones)),
            "values": torch.tensor(sample.values),
        }
    mask = jittered_bones(patch.truth, spacing_mm, rng)
    lesions = lesions_of(patch.truth)
    region = ndimage.binary_dilation(mask, iterations=settings.region_margin_voxels)
    region &= ~open_to_lesions(patch.truth)
    voxel_cm3, small_cm3 = np.prod(spacing_mm) / 1000, settings.loss.small_lesion_cm3
    return item | {
        "image": torch.from_numpy(lesion_input(patch.image, mask, sample.sequence, further)),
        "target": torch.from_numpy(lesions.astype(np.uint8)),
        "region": torch.from_numpy(region),
        "weight": torch.from_numpy(lesion_weights(lesions, float(voxel_cm3), small_cm3)),
    }


def _with_some_left_out(
    patch: Patch, sequence: Sequence, network: NetworkSettings, rng: np.random.Generator
) -> Patch:
    """The patch with each further image left out by chance, as a study may lack it."""
    kept = {
        kind: patch.further[kind]
        for kind in network.seen_beside(sequence)
        if rng.random() >= network.input_dropout and kind in patch.further
    }
    return replace(patch, further=kept)


class _InOrder(Sampler[int]):
    """The items of an epoch in their order, without those that were done before.

    Its length is that of the whole epoch, as Lightning counts batches from its beginning.
    """

    def __init__(self, items: int, done: int) -> None:
        self._items, self._done = items, done

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._done, self._items))

    def __len__(self) -> int:
        return self._items


def loader(dataset: PatchDataset, batch: int, workers: int, done: int = 0) -> DataLoader[Item]:
    """Batches in the order of the dataset; its items are random themselves.

    Args:
        dataset: Patches of an epoch.
        batch: Patches at a time.
        workers: Processes that draw them.
        done: Batches of the epoch that a stopped run had done.
    """
    return _Loader(
        dataset,
        batch_size=batch,
        sampler=_InOrder(len(dataset), done * batch),
        num_workers=workers,
        worker_init_fn=_leave_signals_to_parent,
    )


_TO_PARENT = (signal.SIGTERM, signal.SIGINT)


class _Loader(DataLoader[Item]):
    """Its workers hear no signal from their first moment on; PyTorch's own answer ends them."""

    def __iter__(self) -> Any:
        """Workers inherit that signals are held back, until ``_leave_signals_to_parent``."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_PARENT)
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_signals_to_parent(worker: int) -> None:
    """A signal to the whole group is the parent's to answer; workers end with it."""
    for number in _TO_PARENT:
        signal.signal(number, signal.SIG_IGN)


def channels_last(image: Tensor) -> Tensor:
    """Memory order that convolutions on a CPU prefer."""
    return image.contiguous(memory_format=torch.channels_last_3d)
