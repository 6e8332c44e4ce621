"""Networks on one cohort at one budget: accuracy, seconds and memory.

    python -m benchmarks.architectures [--out build/architectures] [--minutes 3 | --steps 200]
        [--patients 48] [--validation 6] [--grid coarse|default] [--threads 2] [--only NAME ...]

Each network learns the bones of the same digital patients from the same patches in the same
order, with the same loss, rates and clock, in a process of its own. Its result is kept in
``OUT/NAME.json`` and not measured again at the same budget, so that an interrupted comparison
goes on; ``OUT/architectures.md`` and ``.json`` hold the table. nnU-Net's network needs
``pip install --no-deps dynamic-network-architectures==0.4.4`` and is left out without it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from pelvimets.training.store import SampleStore

NNUNET = "nnU-Net"
NAMES = ("unet", "fine", "paper", "residual", "attention", NNUNET)
WARMUP_SHARE = 0.05
COLUMNS = {
    "Network": "name",
    "Parameters, M": "parameters_m",
    "Steps": "steps",
    "s per step": "seconds_per_step",
    "Peak memory of training, GB": "peak_gb",
    "Validation DSC": "dice",
    "DWI": "dice_dwi",
    "T1": "dice_t1",
    "s per study (OpenVINO)": "seconds_per_study",
}


@dataclass(frozen=True)
class Budget:
    """What every network gets."""

    minutes: float
    steps: int | None
    patients: int
    validation: int
    grid: str
    threads: int


def main() -> None:
    arguments = parsed()
    out: Path = arguments.out
    budget = Budget(**{name: getattr(arguments, name) for name in Budget.__dataclass_fields__})
    out.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        result = measured(arguments.one, budget, out)
        kept(out, arguments.one).write_text(json.dumps(result, indent=2) + "\n")
        return
    prepare_samples(budget, out)
    results = []
    for name in arguments.only or available():
        if not is_done(kept(out, name), budget):
            print(f"{name} ...", flush=True)
            in_own_process(name)
        results.append(json.loads(kept(out, name).read_text()))
    write_table(results, budget, out)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/architectures"))
    parser.add_argument("--minutes", type=float, default=3.0, help="training of each network")
    parser.add_argument("--steps", type=int, help="train for so many steps instead")
    parser.add_argument("--patients", type=int, default=48, help="digital patients to learn from")
    parser.add_argument("--validation", type=int, default=6, help="set aside, of each sequence")
    parser.add_argument("--grid", choices=["coarse", "default"], default="coarse")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=NAMES, help="some of the networks")
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    return parser.parse_args()


def available() -> tuple[str, ...]:
    if importlib.util.find_spec("dynamic_network_architectures"):
        return NAMES
    print(f"{NNUNET} left out: pip install --no-deps dynamic-network-architectures==0.4.4")
    return tuple(name for name in NAMES if name != NNUNET)


def kept(out: Path, name: str) -> Path:
    return out / f"{name.lower()}.json"


def is_done(path: Path, budget: Budget) -> bool:
    return path.is_file() and json.loads(path.read_text())["budget"] == asdict(budget)


def in_own_process(name: str) -> None:
    command = [sys.executable, "-m", "benchmarks.architectures", *sys.argv[1:], "--one", name]
    subprocess.run(command, check=True)


def settings_of(name: str, budget: Budget) -> Any:
    """The default training of bones, in one stage; nnU-Net's network follows its own plan."""
    from pelvimets.model.settings import NETWORKS
    from pelvimets.training.presets import DEFAULT_BONES

    stage = DEFAULT_BONES.stages[0 if budget.grid == "coarse" else -1]
    return replace(
        DEFAULT_BONES,
        network=NETWORKS.get(name, NETWORKS["unet"]),
        sample_grid=replace(DEFAULT_BONES.sample_grid, spacing_mm=(4.0, 3.0, 3.0)),
        stages=(replace(stage, until=1.0, batch=1),),  # more steps in the same time
        epochs=1,
        steps_per_epoch=budget.steps or 1_000_000,
        minutes=None if budget.steps else budget.minutes,
        warmup_steps=0,
    )


