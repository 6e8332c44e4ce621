from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pelvimets.config import (
    EvidenceWeights,
    LesionSettings,
    SequenceSettings,
    settings_from_dict,
    settings_to_dict,
)
from pelvimets.core.evidence import (
    FEATURES,
    Evidence,
    chance_of_metastasis,
    features,
    gather_evidence,
    surroundings,
    weigh_lesions,
)
from pelvimets.core.geometry import Geometry
from pelvimets.core.lesions import label_lesions
from pelvimets.core.segmentation import Segmented
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Sequence

SETTINGS = LesionSettings()
FINE = Geometry.from_axes((30, 40, 40), (4.0, 2.0, 2.0))
OTHER = Geometry.from_axes((24, 30, 30), (5.0, 3.0, 3.0), (-4.0, -5.0, -3.0))


def blob(grid: Geometry, value: float, centre=(40.0, 40.0, 60.0), radius=9.0) -> Volume:
    points = grid.to_lps(np.indices(grid.shape).reshape(3, -1).T)
    inside = np.linalg.norm(points - np.asarray(centre), axis=1) <= radius
    return Volume((inside.reshape(grid.shape) * value).astype(np.float32), grid)


def study(dwi: Volume, t1: Volume | None, settings=SETTINGS):
    """Bones everywhere, so that only the probability decides."""
    probability = {Sequence.DWI: dwi} | ({Sequence.T1: t1} if t1 is not None else {})
    bones = {
        s: p.with_array(np.full(p.array.shape, Bone.ILIUM, np.uint8))
        for s, p in probability.items()
    }
    labels = {s: label_lesions(p, bones[s], settings) for s, p in probability.items()}
    return {s: Segmented(bones[s], p, bones[s], p, labels[s]) for s, p in probability.items()}


def evidence_on_dwi(found, adc) -> Evidence:
    dwi = found[Sequence.DWI]
    bones = dwi.own.with_array(np.ones(FINE.shape, np.uint8))
    own = {s: one.own for s, one in found.items()}
    around = surroundings(Sequence.DWI, own, adc, bones)
    return gather_evidence(dwi.candidates, around, SETTINGS)[1]


def test_evidence_on_one_lesion() -> None:
    adc = Volume(np.full((24, 30, 30), 800.0, np.float32), OTHER)
    found = study(blob(FINE, 0.9), blob(OTHER, 0.7))
    found = evidence_on_dwi(found, adc)
    assert found.score == pytest.approx(0.9)
    assert found.mean_probability == pytest.approx(0.9)
    assert found.volume_cm3 == pytest.approx(4 / 3 * np.pi * 0.9**3, rel=0.1)
    assert found.other_score == pytest.approx(0.7, abs=0.02)
    assert found.adc_um2_per_s == pytest.approx(800.0)


def test_what_is_not_there_is_no_evidence() -> None:
    found = study(blob(FINE, 0.9), None)
    alone = evidence_on_dwi(found, None)
    assert alone.other_score is None
    assert alone.adc_um2_per_s is None


def test_a_place_outside_the_other_field_is_no_evidence_against() -> None:
    elsewhere = Geometry.from_axes(OTHER.shape, OTHER.spacing, (200.0, 0.0, 0.0))
    empty = Volume(np.zeros(OTHER.shape, np.float32), elsewhere)
    found = study(blob(FINE, 0.9), empty)
    found = evidence_on_dwi(found, None)
    assert found.other_score is None


def test_a_place_that_the_other_sequence_denies_is_evidence_against() -> None:
    empty = Volume(np.zeros(OTHER.shape, np.float32), OTHER)
    found = study(blob(FINE, 0.9), empty)
    found = evidence_on_dwi(found, None)
    assert found.other_score == 0.0
    weights = EvidenceWeights(score=1.0, other=0.5)
    confirmed = replace(found, other_score=0.9)
    assert chance_of_metastasis(found, weights) < 0.5 < chance_of_metastasis(confirmed, weights)


def test_without_weights_the_network_decides() -> None:
    assert chance_of_metastasis(Evidence(0.37, 0.5, 1.0, 0.9, 700.0), None) == 0.37


def test_neutral_weights_give_the_score_back() -> None:
    evidence = Evidence(0.37, 0.5, 1.0)
    assert chance_of_metastasis(evidence, EvidenceWeights()) == pytest.approx(0.37)


def test_each_weight_belongs_to_its_feature() -> None:
    evidence = Evidence(0.8, 0.6, 2.0, 0.3, 900.0)
    for name, value in zip(FEATURES, features(evidence), strict=True):
        weights = EvidenceWeights(**{"score": 0.0, name: 1.0})
        assert chance_of_metastasis(evidence, weights) == pytest.approx(1 / (1 + np.exp(-value)))


