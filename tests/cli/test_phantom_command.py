"""``pelvimets phantom`` as typed: what it hands on, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pelvimets.app import phantom as app_phantom
from pelvimets.cli.phantom import app
from pelvimets.labels import Split
from pelvimets.phantom.choices import DicomStyle, Population
from pelvimets.phantom.cohort import literature
from pelvimets.phantom.cohort.checks import CheckRow, Reference


@pytest.fixture
def ordered(monkeypatch):
    """What the commands order, without making it."""
    orders = []

    def make(order, out, *args, **options):
        orders.append((order, out, options))
        return out

    monkeypatch.setattr(app_phantom, "make_phantom", make)
    monkeypatch.setattr(app_phantom, "make_cohort", make)
    return orders


def test_one_patient(ordered):
    words = ["--seed", "7", "-o", "man", "--dicom", "ge", "--follow-up", "--anatomy", "ct"]
    words += ["--artefact", "all=0", "--artefact", "ghost=2.5", "--like", "bones"]
    result = CliRunner().invoke(app, [*words, "--split", "test"])
    assert result.exit_code == 0, result.output
    ((order, out, _),) = ordered
    assert (order.seed, out) == (7, Path("man"))
    how = order.examined
    assert (how.dicom, how.follow_up) == (DicomStyle.GE, True)
    assert how.artefacts.ghost == 2.5 and how.artefacts.noise == 0.0
    assert (order.population, order.part) == (Population.BONES, Split.TEST)
    assert how.settings.anatomy.sources == ("ct",)


def test_cohort(ordered):
    words = ["cohort", "--like", "external", "--patients", "63", "--seed", "5", "--jobs", "2"]
    result = CliRunner().invoke(app, [*words, "-o", "c", "--scanner", "avanto"])
    assert result.exit_code == 0, result.output
    ((order, out, options),) = ordered
    assert (order.population, order.patients, order.seed) == (Population.EXTERNAL, 63, 5)
    assert (order.examined.scanner, out, options["jobs"]) == ("avanto", Path("c"), 2)


@pytest.mark.parametrize(
    "words",
    [
        ["--seed", "7"],
        ["--seed", "-1", "-o", "x"],
        ["-o", "x", "--dicom", "toshiba"],
        ["-o", "x", "--artefact", "ghost"],
        ["-o", "x", "--artefact", "ghost=much"],
        ["-o", "x", "--like", "everybody"],
        ["cohort", "-o", "x", "--patients", "0"],
    ],
)
def test_usage_errors(ordered, words):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and not ordered


def test_check_of_a_cohort_compares_its_disease_with_the_paper(monkeypatch):
    asked = []
    rows = (CheckRow(Reference("a", "Lowest CNR", 1.5, float("inf"), "readers"), 1.2, 4),)
    monkeypatch.setattr(app_phantom, "check_cohort", lambda folder: asked.append(folder) or rows)
    result = CliRunner().invoke(app, ["check", "--cohort", "made"])
    assert asked == [Path("made")] and result.exit_code == 1
    assert "1.5 to inf" in result.output and "off" in result.output


def test_check_prints_a_table_and_fails_when_something_is_off(monkeypatch):
    reference = Reference("a", "ADC of marrow", 288, 655, "somebody 2021")
    for value, code in ((420.0, 0), (900.0, 1)):
        rows = (CheckRow(reference, value, 2),)
        monkeypatch.setattr(literature, "check_phantom", lambda *args, rows=rows: rows)
        result = CliRunner().invoke(app, ["check", "--patients", "2"])
        assert result.exit_code == code
        assert "288 to 655" in result.output and f"{value:.4g}" in result.output
