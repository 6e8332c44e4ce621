"""Real images with metastases put in: the truth is known, and what is real stays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pelvimets.core.lesions import near_bone
from pelvimets.errors import CohortError, OutputError, SettingsError
from pelvimets.io.cohort.folder import read_case, read_cohort
from pelvimets.io.nifti.files import write_nifti
from pelvimets.io.phantom.record import phantom_command
from pelvimets.labels import Sequence
from pelvimets.model_development import insertion
from pelvimets.model_development.insertion import InsertionOrder, insert_into_cohort
from tests.app.conftest import KnownStudy, image_of


@pytest.fixture
def real(known_study: KnownStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two people; no bone mask, so the bundle draws the bones."""
    monkeypatch.setattr(insertion, "load_segmenter", lambda bundle: known_study.segmenter)
    folder = tmp_path / "real"
    none = known_study.bones.with_array(np.zeros_like(known_study.lesions.array))
    for key in ("a", "b"):
        (folder / key).mkdir(parents=True)
        write_nifti(folder / key / "t1.nii.gz", image_of(known_study.bones, none, Sequence.T1))
    (folder / "patients.csv").write_text("patient,scanner\na,one\nb,two\n")
    return folder


def test_one_copy_stays_and_the_others_hold_what_was_put_in(
    real: Path, known_study: KnownStudy, tmp_path: Path
) -> None:
    insert_into_cohort(InsertionOrder(real, tmp_path / "out", copies=2))
    made = read_cohort(tmp_path / "out")
    assert [p.key for p in made.patients] == ["a-0", "a-1", "a-2", "b-0", "b-1", "b-2"]
    assert [p.details["person"] for p in made.patients] == ["a"] * 3 + ["b"] * 3
    assert [p.m_stage for p in made.patients] == ["M0", "M1", "M1"] * 2
    cases = {p.key: read_case(p, Sequence.T1) for p in made.patients}
    untouched = read_case(read_cohort(real).patients[0], Sequence.T1).image.array
    for key, case in cases.items():
        assert case.bones is not None and case.lesions is not None
        changed, truth = case.image.array != untouched, case.lesions.array > 0
        assert changed.any() == truth.any() == (not key.endswith("-0"))
        assert set(np.unique(case.lesions.array)) == set(range(case.lesions.array.max() + 1))
        assert not (truth & ~near_bone(case.bones, 15.0)).any()
        if truth.any():
            assert case.image.array[truth].mean() < untouched[truth].mean()
    assert (cases["a-1"].lesions.array != cases["a-2"].lesions.array).any()
    assert (cases["a-1"].lesions.array != cases["b-1"].lesions.array).any()


def test_the_same_order_gives_the_same_and_its_command(real: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        insert_into_cohort(InsertionOrder(real, tmp_path / name, copies=1, seed=seed))
    masks = [
        read_case(read_cohort(tmp_path / name).patient("a-1"), Sequence.T1).lesions.array
        for name in ("one", "two", "other")
    ]
    assert (masks[0] == masks[1]).all() and (masks[0] != masks[2]).any()
    assert phantom_command(tmp_path / "one") == "pelvimets phantom insert real --copies 1 --seed 3"
    assert json.loads((tmp_path / "one" / "inserted.json").read_text())["seed"] == 3


def test_what_cannot_be_is_refused(real: Path, known_study: KnownStudy, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="At least one copy"):
        insert_into_cohort(InsertionOrder(real, tmp_path / "out", copies=0))
    insert_into_cohort(InsertionOrder(real, tmp_path / "out", copies=1))
    with pytest.raises(OutputError):
        insert_into_cohort(InsertionOrder(real, tmp_path / "out", copies=1))
    write_nifti(real / "a" / "t1_lesions.nii.gz", known_study.lesions)
    with pytest.raises(CohortError, match="has metastases"):
        insert_into_cohort(InsertionOrder(real, tmp_path / "late", copies=1))
    assert not (tmp_path / "late").exists()