def test_lesions_below_the_smallest_score_go_and_the_rest_is_numbered_anew() -> None:
    two = blob(FINE, 0.6, radius=12.0)
    small = blob(FINE, 0.95, centre=(15.0, 15.0, 25.0), radius=8.0)
    dwi = two.with_array(np.maximum(two.array, small.array))
    settings = LesionSettings(smallest_score=0.8)
    two_found = study(dwi, None, settings)
    assert two_found[Sequence.DWI].candidates.array.max() == 2
    listed = weigh_lesions(two_found, None, settings).by_sequence[Sequence.DWI]
    np.testing.assert_array_equal(listed.mask.array > 0, small.array > 0)
    assert listed.scores == {1: pytest.approx(0.95)}
    assert listed.patient_score == pytest.approx(0.95)


def test_a_patient_without_a_lesion_still_has_a_score() -> None:
    faint = study(blob(FINE, 0.3), None)
    assert not faint[Sequence.DWI].candidates.array.any()
    listed = weigh_lesions(faint, None, SETTINGS).by_sequence[Sequence.DWI]
    assert listed.patient_score == pytest.approx(0.3)
    assert listed.scores == {}


def test_a_wide_faint_place_does_not_make_a_patient_suspicious() -> None:
    """Weights that like large candidates were never fitted to what is no candidate."""
    settings = LesionSettings(dwi=SequenceSettings(EvidenceWeights(volume=5.0)))
    found = study(blob(FINE, 0.3, radius=30.0), None)
    listed = weigh_lesions(found, None, settings).by_sequence[Sequence.DWI]
    assert listed.patient_score == pytest.approx(0.25 * 0.3)


def test_weights_survive_a_bundle() -> None:
    settings = LesionSettings(
        dwi=SequenceSettings(EvidenceWeights(adc=-2.0)), t1=SequenceSettings(decides=False)
    )
    assert settings_from_dict(LesionSettings, settings_to_dict(settings)) == settings


def test_place_in_bone_is_measured_from_the_border_of_its_mask() -> None:
    """Bone fills the field up to x = 40 mm: a blob there lies half outside, one at 20 mm inside."""
    bones = np.ones(FINE.shape, np.uint8)
    bones[:, :, 20:] = 0
    shares = {}
    for x in (20.0, 40.0, 60.0):
        found = blob(FINE, 0.9, centre=(x, 40.0, 60.0), radius=8.0)
        labels = found.with_array((found.array > 0).astype(np.uint16))
        around = surroundings(Sequence.DWI, {Sequence.DWI: found}, None, found.with_array(bones))
        one = gather_evidence(labels, around, SETTINGS)[1]
        shares[x] = one.rim_share, one.outside_share
    assert shares[20.0] == (0.0, 0.0) and shares[60.0] == (1.0, 1.0)
    rim, outside = shares[40.0]
    assert 0.4 < outside < 0.65 and outside + 0.05 < rim < 0.9


def test_a_disc_is_flat_and_a_ball_is_round_on_any_grid() -> None:
    for spacing in ((1.0, 1.0, 1.0), (5.0, 1.5, 1.5)):
        grid = Geometry.from_axes((25, 61, 61), spacing, (0.0, 0.0, 0.0))
        z, y, x = (np.arange(n) * s for n, s in zip(grid.shape, spacing, strict=True))
        centre = [values.mean() for values in (z, y, x)]
        squares = [np.square(values - c) for values, c in zip((z, y, x), centre, strict=True)]
        across = squares[1][None, :, None] + squares[2][None, None, :]
        shapes = {
            "ball": squares[0][:, None, None] + across <= 100,
            "disc": (across <= 100) & (squares[0][:, None, None] <= 9),
        }
        roundness = {}
        for name, mask in shapes.items():
            found = Volume(mask.astype(np.float32), grid)
            around = surroundings(
                Sequence.T1,
                {Sequence.T1: found},
                None,
                found.with_array(np.ones_like(mask, np.uint8)),
            )
            labels = found.with_array(mask.astype(np.uint16))
            roundness[name] = gather_evidence(labels, around, SETTINGS)[1].roundness
        assert roundness["ball"] > 0.85
        assert 0.25 < roundness["disc"] < 0.45


def test_weights_of_an_earlier_version_score_as_before() -> None:
    stored = {"intercept": -1.0, "score": 0.7, "volume": 0.2, "threshold": 0.35}
    weights = settings_from_dict(EvidenceWeights, stored)
    assert weights.grow_to is None
    inside = Evidence(0.8, 0.7, 2.0)
    spilt = replace(inside, rim_share=1.0, outside_share=0.6)
    assert chance_of_metastasis(inside, weights) == chance_of_metastasis(spilt, weights)
