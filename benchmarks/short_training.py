"""A network trained for minutes, as a submission to the benchmark.

    pelvimets benchmark make -o BENCH
    python -m benchmarks.short_training BENCH SUBMISSION --network dynunet --minutes 6
    pelvimets benchmark score BENCH SUBMISSION -o docs/leaderboard/NAME.json

One network, one stage: from the image to its metastases, without bones, as somebody would begin
who brings a network of his own. ``dynunet`` is MONAI's form of nnU-Net's network, ``paper`` the
network of the preset ``paper``; both see the same patches. What two cores allow in minutes is a
baseline, no measure of what these networks can do; the leaderboard says the minutes. Weights
are kept beside the samples.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.architectures import WARMUP_SHARE, patches
from pelvimets.app.benchmark import INPUTS
from pelvimets.config import GridSettings, IntensitySettings, LesionSettings
from pelvimets.core.lesions import faint_score, label_above, measure_lesions
from pelvimets.core.resample import interpolate_probability, prepare
from pelvimets.core.volume import Volume
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.labels import Sequence
from pelvimets.model.padding import padded_probabilities
from pelvimets.model.settings import NETWORKS
from pelvimets.model_development.samples import draw_pool, sample_store
from pelvimets.training.losses import lesion_loss
from pelvimets.training.pool import PhantomPool
from pelvimets.training.presets import DEFAULT_LESIONS
from pelvimets.training.settings import Stage

SPACING_MM, PATCH, MULTIPLE_OF = (4.0, 4.0, 4.0), (32, 64, 64), (8, 8, 8)
STAGE = Stage(until=1.0, spacing_mm=SPACING_MM, shape=PATCH, batch=2)
GRID = GridSettings(spacing_mm=SPACING_MM)
CHANNELS = [0, 2]  # of the lesion network's input: the image if DWI, the image if T1; no bones
WORDS = {
    "dynunet": "MONAI's DynUNet (the form of nnU-Net's network), 4 levels of 16 to 128 channels",
    "paper": "the U-Net of the preset paper, 4 levels of 16 to 128 channels",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmark", type=Path)
    parser.add_argument("submission", type=Path)
    parser.add_argument("--network", choices=list(WORDS), required=True)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--patients", type=int, default=40, help="digital patients drawn")
    parser.add_argument("--simulated", type=int, default=8, help="and simulated")
    parser.add_argument("--samples", type=Path, default=Path("build/short_training"))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if not (options.benchmark / INPUTS).is_dir():
        parser.error(f"no part of 'pelvimets benchmark make' with {INPUTS}/: {options.benchmark}")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    pool = PhantomPool(options.patients, options.simulated)
    draw_pool(options.samples, GRID, IntensitySettings(), pool)
    network = built(options.network)
    kept = options.samples.with_name(f"{options.samples.name}-{options.network}.pt")
    steps = trained(network, kept, sample_store(options.samples), options.minutes)
    parameters = sum(p.numel() for p in network.parameters()) / 1e6
    method = {
        "name": f"{options.network}, {options.minutes:g} minutes",
        "description": f"{WORDS[options.network]}; {parameters:.1f} M; one stage at 4 mm without "
        f"bones; {steps} steps (benchmarks/short_training.py)",
        "data": pool.words,
        "minutes": options.minutes,
        "hardware": f"{options.threads} thread of a shared CPU",
    }
    options.submission.mkdir(parents=True, exist_ok=True)
    (options.submission / "method.json").write_text(json.dumps(method, indent=2) + "\n")
    submit(network.eval(), options.benchmark, options.submission)


def built(name: str) -> nn.Module:
    if name == "dynunet":
        from monai.networks.nets.dynunet import DynUNet

        strides = [1, 2, 2, 2]
        network: nn.Module = DynUNet(
            3, len(CHANNELS), 1, [3] * 4, strides, strides[1:], filters=[16, 32, 64, 128]
        )
        return network
    from pelvimets.model.variants import make_network

    return make_network(NETWORKS["paper"], len(CHANNELS), 1)


def trained(network: nn.Module, kept: Path, source: Any, minutes: float) -> int:
    """Train, or take the weights of an earlier run of as many minutes; the number of steps."""
    if kept.is_file():
        run = torch.load(kept, weights_only=True)
        if run["minutes"] == minutes:
            network.load_state_dict(run["weights"])
            return int(run["steps"])
    steps = train(network, source, minutes)
    run = {"weights": network.state_dict(), "minutes": minutes, "steps": steps}
    torch.save(run, kept)
    return steps


def train(network: nn.Module, source: Any, minutes: float) -> int:
    """Train by the clock; the number of steps."""
    settings = replace(
        DEFAULT_LESIONS, stages=(STAGE,), epochs=1, steps_per_epoch=1_000_000, warmup_steps=0
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    batches, started = patches(settings, source), time.monotonic()
    for step in count():
        progress = (time.monotonic() - started) / (60 * minutes)
        if progress >= 1:
            return step
        rate = min(0.1 + progress / WARMUP_SHARE, 1.0) * 0.5 * (1 + np.cos(np.pi * progress))
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * rate
        batch = next(batches)
        logits = network(batch["image"][:, CHANNELS])
        loss = lesion_loss(
            logits,
            batch["target"],
            torch.ones_like(batch["region"]),  # the whole field: there is no bone network
            batch["weight"],
            batch["group"],
            settings.loss,
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
        optimiser.step()
    raise AssertionError("count() has no end")


def submit(network: nn.Module, benchmark: Path, submission: Path) -> None:
    rows: list[tuple[str, str, int | str, float]] = []
    for sequence in Sequence:
        (submission / sequence.value).mkdir(exist_ok=True)
        for path in sorted((benchmark / INPUTS / sequence.value).glob("*_0000.nii.gz")):
            case = path.name.removesuffix("_0000.nii.gz")
            image = read_nifti(path)
            probability = predicted(network, image, sequence)
            labels = label_above(probability, LesionSettings())
            write_nifti(submission / sequence.value / f"{case}.nii.gz", labels)
            rows += scores_of(case, sequence, labels, probability)
            print(case, sequence.value, int(labels.array.max()), flush=True)
    with (submission / "scores.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("case", "sequence", "lesion", "score"))
        writer.writerows(rows)


def predicted(network: nn.Module, image: Volume, sequence: Sequence) -> Volume:
    """Probability on the image's own grid."""
    prepared = prepare(image, GRID, IntensitySettings())
    channels = np.zeros((len(CHANNELS), *prepared.array.shape), np.float32)
    channels[list(Sequence).index(sequence)] = prepared.array

    def run(padded: Any) -> Any:
        with torch.no_grad():
            return torch.sigmoid(network(torch.from_numpy(padded)[None])[0]).numpy()

    found = padded_probabilities(run, channels, MULTIPLE_OF, PATCH)[0]
    values = interpolate_probability(found, prepared.geometry, image.geometry)
    return image.with_array(values.astype(np.float32))


def scores_of(
    case: str, sequence: Sequence, labels: Volume, probability: Volume
) -> Iterator[tuple[str, str, int | str, float]]:
    lesions = measure_lesions(labels, probability, LesionSettings())
    scores = [lesion.score for lesion in lesions] or [faint_score(probability, LesionSettings())]
    yield case, sequence.value, "", round(max(scores), 4)
    for lesion in lesions:
        yield case, sequence.value, lesion.label, round(lesion.score, 4)


if __name__ == "__main__":
    main()
