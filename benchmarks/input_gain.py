"""What fat and water gain on T1, and ADC and STIR on DWI (in silico).

    python -m benchmarks.input_gain [--out build/input_gain] [--patients 40] [--steps 200]

The lesion networks of the shipped bundle learn on, for equally many steps, from the same digital
patients, with and without further images, whose channels begin at zero; all are measured on other
patients, inside the true bones. The network with them is also read without, as on a study that
lacks them. Ranges are those of the seeds; differences have an interval of 95 % from 2000 draws of
the measured patients, over the mean of all seeds. Each part is kept in ``OUT`` and not made again;
``OUT/input_gain.md`` holds the table.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from benchmarks.architectures import patches
from pelvimets.app.phantom import make_cohort
from pelvimets.core.splits import Splits
from pelvimets.io.cohort.folder import read_cohort
from pelvimets.labels import FurtherInput, Sequence
from pelvimets.model_development.samples import prepare_cohort, sample_store
from pelvimets.model_development.start import load_start, start_source
from pelvimets.phantom.anatomy.healthy import AnatomySettings
from pelvimets.phantom.choices import Population
from pelvimets.phantom.cohort.build import PatientSettings
from pelvimets.requests.phantom import CohortOrder, Examined
from pelvimets.training.losses import lesion_loss
from pelvimets.training.module import build_network
from pelvimets.training.presets import DEFAULT_LESIONS
from pelvimets.training.sample import Sample
from pelvimets.training.settings import Stage, TrainingSettings
from pelvimets.training.start import grown
from pelvimets.training.validation import answer_of, lesion_measures

SPACING_MM, PATCH = (4.0, 2.0, 2.0), (24, 64, 80)
ALL_INPUTS = ("t1:fat", "t1:water", "dwi:adc", "dwi:stir")
KEPT = (FurtherInput.FAT, FurtherInput.WATER, FurtherInput.STIR)
COHORT_SEED, DRAWS = 1, 2000
ANATOMY_MM = 3.0  # coarser than usual, to be made in a fourth of the time
MEASURES = ("dice", "recall", "precision")
Counts = npt.NDArray[np.float64]  # (patients, measures, 2): numerator and denominator


@dataclass(frozen=True)
class Arm:
    """A sequence, and what is seen beside it."""

    sequence: Sequence
    inputs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "_".join((self.sequence.value, *self.inputs))

    def settings(self, seed: int, steps: int) -> TrainingSettings:
        stage = Stage(until=1.0, spacing_mm=SPACING_MM, shape=PATCH, batch=1)
        return replace(
            DEFAULT_LESIONS,
            stages=(stage,),
            network=replace(DEFAULT_LESIONS.network, inputs=self.inputs),
            sequences=(self.sequence.value,),
            epochs=1,
            steps_per_epoch=steps,
            learning_rate=1e-3,
            warmup_steps=20,
            seed=seed,
        )


PAIRS = (
    (Arm(Sequence.T1), Arm(Sequence.T1, ("fat", "water"))),
    (Arm(Sequence.DWI), Arm(Sequence.DWI, ("adc", "stir"))),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/input_gain"))
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--learn", type=int, default=24, help="patients learned from")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for seeds in range(1, options.seeds + 1):
        for arm in (arm for pair in PAIRS for arm in pair):
            run(arm, seeds - 1, options)
        text = table(range(seeds), options)
        (options.out / "input_gain.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def table(seeds: range, options: argparse.Namespace) -> str:
    lines = ["| sees | " + " | ".join(MEASURES) + " |", "|---|" + "---|" * len(MEASURES)]
    for plain, more in PAIRS:
        title, named = plain.sequence.title, f"{plain.sequence.title}, {' and '.join(more.inputs)}"
        first, found = ([run(arm, seed, options) for seed in seeds] for arm in (plain, more))
        without, within = ([own["seen"] for own in runs] for runs in (first, found))
        left_out = [own["left out"] for own in found]
        lines += [
            row(f"{title}, as shipped", [first[0]["before"]]),
            row(f"{title}, learned on", without),
            row(f"{named}, learned on", within),
            row(f"{named}, read without", left_out),
            difference("gain", within, without),
            difference("gain, read without", left_out, without),
        ]
    return "\n".join(lines)


def run(arm: Arm, seed: int, options: argparse.Namespace) -> dict[str, Counts]:
    """Counts of each measured patient, made or kept."""
    kept = options.out / f"{arm.name}_{options.steps}_{seed}.json"
    if not kept.is_file():
        print(f"{arm.name}, seed {seed} ...", flush=True)
        counts = measured(arm, seed, options)
        kept.write_text(json.dumps(counts) + "\n", encoding="utf-8")
    loaded = json.loads(kept.read_text(encoding="utf-8"))
    return {name: np.asarray(values) for name, values in loaded.items()}


def measured(arm: Arm, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    settings = arm.settings(seed, options.steps)
    store, names = samples(arm, options)
    cases = [sample_store(store / "validation").read(name) for name in names["validation"]]
    network = from_first(arm, settings).eval()
    bare = [replace(case, further={}) for case in cases]
    before = [] if arm.inputs or seed else [counts_of(network, c, settings) for c in cases]
    torch.manual_seed(seed)
    train(network.train(), settings, sample_store(store / "train", names["train"]))
    network.eval()
    seen = [counts_of(network, case, settings) for case in cases]
    left_out = [counts_of(network, case, settings) for case in bare] if arm.inputs else []
    return {"before": before, "seen": seen, "left out": left_out}


def from_first(arm: Arm, settings: TrainingSettings) -> nn.Module:
    """The shipped network of the sequence; channels of further images begin at zero."""
    start = load_start(start_source("first"), settings, arm.sequence)
    network = build_network(settings)
    own = network.state_dict()
    network.load_state_dict(own | dict(grown(start.weights, own, len(arm.inputs))))
    return network


def samples(arm: Arm, options: argparse.Namespace) -> tuple[Path, dict[str, tuple[str, ...]]]:
    """Where prepared samples are, and names of the arm's; the first patients are learned from."""
    folder, store = options.out / "cohort", options.out / "samples"
    base = PatientSettings(anatomy=AnatomySettings(spacing_mm=ANATOMY_MM))
    examined = Examined(inputs=KEPT, base=base)
    order = CohortOrder(Population.LESIONS, options.patients, COHORT_SEED, examined)
    cohort = read_cohort(make_cohort(order, folder))
    keys = [patient.key for patient in cohort.patients]
    splits = Splits(tuple(keys[: options.learn]), tuple(keys[options.learn :]), ())
    names = prepare_cohort(cohort, Arm(arm.sequence, ALL_INPUTS).settings(0, 1), store, splits)
    own = f"_{arm.sequence.value}"
    return store, {k: tuple(n for n in v if n.endswith(own)) for k, v in names.items()}


