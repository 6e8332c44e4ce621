"""Which precision trains fastest here: measured, since processors differ.

On a processor with AVX2 alone bfloat16 takes less time than float32, on one with AVX-512 it may
take more, and where the processor has bfloat16 of its own it takes less again.
"""

from __future__ import annotations

import time

import torch

from pelvimets.training.data import channels_last
from pelvimets.training.losses import bone_loss, lesion_loss
from pelvimets.training.module import build_network, takes_channels_last
from pelvimets.training.processes import launched
from pelvimets.training.settings import Task, TrainingSettings

AUTO = "auto"
HALF, FULL = "bf16-mixed", "32-true"
TIMED_STEPS = 2


def chosen_precision(settings: TrainingSettings) -> str:
    """The precision of a run: as set, or with ``auto`` the faster one.

    A GPU takes bfloat16 where it has it. A lone process on a CPU times both on steps of the
    last stage; several processes do not, since each might find another.
    """
    if settings.precision != AUTO:
        return settings.precision
    if torch.cuda.is_available():
        return HALF if torch.cuda.is_bf16_supported() else FULL
    if launched().world > 1:
        return HALF
    return min((HALF, FULL), key=lambda precision: seconds_of_step(settings, precision))


def seconds_of_step(settings: TrainingSettings, precision: str, steps: int = TIMED_STEPS) -> float:
    """Shortest time of one training step of the last stage on this CPU, after a first one."""
    state = torch.get_rng_state()
    try:
        network = build_network(settings)
        last, inputs = settings.stages[-1], settings.channels[0]
        image = torch.randn(last.batch, inputs, *last.shape)
        image = channels_last(image) if takes_channels_last(settings) else image
        return min([_timed(network, image, settings, precision) for _ in range(steps + 1)][1:])
    finally:
        torch.set_rng_state(state)


def _timed(
    network: torch.nn.Module, image: torch.Tensor, settings: TrainingSettings, precision: str
) -> float:
    before = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == HALF):
        logits = network(image)
    _loss(logits, settings).backward()  # type: ignore[no-untyped-call]
    network.zero_grad()
    return time.perf_counter() - before


def _loss(logits: torch.Tensor, settings: TrainingSettings) -> torch.Tensor:
    shape = (logits.shape[0], *logits.shape[2:])
    target = torch.ones(shape, dtype=torch.uint8)
    if settings.task is Task.BONES:
        return bone_loss(logits, target, settings.loss)
    everywhere, weight = torch.ones(shape, dtype=torch.bool), torch.ones(shape)
    group = torch.zeros(shape[0], dtype=torch.long)
    return lesion_loss(logits, target, everywhere, weight, group, settings.loss)
