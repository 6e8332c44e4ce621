from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pelvimets.app.train import prepare_cohort, train_run
from pelvimets.config import GridSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError
from pelvimets.io.cohort import read_cohort
from pelvimets.io.nifti import write_nifti
from pelvimets.model.settings import NetworkSettings
from pelvimets.training.presets import DEFAULT_BONES, DEFAULT_LESIONS
from pelvimets.training.settings import Stage, Task, TrainingSettings

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own advice on tiny runs


def small(preset: TrainingSettings) -> TrainingSettings:
    return replace(
        preset,
        network=NetworkSettings(channels=(4, 8)),
        grid=GridSettings(spacing_mm=(8.0, 6.0, 6.0), multiple_of=(2, 4, 4)),
        stages=(Stage(until=1.0, spacing_mm=(8.0, 6.0, 6.0), shape=(4, 8, 8), batch=2),),
        epochs=1,
        steps_per_epoch=2,
        validate_every=1,
    )


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = tmp_path / "cohort"
    rows = ["patient,split"]
    for number, split in enumerate(("train", "train", "validation")):
        write_patient(folder / f"p{number}", number)
        rows.append(f"p{number},{split}")
    (folder / "patients.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_patient(folder: Path, number: int) -> None:
    folder.mkdir(parents=True)
    geometry = Geometry.from_axes((10, 30, 40), (5.0, 3.0, 3.0))
    bones = np.zeros(geometry.shape, dtype=np.uint8)
    bones[2:8, 5:20, 5:20], bones[2:8, 8:25, 25:36] = 5, 3
    lesions = np.zeros(geometry.shape, dtype=np.uint16)
    lesions[4:6, 10:14, 28:32] = 1
    image = np.random.default_rng(number).normal(100, 5, geometry.shape) + 30.0 * bones
    write_nifti(folder / "dwi.nii.gz", Volume(image.astype(np.float32), geometry))
    write_nifti(folder / "dwi_bones.nii.gz", Volume(bones, geometry))
    write_nifti(folder / "dwi_lesions.nii.gz", Volume(lesions, geometry))


def test_samples_are_prepared_once(cohort: Path, tmp_path: Path) -> None:
    settings = small(DEFAULT_BONES)
    prepare_cohort(read_cohort(cohort), settings, tmp_path / "store")
    files = sorted((tmp_path / "store").glob("*/*.npz"))
    assert [f.name for f in files] == ["p0_dwi.npz", "p1_dwi.npz", "p2_dwi.npz"]
    before = [f.stat().st_mtime_ns for f in files]
    prepare_cohort(read_cohort(cohort), settings, tmp_path / "store")
    assert [f.stat().st_mtime_ns for f in files] == before


def test_faulty_cohorts_are_refused_before_the_first_epoch(cohort: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    (cohort / "p1" / "dwi_lesions.nii.gz").unlink()
    with pytest.raises(CohortError, match="p1, DWI: no mask of the lesions"):
        prepare_cohort(read_cohort(cohort), small(DEFAULT_LESIONS), store)
    geometry = Geometry.from_axes((10, 30, 40), (5.0, 3.0, 3.0))
    strange = np.full(geometry.shape, 12, dtype=np.uint8)
    write_nifti(cohort / "p2" / "dwi_bones.nii.gz", Volume(strange, geometry))
    with pytest.raises(CohortError, match=r"p2, DWI: unknown values.*12"):
        prepare_cohort(read_cohort(cohort), small(DEFAULT_BONES), store)
    (cohort / "patients.csv").write_text("patient,split\np0,train\n")
    with pytest.raises(CohortError, match="no patient in the split validation"):
        prepare_cohort(read_cohort(cohort), small(DEFAULT_BONES), store)
