from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pelvimets.calibration.candidates import Candidate, CandidateCase, Drawing, JointVoxels
from pelvimets.calibration.fitting import fit_reading
from pelvimets.calibration.weights import fit_joint, fit_weights
from pelvimets.config import EvidenceWeights, JointSettings, LesionSettings
from pelvimets.core.evidence import (
    FEATURES,
    Evidence,
    chance_of_faint,
    chance_of_metastases,
    chance_of_metastasis,
)
from pelvimets.errors import CohortError
from pelvimets.labels import Sequence
from pelvimets.report.card import model_card


def drawn_case(number: int, rng: np.random.Generator, sequence=Sequence.DWI) -> CandidateCase:
    """The network is overconfident; the other sequence and the ADC tell more than its score."""
    sick = number % 2 == 0
    candidates = []
    for right in ([True] * 3 if sick else []) + [False] * int(rng.integers(1, 4)):
        score = float(np.clip(rng.normal(0.93 if right else 0.88, 0.05), 0.6, 0.999))
        other = float(np.clip(rng.normal(0.7 if right else 0.35, 0.2), 0, 1))
        adc = float(rng.normal(800 if right else 1300, 250))
        volume = float(np.exp(rng.normal(0.5, 0.6)))
        candidates.append(Candidate(Evidence(score, score - 0.1, volume, other, adc), right))
    return CandidateCase(
        f"p{number}", f"p{number}", sequence, 3 if sick else 0, tuple(candidates), 0.0, (10, 12, 14)
    )


def cohort(patients: int = 40) -> tuple[CandidateCase, ...]:
    rng = np.random.default_rng(5)
    return tuple(drawn_case(n, rng, s) for n in range(patients) for s in Sequence)


def test_evidence_beyond_the_network_pays_and_is_told() -> None:
    record = fit_reading({Drawing(0.5): cohort()}, LesionSettings()).record
    for own in record["sequences"].values():
        gains = list(own["gains"].values())
        assert gains[-1] > gains[0] + 0.1
        assert own["lesion_ece"] < own["lesion_ece_network"] / 2
        assert 0.7 < own["precision"] <= 1 and 0.7 < own["recall"] <= 1


def test_the_images_of_one_person_are_left_out_together() -> None:
    """Ten copies of one person, marked by a volume that no other has: not learned by heart."""
    others = [drawn_case(n, np.random.default_rng(n)) for n in range(40)]
    false = Candidate(Evidence(0.95, 0.9, 50.0, 0.7, 800), right=False)
    copies = [
        CandidateCase(f"c{n}", "c", Sequence.DWI, 0, (false,), 0.0, (0, 9, 0)) for n in range(10)
    ]
    apart = [replace(case, person=case.patient) for case in copies]
    precision = [
        fit_reading({Drawing(0.5): (*others, *own)}, LesionSettings()).record["sequences"]["dwi"][
            "precision"
        ]
        for own in (copies, apart)
    ]
    assert precision[0] < precision[1]


def test_the_way_of_drawing_with_the_best_f1_is_taken() -> None:
    cases = cohort()
    missing = tuple(replace(case, metastases=3 * case.metastases) for case in cases)
    fitted = fit_reading(
        {Drawing(0.3): missing, Drawing(0.7, 0.2): cases, Drawing(0.5): missing}, LesionSettings()
    ).settings
    assert fitted.on(Sequence.DWI).threshold == fitted.on(Sequence.T1).threshold == 0.7
    assert fitted.on(Sequence.DWI).grow_to == fitted.on(Sequence.T1).grow_to == 0.2
    assert fitted.operating_point >= fitted.smallest_score
    assert fitted.dwi.evidence is not None and fitted.dwi.evidence != fitted.t1.evidence


def test_a_sequence_on_which_candidates_say_little_decides_nothing() -> None:
    rng = np.random.default_rng(1)
    cases = tuple(
        replace(case, metastases=20 if case.metastases else 0)  # most were not even candidates
        if case.sequence is Sequence.T1
        else drawn_case(int(case.patient[1:]), rng)
        for case in cohort()
    )
    settings = fit_reading({Drawing(0.5): cases}, LesionSettings()).settings
    assert (settings.dwi.decides, settings.t1.decides) == (True, False)


def test_how_sequences_are_joined_is_a_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    own, other = rng.normal(-2, 2, (2, 40_000)).astype(np.float32)
    chance = 1 / (1 + np.exp(-(0.6 * own + 0.9 * other + 0.4)))
    voxels = JointVoxels(own, other, rng.random(40_000) < chance)
    half = [JointVoxels(*(a[n::2] for a in (own, other, voxels.right))) for n in range(2)]
    fitted = fit_joint(half)
    assert fitted.own == pytest.approx(0.6, abs=0.05)
    assert fitted.other == pytest.approx(0.9, abs=0.05)
    assert fitted.intercept == pytest.approx(0.4, abs=0.1)
    nothing = JointVoxels(own, other, np.zeros(40_000, dtype=bool))
    assert fit_joint([nothing]) == JointSettings()  # as without