def store(out: Path, split: str) -> SampleStore:
    from pelvimets.io.record.arrays import ArrayFolder
    from pelvimets.training.store import SampleStore

    return SampleStore(ArrayFolder(out / "samples" / split))


def prepare_samples(budget: Budget, out: Path) -> None:
    """Digital patients on the sample grid; those that are there are kept."""
    from pelvimets.model_development.samples import draw_pool
    from pelvimets.training.phantom_samples import validation_samples
    from pelvimets.training.pool import PhantomPool

    settings = settings_of("unet", budget)
    pool = PhantomPool(budget.patients, simulated=0)
    draw_pool(out / "samples/train", settings.sample_grid, settings.intensity, pool)
    validation = store(out, "validation")
    if len(validation.names()) < 2 * budget.validation:
        drawn = validation_samples(budget.validation, settings.sample_grid, settings.intensity)
        for sample in drawn:
            validation.write(sample)


def measured(name: str, budget: Budget, out: Path) -> dict[str, Any]:
    os.environ["OMP_NUM_THREADS"] = str(budget.threads)
    import torch

    from pelvimets.training.run import keep_freed_memory

    torch.set_num_threads(budget.threads)
    keep_freed_memory()
    settings = settings_of(name, budget)
    torch.manual_seed(settings.seed)
    network, multiple_of = build(name, settings)
    seconds = train(network, settings, first_patients(out, budget))
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    dice = validated(network, multiple_of, settings, budget, out)
    return {
        "name": name,
        "budget": asdict(budget),
        "parameters_m": round(sum(p.numel() for p in network.parameters()) / 1e6, 2),
        "steps": len(seconds),
        "seconds_per_step": round(statistics.median(seconds), 2),
        "peak_gb": round(peak_gb, 2),
        **{key: round(value, 3) for key, value in dice.items()},
        "seconds_per_study": round(seconds_per_study(network, multiple_of, settings, budget), 2),
    }


def build(name: str, settings: Any) -> tuple[nn.Module, tuple[int, int, int]]:
    from pelvimets.model.variants import make_network

    if name != NNUNET:
        return make_network(settings.network, *settings.task.channels), settings.network.multiple_of
    from benchmarks.nnunet_network import nnunet_network, plan

    planned = plan(settings.stages[0].shape, settings.stages[0].spacing_mm)
    inputs, outputs = settings.task.channels
    return nnunet_network(inputs, outputs, planned), planned.multiple_of


def first_patients(out: Path, budget: Budget) -> Any:
    """The patients of this budget, also where an earlier comparison drew more."""
    samples = store(out, "train")

    class First:
        def names(self) -> tuple[str, ...]:
            return samples.names()[: budget.patients]

        read = staticmethod(samples.read)

    return First()


def train(network: nn.Module, settings: Any, source: Any) -> list[float]:
    """Train by the clock or by steps; seconds of each step, its wait for patches included."""
    import torch

    from pelvimets.training.data import channels_last
    from pelvimets.training.losses import bone_loss
    from pelvimets.training.module import rate_factor

    network.train().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    seconds: list[float] = []
    batches = patches(settings, source)
    for step in count():
        started = time.monotonic()
        progress = share_done(settings, step, sum(seconds))
        if progress >= 1:
            return seconds
        batch, rate = next(batches), min(0.1 + progress / WARMUP_SHARE, 1.0)
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * rate * rate_factor(settings, step, progress)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(channels_last(batch["image"]))
        optimiser.zero_grad(set_to_none=True)
        bone_loss(logits, batch["target"], settings.loss).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
        optimiser.step()
        seconds.append(time.monotonic() - started)
    raise AssertionError("count() has no end")


