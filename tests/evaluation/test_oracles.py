"""Detection and lesion-wise segmentation against picai_eval and panoptica (stored values).

``data/make_oracles.py`` made ``data/oracles.json``; neither program is a dependency.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.evaluation.measures.case import SequenceMasks, SequenceScores, measure_case
from pelvimets.evaluation.measures.detection import detect
from pelvimets.evaluation.measures.matched import matched_pairs, summarise_matched
from pelvimets.evaluation.measures.patients import patient_figures
from pelvimets.evaluation.readings import Reading, call_patient, tally_lesions
from pelvimets.evaluation.settings import EvaluationSettings, LesionInstances
from pelvimets.evaluation.statistics.agreement import intraclass_correlation_of
from pelvimets.labels import Sequence

DATA = Path(__file__).parent / "data"
SETTINGS = EvaluationSettings(instances=LesionInstances.LABELS, bootstrap_samples=50)


@pytest.fixture(scope="module")
def oracles():
    return json.loads((DATA / "oracles.json").read_text())


@pytest.fixture(scope="module")
def cases():
    spec = importlib.util.spec_from_file_location("oracle_scenes", DATA / "oracle_scenes.py")
    scenes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scenes)
    grid = Geometry.from_axes(scenes.SHAPE, scenes.SPACING)
    measured = []
    for number, (reference, prediction, scores) in enumerate(scenes.scenes()):
        masks = SequenceMasks(
            reference_lesions=Volume(reference, grid), prediction_lesions=Volume(prediction, grid)
        )
        own = SequenceScores(max(scores.values(), default=0.0), None, scores)
        measured.append(
            measure_case(str(number), {Sequence.DWI: masks}, {Sequence.DWI: own}, SETTINGS)
        )
    return measured


def tallies(cases):
    return [tally_lesions(case, Reading.DWI, SETTINGS) for case in cases]


def test_froc_and_average_precision_are_those_of_picai_eval(cases, oracles):
    found = detect(tallies(cases), SETTINGS, np.random.default_rng(0))
    expected = oracles["picai_eval"]
    assert found.average_precision.estimate == pytest.approx(expected["average_precision"])
    for rate, sensitivity in expected["sensitivity_at"].items():
        assert found.froc.at[float(rate)].estimate == pytest.approx(sensitivity, abs=1e-6)


def test_roc_and_its_area_are_those_of_picai_eval(cases, oracles):
    calls = [
        call_patient(case, Reading.DWI, bool(case.sequences[Sequence.DWI].lesions.reference))
        for case in cases
    ]
    figures = patient_figures(calls, SETTINGS, np.random.default_rng(0))
    expected = oracles["picai_eval"]
    assert [c.score for c in calls] == pytest.approx([p for _, _, p in expected["patients"]])
    assert figures.auc.estimate == pytest.approx(expected["auroc"])
    ours = set(zip(figures.roc.false_positive_rate, figures.roc.true_positive_rate, strict=True))
    for false, true in zip(expected["roc"]["FPR"], expected["roc"]["TPR"], strict=True):
        assert any(abs(false - x) + abs(true - y) < 1e-9 for x, y in ours)


def test_matched_lesions_are_those_of_panoptica(cases, oracles):
    for case, tally, expected in zip(cases, tallies(cases), oracles["panoptica"], strict=True):
        missed = len(tally.reference) - tally.n_found
        assert (tally.n_found, len(tally.false), missed) == (
            expected["tp"], expected["fp"], expected["fn"],
        )  # fmt: skip
        pairs = matched_pairs([case], SETTINGS)
        if pairs:
            assert np.mean([p.dsc for p in pairs]) == pytest.approx(expected["dsc"])
            assert np.mean([p.hd_mm for p in pairs]) == pytest.approx(expected["hd_mm"])


def test_lesion_by_lesion_figures_are_described_over_pairs(cases, oracles):
    found = summarise_matched(matched_pairs(cases, SETTINGS), SETTINGS)[Sequence.DWI]
    rows = [row for row in oracles["panoptica"] if row["tp"]]
    assert (found.pairs, found.patients) == (sum(r["tp"] for r in rows), len(rows))
    pooled = sum(row["dsc"] * row["tp"] for row in rows) / found.pairs
    assert found.by_measure["dsc"].mean == pytest.approx(pooled)
    assert found.means["dsc"].low < pooled < found.means["dsc"].high


@pytest.mark.parametrize("kind", ["ICC(1,1)", "ICC(A,1)", "ICC(C,1)"])
def test_intraclass_correlations_are_those_of_pingouin(kind, oracles):
    judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    found = intraclass_correlation_of(judges, kind)
    estimate, low, high = oracles["pingouin"][kind]
    assert found.estimate == pytest.approx(estimate, rel=1e-9)
    assert [found.low, found.high] == pytest.approx([low, high], abs=5.1e-3)  # it rounds them
