"""The frozen benchmark: the same cohort again, a perfect submission, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from typer.testing import CliRunner

from pelvimets.app.benchmark import ScoreRequest, leaderboard_page, make_benchmark, score
from pelvimets.cli.main import app
from pelvimets.errors import CohortError, InputError, SettingsError
from pelvimets.io.cohort.folder import read_cohort
from pelvimets.io.exchange.benchmark import read_results
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.phantom.anatomy.atlas import EARLIER_SOURCES, UNSEEN_SOURCES
from pelvimets.phantom.cohort.benchmark import Agreement, load_benchmark

PATIENTS = ("p0001", "p0002")
LEADERBOARD = Path(__file__).parents[2] / "docs" / "leaderboard.md"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The part ``tiny`` as it is made here; also the test that it is the frozen one."""
    folder = tmp_path_factory.mktemp("benchmark") / "made"
    agreed = make_benchmark(folder, ("tiny",))
    assert agreed["tiny"] in (Agreement.EXACT, Agreement.CLOSE), (
        "Digital patients have changed: freeze the benchmark anew under a higher version "
        "(tools/freeze_benchmark.py) and score the leaderboard's methods again"
    )
    return folder


@pytest.fixture
def submission(made: Path, tmp_path: Path) -> Path:
    """The truth itself as binary masks of lesions, and bones, with scores."""
    folder = tmp_path / "mine"
    rows = []
    for patient in PATIENTS:
        case = f"tiny_{patient}"
        for sequence in ("dwi", "t1"):
            for target, kind in ((sequence, "lesions"), (f"{sequence}_bones", "bones")):
                (folder / target).mkdir(parents=True, exist_ok=True)
                truth = read_nifti(made / "tiny" / patient / f"{sequence}_{kind}.nii.gz")
                mask = truth.array > 0 if kind == "lesions" else truth.array
                write_nifti(folder / target / f"{case}.nii.gz", truth.with_array(mask.astype("u1")))
                if kind == "lesions":
                    sick = bool(mask.any())
                    rows.append((case, sequence, "", 0.9 if sick else 0.1))
                    rows += [(case, sequence, 1, 0.8)] if sick else []
    with (folder / "scores.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("case", "sequence", "lesion", "score"))
        writer.writerows(rows)
    (folder / "method.json").write_text(json.dumps({"name": "truth", "minutes": 0}))
    return folder


def scored(made, submission):
    return score(ScoreRequest(made, submission, ("tiny",)))


def test_images_lie_under_the_names_that_nnunet_expects(made: Path):
    for sequence in ("dwi", "t1"):
        names = sorted(path.name for path in (made / "inputs" / sequence).iterdir())
        assert names == [f"tiny_{patient}_0000.nii.gz" for patient in PATIENTS]
    own = read_nifti(made / "inputs" / "t1" / "tiny_p0002_0000.nii.gz")
    assert np.array_equal(own.array, read_nifti(made / "tiny" / "p0002" / "t1.nii.gz").array)


def test_the_truth_submitted_is_perfect_and_follows_the_schema(made, submission):
    result = scored(made, submission)
    schema = resources.files("pelvimets.resources") / "schemas" / "benchmark.schema.json"
    jsonschema.validate(result, json.loads(schema.read_text()))
    assert result["method"]["name"] == "truth" and result["cohort"]["tiny"] in ("exact", "close")
    facts = result["parts"]["tiny"]
    lesions = {patient.key: int(patient.details["lesions"]) > 0
               for patient in read_cohort(made / "tiny").patients}  # fmt: skip
    assert facts["m1"] == sum(lesions.values()) == 1
    for sequence in ("dwi", "t1"):
        for rule in ("any-overlap", "one-to-one"):
            rates = facts["lesions"][sequence]["by_rule"][rule]
            assert rates["recall"][0] == rates["precision"][0] == 1.0
            assert rates["false_per_m0"] == 0
        assert facts["lesions"][sequence]["dsc"] == facts["voxel"][sequence]["mean"]["dsc"] == 1.0
    assert facts["lesions"]["either"]["auc"][0] == 1.0


def test_a_folder_of_predict_serves_as_it_stands(made, submission, tmp_path):
    folder = tmp_path / "predicted"
    for patient in PATIENTS:
        (folder / "tiny" / patient).mkdir(parents=True)
        shutil.copyfile(
            submission / "dwi" / f"tiny_{patient}.nii.gz",
            folder / "tiny" / patient / "dwi_lesions.nii.gz",
        )
    result = scored(made, folder)
    facts = result["parts"]["tiny"]
    assert result["method"]["name"] == "predicted" and result["method"]["minutes"] is None
    assert facts["lesions"]["dwi"]["by_rule"]["any-overlap"]["recall"][0] == 1.0
    assert "t1" not in facts["lesions"] and facts["lesions"]["dwi"]["auc"] is None
    page = leaderboard_page([{**result, "parts": {"seeds": facts}}])
    assert "## seeds" in page and "| predicted | 1.00 (" in page and "; - |" in page


def test_an_empty_mask_is_a_miss_and_a_missing_one_is_refused(made, submission):
    path = submission / "dwi" / "tiny_p0001.nii.gz"
    mask = read_nifti(path)
    assert mask.array.any()  # the man with metastases
    write_nifti(path, mask.with_array(np.zeros_like(mask.array)))
    (submission / "scores.csv").unlink()
    found = scored(made, submission)["parts"]["tiny"]["lesions"]["dwi"]["by_rule"]
    assert found["any-overlap"]["recall"][0] == 0
    path.unlink()
    with pytest.raises(InputError, match=r"lesions on DWI are missing .*p0001"):
        scored(made, submission)


def test_a_mask_on_another_grid_or_without_its_sequence_is_refused(made, submission):
    path = submission / "t1" / "tiny_p0001.nii.gz"
    shutil.copyfile(submission / "dwi" / "tiny_p0001.nii.gz", path)
    with pytest.raises(InputError, match="another grid"):
        scored(made, submission)
    for sequence in ("dwi", "t1"):
        shutil.rmtree(submission / sequence)
    with pytest.raises(InputError, match="no lesion masks"):
        scored(made, submission)


@pytest.mark.parametrize(
    "text,words",
    [
        ("case,sequence,score\n", "needs the columns"),
        ("case,sequence,lesion,score\ntiny_p0001,dwi,1,high\n", "Line 2"),
        ("case,sequence,lesion,score\ntiny_p0001,t2,1,0.5\n", "Line 2"),
    ],
)
def test_scores_that_cannot_be_read_are_named(made, submission, text, words):
    (submission / "scores.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        scored(made, submission)


def test_a_method_with_unknown_entries_is_refused(made, submission):
    (submission / "method.json").write_text('{"name": "x", "gpu": 8}')
    with pytest.raises(InputError, match=r"unknown entries \(got gpu\)"):
        scored(made, submission)


def test_another_truth_version_or_part_is_refused(made, submission, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(made, other)
    path = other / "tiny" / "p0001" / "dwi_lesions.nii.gz"
    truth = read_nifti(path)
    write_nifti(path, truth.with_array(np.roll(truth.array, 1, axis=0) * (truth.array > 0)))
    with pytest.raises(CohortError, match="not that of the frozen"):
        scored(other, submission)
    (other / "benchmark.json").write_text('{"benchmark": "0.0"}')
    with pytest.raises(CohortError, match="another version"):
        scored(other, submission)
    with pytest.raises(CohortError, match="not made yet"):
        score(ScoreRequest(made, submission, ("seeds",)))
    with pytest.raises(SettingsError, match="no such part"):
        make_benchmark(tmp_path / "new", ("everything",))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").write_text("mine")
    with pytest.raises(CohortError, match="new folder"):
        make_benchmark(tmp_path / "full", ("tiny",))


def test_the_commands_as_typed(made, submission, tmp_path):
    run = CliRunner()
    answer = run.invoke(app, ["benchmark", "make", "-o", str(made), "--part", "tiny"])
    assert answer.exit_code == 0 and "tiny: " in answer.output, answer.output
    out = tmp_path / "truth.json"
    words = ["benchmark", "score", str(made), str(submission), "--part", "tiny", "-o", str(out)]
    answer = run.invoke(app, words)
    assert answer.exit_code == 0, answer.output
    assert "tiny, dwi, any-overlap: recall 1.000" in answer.output
    result = json.loads(out.read_text())
    result["parts"] = {"stress": result["parts"]["tiny"]}
    out.write_text(json.dumps(result))
    page = tmp_path / "page.md"
    answer = run.invoke(app, ["benchmark", "table", str(out), "-o", str(page)])
    assert answer.exit_code == 0 and "| truth | 1.00 (" in page.read_text()


def test_results_of_one_name_or_another_version_make_no_leaderboard(made, submission, tmp_path):
    result = scored(made, submission)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps(result))
    with pytest.raises(InputError, match=r"each method once \(got truth\)"):
        read_results([tmp_path / "a.json", tmp_path / "b.json"])
    (tmp_path / "a.json").write_text(json.dumps({**result, "benchmark": "0.0"}))
    with pytest.raises(InputError, match="another version"):
        read_results([tmp_path / "a.json"])
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(InputError, match="no result"):
        read_results([tmp_path / "a.json"])


def test_the_published_page_is_made_from_the_published_results():
    results = read_results([LEADERBOARD.with_suffix("")])
    assert leaderboard_page(results) == LEADERBOARD.read_text(encoding="utf-8")
    assert {part for r in results for part in r["parts"]} == {"seeds", "people", "stress"}


def test_every_part_is_frozen():
    benchmark = load_benchmark()
    for part in benchmark.parts.values():
        assert len(benchmark.fingerprints[part.name]) == part.patients
    assert set(benchmark.parts["seeds"].anatomies) <= set(EARLIER_SOURCES)
    assert set(benchmark.parts["people"].anatomies) <= set(UNSEEN_SOURCES)