def share_done(settings: Any, step: int, seconds: float) -> float:
    if settings.minutes is None:
        return float(step / settings.steps_per_epoch)
    return float(seconds / (60 * settings.minutes))


def patches(settings: Any, source: Any) -> Iterator[dict[str, Any]]:
    from pelvimets.training.data import PatchDataset, loader

    stage = settings.stages[0]
    dataset = PatchDataset(source, settings, stage, 0, source.names())
    return iter(loader(dataset, stage.batch, workers=1))


def validated(
    network: nn.Module,
    multiple_of: tuple[int, int, int],
    settings: Any,
    budget: Budget,
    out: Path,
) -> dict[str, float]:
    """Mean Dice of the bones, in all and on each sequence, on whole images."""
    import torch

    from pelvimets.model.inputs import bone_input
    from pelvimets.model.padding import padded_probabilities
    from pelvimets.training.sample import bones_of
    from pelvimets.training.validation import bone_measures, mean_measures, whole_image

    network.eval()

    def predict(channels: Any) -> Any:
        with torch.no_grad():
            return network(torch.from_numpy(channels)[None])[0].numpy()

    stage, samples, found = settings.stages[0], store(out, "validation"), []
    for name in of_each_sequence(samples.names(), budget.validation):
        sample = samples.read(name)
        patch = whole_image(sample, stage.spacing_mm)
        logits = padded_probabilities(predict, bone_input(patch.image), multiple_of, stage.shape)
        voxel_mm3 = float(stage.spacing_mm[0] * stage.spacing_mm[1] * stage.spacing_mm[2])
        truth = bones_of(patch.truth)
        found.append(bone_measures(logits.argmax(0), truth, sample.sequence, voxel_mm3))
    means = mean_measures(found)
    return {
        "dice": means["score"],
        "dice_dwi": means["dice_dwi"],
        "dice_t1": means["dice_t1"],
    }


def of_each_sequence(names: tuple[str, ...], number: int) -> list[str]:
    return [
        name
        for ending in ("_dwi", "_t1")
        for name in [n for n in names if n.endswith(ending)][:number]
    ]


def seconds_per_study(
    network: nn.Module, multiple_of: tuple[int, int, int], settings: Any, budget: Budget
) -> float:
    """One sequence, as a bundle reads it: OpenVINO, both mirror images, the whole field."""
    import numpy as np

    from pelvimets.model.engine import NetworkFiles, compile_network
    from pelvimets.model.export import network_bytes, to_openvino
    from pelvimets.training.phantom_samples import FIELD_MM

    inputs, outputs = settings.task.channels
    files = network_bytes(to_openvino(network, inputs, outputs, multiple_of), "n")
    compiled = compile_network(
        NetworkFiles(files["n.xml"], files["n.bin"], multiple_of), budget.threads
    )
    steps = zip(FIELD_MM, settings.stages[0].spacing_mm, multiple_of, strict=True)
    shape = [int(np.ceil(field / step / m)) * m for field, step, m in steps]
    image = np.random.default_rng(0).normal(size=(1, inputs, *shape)).astype(np.float32)
    compiled(image)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        compiled(image)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def write_table(results: list[dict[str, Any]], budget: Budget, out: Path) -> None:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += [
        "| " + " | ".join(str(row[key]) for key in COLUMNS.values()) + " |" for row in results
    ]
    amount = f"{budget.steps} steps" if budget.steps else f"{budget.minutes:g} minutes"
    lines += [
        "",
        f"Bones, in silico: {amount} of training each on {budget.patients} digital patients, "
        f"validation on others, {budget.validation} of each sequence; grid {budget.grid}; "
        f"threads: {budget.threads}.",
    ]
    text = "\n".join(lines) + "\n"
    (out / "architectures.md").write_text(text)
    (out / "architectures.json").write_text(json.dumps(results, indent=2) + "\n")
    print(text)


if __name__ == "__main__":
    main()
