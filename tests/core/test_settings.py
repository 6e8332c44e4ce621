"""Settings as earlier versions wrote them into bundles and run records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pelvimets.config import (
    EvidenceWeights,
    JointSettings,
    LesionSettings,
    SequenceSettings,
    settings_from_dict,
    settings_to_dict,
)
from pelvimets.errors import SettingsError
from pelvimets.labels import Sequence

EARLIER = {
    "threshold": 0.4,
    "weak_sequences": ["t1"],
    "judge_dwi": {"intercept": 0.7, "volume": 0.8, "threshold": 0.5},
    "judge_t1": None,
    "joint_dwi": {"own": 0.7, "other": 0.6, "intercept": 0.4, "reach_mm": 4.0},
    "joint_t1": None,
}
TODAY = LesionSettings(
    threshold=0.4,
    dwi=SequenceSettings(
        EvidenceWeights(intercept=0.7, volume=0.8), JointSettings(0.7, 0.6, 0.4), decides=True
    ),
    t1=SequenceSettings(decides=False),
)


def test_one_record_per_sequence_is_made_of_what_stood_side_by_side() -> None:
    assert settings_from_dict(LesionSettings, EARLIER) == TODAY


def test_what_is_read_from_an_earlier_record_is_written_in_the_form_of_today() -> None:
    plain = settings_to_dict(settings_from_dict(LesionSettings, EARLIER))
    assert not set(plain) & (set(EARLIER) - {"threshold"})
    assert settings_from_dict(LesionSettings, json.loads(json.dumps(plain))) == TODAY


def test_an_unknown_sequence_of_an_earlier_record_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"dwi and t1.*flair"):
        settings_from_dict(LesionSettings, {"weak_sequences": ["flair"]})


def test_an_earlier_bundle_is_read_with_all_its_weights() -> None:
    place = Path(__file__).with_name("lesions_of_0_4.json")  # as bundle first 0.4 kept them
    stored = json.loads(place.read_text(encoding="utf-8"))
    settings = settings_from_dict(LesionSettings, stored)
    assert stored["judge_dwi"]["volume"] == 0.844808  # it is kept as it was made
    for sequence in Sequence:
        own = settings.of(sequence)
        assert own.evidence is not None and own.joint is not None and own.decides
        for kept, told in ((own.evidence, f"judge_{sequence}"), (own.joint, f"joint_{sequence}")):
            for name, value in stored[told].items():
                assert getattr(kept, name) == value, (sequence, name)


@pytest.mark.parametrize(
    ("wrong", "place", "got", "remedy"),
    [
        ({"dwi": {"evidence": {"volume": "much"}}}, r"\.dwi\.evidence\.volume", "'much'", "`float"),
        ({"threshold": True}, r"\.threshold", "True", "`float`"),
        ({"connectivity": 6.5}, r"\.connectivity", r"6\.5", "`int`"),
        ({"threshold": float("inf")}, r"\.threshold", "inf", "finite"),
        ({"dwi": [1]}, r"\.dwi", r"\[1\]", "object"),
        ([1], "", r"\[1\]", "object"),
    ],
)
def test_a_value_of_another_kind_is_named_with_its_place_and_what_it_should_be(
    wrong: object, place: str, got: str, remedy: str
) -> None:
    with pytest.raises(SettingsError, match=f"LesionSettings{place} has a value.*{got}.*{remedy}"):
        settings_from_dict(LesionSettings, wrong)
