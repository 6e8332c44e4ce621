"""Small annotated cohorts and data sets in other tools' layouts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.io.cohort.folder import write_table
from pelvimets.io.nifti.files import write_nifti
from pelvimets.labels import Sequence

GRIDS = {
    Sequence.DWI: Geometry.from_axes((5, 8, 9), (6.0, 2.5, 2.5), (-11.0, 3.5, 40.0)),
    Sequence.T1: Geometry.from_axes(
        (6, 10, 7), (4.0, 1.5, 1.5), (-8.0, 2.0, 47.0), [[0, 0.6, 0.8], [0, 0.8, -0.6], [1, 0, 0]]
    ),
}


def image(grid: Geometry, rng: np.random.Generator) -> Volume:
    return Volume(rng.normal(300, 80, grid.shape).astype(np.float32), grid)


def bones(grid: Geometry, rng: np.random.Generator) -> Volume:
    return Volume(rng.integers(0, 9, grid.shape).astype(np.uint8), grid)


def lesions(grid: Geometry, count: int) -> Volume:
    array = np.zeros(grid.shape, np.uint16)
    for number, corner in enumerate([(0, 1, 1), (3, 4, 2)][:count], start=1):
        z, y, x = corner
        array[z : z + 2, y : y + 2, x : x + 2] = number
    return Volume(array, grid)


def write_patient(folder: Path, seed: int, sequences: tuple[Sequence, ...]) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for s in sequences:
        write_nifti(folder / f"{s}.nii.gz", image(GRIDS[s], rng))
        write_nifti(folder / f"{s}_bones.nii.gz", bones(GRIDS[s], rng))
        write_nifti(folder / f"{s}_lesions.nii.gz", lesions(GRIDS[s], seed % 3))


def write_cohort(folder: Path, patients: int = 5) -> Path:
    """Patients with both sequences, the last with T1 alone; the first is held out."""
    rows = []
    for n in range(patients):
        last = n == patients - 1
        write_patient(folder / f"p{n}", n, (Sequence.T1,) if last else tuple(Sequence))
        split = ["test", "validation", *["train"] * patients][n]
        rows.append(
            {
                "patient": f"p{n}",
                "split": split,
                "m_stage": "M1" if n % 3 else "M0",
                "scanner": "A",
                "age": 60.5 + n,
                "psa": None if n == 2 else 10.0 * n,
                "site": "north",
            }
        )
    write_table(folder / "patients.csv", rows)
    return folder


def write_dataset(
    folder: Path,
    labels: dict[str, object],
    cases: dict[str, np.ndarray],
    *,
    channels: dict[str, str] | None = None,
    held_out: tuple[str, ...] = (),
    grid: Geometry = GRIDS[Sequence.DWI],
) -> Path:
    """An nnU-Net data set with the given label maps; the images are noise."""
    channels = channels or {"0": "DWI"}
    for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (folder / part).mkdir(parents=True)
    for n, (case, label) in enumerate(cases.items()):
        part = "Ts" if case in held_out else "Tr"
        for c in channels:
            volume = image(grid, np.random.default_rng([n, int(c)]))
            write_nifti(folder / f"images{part}" / f"{case}_{int(c):04d}.nii.gz", volume)
        write_nifti(folder / f"labels{part}" / f"{case}.nii.gz", Volume(label, grid))
    description = {
        "channel_names": channels,
        "labels": labels,
        "numTraining": len(cases) - len(held_out),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder
