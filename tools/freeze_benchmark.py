"""Freeze the benchmark: make its parts and write their fingerprints into the package.

    python tools/freeze_benchmark.py FOLDER --version 1.0

FOLDER keeps the cohorts; those already made are not made again. Raise the version whenever a
fingerprint changes: results of different versions are not compared. The parts are listed here, so
that anatomies or defaults added later do not move them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pelvimets.app.benchmark import make_part
from pelvimets.io.cohort.folder import read_patients
from pelvimets.io.phantom.fingerprints import patient_fingerprints
from pelvimets.io.record.output import write_text
from pelvimets.phantom.anatomy.healthy import AnatomySettings
from pelvimets.phantom.cohort.benchmark import benchmark_from_data

FROZEN = Path(__file__).parents[1] / "src/pelvimets/resources/benchmark/benchmark.json"
FINE_MM, COARSE_MM = AnatomySettings().spacing_mm, 4.0
KNOWN = ("mesh", "ct")
"""The two people that every bundle so far has learned from."""
UNSEEN = ("ts-s0011", "ref-005")
"""People that no training draws from."""
# Seeds were chosen by the burden planned from them, before any network had read the men.
PARTS = (
    ("seeds", "the two people of the first bundles, seeds set aside", "external", 20, 97012, KNOWN),
    ("people", "people that no training draws from", "external", 12, 97134, UNSEEN),
    ("stress", "everything hard: small, faint, treated, all mimics", "stress", 12, 97210, KNOWN),
    ("tiny", "two coarse men, to try out the commands", "external", 2, 97305, KNOWN),
)


def main() -> None:
    """Make the parts, write their fingerprints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the cohorts are made")
    parser.add_argument("--version", required=True, help="version of the benchmark")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    data: dict[str, Any] = {
        "version": options.version,
        "parts": {part[0]: _definition(*part[1:]) for part in PARTS},
        "fingerprints": {},
    }
    for part in benchmark_from_data(data).parts.values():
        make_part(part, options.folder, jobs=options.jobs)
        data["fingerprints"][part.name] = {
            patient.key: patient_fingerprints(patient.folder)
            for patient in read_patients(options.folder / part.name)
        }
    write_text(FROZEN, _compact(data))


def _definition(
    about: str, population: str, patients: int, seed: int, anatomies: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "about": about,
        "population": population,
        "patients": patients,
        "seed": seed,
        "anatomies": list(anatomies),
        "spacing_mm": COARSE_MM if patients == 2 else FINE_MM,
    }


def _compact(data: dict[str, Any]) -> str:
    """One line per volume, so that a change can be read."""
    head = json.dumps({k: v for k, v in data.items() if k != "fingerprints"}, indent=2)
    parts = []
    for part, patients in data["fingerprints"].items():
        rows = ",\n".join(
            f"   {json.dumps(patient)}: {{\n"
            + ",\n".join(f"    {json.dumps(n)}: {json.dumps(f)}" for n, f in volumes.items())
            + "}"
            for patient, volumes in patients.items()
        )
        parts.append(f"  {json.dumps(part)}: {{\n{rows}}}")
    body = ",\n".join(parts)
    return f'{head[:-2]},\n  "fingerprints": {{\n{body}}}\n}}\n'


if __name__ == "__main__":
    main()
