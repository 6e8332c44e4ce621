from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pelvimets.model.settings import NetworkSettings
from pelvimets.training import precision
from pelvimets.training.overrides import check_goes_on
from pelvimets.training.precision import AUTO, FULL, HALF, chosen_precision, seconds_of_step
from pelvimets.training.presets import DEFAULT_BONES, DEFAULT_LESIONS
from pelvimets.training.settings import Stage, TrainingSettings


def small(settings: TrainingSettings) -> TrainingSettings:
    network = NetworkSettings(channels=(4, 8), stem=(1, 2, 2))
    stage = Stage(until=1.0, spacing_mm=(4.0, 2.0, 2.0), shape=(8, 16, 16), batch=2)
    return replace(settings, network=network, stages=(stage,), precision=AUTO)


@pytest.mark.parametrize("faster", [HALF, FULL])
def test_auto_takes_the_faster_one(monkeypatch: pytest.MonkeyPatch, faster: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(
        precision, "seconds_of_step", lambda settings, how: 1.0 if how == faster else 2.0
    )
    assert chosen_precision(small(DEFAULT_BONES)) == faster


def test_what_is_set_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "seconds_of_step", pytest.fail)
    assert chosen_precision(replace(DEFAULT_BONES, precision="16-mixed")) == "16-mixed"


@pytest.mark.parametrize("settings", [DEFAULT_BONES, DEFAULT_LESIONS])
@pytest.mark.parametrize("how", [HALF, FULL])
def test_a_step_of_either_network_is_timed_and_chance_is_left_alone(
    settings: TrainingSettings, how: str
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    assert seconds_of_step(small(settings), how, steps=1) > 0
    assert torch.equal(torch.rand(4), expected)


def test_a_run_may_go_on_in_another_precision() -> None:
    check_goes_on(replace(DEFAULT_BONES, precision=HALF), replace(DEFAULT_BONES, precision=FULL))
