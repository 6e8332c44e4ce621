"""The page on thirty patients of one's own, typed on a smaller scale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pelvimets.cli.main import app
from pelvimets.core.volume import Volume
from pelvimets.io.nifti.files import write_nifti
from pelvimets.labels import Bone
from tests.app.test_train import GEOMETRY, SHAPE, SMALL
from tests.io.exchange_samples import write_dataset

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def typed(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, f"{words}\n{done.output}\n{done.exception!r}"
    return done.output


def drawn(number: int) -> np.ndarray:
    """Ilium and sacrum alone, the ilium with a lesion in every second patient."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:8, 5:20, 5:20], labels[2:8, 8:25, 25:36] = 2, 1
    if number % 2:
        labels[4:6, 10:14, 28:32] = 3
    return labels


def test_from_partial_labels_to_whom_to_annotate_next(tmp_path: Path) -> None:
    named = {"background": 0, "ilium": 1, "sacrum": 2, "lesion": 3}
    cases = {f"p{n}": drawn(n) for n in range(6)}
    source = write_dataset(tmp_path / "Dataset501_Own", named, cases, grid=GEOMETRY)
    cohort, small = tmp_path / "cohort", tmp_path / "small.json"
    small.write_text(json.dumps(SMALL))
    said = typed("import", "nnunet", source, "-o", cohort, "--dry-run")
    assert "taken as not annotated" in said and "0 faults in 0 of them" in said
    typed("import", "nnunet", source, "-o", cohort)
    rows = ["patient,m_stage", *(f"p{n},M{n % 2}" for n in range(6)), "p9,"]
    (cohort / "patients.csv").write_text("\n".join(rows) + "\n")
    (cohort / "p9").mkdir()
    image = np.random.default_rng(9).normal(300, 80, SHAPE).astype(np.float32)
    write_nifti(cohort / "p9" / "dwi.nii.gz", Volume(image, GEOMETRY))
    folds = ["--data", cohort, "--folds", 2, "--settings", small, "--workers", 0]
    said = typed("train", "lesions", *folds, "-o", tmp_path / "lesions")
    assert "in 4 of 4 images some bones are not drawn" in said or "left out" in said
    said = typed(
        "train", "bones", *folds, "-o", tmp_path / "bones", "--split-of", tmp_path / "lesions"
    )
    assert "nobody drew lumbar vertebra" in said and "Fold 2 of 2" in said
    bundle = ["--bundle", tmp_path / "bundle"]
    words = ["--bones", tmp_path / "bones", "--lesions", tmp_path / "lesions"]
    typed("bundle", *words, "-o", tmp_path / "bundle")
    typed(
        "predict",
        cohort,
        "-o",
        tmp_path / "found",
        "--bundle",
        tmp_path / "bundle",
        "--out-of-fold",
    )
    both = ["--predictions", tmp_path / "found", "--reference", cohort]
    typed("evaluate", *both, "-o", tmp_path / "evaluation")
    results = json.loads((tmp_path / "evaluation" / "results.json").read_text())
    keys = {row["structure"] for row in results["voxel_summary"] if row["sequence"] == "dwi"}
    assert Bone.ILIUM.key in keys and Bone.PUBIS.key not in keys
    said = typed("next", cohort, *bundle)
    assert "p9" in said and "1 patients without masks" in said
