"""What training costs: seconds per step, per epoch and for the whole of each preset.

    python -m benchmarks.training_speed [--preset default paper] [--task bones lesions]
        [--threads 2] [--steps 3] [--no-gpu]
    python -m benchmarks.training_speed --drawing [--write]

A few steps on random images at each stage's true patch shape and batch, with the preset's
loss, optimiser and precision; drawing the patches is not counted (processes beside do it).
What does not fit the memory is said and left out.

--drawing compares, in seconds of the processors and on one thread, what drawing the patches of a
step costs beside the step itself, in float32 and in bfloat16: as long as drawing takes less than
the step's share of the clock, one process beside it keeps up. On a machine with nothing else to do
--clock adds the steps' time by the clock with no, one and two drawing processes. --write puts the
table into docs/speed.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from math import prod
from pathlib import Path

import psutil
import torch

from benchmarks.tables import SPEED, markdown, write_between
from pelvimets.model_development.samples import sample_store
from pelvimets.phantom.samples.sampler import SamplerSettings
from pelvimets.training.data import PatchDataset, loader
from pelvimets.training.losses import bone_loss, lesion_loss
from pelvimets.training.module import build_network
from pelvimets.training.phantom_samples import TRAINING_SEEDS, draw_training_sample
from pelvimets.training.presets import preset_settings
from pelvimets.training.run import keep_freed_memory
from pelvimets.training.settings import Stage, Task, TrainingSettings
from pelvimets.training.store import SampleStore

_COPIES = 8
"""Feature maps of full size kept by each of four convolutions, so that what is needed is below."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", nargs="+", default=["default", "paper"])
    parser.add_argument("--task", nargs="+", default=[task.value for task in Task])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--no-gpu", action="store_true")
    parser.add_argument("--drawing", action="store_true")
    parser.add_argument("--clock", action="store_true", help="with --drawing")
    parser.add_argument("--write", action="store_true", help="with --drawing")
    arguments = parser.parse_args()
    if arguments.drawing:
        drawing(arguments.task, arguments.threads if arguments.clock else None, arguments.write)
        return
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


def drawing(tasks: list[str], threads: int | None, write: bool) -> None:
    """Print the table of what drawing patches costs beside the step."""
    head = ["task", "patches of a step", "drawing, s CPU", "step, float32", "bfloat16", "share"]
    head += [] if threads is None else [f"s by the clock, {n} drawing" for n in range(3)]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for task in tasks:
            settings = preset_settings(task, "default")
            store = samples_in(Path(name) / task, settings)
            for stage in settings.stages:
                rows.append([task, *costs(settings, stage, store, threads)])
                print(" | ".join(rows[-1]), flush=True)
    table = markdown(head, rows)
    print(table)
    if write:
        write_between(SPEED, "drawing", table)


def samples_in(folder: Path, settings: TrainingSettings, count: int = 4) -> SampleStore:
    """Drawn digital patients, kept as training keeps them."""
    store = sample_store(folder)
    for seed in range(TRAINING_SEEDS, TRAINING_SEEDS + count):
        drawn = (settings.sample_grid, settings.intensity, SamplerSettings())
        store.write(draw_training_sample(seed, *drawn))
    return store


def costs(
    settings: TrainingSettings, stage: Stage, store: SampleStore, threads: int | None
) -> list[str]:
    """Of one stage: patches, drawing, step in both kinds of numbers, by the clock if asked."""
    torch.set_num_threads(1)
    dataset = PatchDataset(store, settings, stage, 0, store.names())
    times = []
    for number in range(3 * stage.batch):
        began = time.process_time()
        dataset[number]
        times.append(time.process_time() - began)
    drawn = statistics.median(times) * stage.batch
    steps = {}
    for precision in ("32-true", "bf16-mixed"):
        began = time.process_time()
        timed(replace(settings, precision=precision), stage, "cpu", 1)  # the first one
        first = time.process_time()
        timed(replace(settings, precision=precision), stage, "cpu", 3)
        steps[precision] = (time.process_time() - first - (first - began)) / 2
    full, half = steps["32-true"], steps["bf16-mixed"]
    size = f"{stage.batch} of {' x '.join(map(str, stage.shape))}"
    cells = [size, f"{drawn:.2f}", f"{full:.2f}", f"{half:.2f}", f"{drawn / min(full, half):.0%}"]
    if threads is not None:
        torch.set_num_threads(threads)
        best = replace(settings, precision=min(steps, key=lambda p: steps[p]))
        cells += [f"{by_the_clock(best, stage, dataset, n):.2f}" for n in range(3)]
    return cells


def by_the_clock(
    settings: TrainingSettings, stage: Stage, dataset: PatchDataset, workers: int, steps: int = 6
) -> float:
    """Seconds of a step and of waiting for its patches, with so many processes that draw."""
    network = build_network(settings)
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
    half = settings.precision == "bf16-mixed"
    ends = [time.perf_counter()]
    for item in islice(loader(dataset, stage.batch, workers), steps):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            logits = network(item["image"].contiguous(memory_format=torch.channels_last_3d))
        if settings.task is Task.BONES:
            loss = bone_loss(logits, item["target"], settings.loss, item["values"])
        else:
            region, weight = item["region"], item["weight"]
            loss = lesion_loss(logits, item["target"], region, weight, item["group"], settings.loss)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        ends.append(time.perf_counter())
    return statistics.median(b - a for a, b in pairwise(ends[1:]))


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
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        float(loss.detach())  # waits for the device
        seconds.append(time.perf_counter() - begun)
    return seconds


if __name__ == "__main__":
    main()
