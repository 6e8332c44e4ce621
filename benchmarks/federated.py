"""Three hospitals train one network without sharing images: against pooled, against each alone.

    python -m benchmarks.federated COHORTS [--out build/federated] [--epochs 48] [--write]

The paper's three scanners are the sites. COHORTS gets a digital cohort of each (in silico), unless
it is there; of each the first two thirds are learned from, the others measured on. Five small
networks see the same number of steps: one of each site, one of all patients together, one by a
job of NVIDIA FLARE (docs/federated/job.py) in which a site sees its own patients alone. Each is
measured on the unseen patients of every scanner. What is trained is kept in OUT and not trained
again. --write puts the table into docs/federated.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import SPEED, markdown, write_between

SCANNERS = ("discovery", "achieva", "intera")
JOB = SPEED.parent / "federated" / "job.py"
DOCUMENT = SPEED.parent / "federated.md"
POOLED, TOGETHER = "pooled", "together"
SETTINGS: dict[str, Any] = {
    "network": {"channels": [8, 16, 32], "stem": [1, 2, 2]},
    "grid": {"spacing_mm": [6, 5, 5], "multiple_of": [4, 8, 8]},
    "sample_grid": {"spacing_mm": [6, 3, 3], "multiple_of": [1, 1, 1]},
    "stages": [{"until": 1.0, "spacing_mm": [6, 5, 5], "shape": [24, 48, 48], "batch": 2}],
    "steps_per_epoch": 60,
    "validate_every": 4,
    "average_decay": 0.99,
    "warmup_steps": 50,
    "learning_rate": 4e-3,
    "precision": "32-true",
}


def pelvimets(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pelvimets", *words], check=False)
    if done.returncode:
        raise SystemExit(f"'pelvimets {words[0]}' failed with {done.returncode}")


def made(cohorts: Path, patients: int) -> None:
    """A cohort of each scanner."""
    for number, scanner in enumerate(SCANNERS, 1):
        if not (cohorts / scanner / "patients.csv").is_file():
            words = ["phantom", "cohort", "--like", "lesions", "--patients", str(patients)]
            words += ["--seed", f"2026{number}", "--scanner", scanner]
            pelvimets(*words, "-o", str(cohorts / scanner))


def sites(cohorts: Path, out: Path) -> dict[str, Path]:
    """The sites' own cohorts and the pooled one: links, and tables with splits of their own."""
    rows: dict[str, list[tuple[str, str]]] = {POOLED: []}
    for scanner in SCANNERS:
        with (cohorts / scanner / "patients.csv").open(newline="") as stream:
            keys = [row["patient"] for row in csv.DictReader(stream)]
        taught = round(len(keys) * 2 / 3)
        rows[scanner] = []
        for number, key in enumerate(keys):
            name = f"{scanner}-{key}"
            split = "train" if number < taught else "validation"
            for site in (scanner, POOLED):
                rows[site].append((name, split))
                link(cohorts / scanner / key, folder_of(out, site) / name)
    for site, listed in rows.items():
        with (folder_of(out, site) / "patients.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([("patient", "split"), *listed])
    return {site: folder_of(out, site) for site in rows}


def folder_of(out: Path, site: str) -> Path:
    return out / ("pooled" if site == POOLED else "sites") / ("cohort" if site == POOLED else site)


def link(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.symlink_to(source.absolute(), target_is_directory=True)


def trained(task: str, out: Path, cohorts: Mapping[str, Path], epochs: int) -> dict[str, Path]:
    """Runs by name; those that are there are left."""
    settings = out / "settings.json"
    settings.write_text(json.dumps(SETTINGS | {"epochs": epochs}))
    runs = {site: out / "runs" / site for site in (*SCANNERS, POOLED)}
    common = [task, "--settings", str(settings), "--workers", "0", "--device", "cpu"]
    for site, run in runs.items():
        if not (run / "last.ckpt").is_file():
            pelvimets("train", *common, "--data", str(cohorts[site]), "-o", str(run))
    shared = out / "runs" / TOGETHER
    if not (shared / SCANNERS[-1] / "last.ckpt").is_file():
        job = [sys.executable, str(JOB), *common, "--simulate", str(out / "sites")]
        done = subprocess.run([*job, "-o", str(shared)], env=os.environ, check=False)
        if done.returncode:
            raise SystemExit("the federated job failed")
    return runs | {TOGETHER: shared / SCANNERS[0]}


def measured(run: Path, samples: Path) -> dict[str, dict[str, float]]:
    """Mean DSC of a run's last network on each scanner's patients, by sequence."""
    import torch

    from pelvimets.model_development.samples import sample_store
    from pelvimets.training.run import load_trained
    from pelvimets.training.settings import Task, training_settings
    from pelvimets.training.validation import answer_of, mean_measures, measures_of

    settings = training_settings(json.loads((run / "settings.json").read_text()))
    network, _, _ = load_trained(settings, run / "last.ckpt")

    def predict(channels: Any) -> Any:
        with torch.no_grad():
            logits = network(torch.from_numpy(channels)[None])[0]
        found = logits.softmax(0) if settings.task is Task.BONES else logits.sigmoid()
        return found.numpy()

    store = sample_store(samples)
    by_scanner: dict[str, list[Any]] = {scanner: [] for scanner in SCANNERS}
    for name in store.names():
        answer = answer_of(predict, store.read(name), settings, settings.stages[-1].spacing_mm)
        by_scanner[name.partition("-")[0]].append(measures_of(answer, settings))
    return {
        scanner: {s: mean_measures(found)[f"dice_{s}"] for s in ("dwi", "t1")}
        for scanner, found in by_scanner.items()
    }


def table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    head = ["trained on", *SCANNERS, "mean"]
    words = {site: f"{site} alone" for site in SCANNERS}
    words |= {TOGETHER: "the three together, images unshared", POOLED: "all pooled"}
    rows = []
    for run, title in words.items():
        cells = [f"{v['dwi']:.3f} / {v['t1']:.3f}" for v in found[run].values()]
        every = [value for own in found[run].values() for value in own.values()]
        rows.append([title, *cells, f"{np.mean(every):.3f}"])
    return markdown(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohorts", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/federated"))
    parser.add_argument("--task", choices=["bones", "lesions"], default="bones")
    parser.add_argument("--patients", type=int, default=12, help="of each scanner")
    parser.add_argument("--epochs", type=int, default=48)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    out = options.out.absolute()
    made(options.cohorts, options.patients)
    runs = trained(options.task, out, sites(options.cohorts, out), options.epochs)
    samples = runs[POOLED] / "samples" / "validation"
    text = table({name: measured(run, samples) for name, run in runs.items()})
    print(text)
    if options.write:
        write_between(DOCUMENT, "federated", text)


if __name__ == "__main__":
    main()