def test_f1_is_that_of_the_lesions_listed() -> None:
    fitted = fit_reading({Drawing(0.5): cohort()}, LesionSettings())
    found, listed, metastases = np.sum(list(fitted.sums.values()), axis=0)
    recall, precision = found / metastases, found / listed
    assert fitted.f1 == pytest.approx(2 * recall * precision / (recall + precision))


def test_the_weighing_is_a_logistic_regression() -> None:
    """Recovers the weights that the labels were drawn by (few thousand candidates)."""
    rng = np.random.default_rng(0)
    truth = EvidenceWeights(intercept=-0.5, score=0.8, volume=0.6, other=0.4, adc=-1.5)
    evidence = [
        Evidence(s, 0.5, v, o, a)
        for s, v, o, a in zip(
            rng.uniform(0.1, 0.9, 4000),
            np.exp(rng.normal(0, 1, 4000)),
            rng.uniform(0.1, 0.9, 4000),
            rng.normal(1000, 400, 4000),
            strict=True,
        )
    ]
    chance = np.array([chance_of_metastasis(e, truth) for e in evidence])
    right = rng.random(4000) < chance
    fitted = fit_weights(evidence, right, FEATURES)
    for name in ("score", "volume", "other", "adc"):
        assert getattr(fitted, name) == pytest.approx(getattr(truth, name), abs=0.2)


def test_what_hugs_the_border_of_the_mask_counts_for_less() -> None:
    rng = np.random.default_rng(2)
    cases = tuple(
        replace(
            case,
            candidates=tuple(
                replace(
                    c, evidence=replace(c.evidence, rim_share=float(rim), outside_share=rim / 2)
                )
                for c in case.candidates
                for rim in [np.clip(rng.normal(0.25 if c.right else 0.75, 0.2), 0, 1)]
            ),
        )
        for case in cohort()
    )
    fitted = fit_reading({Drawing(0.5): cases}, LesionSettings())
    record = {**fitted.record, "cohort": "c", "made_by": ["make -o a", "insert a -o b"]}
    card = model_card({"name": "n", "version": "1", "calibration": record})
    assert "how far the candidate lies in bone" in " ".join(card.split())
    assert "\n    make -o a\n    insert a -o b\n" in card
    gains = fitted.record["sequences"]["dwi"]["gains"]
    assert gains["with its place in bone"] > gains["with ADC"] + 0.01
    weights = fitted.settings.dwi.evidence
    deep = Evidence(0.9, 0.8, 2.0, 0.5, 900.0, rim_share=0.2)
    spilt = replace(deep, rim_share=0.9, outside_share=0.5)
    assert chance_of_metastasis(deep, weights) > chance_of_metastasis(spilt, weights) + 0.3


def test_weights_serve_studies_without_the_other_sequence_or_adc() -> None:
    fitted = fit_reading({Drawing(0.5): cohort()}, LesionSettings()).settings.dwi.evidence
    sure = Evidence(0.97, 0.9, 3.0)
    chances = [
        chance_of_metastasis(replace(sure, other_score=o, adc_um2_per_s=a), fitted)
        for o, a in ((0.9, 750.0), (None, None), (0.05, 1900.0))
    ]
    assert chances[0] > chances[1] > chances[2]


def test_patients_without_a_candidate_are_ranked_by_what_is_faint() -> None:
    """Below those whom the weights suspect, and by how near a candidate they come."""
    cases = [case for case in cohort() if case.candidates]
    empty = [
        CandidateCase(f"q{n}", f"q{n}", s, 0, (), faint, (0, 0, 0))
        for n, faint in enumerate((0.01, 0.2, 0.4))
        for s in Sequence
    ]
    weights = fit_reading({Drawing(0.5): (*cases, *empty)}, LesionSettings()).settings.dwi.evidence
    chances = [
        chance_of_metastases(chance_of_faint(case.faint, weights), weights)
        for case in empty
        if case.sequence is Sequence.DWI
    ]
    assert chances == sorted(chances) and chances[0] < chances[-1] < 0.5


def test_too_few_candidates_are_refused_with_a_remedy() -> None:
    with pytest.raises(CohortError, match=r"Too few candidates.*DWI: .*T1 .*at least 8"):
        fit_reading({Drawing(0.5): cohort(3)}, LesionSettings())


def test_a_sequence_with_too_few_candidates_keeps_its_networks_score() -> None:
    few = tuple(
        replace(case, candidates=tuple(c for c in case.candidates if c.right))
        if case.sequence is Sequence.T1
        else case
        for case in cohort()
    )
    fitted = fit_reading({Drawing(0.5): few}, LesionSettings())
    assert fitted.settings.dwi.evidence is not None and fitted.settings.t1.evidence is None
    assert fitted.settings.t1.decides
    right = sum(c.right for case in few if case.sequence is Sequence.T1 for c in case.candidates)
    assert fitted.record["unweighed"] == {"t1": {"right": right, "false": 0}}
    card = model_card(
        {"name": "n", "version": "1", "calibration": {**fitted.record, "cohort": "c"}}
    )
    assert f"({right} right, 0 false): scores there are the network's own" in card
