"""``pelvimets import`` and ``pelvimets export`` as typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pelvimets.cli.main import app
from pelvimets.errors import CohortError
from pelvimets.io.cohort.folder import read_cohort
from tests.io.exchange_samples import write_cohort


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_there_and_back(tmp_path: Path):
    cohort, raw = write_cohort(tmp_path / "cohort", 4), tmp_path / "Dataset501_Lesions"
    said = run(
        *("export", "nnunet", cohort, "-o", raw, "--task", "lesions"),
        *("--sequence", "dwi", "--channel", "bones"),
    )
    assert "2 training cases, 1 held out" in said and "1 patients have no such image" in said
    shown = run("import", "nnunet", raw, "-o", tmp_path / "again", "--dry-run")
    assert "dwi (lesions)" in shown and not (tmp_path / "again").exists()
    run("import", "nnunet", raw, "-o", tmp_path / "again")
    assert len(read_cohort(tmp_path / "again").patients) == 3


def test_a_folder_of_pairs_is_shown_file_by_file(tmp_path: Path):
    cohort = write_cohort(tmp_path / "cohort", 2)
    shown = run("import", "nifti", cohort, "-o", tmp_path / "again", "--dry-run")
    assert "p0/dwi_lesions.nii.gz" in shown and "dwi_lesions" in shown
    (cohort / "p0" / "dwi_lesions.nii.gz").unlink()
    with pytest.raises(CohortError, match="--missing-lesions empty"):
        run("import", "nifti", cohort, "-o", tmp_path / "again")
    run("import", "nifti", cohort, "-o", tmp_path / "again", "--missing-lesions", "empty")
    assert (tmp_path / "again" / "p0" / "dwi_lesions.nii.gz").is_file()


@pytest.mark.parametrize("given", ["--map=ilium", "--map=a=nose", "--channel=x=dwi"])
def test_options_that_say_nothing_are_usage_errors(tmp_path: Path, given: str):
    arguments = ["import", "nnunet", str(tmp_path), "-o", str(tmp_path / "out"), given]
    assert CliRunner().invoke(app, arguments).exit_code == 2
