"""Both rules of what counts as a found lesion, side by side wherever lesions are counted."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.targets import lesion_rows
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.evaluation.measures.case import SequenceMasks, measure_case
from pelvimets.evaluation.report.card_facts import evaluation_facts
from pelvimets.evaluation.report.headlines import headlines
from pelvimets.evaluation.report.plain import results_to_dict
from pelvimets.evaluation.results import summarise_cohort
from pelvimets.evaluation.settings import EvaluationSettings, MatchRule
from pelvimets.evaluation.statistics.comparison import compare_models, comparison_tables
from pelvimets.evaluation.tables.cohort import cohort_tables
from pelvimets.evaluation.tables.facts import PatientFacts
from pelvimets.labels import Sequence
from pelvimets.report.card import model_card

GRID = Geometry.from_axes((4, 6, 40), (5.0, 2.0, 2.0))
SETTINGS = EvaluationSettings(bootstrap_samples=50, in_silico=True)


def columns(*spans):
    array = np.zeros(GRID.shape, np.uint16)
    for number, (start, stop) in enumerate(spans, start=1):
        array[:, :, start:stop] = number
    return Volume(array, GRID)


def results_under(settings):
    """Two lesions: one drawn in two pieces, one of which a sliver is drawn; a false one."""
    masks = SequenceMasks(
        reference_lesions=columns((0, 10), (14, 34)),
        prediction_lesions=columns((0, 4), (6, 8), (33, 34), (37, 39)),
    )
    case = measure_case("p", dict.fromkeys(Sequence, masks), {}, settings)
    return summarise_cohort([case], [PatientFacts("p")], settings), case


@pytest.fixture(scope="module")
def results():
    return results_under(SETTINGS)[0]


def rows(results, key):
    case = results_under(SETTINGS)[1]
    table = next(t for t in cohort_tables(results, [case]) if t.key == key)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_table_5_names_the_rule_of_every_lesion_figure(results):
    dwi = {r["Measure"]: r["DWI"] for r in rows(results, "table5_detection")}
    assert dwi["Recall, any overlap, as in the paper (%)"].endswith("2/2")
    assert dwi["Precision, any overlap, as in the paper (%)"].endswith("2/3")
    assert dwi["Recall, IoU >= 0.1, one to one (%)"].endswith("1/2")
    assert dwi["Precision, IoU >= 0.1, one to one (%)"].endswith("1/4")
    assert dwi["False lesions per patient, any overlap, as in the paper"].startswith("1.00")
    assert dwi["False lesions per patient, IoU >= 0.1, one to one"].startswith("3.00")


def test_groups_and_patients_show_both_rules(results):
    groups = [r for r in rows(results, "lesion_subgroups") if r["Reading"] == "DWI"]
    group = next(r for r in groups if r["Group"] == "lesions per patient" and r["Value"] == "2-3")
    assert group["Recall, any overlap (%)"].endswith("2/2")
    assert group["Recall, one to one (%)"].endswith("1/2")
    one = next(r for r in rows(results, "cases") if r["Sequence"] == "DWI")
    assert (one["Found, any overlap"], one["False, any overlap"]) == ("2/2", "1")
    assert (one["Found, one to one"], one["False, one to one"]) == ("1/2", "3")


def test_results_hold_both_rules_whichever_was_chosen(results):
    for rule in ("one-to-one", "any-overlap"):
        chosen = results_under(EvaluationSettings(bootstrap_samples=50, rule=MatchRule(rule)))[0]
        lesion = results_to_dict(chosen, "0")["lesion"]["dwi"]
        assert lesion["rule"] == rule
        assert lesion["false"] == lesion["by_rule"][rule]["false"]
        assert lesion["by_rule"]["one-to-one"]["false"] == 3
        assert lesion["by_rule"]["any-overlap"]["false"] == 1
    line = headlines(results)[0]
    assert "2/2 lesions found, 1.00 false per patient (any overlap, as in the paper)" in line
    assert "1/2 lesions found, 3.00 false per patient (IoU >= 0.1, one to one)" in line


def test_card_and_targets_show_both_rules(results):
    facts = evaluation_facts(results_to_dict(results, "0"), "one man", [])
    card = model_card({"name": "n", "version": "1", "tests": [facts]})
    assert "| lesions, recall, any overlap | 1.000 (2 of 2) | 1.000 (2 of 2) |" in card
    assert "| lesions, precision, one to one | 0.250 (1 of 4) | 0.250 (1 of 4) |" in card
    by_title = {row[0]: row[2] for row in lesion_rows(facts)}
    assert by_title["lesions, recall, any overlap"] == "**1.000**"
    assert by_title["lesions, recall, one to one"] == "0.500"


def test_a_test_of_an_earlier_version_stands_in_the_card_as_one_to_one():
    old = {"name": "t", "in_silico": True, "patients": 1, "m1": 1, "commands": [], "voxel": {}}
    old["lesions"] = {"dwi": {"recall": [0.5, 1, 2], "precision": [0.25, 1, 4]}}
    card = model_card({"name": "n", "version": "1", "tests": [old]})
    assert "| lesions, recall, one to one | 0.500 (1 of 2) | - |" in card
    assert "any overlap |" not in card


def test_a_comparison_of_different_rules_says_so(results):
    other = results_under(EvaluationSettings(bootstrap_samples=50, rule=MatchRule.ANY_OVERLAP))[0]
    sides = [results_to_dict(r, "0") for r in (results, other)]
    same = comparison_tables(compare_models(sides[0], sides[0], ("a", "b"), SETTINGS))[1]
    assert same.notes == ("Lesions matched by: IoU >= 0.1, one to one.",)
    mixed = comparison_tables(compare_models(*sides, ("a", "b"), SETTINGS))[1]
    assert "different rules" in mixed.notes[0]