def train(network: nn.Module, settings: TrainingSettings, source: Any) -> None:
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    batches, steps = patches(settings, source), settings.steps_per_epoch
    for step in range(steps):
        rate = (
            min((step + 1) / settings.warmup_steps, 1.0) * 0.5 * (1 + np.cos(np.pi * step / steps))
        )
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * rate
        batch = next(batches)
        logits = network(batch["image"])
        loss = lesion_loss(
            logits,
            batch["target"],
            batch["region"],
            batch["weight"],
            batch["group"],
            settings.loss,
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
        optimiser.step()


def counts_of(
    network: nn.Module, sample: Sample, settings: TrainingSettings
) -> list[tuple[float, float]]:
    """Numerator and denominator of each measure on one image."""

    def predict(channels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        image: Tensor = torch.from_numpy(channels)[None]
        with torch.no_grad():
            return np.asarray(network(image)[0].sigmoid())

    answer = answer_of(predict, sample, settings, SPACING_MM)
    voxel_mm3 = float(np.prod(SPACING_MM))
    found = lesion_measures(answer.found > 0, answer.truth > 0, sample.sequence, voxel_mm3)
    return [found[f"{name}_{sample.sequence}"] for name in MEASURES]


def shares(counts: list[Counts], chosen: npt.NDArray[np.int64] | None = None) -> Counts:
    """Each measure over all patients, the mean of the seeds."""
    own = np.asarray(counts) if chosen is None else np.asarray(counts)[:, chosen]
    totals = own.sum(axis=1)
    return np.asarray((totals[..., 0] / np.maximum(totals[..., 1], 1e-9)).mean(axis=0))


def row(name: str, counts: list[Counts]) -> str:
    each = np.asarray([shares([own]) for own in counts])
    mean, low, high = each.mean(axis=0), each.min(axis=0), each.max(axis=0)
    cells = [f"{m:.3f} ({a:.3f} to {b:.3f})" for m, a, b in zip(mean, low, high, strict=True)]
    return f"| {name} | {' | '.join(cells)} |"


def difference(name: str, more: list[Counts], plain: list[Counts]) -> str:
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(plain[0]), size=len(plain[0])) for _ in range(DRAWS)]
    drawn = np.asarray([shares(more, chosen) - shares(plain, chosen) for chosen in draws])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    mean = shares(more) - shares(plain)
    cells = [f"{m:+.3f} [{a:+.3f}, {b:+.3f}]" for m, a, b in zip(mean, low, high, strict=True)]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
