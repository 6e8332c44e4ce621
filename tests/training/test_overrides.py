from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pelvimets.config import settings_to_dict
from pelvimets.errors import SettingsError
from pelvimets.training.overrides import check_goes_on, overridden
from pelvimets.training.presets import DEFAULT_BONES, PAPER_LESIONS
from pelvimets.training.settings import TrainingSettings

STAGE = {"until": 1.0, "spacing_mm": None, "shape": [8, 16, 16], "batch": 3}


def test_what_is_not_named_stays() -> None:
    changes = {
        "network": {"dropout": 0.1},
        "learning_rate": 1,
        "minutes": 5.0,
        "stages": [STAGE],
        "sample_grid": {"spacing_mm": None, "shape": [64, 96, 96]},
    }
    changed = overridden(DEFAULT_BONES, changes)
    assert changed.network == replace(DEFAULT_BONES.network, dropout=0.1)
    assert changed.stages[0].shape == (8, 16, 16) and len(changed.stages) == 1
    assert changed.sample_grid.shape == (64, 96, 96)
    assert (changed.learning_rate, changed.minutes) == (1, 5.0)
    assert changed.loss == DEFAULT_BONES.loss and changed.grid == DEFAULT_BONES.grid


@pytest.mark.parametrize("settings", [DEFAULT_BONES, PAPER_LESIONS])
def test_the_settings_of_a_run_override_all(settings: TrainingSettings) -> None:
    other = replace(settings, epochs=7, minutes=3.0, schedule="constant")
    kept = json.loads(json.dumps(settings_to_dict(other)))
    assert overridden(settings, kept) == other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rat": 1.0}, r"Unknown setting \(got learning_rat\)"),
        ({"network": {"chanels": [1, 2]}}, r"network\.chanels"),
        ({"stages": [{**STAGE, "size": 3}]}, r"stages\.0\.size"),
        ({"stages": [{"until": 1.0}]}, "incomplete.*batch, shape, spacing_mm"),
        ({"stages": {"until": 1.0}}, r"TrainingSettings\.stages.*another kind"),
        ({"epochs": "many"}, r"TrainingSettings\.epochs.*another kind.*'many'"),
        ({"epochs": 1.5}, "another kind"),
        ({"epochs": None}, "another kind"),
        ({"network": 3}, "another kind"),
        ({"network": {"stem": [1, 2]}}, r"network\.stem.*another kind"),
        ({"augmentation": {"flip_left_right": 1}}, "another kind"),
        ({"task": "lesions"}, "for the other network.*lesions"),
        ({"stages": [{**STAGE, "shape": [9, 16, 16]}]}, "does not fit the network's levels"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        overridden(DEFAULT_BONES, changes)


def test_a_run_may_grow_longer_and_nothing_else() -> None:
    timed = replace(DEFAULT_BONES, minutes=10.0)
    check_goes_on(timed, replace(timed, minutes=20.0, epochs=timed.epochs + 1))
    check_goes_on(timed, replace(timed, minutes=None))
    with pytest.raises(SettingsError, match=r"minutes 5\.0 instead of 10\.0"):
        check_goes_on(timed, replace(timed, minutes=5.0))
    other = replace(timed, network=replace(timed.network, dropout=0.5), seed=1)
    with pytest.raises(SettingsError, match=r"network\.dropout 0\.5 .*; seed 1 instead of 2021"):
        check_goes_on(timed, other)
    stages = (replace(timed.stages[0], batch=9), *timed.stages[1:])
    with pytest.raises(SettingsError, match=r"stages\.0\.batch 9"):
        check_goes_on(timed, replace(timed, stages=stages))
