"""A small cohort of boxes and balls with known lesions, and predictions with known faults."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.io.nifti.files import write_nifti

GRIDS = {
    "dwi": Geometry.from_axes((10, 24, 30), (8.0, 4.0, 4.0), origin=(-60.0, -48.0, 0.0)),
    "t1": Geometry.from_axes((20, 32, 40), (4.0, 3.0, 3.0), origin=(-60.0, -48.0, 0.0)),
}
Ball = tuple[npt.ArrayLike, float]
SCANNERS = ("discovery", "achieva", "intera")
STRUCTURE_BOXES_MM = {  # z, y, x ranges in mm from the corner of the field
    1: ((50, 78), (50, 80), (44, 76)), 2: ((24, 50), (56, 90), (44, 76)),
    3: ((36, 70), (14, 50), (6, 40)), 4: ((22, 36), (16, 44), (8, 36)),
    5: ((12, 30), (22, 40), (38, 52)), 6: ((4, 14), (22, 44), (22, 44)),
    7: ((2, 22), (50, 80), (80, 106)), 8: ((6, 24), (4, 24), (52, 84)),
}  # fmt: skip


def millimetres(geometry: Geometry) -> np.ndarray:
    """Position of each voxel in mm from the corner of the field, (3, z, y, x)."""
    spacing = np.asarray(geometry.spacing)[:, None, None, None]
    return np.indices(geometry.shape) * spacing


def bones_on(geometry: Geometry, shift: float = 0.0) -> np.ndarray:
    """Label map of eight boxes."""
    place = millimetres(geometry)
    labels = np.zeros(geometry.shape, np.uint8)
    for value, box in STRUCTURE_BOXES_MM.items():
        inside = np.ones(geometry.shape, bool)
        for axis, (low, high) in enumerate(box):
            offset = shift if axis == 2 else 0.0
            inside &= (place[axis] >= low + offset) & (place[axis] < high + offset)
        labels[inside] = value
    return labels


def balls_on(geometry: Geometry, balls: Sequence[Ball]) -> np.ndarray:
    """Label map of balls (centre in mm z, y, x; radius in mm), numbered 1..n."""
    place = millimetres(geometry)
    labels = np.zeros(geometry.shape, np.uint16)
    for number, (centre, radius) in enumerate(balls, start=1):
        distance = ((place - np.asarray(centre)[:, None, None, None]) ** 2).sum(axis=0)
        labels[distance <= radius**2] = number
    return labels


PLACES_MM = [(64, 64, 60), (36, 72, 60), (52, 32, 22), (28, 30, 22), (12, 64, 92), (14, 14, 68)]


def write_cohort(
    root: Path, patients: int = 10, *, seed: int = 0, images: bool = True
) -> tuple[Path, Path]:
    """Write ``reference/`` and ``prediction/`` below a folder; even patients have metastases.

    Patient 0 misses one lesion, patient 3 (M0) has a false one on a mimic; every prediction is
    shifted a little and scored.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(patients):
        name, m1 = f"p{n:02d}", n % 2 == 0
        count = (1, 2, 4, 6, 3)[n // 2 % 5] if m1 else 0
        truth = [(PLACES_MM[k], rng.uniform(7, 12)) for k in range(count)]
        _write_patient(root, name, n, truth, rng, images)
        rows.append(
            {
                "patient": name, "split": "test", "m_stage": "M1" if m1 else "M0",
                "scanner": SCANNERS[n % 3], "age": round(float(rng.normal(68, 9)), 1),
                "psa": round(float(rng.lognormal(2.4, 0.6)), 2),
                "dataset": f"dataset {1 + n % 2}",
            }
        )  # fmt: skip
    with (root / "reference" / "patients.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root / "reference", root / "prediction"


def _write_patient(
    root: Path,
    name: str,
    n: int,
    truth: Sequence[Ball],
    rng: np.random.Generator,
    images: bool,
) -> None:
    reference, prediction = root / "reference" / name, root / "prediction" / name
    for folder in (reference, prediction):
        folder.mkdir(parents=True)
    found = truth[1:] if n == 0 else truth
    findings: dict[str, Any] = {"sequences": {}}
    for sequence, grid in GRIDS.items():
        predicted: list[Ball] = [
            (np.add(c, rng.normal(0, 1, 3)), r * rng.uniform(0.85, 1.1)) for c, r in found
        ]
        mimic: list[Ball] = [((30, 72, 60), 8.0)] if n == 3 else []
        lesions = balls_on(grid, predicted + mimic)
        masks = {
            reference / f"{sequence}_bones.nii.gz": bones_on(grid),
            reference / f"{sequence}_lesions.nii.gz": balls_on(grid, truth),
            reference / f"{sequence}_mimics.nii.gz": (3 * (balls_on(grid, mimic) > 0)),
            prediction / f"{sequence}_bones.nii.gz": bones_on(grid, rng.uniform(0, 3)),
            prediction / f"{sequence}_lesions.nii.gz": lesions,
        }
        if images:
            image = bones_on(grid) * 20 + 150 * (balls_on(grid, truth) > 0) + 100
            noisy = image + rng.normal(0, 8, grid.shape)
            masks[reference / f"{sequence}.nii.gz"] = noisy.astype(np.float32)
        for path, array in masks.items():
            kept = array if array.dtype == np.float32 else array.astype(np.uint16)
            write_nifti(path, Volume(kept, grid))
        scores = [round(float(rng.uniform(0.6, 1.0)), 3) for _ in predicted]
        scores += [0.7 for _ in mimic]
        findings["sequences"][sequence] = {
            "patient_score": max(scores, default=round(float(rng.uniform(0, 0.4)), 3)),
            "m1_suspected": bool(scores),
            "lesions": [{"label": k + 1, "score": s} for k, s in enumerate(scores)],
        }
    (prediction / "findings.json").write_text(json.dumps(findings))
