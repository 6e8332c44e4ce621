from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pelvimets.config import settings_to_dict
from pelvimets.errors import SettingsError
from pelvimets.training.presets import preset_settings
from pelvimets.training.settings import Stage, Task, training_settings


@pytest.mark.parametrize("preset", ["default", "paper", "residual", "attention"])
@pytest.mark.parametrize("task", ["bones", "lesions"])
def test_presets_survive_json(preset: str, task: str) -> None:
    settings = preset_settings(task, preset)
    assert training_settings(json.loads(json.dumps(settings_to_dict(settings)))) == settings


def test_the_paper_preset_is_as_printed() -> None:
    bones, lesions = preset_settings("bones", "paper"), preset_settings("lesions", "paper")
    assert bones.grid.shape == lesions.grid.shape == (64, 224, 224)
    assert (bones.learning_rate, bones.stages[0].batch, bones.epochs) == (1e-4, 2, 300)
    assert (lesions.learning_rate, lesions.stages[0].batch, lesions.epochs) == (0.01, 5, 250)
    assert bones.optimiser == "adam"
    assert bones.loss.cross_entropy == 0


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SettingsError, match="preset best"):
        preset_settings("bones", "best")


def test_stages_must_fit() -> None:
    bones = preset_settings("bones", "default")
    with pytest.raises(SettingsError, match="levels"):
        replace(bones, stages=(Stage(1.0, None, (48, 90, 96), 2),))
    with pytest.raises(SettingsError, match="rising"):
        replace(bones, stages=(Stage(0.5, None, (48, 96, 96), 2),))
    assert bones.task is Task.BONES
