"""Readings of one and of both sequences, facts of patients, pictures, checklist."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError
from pelvimets.evaluation import checks
from pelvimets.evaluation.figures.overlays import (
    HEIGHT,
    PREDICTION_COLOUR,
    REFERENCE_COLOUR,
    bone_overlay,
    lesion_overlay,
)
from pelvimets.evaluation.measures.case import (
    CaseResult,
    SequenceMasks,
    SequenceScores,
    measure_case,
)
from pelvimets.evaluation.measures.patients import patient_figures
from pelvimets.evaluation.readings import PatientCall, Reading, call_patient, tally_lesions
from pelvimets.evaluation.report.claim import ITEMS
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.statistics.sequence_tests import compare_calls
from pelvimets.evaluation.tables.cohort import characteristics_table
from pelvimets.evaluation.tables.facts import PatientFacts, characterise, patient_groups
from pelvimets.evaluation.tables.table import Table
from pelvimets.labels import Sequence

SETTINGS = EvaluationSettings(bootstrap_samples=100)
GRID = Geometry.from_axes((3, 6, 20), (5.0, 2.0, 2.0))


def blocks(*columns):
    """Lesions of two columns each, on all rows and slices."""
    array = np.zeros(GRID.shape, np.uint16)
    for number, column in enumerate(columns, start=1):
        array[:, :, column : column + 2] = number
    return Volume(array, GRID)


def case(dwi, t1, scores=None):
    """A patient with (reference, prediction) columns per sequence."""
    masks = {
        Sequence.DWI: SequenceMasks(
            reference_lesions=blocks(*dwi[0]), prediction_lesions=blocks(*dwi[1])
        ),
        Sequence.T1: SequenceMasks(
            reference_lesions=blocks(*t1[0]), prediction_lesions=blocks(*t1[1])
        ),
    }
    return measure_case("p", masks, scores or {}, SETTINGS)


def counts(measured, reading):
    tally = tally_lesions(measured, reading, SETTINGS)
    return tally.n_found, len(tally.reference), len(tally.false)


def test_either_finds_what_one_sequence_finds_and_both_what_both_find():
    # lesions at 0, 5, 10; DWI finds 0 and 5, T1 finds 5; DWI is wrong at 15, T1 at 15 too
    measured = case(((0, 5, 10), (0, 5, 15)), ((0, 5, 10), (5, 15)))
    assert counts(measured, Reading.DWI) == (2, 3, 1)
    assert counts(measured, Reading.T1) == (1, 3, 1)
    assert counts(measured, Reading.EITHER) == (2, 3, 1)
    assert counts(measured, Reading.BOTH) == (1, 3, 1)


def test_a_lesion_seen_on_one_sequence_only_cannot_be_found_on_both():
    measured = case(((0,), (0,)), ((), (5,)))
    assert counts(measured, Reading.EITHER) == (1, 1, 1)
    assert counts(measured, Reading.BOTH) == (0, 1, 0)


def test_scores_of_linked_lesions_are_the_higher_and_the_lower():
    scores = {
        Sequence.DWI: SequenceScores(0.9, None, {1: 0.8, 2: 0.3}),
        Sequence.T1: SequenceScores(0.4, None, {1: 0.6, 2: 0.5}),
    }
    measured = case(((0,), (0, 10)), ((0,), (0, 10)), scores)
    either, both = (tally_lesions(measured, r, SETTINGS) for r in (Reading.EITHER, Reading.BOTH))
    assert (either.reference[0].score, both.reference[0].score) == (0.8, 0.6)
    assert (either.false[0].score, both.false[0].score) == (0.5, 0.3)
    calls = [call_patient(measured, r, True) for r in (Reading.EITHER, Reading.BOTH)]
    assert [call.score for call in calls] == [0.9, 0.4]


def test_a_stated_suspicion_goes_before_the_masks():
    scores = {Sequence.DWI: SequenceScores(0.2, False), Sequence.T1: SequenceScores(0.8, True)}
    measured = case(((), (5,)), ((), ()), scores)
    words = {r: call_patient(measured, r, False).called for r in Reading}
    assert words == {"dwi": False, "t1": True, "either": True, "both": False}
    silent = case(((), (5,)), ((), ()))
    assert call_patient(silent, Reading.DWI, False).called
    assert not call_patient(silent, Reading.T1, False).called


def test_one_sequence_alone_serves_for_either_but_not_for_both():
    masks = {Sequence.T1: SequenceMasks(reference_lesions=blocks(0), prediction_lesions=blocks(0))}
    measured = measure_case("p", masks, {}, SETTINGS)
    assert tally_lesions(measured, Reading.EITHER, SETTINGS).n_found == 1
    assert tally_lesions(measured, Reading.BOTH, SETTINGS) is None
    assert call_patient(measured, Reading.BOTH, True) is None


def test_a_measured_patient_survives_plain_data():
    import json

    measured = case(((0, 5), (0, 12)), ((0,), ()))
    plain = json.loads(json.dumps(measured.to_dict()))
    assert repr(CaseResult.from_dict(plain)) == repr(measured)


def calls(*rows):
    return [PatientCall(str(n), t, c, s) for n, (t, c, s) in enumerate(rows)]


def test_patient_rates_are_those_of_scikit_learn():
    from sklearn.metrics import precision_score, recall_score

    rng = np.random.default_rng(0)
    truth, called = rng.random(40) < 0.5, rng.random(40) < 0.6
    rows = zip(truth.tolist(), called.tolist(), rng.random(40).tolist(), strict=True)
    rates = patient_figures(calls(*rows), SETTINGS, rng).rates
    assert rates["sensitivity"].estimate == pytest.approx(recall_score(truth, called))
    assert rates["specificity"].estimate == pytest.approx(recall_score(~truth, ~called))
    assert rates["ppv"].estimate == pytest.approx(precision_score(truth, called))
    assert rates["npv"].estimate == pytest.approx(precision_score(~truth, ~called))
    assert rates["accuracy"].estimate == pytest.approx((truth == called).mean())


def test_area_of_calls_is_the_mean_of_both_rates():
    figures = patient_figures(
        calls((True, True, 0.9), (True, False, 0.4), (False, False, 0.1), (False, False, 0.3)),
        SETTINGS,
        np.random.default_rng(0),
    )
    assert figures.auc_of_calls.estimate == pytest.approx((0.5 + 1.0) / 2)
    assert figures.auc.estimate == 1.0


def test_rates_are_of_patients_with_a_statement_and_both_worst_cases_stand_beside():
    # six M1: four called, one not, one without a statement; five M0: three, one alarm, one without
    rows = [(True, True, 0.9)] * 4 + [(True, False, 0.2), (True, None, 0.8)]
    rows += [(False, False, 0.1)] * 3 + [(False, True, 0.6), (False, None, 0.3)]
    found = patient_figures(calls(*rows), SETTINGS, np.random.default_rng(0))
    assert found.patients == 11
    rates = {name: (r.numerator, r.denominator) for name, r in found.rates.items()}
    assert rates["sensitivity"] == (4, 5) and rates["specificity"] == (3, 4)
    share = found.withheld.share
    assert (share.numerator, share.denominator) == (2, 11)
    worst = (
        found.withheld.as_not_suspicious["sensitivity"],
        found.withheld.as_suspicious["specificity"],
    )
    assert [(r.numerator, r.denominator) for r in worst] == [(4, 6), (3, 5)]
    from sklearn.metrics import roc_auc_score

    truth, score = [r[0] for r in rows], [r[2] for r in rows]
    stated = [r[1] is not None for r in rows]
    assert found.auc.estimate == pytest.approx(roc_auc_score(truth, score))
    assert found.auc_stated.estimate == pytest.approx(
        roc_auc_score(np.array(truth)[stated], np.array(score)[stated])
    )
    assert found.auc_of_calls.estimate == pytest.approx((4 / 5 + 3 / 4) / 2)


def test_no_statement_is_told_apart_when_two_are_compared():
    first = calls((True, True, 0.9), (True, None, 0.9), (False, False, 0.1), (False, None, 0.2))
    second = calls((True, False, 0.3), (True, True, 0.9), (False, False, 0.1), (False, False, 0.1))
    found = compare_calls(first, second, SETTINGS)
    assert found["sensitivity"].difference.estimate == 1.0  # of the one that both speak of
    assert "2 patients without a statement" in found["sensitivity"].test.note
    assert found["no_statement"].difference.estimate == pytest.approx(0.5)
    assert found["sensitivity_worst"].difference.estimate == 0.0
    assert found["specificity_worst"].difference.estimate == pytest.approx(-0.5)


def facts(n, split, **values):
    return [PatientFacts(f"{split}{k}", split=split, **values) for k in range(n)]


def test_splits_are_described_in_the_papers_order():
    found = characterise(
        [
            *facts(3, "test", m_stage="M1", lesions=2, lesion_volume_cm3=5.0, age_years=70.0),
            *facts(4, "train", m_stage="M0", lesions=0, lesion_volume_cm3=0.0, age_years=60.0),
        ]
    )
    assert list(found.patients.items()) == [("train", 4), ("test", 3)]
    assert found.total_lesions == {"train": 0, "test": 6}
    age = next(row for row in found.numbers if row.name.startswith("Age"))
    assert age.by_split["test"].mean == 70.0
    volume = next(row for row in found.numbers if "volume" in row.name)
    assert volume.by_split["train"].n == 0 and volume.by_split["test"].median == 5.0
    stage = [row for row in found.counts if row.name == "M stage"]
    assert [row.by_split for row in stage] == [{"train": 4, "test": 0}, {"train": 0, "test": 3}]


def test_checks_that_refuse():
    with pytest.raises(CohortError, match="more than once"):
        checks.check_patients_once(["a", "b", "a"])
    with pytest.raises(CohortError, match="bones model"):
        checks.check_splits({"bones": {"a": "validation"}, "lesions": {}}, ["a"])
    checks.check_splits({"bones": {"a": "test"}}, ["a"])


def test_expected_counts_are_held_against_the_table():
    found = checks.check_sums(facts(63, "external"), {"external": 68})
    assert any("63 patients, 68 expected" in problem.message for problem in found)


def test_pictures_show_outlines_on_the_slice_with_most_lesion():
    reference, prediction = np.zeros((2, *GRID.shape), np.uint8)
    reference[2, 1:5, 4:9] = 1
    prediction[2, 1:5, 12:17] = 1
    image = Volume(np.random.default_rng(0).normal(100, 5, GRID.shape), GRID)
    picture = lesion_overlay(image, Volume(reference, GRID), Volume(prediction, GRID))
    assert picture.shape[0] == HEIGHT and picture.dtype == np.uint8
    # the lesions and their margin fill this small field: all three panels are as wide
    for colour, columns in ((REFERENCE_COLOUR, slice(4, 9)), (PREDICTION_COLOUR, slice(12, 17))):
        where = np.argwhere((picture == colour).all(axis=2))
        assert len(where)
        width = (picture.shape[1] - 12) // 3
        column = (where[:, 1] - 2 * width - 12) / width * GRID.shape[2]
        assert columns.start - 1 < column.min() and column.max() < columns.stop + 1


def test_a_small_lesion_is_enlarged_and_framed_where_it_lies():
    grid = Geometry.from_axes((2, 200, 240), (5.0, 2.0, 2.0))
    lesion = np.zeros(grid.shape, np.uint8)
    lesion[1, 150:156, 30:36] = 1  # 12 mm in a field of 400 x 480 mm
    picture = lesion_overlay(Volume(np.full(grid.shape, 9.0), grid), Volume(lesion, grid), None)
    whole = round(HEIGHT * 240 / 200)
    frame = np.argwhere((picture[:, :whole] == 255).all(axis=2)) / HEIGHT * 400  # mm
    low, high = frame.min(axis=0), frame.max(axis=0)
    assert high - low == pytest.approx([80, 80], abs=4)
    assert (low + high) / 2 == pytest.approx([306, 66], abs=4)
    outline = np.argwhere((picture == REFERENCE_COLOUR).all(axis=2))
    assert np.ptp(outline[:, 0]) == pytest.approx(HEIGHT * 12 / 80, rel=0.1)  # enlarged five times


def test_pictures_of_bones_have_three_panels_and_stand_empty_masks():
    image = Volume(np.ones(GRID.shape), GRID)
    empty = Volume(np.zeros(GRID.shape, np.uint8), GRID)
    picture = bone_overlay(image, empty, None)
    assert picture.shape[1] > 2.9 * HEIGHT * (20 * 2.0) / (6 * 2.0)
    assert lesion_overlay(image, empty, None).shape[0] == HEIGHT


def test_an_external_cohort_has_a_column_and_tests_of_its_own():
    rng = np.random.default_rng(0)
    ages = {"train": rng.normal(69, 9, 30), "test": rng.normal(70, 9, 12)}
    ages["external"] = rng.normal(74, 8, 15)
    scanner = {"train": "a", "test": "b", "external": "b"}
    patients = [
        PatientFacts(f"{split}{n}", split=split, age_years=age, scanner=scanner[split])
        for split, own in ages.items()
        for n, age in enumerate(own)
    ]
    found = characterise(patients)
    age = next(row for row in found.numbers if row.name.startswith("Age"))
    assert age.anova.p == pytest.approx(stats.f_oneway(ages["train"], ages["test"]).pvalue)
    pooled = np.concatenate([ages["train"], ages["test"]])
    assert age.external[0].p == pytest.approx(stats.f_oneway(pooled, ages["external"]).pvalue)
    assert age.external[1].p == pytest.approx(stats.kruskal(pooled, ages["external"]).pvalue)
    scanners = next(row for row in found.counts if row.name == "Scanner")
    expected = stats.chi2_contingency([[30, 12], [0, 15]], correction=False).pvalue
    assert scanners.external.p == pytest.approx(expected)
    table = characteristics_table(found)
    assert table.columns == (
        "Characteristic", "Train", "Test", "p", "p, rank test", "External", "p, external",
        "p, external, rank test",
    )  # fmt: skip
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert characteristics_table(characterise(patients[-3:])).columns[1] == "External"


def test_groups_of_patients_by_what_is_known_of_them():
    known = [
        PatientFacts("a", scanner="x", age_years=59.9, psa_ng_per_ml=10.0, field_strength_t=3.0),
        PatientFacts("b", age_years=70.0, psa_ng_per_ml=250.0, field_strength_t=1.494),
    ]
    groups = patient_groups(known, SETTINGS)
    assert groups["age"] == {"a": "< 60 years", "b": ">= 70 years"}
    assert groups["psa"] == {"a": "10 to < 20 ng/ml", "b": ">= 20 ng/ml"}
    assert groups["field strength"] == {"a": "3.0 T", "b": "1.5 T"}
    assert groups["scanner"] == {"a": "x", "b": None}


def test_a_flow_that_does_not_add_up_is_warned_of():
    flow = [("screened", 27), ("excluded", 4), ("included", 23), ("excluded", 15), ("included", 8)]
    assert checks.check_flow(flow, 8) == []
    assert "table lists 7" in checks.check_flow(flow, 7)[0].message
    flow[1] = ("excluded", 5)
    assert "22 patients are left" in checks.check_flow(flow, 8)[0].message
    assert checks.check_flow([], 8) == []


def test_checklist_has_the_44_items_of_2024():
    assert len(ITEMS) == 44


def test_tables_escape_what_their_form_would_read():
    table = Table("t", "a & b", ("<x>",), (("50 %, 3_4",),), ("note",))
    assert "&lt;x&gt;" in table.to_html() and "a &amp; b" in table.to_html()
    assert r"a \& b" in table.to_latex() and r"50 \%, 3\_4" in table.to_latex()
    assert table.to_csv() == '<x>\n"50 %, 3_4"\n# note\n'
