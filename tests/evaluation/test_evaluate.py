"""Evaluation of a cohort from folders to tables, figures and report."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from importlib import resources

import jsonschema
import numpy as np
import pytest
from PIL import Image
from synthetic_cohort import GRIDS, balls_on, write_cohort

from pelvimets.app.evaluate import evaluate, measure_cohort, read_out_of_fold
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, InputError, OutputError
from pelvimets.evaluation import dice, hausdorff_distance
from pelvimets.evaluation.figures import (
    bland_altman_figure,
    bone_figure,
    calibration_groups_figure,
    looks,
)
from pelvimets.evaluation.figures.flow import flow_arms, flow_steps
from pelvimets.evaluation.measures.patients import patient_figures
from pelvimets.evaluation.readings import PatientCall, Reading
from pelvimets.evaluation.report.card_facts import evaluation_facts
from pelvimets.evaluation.report.headlines import headlines
from pelvimets.evaluation.report.plain import results_to_dict
from pelvimets.evaluation.results import About, summarise_cohort
from pelvimets.evaluation.settings import EvaluationSettings, MatchRule
from pelvimets.evaluation.tables.cases import case_table
from pelvimets.evaluation.tables.detection import detection_table
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.io.record.results import CaseStore
from pelvimets.labels import Sequence
from pelvimets.report.card import model_card
from pelvimets.requests.evaluate import EvaluationRequest

QUICK = EvaluationSettings(bootstrap_samples=200, in_silico=True)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort"), 8)


@pytest.fixture(scope="module")
def bare(cohort, tmp_path_factory):
    """The same masks without images, which only pictures need."""
    root = tmp_path_factory.mktemp("bare")
    folders = root / "reference", root / "prediction"
    images = shutil.ignore_patterns("dwi.nii.gz", "t1.nii.gz")
    for source, target in zip(cohort, folders, strict=True):
        shutil.copytree(source, target, ignore=images)
    return folders


@pytest.fixture(scope="module")
def evaluated(cohort, tmp_path_factory):
    reference, prediction = cohort
    out = tmp_path_factory.mktemp("evaluated") / "out"
    return evaluate(EvaluationRequest(prediction, reference, QUICK), out), out


@pytest.fixture(scope="module")
def written(evaluated):
    return json.loads((evaluated[1] / "results.json").read_text())


def measured(reference, prediction, tmp_path, **options):
    request = EvaluationRequest(prediction, reference, QUICK, **options)
    found = measure_cohort(request, CaseStore(tmp_path / "store"))
    return summarise_cohort(found.cases, found.facts, QUICK, About(problems=found.problems))


def copied(cohort, tmp_path):
    folders = tmp_path / "reference", tmp_path / "prediction"
    for source, target in zip(cohort, folders, strict=True):
        shutil.copytree(source, target)
    return folders


def test_results_follow_the_published_schema(written):
    schema = resources.files("pelvimets.resources") / "schemas" / "results.schema.json"
    jsonschema.validate(written, json.loads(schema.read_text()))


def test_voxel_rows_are_the_public_measures_of_the_files(cohort, written):
    reference, prediction = cohort
    rows = {(r["patient"], r["sequence"], r["structure"]): r for r in written["voxel"]}
    assert len(rows) == 8 * 2 * 9
    files = [folder / "p02" / "dwi_bones.nii.gz" for folder in (reference, prediction)]
    masks = [read_nifti(path) for path in files]
    pair = [mask.array == 3 for mask in masks]
    row = rows["p02", "dwi", "ilium"]
    assert row["dsc"] == pytest.approx(dice(*pair))
    assert row["hd_mm"] == pytest.approx(hausdorff_distance(*pair, masks[0].geometry.spacing))
    assert rows["p01", "dwi", "lesions"]["dsc"] is None  # both empty


def test_lesions_and_patients_are_counted_as_they_were_made(evaluated):
    results = evaluated[0].results
    dwi = results.readings[Reading.DWI]
    assert dwi.by_rule[MatchRule.ANY_OVERLAP].reference_lesions == 1 + 2 + 4 + 6
    assert dwi.by_rule[MatchRule.ANY_OVERLAP].missed == 1  # of patient 0
    assert dwi.by_rule[MatchRule.ANY_OVERLAP].false == 1  # of patient 3
    assert dwi.false_by_mimic == {"cyst": 1}
    assert dwi.lesions.false_in_m0 == 1
    figures = dwi.patients
    counts = figures.true_positives, figures.false_negatives
    assert counts == (3, 1)
    assert (figures.true_negatives, figures.false_positives) == (3, 1)
    assert figures.auc is not None
    either = results.readings[Reading.EITHER].by_rule[MatchRule.ANY_OVERLAP]
    assert either.reference_lesions == 13


def test_scores_of_lesions_are_held_against_what_they_found(written):
    lesion = written["lesion"]["dwi"]
    found = lesion["calibration"]
    assert sum(b["n"] for b in found["bins"]) == lesion["found"] + lesion["false"]
    share = sum(b["n"] * b["observed"]["estimate"] for b in found["bins"])
    assert share == pytest.approx(lesion["found"])


def test_the_model_card_shows_what_was_evaluated(written):
    facts = evaluation_facts(written, "eight boxes", ["pelvimets evaluate"])
    dwi = written["lesion"]["dwi"]
    strict = facts["lesions"]["dwi"]["by_rule"]["one-to-one"]
    assert strict["recall"][1:] == [dwi["found"], dwi["reference_lesions"]]
    healthy = [case for case in dwi["cases"] if case["reference"] == 0]
    false = sum(case["false"] for case in healthy)
    assert strict["false_per_m0"] == pytest.approx(false / len(healthy), abs=1e-4)
    card = model_card({"name": "n", "version": "1", "tests": [facts]})
    ilium = facts["voxel"]["dwi"]["ilium"]
    assert f"| ilium, DSC; HD | {ilium['dsc']:.3f}; {ilium['hd_mm']:.1f} mm |" in card
    assert "Test on eight boxes (in silico)" in card
    assert f"({dwi['found']} of {dwi['reference_lesions']})" in card


def test_every_file_of_the_set_is_there(evaluated):
    out = evaluated[1]
    for key in (
        "table1_images", "table2_characteristics", "table3_disease", "table4_bones",
        "table5_detection", "lesion_segmentation", "lesion_subgroups", "false_positives",
        "tables_s1_s4_groups", "intervals", "cases", "claim_2024",
    ):  # fmt: skip
        for ending in ("csv", "html", "tex"):
            assert (out / "tables" / f"{key}.{ending}").stat().st_size > 0
    for name in (
        "figure1_flow", "figure3_bones", "figure3_bones_dwi", "figure3_bones_t1",
        "figure4a_lesions", "figure4b_volumes_dwi", "figure4c_volumes_t1", "figure5_lesions_dwi",
        "figure5_lesions_t1", "roc", "froc", "calibration",
    ):  # fmt: skip
        for ending in ("svg", "pdf", "png"):
            assert (out / "figures" / f"{name}.{ending}").stat().st_size > 1000


def test_report_is_one_page_that_says_in_silico_and_links_pictures(evaluated):
    out = evaluated[1]
    page = (out / "report.html").read_text()
    assert "In-silico" in page
    assert "://" not in page  # nothing is fetched
    assert 'href="overlays/p02_dwi_lesions.png"' in page
    assert (out / "overlays" / "p02_dwi_lesions.png").is_file()


def test_tables_hold_what_the_results_hold(evaluated, written):
    text = (evaluated[1] / "tables" / "table5_detection.csv").read_text()
    rows = list(csv.reader(text.splitlines()))
    cell = next(row for row in rows if row[1:2] == ["Sensitivity (%)"])[2]
    rate = written["patient"]["dwi"]["sensitivity"]
    assert cell.startswith(f"{100 * rate['estimate']:.1f}")
    assert cell.endswith("3/4")


def test_latex_escapes_what_latex_would_read(evaluated):
    text = (evaluated[1] / "tables" / "table5_detection.tex").read_text()
    assert r"Sensitivity (\%)" in text and r"$>$=" in text


def test_every_entry_of_the_contents_leads_somewhere_and_figures_say_what_they_show(evaluated):
    page = (evaluated[1] / "report.html").read_text()
    targets, ids = re.findall(r'href="#([^"]+)"', page), re.findall(r"id=['\"]([^'\"]+)", page)
    assert len(targets) > 20 and set(targets) <= set(ids)
    for caption in re.findall(r"<figcaption>(.*?)</figcaption>", page, re.S):
        assert len(caption.split()) > 15
    assert "<details>" in page  # long tables are folded


def test_pictures_for_print_have_300_dots_per_inch(evaluated):
    with Image.open(evaluated[1] / "figures" / "roc.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_figure_3_spans_the_data(evaluated):
    with looks():
        figure = bone_figure(evaluated[0].results)
    rows = [r for r in evaluated[0].results.voxel if r.structure != "lesions"]
    low = min(row.measures.dsc for row in rows)
    bottom, top = figure.axes[0].get_ylim()
    assert low - 0.1 < bottom and top < 1.02


def test_values_beyond_the_axis_of_figure_3_are_counted(evaluated):
    results = evaluated[0].results
    first = next(r for r in results.voxel if r.structure == "ilium")
    stray = replace(first, measures=replace(first.measures, hd_mm=900.0))
    axes = []
    for voxel in (results.voxel, (*results.voxel, stray)):
        with looks():
            axes.append(bone_figure(replace(results, voxel=voxel)).axes[2])
    assert axes[1].get_ylim()[1] < 300
    counts = [sum(int(text.get_text()) for text in ax.texts) for ax in axes]
    assert counts[1] - counts[0] == 1


def test_flow_tells_of_everyone_from_the_first_look(cohort, tmp_path):
    reference, prediction = cohort
    flowing = tmp_path / "flowing"
    shutil.copytree(reference, flowing, ignore=shutil.ignore_patterns("dwi.nii.gz", "t1.nii.gz"))
    text = "step,reason,patients\nscreened,,12\nexcluded,poor image quality,3\n"
    (flowing / "flow.csv").write_text(text + "excluded,treated,1\nincluded,lesion model,8\n")
    request = EvaluationRequest(prediction, flowing, QUICK)
    found = measure_cohort(request, CaseStore(tmp_path / "store"))
    results = summarise_cohort(found.cases, found.facts, QUICK, About(problems=found.problems))
    steps = flow_steps(results, found)
    assert steps[0].text == ("Screened (n = 12)",)
    assert steps[0].excluded == {"poor image quality": 3, "treated": 1}
    assert [s.text[0] for s in steps[1:]] == [
        "Included: lesion model (n = 8)", "Evaluated (n = 8)",
    ]  # fmt: skip
    assert flow_arms(results)[0][:2] == ("With metastases (n = 4)", "called suspicious (n = 3)")
    (flowing / "flow.csv").write_text("step,reason,patients\nlost,,3\n")
    with pytest.raises(CohortError, match="no step of the flow"):
        measure_cohort(request, CaseStore(tmp_path / "store"))


def test_an_external_cohort_is_figure_6_and_stands_beside_development(bare, tmp_path):
    reference, prediction = bare
    development = tmp_path / "development"
    development.mkdir()
    rows = [f"d{n},{('train', 'test')[n % 2]},M{n % 2},{60 + n}" for n in range(10)]
    (development / "patients.csv").write_text("\n".join(["patient,split,m_stage,age", *rows]))
    request = EvaluationRequest(
        prediction, reference, QUICK, external=True, trained_on={"lesions": development}
    )
    done = evaluate(request, tmp_path / "out")
    out = tmp_path / "out"
    assert (out / "figures" / "figure6a_lesions.pdf").is_file()
    assert not list((out / "figures").glob("figure4*"))
    assert (
        "Figure 6B | Volume of the metastases, DWI, external cohort"
        in (out / "report.html").read_text()
    )
    lesions = done.results.characteristics["lesions"]
    assert dict(lesions.patients) == {"train": 5, "test": 5, "external": 8}
    assert dict(done.results.characteristics["bones"].patients) == {"external": 8}


def test_groups_of_patients_sum_to_all_and_have_their_calibration(written):
    figures = written["patient"]["dwi"]
    for kind in ("scanner", "dataset", "age", "psa"):
        groups = figures["subgroups"][kind].values()
        assert sum(g["patients"] for g in groups) == figures["patients"]
        assert sum(g["true_positives"] for g in groups) == figures["true_positives"]
    by_data_set = figures["subgroups"]["dataset"]["dataset 1"]
    assert by_data_set["sensitivity"]["denominator"] == 4  # all M1 patients
    assert set(figures["subgroups"]["scanner"]) == {"discovery", "achieva", "intera"}


def test_calibration_of_groups_is_drawn_where_they_are_large_enough(evaluated):
    results = evaluated[0].results
    assert calibration_groups_figure(results) is None  # eight patients
    rng = np.random.default_rng(0)
    reading = results.readings[Reading.EITHER]
    calls = [PatientCall(str(n), bool(t), bool(t), float(rng.random())) for n, t in
             enumerate(rng.random(40) < 0.5)]  # fmt: skip
    names = ("one", "two")
    halves = {n: patient_figures(calls[k::2], QUICK, None) for k, n in enumerate(names)}
    more = replace(reading, patient_groups={"scanner": halves})
    figure = calibration_groups_figure(replace(results, readings={Reading.EITHER: more}))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    truth = np.array([c.truth for c in calls[::2]])
    brier = np.mean((np.array([c.score for c in calls[::2]]) - truth) ** 2)
    assert labels[0] == f"one: n = 20, Brier {brier:.3f}"


def test_checklist_and_methods_are_filled_from_the_run(bare, tmp_path):
    reference, prediction = copied(bare, tmp_path)
    record = {
        "pelvimets": "9.9", "versions": {"openvino": "2026.4"},
        "bundle": {"name": "mine 1.2", "weights_sha256": "c767353fa4b0ffff"},
        "settings": {
            "bone_grid": {"spacing_mm": [4, 3, 3], "shape": None},
            "lesion_grid": {"spacing_mm": [4, 2, 2], "shape": [64, 224, 224]},
            "intensity": {"clip_percentiles": [0, 99.9], "scale": [0, 65535]},
            "bones": {"keep_components_per_bone": 2},
            "lesions": {"drop_below_cm3": 0.2, "operating_point": 0.65},
        },
    }  # fmt: skip
    for folder in sorted(prediction.iterdir())[1:]:
        (folder / "run.json").write_text(json.dumps(record))
    (reference / "flow.csv").write_text(
        "step,reason,patients\nscreened,,9\nexcluded,poor image quality,1\nincluded,all,8\n"
    )
    request = EvaluationRequest(prediction, reference, QUICK, figures=False)
    evaluate(request, tmp_path / "out")
    rows = csv.reader((tmp_path / "out" / "tables" / "claim_2024.csv").read_text().splitlines())
    answers = {row[0]: row[-1] for row in rows if row[0].isdigit()}
    assert "poor image quality (1)" in answers["8"]
    assert "4 x 3 x 3 mm" in answers["9"] and "64 x 224 x 224 voxels" in answers["9"]
    assert "mine 1.2 (weights SHA-256 c767353fa4b0)" in answers["22"]
    assert "1 predictions hold no record" in answers["22"]
    assert "openvino 2026.4" in answers["23"] and f"numpy {np.__version__}" in answers["23"]
    assert sum(answer != "To be filled by the authors." for answer in answers.values()) >= 22
    methods = (tmp_path / "out" / "methods.md").read_text()
    for words in (
        "Of 9 screened",
        "mine 1.2",
        "200 samples",
        "IoU >= 0.1",
        f"numpy {np.__version__}",
    ):
        assert words in methods
    assert "digital" in methods.splitlines()[2]


def test_nothing_is_left_beside_the_result(evaluated):
    out = evaluated[1]
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_workers_give_the_same_figures(bare, tmp_path, evaluated):
    reference, prediction = bare
    request = EvaluationRequest(prediction, reference, QUICK)
    found = measure_cohort(request, CaseStore(tmp_path / "store"), jobs=2)
    again = summarise_cohort(found.cases, found.facts, QUICK)
    assert repr(again.voxel) == repr(evaluated[0].results.voxel)


def test_an_interrupted_run_goes_on_where_it_stopped(bare, tmp_path):
    class StopError(Exception):
        pass

    def interrupting(patient, done, total):
        if done == 3:
            raise StopError

    reference, prediction = bare
    request, out = EvaluationRequest(prediction, reference, QUICK), tmp_path / "out"
    with pytest.raises(StopError):
        evaluate(request, out, progress=interrupting)
    assert not out.exists()
    kept = sorted((tmp_path / ".out.cases").glob("*.json"))
    before = {path.name: path.stat().st_mtime_ns for path in kept}
    assert len(before) == 3
    measure_cohort(request, CaseStore(tmp_path / ".out.cases"))
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / ".out.cases").glob("*.json")}
    assert len(after) == 8 and all(after[name] == stamp for name, stamp in before.items())


def test_a_changed_mask_is_measured_anew(bare, tmp_path):
    reference, prediction = copied(bare, tmp_path)
    first = measured(reference, prediction, tmp_path)
    grid = GRIDS["dwi"]
    path = prediction / "p02" / "dwi_lesions.nii.gz"
    write_nifti(path, Volume(np.zeros(grid.shape, np.uint16), grid))
    second = measured(reference, prediction, tmp_path)
    found = [r.readings[Reading.DWI].lesions.found for r in (first, second)]
    assert found[1] < found[0]


def test_a_finished_result_is_not_overwritten_unasked(cohort, evaluated):
    reference, prediction = cohort
    with pytest.raises(OutputError, match="exists"):
        evaluate(EvaluationRequest(prediction, reference, QUICK), evaluated[1])


def problems_of(results):
    return {(p.patient, p.code): p.message for p in results.problems}


def test_bad_input_of_one_patient_is_named_and_the_rest_computed(bare, tmp_path):
    reference, prediction = copied(bare, tmp_path)
    other = Geometry.from_axes((5, 8, 9), (9.0, 9.0, 9.0))
    write_nifti(
        prediction / "p00" / "dwi_lesions.nii.gz", Volume(np.zeros(other.shape, np.uint8), other)
    )
    bones = read_nifti(prediction / "p01" / "t1_bones.nii.gz")
    write_nifti(
        prediction / "p01" / "t1_bones.nii.gz",
        bones.with_array(np.where(bones.array == 3, 40, bones.array)),
    )
    (prediction / "p02" / "t1_lesions.nii.gz").unlink()
    shutil.rmtree(prediction / "p03")
    (prediction / "p04" / "dwi_bones.nii.gz").write_bytes(b"not an image")
    findings = json.loads((prediction / "p05" / "findings.json").read_text())
    findings["sequences"]["dwi"]["patient_score"] = float("nan")
    (prediction / "p05" / "findings.json").write_text(json.dumps(findings))
    write_nifti(
        prediction / "p06" / "dwi_lesions.nii.gz",
        Volume(np.full(GRIDS["dwi"].shape, 0.37, np.float32), GRIDS["dwi"]),
    )
    shutil.copytree(prediction / "p06", prediction / "p99")

    results = measured(reference, prediction, tmp_path)
    named = problems_of(results)
    assert "another grid" in named["p00", "not computed"]
    assert "unknown labels [40]" in named["p01", "not computed"]
    assert "are missing" in named["p02", "not computed"]
    assert ("p03", "missing prediction") in named
    assert "cannot be read" in named["p04", "not computed"]
    assert "not a number" in named["p05", "not computed"]
    assert "between labels" in named["p06", "not computed"]
    assert ("p99", "unknown patient") in named
    assert "patient score" in named[None, "scores missing"]
    done = {(r.patient, r.sequence.value, r.structure) for r in results.voxel}
    assert ("p00", "dwi", "ilium") in done and ("p00", "t1", "lesions") in done
    assert ("p00", "dwi", "lesions") not in done
    assert ("p04", "t1", "ilium") in done and ("p04", "dwi", "ilium") not in done
    assert results.readings[Reading.DWI].patients.auc is None
    assert results.readings[Reading.T1].patients.auc is not None


def test_a_withheld_statement_is_neither_hit_nor_miss(bare, tmp_path):
    reference, prediction = copied(bare, tmp_path)
    for patient in ("p00", "p01"):  # one with, one without metastases
        path = prediction / patient / "findings.json"
        findings = json.loads(path.read_text())
        findings["m1_suspicion"] = {"suspected": None, "wording": "", "score": 0.5}
        path.write_text(json.dumps(findings))
    results = measured(reference, prediction, tmp_path)
    figures = results.readings[Reading.DWI].patients
    assert figures.rates["sensitivity"].denominator == 3
    assert figures.rates["specificity"].denominator == 3
    assert figures.withheld.share.numerator == 2 and figures.patients == 8
    assert figures.auc is not None and figures.auc_stated is not None
    rows = {row[1]: row[2:] for row in detection_table(results).rows}
    assert rows["No statement (%)"][0].endswith("2/8")
    assert rows["Sensitivity, worst case (%)"][0].endswith("3/4")
    plain = results_to_dict(results, "0")
    calls = {c["patient"]: c["called"] for c in plain["patient"]["dwi"]["calls"]}
    assert calls["p00"] is None and calls["p02"] is True
    assert any("no statement on 2 patients" in line for line in headlines(results))
    cells = {row[0]: row[4] for row in case_table(results).rows}
    assert cells["p00"] == "no statement"


def test_volumes_agree_of_patients_chosen_by_the_reference(bare, tmp_path):
    reference, prediction = bare
    results = measured(reference, prediction, tmp_path)
    ill, everyone = results.volumes[Sequence.DWI], results.volumes_of_all[Sequence.DWI]
    assert ill.patients == ("p00", "p02", "p04", "p06") and ill.population in title_of(results)
    assert len(everyone.patients) == 8  # p03's false lesion lets in nobody by itself
    difference = ill.prediction_cm3 - ill.reference_cm3
    assert ill.bland_altman.bias.estimate == pytest.approx(difference.mean())


def title_of(results):
    with looks():
        figure = bland_altman_figure(results.volumes[Sequence.DWI], Sequence.DWI)
    return figure.axes[0].get_title(loc="left")


def test_a_duplicate_patient_is_refused(bare, tmp_path):
    reference, prediction = copied(bare, tmp_path)
    table = reference / "patients.csv"
    table.write_text(table.read_text() + table.read_text().splitlines()[1] + "\n")
    with pytest.raises(CohortError, match="more than once"):
        measured(reference, prediction, tmp_path)


def test_a_reference_of_one_class_gives_what_can_be_given(bare, tmp_path):
    reference, prediction = copied(bare, tmp_path)
    lines = (reference / "patients.csv").read_text().splitlines()
    kept = [lines[0], *(line for line in lines[1:] if ",M1," in line)]
    (reference / "patients.csv").write_text("\n".join(kept) + "\n")
    results = measured(reference, prediction, tmp_path)
    figures = results.readings[Reading.DWI].patients
    assert figures.auc is None and "no patients without metastases" in figures.note
    assert figures.rates["sensitivity"].denominator == 4
    assert np.isnan(figures.rates["specificity"].estimate)
    assert (None, "one class only") in problems_of(results)


def test_patients_that_a_model_has_seen_are_refused(bare, tmp_path):
    reference, prediction = copied(bare, tmp_path)
    training = tmp_path / "training"
    training.mkdir()
    (training / "patients.csv").write_text("patient,split\np02,train\nother,test\n")
    with pytest.raises(CohortError, match="lesions model has seen"):
        measured(reference, prediction, tmp_path, trained_on={"lesions": training})


def test_a_patient_in_two_splits_by_model_columns_is_refused(bare, tmp_path):
    reference, prediction = copied(bare, tmp_path)
    lines = (reference / "patients.csv").read_text().splitlines()
    marked = [lines[0] + ",split_bones", *(line + ",test" for line in lines[1:-1])]
    (reference / "patients.csv").write_text("\n".join([*marked, lines[-1] + ",train"]) + "\n")
    with pytest.raises(CohortError, match="bones model has seen"):
        measured(reference, prediction, tmp_path)


def test_mixed_splits_contradicting_stages_and_open_sums_are_warned_of(bare, tmp_path):
    reference, prediction = copied(bare, tmp_path)
    table = (reference / "patients.csv").read_text()
    table = table.replace("p01,test,M0", "p01,train,M1").replace("achieva", "", 1)
    (reference / "patients.csv").write_text(table)
    named = problems_of(measured(reference, prediction, tmp_path))
    assert (None, "mixed splits") in named
    assert ("p01", "stage contradicts lesions") in named
    assert (None, "counts do not add up") in named
    request = EvaluationRequest(prediction, reference, QUICK)
    assert not read_out_of_fold(measure_cohort(request, CaseStore(tmp_path / "store")))
    for folder in (path for path in prediction.iterdir() if path.is_dir()):
        (folder / "run.json").write_text('{"out_of_fold": true}')
    found = measure_cohort(request, CaseStore(tmp_path / "store"))
    about = About(problems=found.problems, out_of_fold=read_out_of_fold(found))
    named = problems_of(summarise_cohort(found.cases, found.facts, QUICK, about))
    assert about.out_of_fold and (None, "mixed splits") not in named


def test_binary_scores_are_warned_of(bare, tmp_path):
    reference, prediction = copied(bare, tmp_path)
    for path in prediction.glob("*/findings.json"):
        findings = json.loads(path.read_text())
        for given in findings["sequences"].values():
            given["patient_score"] = float(given["m1_suspected"])
        path.write_text(json.dumps(findings))
    results = measured(reference, prediction, tmp_path)
    assert (None, "binary scores") in problems_of(results)
    assert "only 0 and 1" in results.readings[Reading.DWI].patients.note


def test_masks_without_scores_or_table_serve_as_well(bare, tmp_path):
    reference, prediction = copied(bare, tmp_path)
    for path in prediction.glob("*/findings.json"):
        path.unlink()
    (reference / "patients.csv").unlink()
    results = measured(reference, prediction, tmp_path)
    figures = results.readings[Reading.DWI].patients
    assert figures.auc is None and figures.auc_of_calls is not None
    assert results.readings[Reading.DWI].lesions.froc is None
    assert figures.rates["sensitivity"].numerator == 3


def test_folders_without_common_patients_are_refused(bare, tmp_path):
    reference, _ = bare
    grid = GRIDS["dwi"]
    (tmp_path / "other" / "x1").mkdir(parents=True)
    path = tmp_path / "other" / "x1" / "dwi_lesions.nii.gz"
    write_nifti(path, Volume(balls_on(grid, []), grid))
    with pytest.raises(InputError, match="no patient in common"):
        measured(reference, tmp_path / "other", tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        measured(reference, tmp_path / "nowhere", tmp_path)
    with pytest.raises(InputError, match="No patient belongs"):
        measured(*bare, tmp_path, split="train")


def test_rules_are_chosen_after_measuring(bare, tmp_path):
    reference, prediction = bare
    found = measure_cohort(EvaluationRequest(prediction, reference, QUICK), CaseStore(tmp_path))
    loose = EvaluationSettings(rule=MatchRule.ANY_OVERLAP, bootstrap_samples=50)
    results = summarise_cohort(found.cases, found.facts, loose)
    dwi = results.readings[Reading.DWI]
    assert dwi.lesions.found == dwi.by_rule[MatchRule.ANY_OVERLAP].found


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_patient_who_cannot_be_measured_is_named_and_left_out(bare, tmp_path, jobs):
    reference, prediction = bare[0], shutil.copytree(bare[1], tmp_path / "prediction")
    patients = sorted(path.name for path in prediction.iterdir() if path.is_dir())
    endless = "[" * 200_000  # JSON that no parser follows to its end
    (prediction / patients[2] / "findings.json").write_text(endless)
    request = EvaluationRequest(prediction, reference, QUICK)
    measured = measure_cohort(request, CaseStore(tmp_path / "store"), jobs=jobs)
    kept = [p for p in patients if p != patients[2]]
    assert [case.patient for case in measured.cases] == kept
    assert [fact.patient for fact in measured.facts] == kept
    (problem,) = (p for p in measured.problems if p.patient == patients[2])
    assert "cannot be measured: An unexpected RecursionError" in problem.message
    assert measured.excluded["not measured"] == 1
    for patient in patients:
        (prediction / patient / "findings.json").write_text(endless)
    with pytest.raises(InputError, match="No patient could be measured"):
        measure_cohort(request, CaseStore(tmp_path / "other"), jobs=jobs)
