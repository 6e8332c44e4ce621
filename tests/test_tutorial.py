"""The tutorial notebook does what it says, cell by cell."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pelvimets.core.findings import Findings
from pelvimets.errors import InputError
from pelvimets.io.cohort.folder import read_cohort

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial"
NOTEBOOK, SCRIPT = TUTORIAL / "from_study_to_findings.ipynb", TUTORIAL / "thirty_patients.sh"
FOLD_RUNS = ("runs/fold-1", "runs/fold-2", "runs-t1/fold-1", "runs-t1/fold-2", "runs-lesions-only")


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def executed(cell: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last expression, as a notebook shows it."""
    tree = ast.parse(cell)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(compile(tree, NOTEBOOK.name, "exec"), names)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), NOTEBOOK.name, "exec"), names)
    return eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    shown = [executed(cell, names) for cell in code_cells()]
    assert isinstance(names["result"].findings, Findings)
    assert names["result"].findings.m1_suspected and len(names["lesions"]) >= 3
    overlaps = next(value for value in shown if isinstance(value, dict))
    assert len(overlaps) == 8 and min(overlaps.values()) > 0.5
    assert shown[-1] == Path("OUT/report.html") and shown[-1].is_file()
    assert "digital-7" in (tmp_path / "OUT" / "findings.json").read_text()
    with pytest.raises(InputError, match="not read from DICOM"):
        names["result"].save("OTHER", dicom=True)


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells)
    assert all(ast.parse(cell) for cell in code_cells())


def test_the_page_of_thirty_patients_says_what_its_script_does(tmp_path: Path) -> None:
    recorder = tmp_path / "recorder"
    recorder.write_text('#!/bin/sh\necho "pelvimets $*" >> "$RECORD"\n')
    recorder.chmod(0o755)
    record = tmp_path / "record.txt"
    where = {"PELVIMETS": str(recorder), "RECORD": str(record), "PYTHON": "true"}
    command = ["sh", str(SCRIPT), str(tmp_path / "tutorial")]
    subprocess.run(command, env={**os.environ, **where}, check=True, capture_output=True)
    page = (TUTORIAL / "thirty_patients.md").read_text(encoding="utf-8").splitlines()
    told = [line.strip() for line in page if line.startswith("    pelvimets ")]
    assert record.read_text().splitlines() == told and len(told) == 14


@pytest.mark.long
def test_the_path_of_thirty_patients_runs_with_six(tmp_path: Path) -> None:
    size = {"PATIENTS": "6", "SEED": "189", "FOLDS": "2", "MINUTES": "0.1", "JOBS": "1"}
    how = {"PELVIMETS": f"{sys.executable} -m pelvimets", "PYTHON": sys.executable}
    folder = tmp_path / "six"
    command = ["sh", str(SCRIPT), str(folder)]
    done = subprocess.run(
        command,
        env={**os.environ, **size, **how, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    assert "Traceback" not in said
    assert "1 patients without masks of the lesions left out" in said
    cohort = read_cohort(folder / "cohort")
    assert len(cohort.patients) == 6
    assert all((folder / run / "best.ckpt").is_file() for run in FOLD_RUNS)
    card = (folder / "calibrated" / "model_card.md").read_text(encoding="utf-8")
    assert "bones of 12 of 12 images drawn by first" in card
    assert "networks of the fold that did not learn from that patient" in " ".join(card.split())
    assert (folder / "evaluation" / "report.html").is_file()
    assert len(list((folder / "predictions").glob("p*/findings.json"))) == 6
