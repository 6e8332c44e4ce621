"""Nothing is trained or calibrated on the anatomies kept for measuring."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pelvimets.core.progress import silent
from pelvimets.errors import CohortError
from pelvimets.io.phantom.record import COHORT_RECORD, phantom_command, refuse_unseen
from pelvimets.model_development.calibrate import CalibrationRequest, calibrate
from pelvimets.phantom.anatomy.atlas import TRAINING_SOURCES, UNSEEN_SOURCES


def cohort_of(folder: Path, sources: tuple[str, ...]) -> Path:
    order = {
        "population": "lesions",
        "patients": 4,
        "seed": 1,
        "scanner": None,
        "artefacts": {},
        "settings": {"anatomy": {"sources": sources}},
    }
    (folder / COHORT_RECORD).write_text(json.dumps({"order": order}), encoding="utf-8")
    return folder


def test_a_cohort_of_unseen_people_is_refused(tmp_path: Path) -> None:
    cohort = cohort_of(tmp_path, (TRAINING_SOURCES[0], UNSEEN_SOURCES[0]))
    with pytest.raises(CohortError, match=f"kept for measuring.*{UNSEEN_SOURCES[0]}"):
        refuse_unseen(cohort)
    request = CalibrationRequest(Path("first"), (cohort,), tmp_path / "bundle")
    with pytest.raises(CohortError, match="kept for measuring"):
        calibrate(request, silent)
    assert not (tmp_path / "bundle").exists()


def test_other_cohorts_pass(tmp_path: Path) -> None:
    refuse_unseen(tmp_path)
    refuse_unseen(cohort_of(tmp_path, TRAINING_SOURCES))


def test_the_command_names_anatomies_that_were_chosen(tmp_path: Path) -> None:
    default = phantom_command(cohort_of(tmp_path, TRAINING_SOURCES))
    assert default is not None and "--anatomy" not in default
    chosen = phantom_command(cohort_of(tmp_path, UNSEEN_SOURCES[:2]))
    assert chosen is not None
    assert chosen.endswith(" ".join(f"--anatomy {name}" for name in UNSEEN_SOURCES[:2]))
