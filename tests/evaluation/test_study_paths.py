"""Replication, agreement of observers, comparison of two models, and their commands."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import typer
from synthetic_cohort import GRIDS, write_cohort
from typer.testing import CliRunner

from pelvimets.app.agreement import agree
from pelvimets.app.compare_models import compare
from pelvimets.app.evaluate import evaluate
from pelvimets.cli import evaluate as commands
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError, SettingsError
from pelvimets.evaluation import dice
from pelvimets.evaluation.readings import Reading
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.statistics.readers import CONSENSUS, pair_kind
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.requests.evaluate import AgreementRequest, EvaluationRequest
from studies.liu2021.replicate import InSilico, ReplicationRequest, replicate

QUICK = EvaluationSettings(bootstrap_samples=100, in_silico=True)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort"), 6, images=False)


@pytest.fixture(scope="module")
def models(cohort, tmp_path_factory):
    """The prediction, and one that misses all lesions of patient 4, both evaluated."""
    reference, prediction = cohort
    worse = tmp_path_factory.mktemp("worse") / "prediction"
    shutil.copytree(prediction, worse)
    for sequence, grid in GRIDS.items():
        path = worse / "p04" / f"{sequence}_lesions.nii.gz"
        write_nifti(path, Volume(np.zeros(grid.shape, np.uint16), grid))
    (worse / "p04" / "findings.json").unlink()
    out = tmp_path_factory.mktemp("evaluated")
    for name, folder in (("good", prediction), ("worse", worse)):
        evaluate(EvaluationRequest(folder, reference, QUICK, figures=False), out / name)
    return out / "good", out / "worse"


def observers(cohort, folder):
    """Four annotations: the reference and three shifted copies of its lesion masks."""
    made = {}
    for name, steps in {"A1.1": 0, "A1.2": 1, "A2.1": 0, "A2.2": 2}.items():
        made[name] = folder / name
        for source in sorted(cohort[0].glob("p*/t1_lesions.nii.gz")):
            target = made[name] / source.parent.name / source.name
            target.parent.mkdir(parents=True)
            volume = read_nifti(source)
            write_nifti(target, volume.with_array(np.roll(volume.array, steps, axis=2)))
    return made


def test_observers_are_compared_within_between_and_with_the_model(cohort, tmp_path):
    made = observers(cohort, tmp_path)
    found = agree(AgreementRequest(made, cohort[1], QUICK), tmp_path / "out")
    by_pair = {(s.first, s.second): s for s in found.summaries}
    assert by_pair["A1.1", "A2.1"].dsc.mean == 1.0
    assert by_pair["A1.1", "A2.1"].kind == "inter-observer"
    assert by_pair["A1.1", "A1.2"].kind == "intra-observer"
    assert by_pair["A1.1", "model"].kind == "model"
    masks = [read_nifti(made[n] / "p02" / "t1_lesions.nii.gz").array > 0 for n in ("A1.1", "A1.2")]
    pairs = json.loads((tmp_path / "out" / "agreement.json").read_text())["pairs"]
    row = next(
        r for r in pairs if (r["patient"], r["first"], r["second"]) == ("p02", "A1.1", "A1.2")
    )
    assert row["dsc"] == pytest.approx(dice(*masks))
    assert by_pair["A1.1", "A1.2"].dsc.n_nan == 3  # patients without lesions
    assert by_pair["A1.1", "A1.2"].presence.estimate == 1.0
    other = by_pair["A1.1", "model"].presence  # the model marks p03 without lesions, misses p00
    assert other.estimate == pytest.approx(1 / 3)
    assert by_pair[CONSENSUS, "A1.1"].dsc.mean > by_pair[CONSENSUS, "A2.2"].dsc.mean
    assert "rank" in found.rank[0]
    assert (tmp_path / "out" / "figures" / "agreement.svg").is_file()
    assert (tmp_path / "out" / "tables" / "consensus.csv").is_file()


def test_observers_on_other_grids_or_missing_are_named(cohort, tmp_path):
    made = observers(cohort, tmp_path)
    other = Geometry.from_axes((4, 4, 4), (9.0, 9.0, 9.0))
    path = made["A2.2"] / "p02" / "t1_lesions.nii.gz"
    write_nifti(path, Volume(np.zeros(other.shape, np.uint8), other))
    (made["A1.2"] / "p00" / "t1_lesions.nii.gz").unlink()
    found = agree(AgreementRequest(made, settings=QUICK), tmp_path / "out")
    texts = {(p.patient, p.code): p.message for p in found.problems}
    assert "A2.2 lies on another grid" in texts["p02", "not computed"]
    assert "no lesion mask of A1.2" in texts["p00", "missing mask"]


def test_agreement_needs_two_observers_with_common_patients(cohort, tmp_path):
    with pytest.raises(InputError, match="two observers"):
        agree(AgreementRequest({"A1.1": cohort[0]}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_kinds_of_pairs():
    assert pair_kind("A1.1", "A1.2") == "intra-observer"
    assert pair_kind("A1.2", "A2.2") == "inter-observer"
    assert pair_kind("A1.2", "model", "model") == "model"


def test_two_models_are_compared_patient_by_patient(models, tmp_path):
    found = compare(*models, tmp_path / "out", settings=QUICK)
    lesion = next(
        m
        for m in found.comparison.measures
        if (m.sequence.value, m.structure, m.measure) == ("dwi", "lesions", "dsc")
    )
    assert lesion.difference.estimate == pytest.approx(
        np.mean([b - a for a, b in lesion.pairs.values()])
    )
    assert lesion.pairs["p04"][1] == 0 and lesion.difference.estimate < 0
    recall = found.comparison.detection[Reading.DWI]["recall"]
    assert recall.difference.estimate < 0
    sensitivity = found.comparison.detection[Reading.DWI]["sensitivity"].difference.estimate
    assert sensitivity == pytest.approx(-1 / 3)
    for name in ("figures/cases_dsc.pdf", "tables/comparison_voxel.tex", "comparison.json"):
        assert (tmp_path / "out" / name).is_file()
    assert "in-silico" in (tmp_path / "out" / "report.html").read_text().lower()


def test_comparing_needs_results(tmp_path):
    with pytest.raises(InputError, match="results"):
        compare(tmp_path, tmp_path, tmp_path / "out")


class Made:
    """A cohort maker and a reader that copy a synthetic cohort."""

    def __init__(self, cohort):
        self.cohort = cohort
        self.orders = []

    def make(self, like, patients, seed, folder, jobs):
        self.orders.append((like, patients, seed))
        shutil.copytree(self.cohort[0], folder)

    def predict(self, cohort, out, jobs):
        shutil.copytree(self.cohort[1], out)


@pytest.fixture(scope="module")
def replicated(cohort, tmp_path_factory):
    made, work = Made(cohort), tmp_path_factory.mktemp("replication")
    study = InSilico(made.make, made.predict, work / "work", patients=6)
    done = replicate(ReplicationRequest(study, settings=QUICK, figures=False), work / "out")
    return done, made, work / "out"


def test_replication_makes_three_cohorts_of_the_papers_proportions(replicated):
    _, made, _ = replicated
    assert [order[:2] for order in made.orders] == [("bones", 8), ("lesions", 4), ("external", 6)]
    assert len({order[2] for order in made.orders}) == 3


def test_replication_sets_the_papers_value_beside_each_figure(replicated):
    done, _, out = replicated
    bones = (out / "tables" / "beside_paper_bones.csv").read_text()
    assert "0.89 ± 0.05" in bones  # lumbar vertebra, DWI
    test = (out / "tables" / "beside_paper_test.csv").read_text()
    assert "87.5 (61.7-98.4)" in test and "91.0, 81/89" in test
    external = (out / "tables" / "beside_paper_external.csv").read_text()
    assert "93.5, 29/31" in external and "no statement (%), not in the rates" in external
    described = done.results["external"].characteristics
    assert {m: dict(c.patients) for m, c in described.items()} == {
        "bones": {"test": 6, "external": 6},
        "lesions": {"test": 6, "external": 6},
    }
    rate = done.results["external"].readings[Reading.DWI].patients.rates["sensitivity"]
    assert f"{rate.numerator}/{rate.denominator}" in external


def test_replication_is_one_report_and_says_in_silico(replicated):
    done, _, out = replicated
    page = (out / "report.html").read_text()
    assert "In-silico" in page and "Clopper-Pearson" in page
    for name in ("bones", "lesions", "external"):
        assert "In-silico" in (out / name / "report.html").read_text()
        assert done.results[name].settings.in_silico
    assert json.loads((out / "replication.json").read_text())["findings"]


def test_printed_figures_alone(tmp_path):
    done = replicate(ReplicationRequest(), tmp_path / "out")
    assert not done.results and (tmp_path / "out" / "tables" / "paper_audit.csv").is_file()


def test_too_small_a_replication_is_refused(tmp_path):
    with pytest.raises(SettingsError):
        InSilico(print, print, tmp_path, patients=2)


@pytest.fixture(scope="module")
def app():
    program = typer.Typer()
    for command in (
        commands.evaluate, commands.agreement, commands.compare, commands.replicate,
    ):  # fmt: skip
        program.command()(command)
    return program


def test_evaluate_command(app, cohort, tmp_path):
    given = ["--predictions", str(cohort[1]), "--reference", str(cohort[0])]
    options = [
        "--bootstrap",
        "50",
        "-o",
        str(tmp_path / "out"),
        "--rule",
        "any-overlap",
        "--no-figures",
    ]
    done = CliRunner().invoke(app, ["evaluate", *given, *options])
    assert done.exit_code == 0, done.output
    assert "sensitivity" in done.output and "Report" in done.output
    settings_read = json.loads((tmp_path / "out" / "run.json").read_text())["settings"]
    assert settings_read["rule"] == "any-overlap"


@pytest.mark.parametrize(
    "options", [["--rule", "nearest"], ["--trained-on", "lesions"], ["--instances", "voxels"]]
)
def test_wrong_options_are_usage_errors(app, cohort, options):
    given = ["--predictions", str(cohort[1]), "--reference", str(cohort[0])]
    assert CliRunner().invoke(app, ["evaluate", *given, *options]).exit_code == 2


def test_replicate_command(app, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["replicate", "--no-in-silico", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "printed figures" in done.output


def test_agreement_command(app, cohort, tmp_path):
    made = observers(cohort, tmp_path)
    given = [word for n in ("A1.1", "A1.2") for word in ("--observer", f"{n}={made[n]}")]
    options = ["--bootstrap", "50", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["agreement", *given, *options])
    assert done.exit_code == 0, done.output
    assert "intra-observer" in done.output
    twice = CliRunner().invoke(app, ["agreement", *given[:2], *given[:2]])
    assert twice.exit_code == 2


def test_compare_command(app, models, tmp_path):
    folders = [str(folder) for folder in models]
    options = ["--names", "one", "two", "--bootstrap", "50", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["compare", *folders, *options, "--margin", "0.1"])
    assert done.exit_code == 0, done.output
    assert "lesions, dsc: difference" in done.output
    tested = (tmp_path / "out" / "tables" / "comparison_non_inferiority.csv").read_text()
    assert "Non-inferior: two loses less than 0.1" in tested and "tested from 15 on" in tested


def test_commands_load_nothing_heavy():
    code = (
        "import sys; import pelvimets.cli.evaluate; "
        "heavy = {'torch', 'matplotlib', 'scipy', 'pandas', 'SimpleITK'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
