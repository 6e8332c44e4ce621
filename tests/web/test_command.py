"""``pelvimets view`` as a process: it starts, serves, and ends on Ctrl+C."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from pelvimets.cli import view as command
from pelvimets.core.review import Remarks, Verdict
from pelvimets.errors import MissingExtraError
from pelvimets.reading_room.desk import ReviewDesk


def test_it_serves_until_interrupted(out: Path) -> None:
    code = "from pelvimets.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "view", str(out), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().removeprefix("Viewer: ").strip()
    with httpx.Client(follow_redirects=True, timeout=60) as client:
        assert "pelvimets viewer" in client.get(address).text
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (0, "")


def test_a_signed_review_is_exported(out: Path, tmp_path: Path) -> None:
    desk = ReviewDesk(out)
    for lesion in desk.lesions:
        desk.decide(lesion.number, Verdict.REJECTED)
    desk.remark(Remarks(reader="Dr. Ada"))
    desk.sign()
    app = typer.Typer()
    app.command()(command.view)
    result = CliRunner().invoke(app, [str(out), "--export", str(tmp_path / "cohort")])
    assert result.exit_code == 0, result.output
    table = (tmp_path / "cohort" / "patients.csv").read_text()
    assert table == "patient,m_stage\npatient-0042,\n"  # nothing found is no M0


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name="fastapi")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"no module fastapi.*pelvimets\[view\]"):
        command._web()
