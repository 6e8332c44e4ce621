"""Seconds and peak memory of reading a study, per stage, from DICOM files to the report.

    python benchmarks/study_speed.py [--study FOLDER_OR_ZIP] [--runs 3]

Without --study, digital patients of the three scanners of the paper's Table 1 are written
first and each is read. Every run is a process of its own, so that peak memory is the whole
run's and start-up counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VENDORS = {"discovery": "ge", "intera": "philips", "achieva": "philips"}


def run(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pelvimets", *command], check=True, capture_output=True)
    return time.perf_counter() - start


def made_studies(folder: Path) -> dict[str, Path]:
    studies = {}
    for scanner, vendor in VENDORS.items():
        out = folder / scanner
        run("phantom", "--seed", "7", "--scanner", scanner, "--dicom", vendor, "-o", str(out))
        studies[scanner] = out / "dicom"
    return studies


def measure(study: Path, runs: int, folder: Path) -> list[tuple[float, dict]]:
    results = []
    for n in range(runs):
        out = folder / f"{study.parent.name}-{study.name}-{n}"
        seconds = run("predict", str(study), "-o", str(out))
        results.append((seconds, json.loads((out / "run.json").read_text())))
    return results


def _seconds(record: dict, name: str) -> float:
    return next(stage["seconds"] for stage in record["stages"] if stage["stage"] == name)


def show(name: str, results: list[tuple[float, dict]]) -> None:
    walls = [seconds for seconds, _ in results]
    record = results[0][1]
    print(
        f"\n{name}: {statistics.median(walls):.1f} s whole process "
        f"(median of {len(walls)}, {min(walls):.1f}-{max(walls):.1f})"
    )
    for stage in record["stages"]:
        seconds = statistics.median(_seconds(r, stage["stage"]) for _, r in results)
        print(f"  {stage['stage']:<24}{seconds:8.2f} s{stage['peak_memory_mib']:8d} MiB")
    print(f"  estimated before the work: {record['estimate']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        studies = {"study": options.study} if options.study else made_studies(folder)
        for label, study in studies.items():
            show(label, measure(study, options.runs, folder))


if __name__ == "__main__":
    main()
