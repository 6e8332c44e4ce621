"""What training costs: seconds per step, per epoch and for the whole of each preset.

    python -m benchmarks.training_speed [--preset default paper] [--task bones lesions]
        [--threads 2] [--steps 3] [--no-gpu]

A few steps on random images at each stage's true patch shape and batch, with the preset's
loss, optimiser and precision; drawing the patches is not counted (processes beside do it).
What does not fit the memory is said and left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from math import prod

import psutil
import torch

from pelvimets.training.losses import bone_loss, lesion_loss
from pelvimets.training.module import build_network
from pelvimets.training.presets import preset_settings
from pelvimets.training.run import keep_freed_memory
from pelvimets.training.settings import Stage, Task, TrainingSettings

_COPIES = 8
"""Feature maps of full size kept by each of four convolutions, so that what is needed is below."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", nargs="+", default=["default", "paper"])
    parser.add_argument("--task", nargs="+", default=[task.value for task in Task])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--no-gpu", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    devices = ["cpu"]
    if torch.cuda.is_available() and not arguments.no_gpu:
        devices.append("cuda")
    for device in devices:
        print(f"{name_of(device, arguments.threads)}, torch {torch.__version__}")
        for preset in arguments.preset:
            for task in arguments.task:
                for line in priced(preset_settings(task, preset), device, arguments.steps):
                    print(f"  {preset} {task}: {line}", flush=True)


def name_of(device: str, threads: int) -> str:
    return f"CPU, {threads} threads" if device == "cpu" else torch.cuda.get_device_name()


def priced(settings: TrainingSettings, device: str, steps: int) -> Iterator[str]:
    """A line per stage, and one for the whole."""
    start, whole = 0.0, 0.0
    for stage in settings.stages:
        size = f"{' x '.join(map(str, stage.shape))}, batch {stage.batch}"
        seconds = seconds_per_step(settings, stage, device, steps)
        if seconds is None:
            yield f"{size}: does not fit the memory"
            return
        epoch = seconds * settings.steps_per_epoch
        whole += epoch * settings.epochs * (stage.until - start)
        start = stage.until
        yield f"{size}: {seconds:.3g} s a step, {epoch:.0f} s an epoch"
    yield f"whole training, {settings.epochs} epochs: {whole / 3600:.1f} h"


def seconds_per_step(
    settings: TrainingSettings, stage: Stage, device: str, steps: int
) -> float | None:
    """Median over the steps after a first one; None if the memory is too small."""
    if device == "cpu" and needed_bytes(settings, stage) > psutil.virtual_memory().available:
        return None
    try:
        return statistics.median(timed(settings, stage, device, steps + 1)[1:])
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None


def needed_bytes(settings: TrainingSettings, stage: Stage) -> float:
    """A rough upper bound, so that a machine is not brought to its knees."""
    cells = prod(n // s for n, s in zip(stage.shape, settings.network.stem, strict=True))
    return 4.0 * _COPIES * 4 * settings.network.channels[0] * cells * stage.batch


def timed(settings: TrainingSettings, stage: Stage, device: str, steps: int) -> list[float]:
    network = build_network(settings).to(device)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[settings.optimiser]
    optimiser = kind(network.parameters(), lr=settings.learning_rate)
    inputs, outputs = settings.task.channels
    shape = (stage.batch, *stage.shape)
    image = torch.randn(stage.batch, inputs, *stage.shape, device=device)
    image = image.to(memory_format=torch.channels_last_3d)
    target = torch.randint(0, max(outputs, 2), shape, device=device, dtype=torch.uint8)
    region = torch.ones(shape, device=device, dtype=torch.bool)
    weight = torch.ones(shape, device=device)
    group = torch.arange(stage.batch, device=device) % 2
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(settings.precision)
    seconds = []
    for _ in range(steps):
        begun = time.perf_counter()
        with torch.autocast(device, dtype=half, enabled=half is not None):
            logits = network(image)
        if settings.task is Task.BONES:
            loss = bone_loss(logits, target, settings.loss)
        else:
            loss = lesion_loss(logits, target, region, weight, group, settings.loss)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        float(loss.detach())  # waits for the device
        seconds.append(time.perf_counter() - begun)
    return seconds


if __name__ == "__main__":
    main()
