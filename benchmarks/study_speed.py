"""Seconds and peak memory of reading a study, per stage, from files to the report.

    python -m benchmarks.study_speed [--study FOLDER_OR_ZIP] [--runs 3] [--large]
        [--scanners discovery ...] [--before CHECKOUT] [--bundle BUNDLE] [--write]

Without --study, digital patients of the three scanners of the paper's Table 1 are written first
as DICOM and each is read; --large adds a T1 image of 400 slices of 512 x 512 beside a usual DWI.
Every run is a process of its own, so that peak memory is the whole run's and start-up counts;
seconds are those of the processors and of the clock. With --before every study is also read, in
turn, by another state of the source, for instance that before networks were kept compiled:

    git worktree add BEFORE 73670bc^
    python -m benchmarks.study_speed --large --before BEFORE \\
        --bundle src/pelvimets/resources/bundles/first --write

Without --bundle each state reads with the networks that it ships.

The aim, ten seconds and 1.5 GB a study, is for two cores with nothing else to do. --write puts the
table into docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tables import SPEED, machine, markdown, write_between

VENDORS = {"discovery": "ge", "intera": "philips", "achieva": "philips"}
LARGE = (400, 512, 512)
NOW = SPEED.parents[1]


@dataclass(frozen=True)
class Run:
    """What one reading cost."""

    cpu: float
    clock: float
    mib: float
    stages: dict[str, float]


def pelvimets(checkout: Path, *command: str) -> tuple[float, float, float]:
    """CPU seconds, seconds of the clock and MiB of a command of one state of the source."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pelvimets", *command],
        env={**os.environ, "PYTHONPATH": str(checkout / "src")},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"'pelvimets {command[0]}' of {checkout} failed with {status}")
    cpu = usage.ru_utime + usage.ru_stime
    return cpu, time.perf_counter() - began, usage.ru_maxrss / 1024


def made_studies(folder: Path, scanners: list[str], *, large: bool) -> dict[str, list[str]]:
    """Arguments of 'predict' by the study's name."""
    studies = {}
    for scanner in scanners:
        out = folder / scanner
        words = ("phantom", "--seed", "7", "--scanner", scanner, "--dicom", VENDORS[scanner])
        pelvimets(NOW, *words, "-o", str(out))
        studies[scanner] = [str(out / "dicom")]
    if large:
        from benchmarks.estimate import made
        from pelvimets.io.nifti.files import read_nifti

        man = folder / scanners[0]
        t1 = made(read_nifti(man / "t1.nii.gz"), LARGE, 1.0, folder / "t1.nii")
        size = " x ".join(map(str, LARGE))
        studies[f"T1 of {size}"] = ["--dwi", str(man / "dwi.nii.gz"), "--t1", str(t1)]
    return studies


def measure(
    study: Sequence[str], runs: int, states: dict[str, Path], folder: Path
) -> dict[str, list[Run]]:
    """The runs of each state of the source, in turn."""
    found: dict[str, list[Run]] = {state: [] for state in states}
    for _ in range(runs):
        for state, checkout in states.items():
            out = Path(tempfile.mkdtemp(dir=folder)) / "out"
            cost = pelvimets(checkout, "predict", *study, "-o", str(out))
            record = json.loads((out / "run.json").read_text())
            stages = {s["stage"]: float(s["seconds"]) for s in record["stages"]}
            found[state].append(Run(*cost, stages))
    return found


def median(runs: Sequence[Run], what: str) -> float:
    return statistics.median(getattr(run, what) for run in runs)


def show(name: str, state: str, runs: list[Run]) -> list[str]:
    """Print the stages by the clock; a row of the table."""
    cpu, clock, mib = (median(runs, what) for what in ("cpu", "clock", "mib"))
    print(f"\n{name}, {state}: {cpu:.1f} s CPU, {clock:.1f} s, {mib:.0f} MiB")
    for stage in runs[0].stages:
        seconds = statistics.median(run.stages.get(stage, 0.0) for run in runs)
        print(f"  {stage:<28}{seconds:8.2f} s by the clock")
    sys.stdout.flush()
    return [name, state, f"{cpu:.1f}", f"{clock:.1f}", f"{mib:.0f}", longest(runs)]


def longest(runs: list[Run]) -> str:
    """The three stages that take most, which may overlap."""
    first: dict[str, Any] = runs[0].stages
    most = sorted(first, key=lambda stage: -first[stage])[:3]
    return ", ".join(f"{stage} {first[stage]:.1f}" for stage in most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path)
    parser.add_argument("--scanners", nargs="+", choices=list(VENDORS), default=list(VENDORS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--before", type=Path, help="another checkout, read in turn")
    parser.add_argument("--bundle", type=Path, help="networks for both")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    states = {} if options.before is None else {"before": options.before.absolute()}
    states["now"] = NOW
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        studies = {"study": [str(options.study)]} if options.study else {}
        studies = studies or made_studies(folder, options.scanners, large=options.large)
        more = [] if options.bundle is None else ["--bundle", str(options.bundle.absolute())]
        for label, study in studies.items():
            for state, runs in measure([*study, *more], options.runs, states, folder).items():
                rows.append(show(label, state, runs))
    head = ["study", "", "s CPU", "s clock", "MiB", "longest stages, s of the clock"]
    table = f"{markdown(head, rows)}\n\nMedians of {options.runs}; {machine()}."
    print(f"\n{table}")
    if options.write:
        write_between(SPEED, "studies", table)


if __name__ == "__main__":
    main()
