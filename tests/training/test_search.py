from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from pelvimets.config import settings_to_dict
from pelvimets.errors import InputError, ResourceError, SettingsError, VerificationError
from pelvimets.io.record.search_storage import _unreachable, masked_url, open_storage, sqlite_url
from pelvimets.training.overrides import overridden
from pelvimets.training.presets import (
    DEFAULT_BONES,
    DEFAULT_LESIONS,
    PAPER_BONES,
    PAPER_LESIONS,
)
from pelvimets.training.search.budget import in_epochs, in_minutes
from pelvimets.training.search.records import (
    Fate,
    TrialRecord,
    best,
    ended,
    is_surplus,
    places_taken,
    remaining_minutes,
)
from pelvimets.training.search.searching import RunningTrial, Search, Strategy, differences
from pelvimets.training.search.space import (
    Choice,
    Range,
    Value,
    default_space,
    overrides,
    space_from_dict,
    space_to_dict,
    values_of,
    with_values,
)
from tests.training.search_database import empty_database, no_wait_for_the_disk

PRESETS = (DEFAULT_BONES, DEFAULT_LESIONS, PAPER_BONES, PAPER_LESIONS)
SPACE = {"x": Range(0.0, 1.0), "kind": Choice(("flat", "steep"))}
PLAN = {"task": "bones", "preset": "default"}
STORAGES = ExitStack()


@st.composite
def drawn_values(draw: st.DrawFn) -> dict[str, Value]:
    return {
        name: draw(
            st.sampled_from(p.options)
            if isinstance(p, Choice)
            else st.integers(int(p.low), int(p.high)).filter(p.holds)
            if p.whole
            else st.floats(p.low, p.high)
        )
        for name, p in default_space().items()
    }


@settings(max_examples=40, deadline=None)
@given(drawn_values(), st.sampled_from(PRESETS))
def test_any_drawn_values_make_settings_that_train(values: dict[str, Value], preset: Any) -> None:
    made = with_values(preset, values)
    assert len(made.network.channels) == values["network.depth"]
    assert made.network.channels[0] == values["network.width"]
    assert made.learning_rate == values["learning_rate"]
    assert all(made.grid.multiple_of[a] % made.network.multiple_of[a] == 0 for a in range(3))
    assert values_of(made, default_space()) is None or with_values(made, values) == made


@settings(max_examples=25, deadline=None)
@given(drawn_values(), st.sampled_from(PRESETS))
def test_the_best_settings_are_an_override_of_the_preset(
    values: dict[str, Value], preset: Any
) -> None:
    made = with_values(preset, values)
    part = json.loads(json.dumps(overrides(made, preset, default_space())))
    assert overridden(preset, part) == made
    assert "epochs" not in part


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_lies_in_the_space(preset: Any) -> None:
    values = values_of(preset, default_space())
    assert values is not None
    assert with_values(preset, values) == preset


def test_a_space_goes_through_plain_data() -> None:
    space = default_space()
    again = space_from_dict(json.loads(json.dumps(space_to_dict(space))), DEFAULT_BONES)
    assert again == space


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "empty"),
        ({"learning_rat": [1e-3]}, "learning_rat"),
        ({"network.dropout": {"low": 0.0}}, "network.dropout cannot be read"),
        ({"network.dropout": {"low": 0.5, "high": 0.0}}, "low < high"),
        ({"learning_rate": {"low": 0.0, "high": 1.0, "log": True}}, "low > 0"),
        ({"epochs": {"low": 1, "high": 10, "step": 4}}, "step must divide"),
        ({"loss": ["hinge"]}, "Known: .*dice"),
        ({"network.channels": [3]}, "network.channels"),
        ({"optimiser": ["adam", "adam"]}, "different options"),
        ({"network.initialisation": [3]}, "network.initialisation"),
    ],
)
def test_a_faulty_space_is_refused(data: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        space_from_dict(data, DEFAULT_BONES)


def test_other_settings_can_be_searched() -> None:
    space = space_from_dict(
        {"augmentation.noise": {"low": 0.0, "high": 1.0}, "network.blocks": {"low": 1, "high": 3}},
        DEFAULT_BONES,
    )
    made = with_values(DEFAULT_BONES, {"augmentation.noise": 0.5, "network.blocks": 3})
    assert (made.augmentation.noise, made.network.blocks) == (0.5, 3)
    assert overrides(made, DEFAULT_BONES, space) == {
        "augmentation": {"noise": 0.5},
        "network": {"blocks": 3},
    }


def test_a_short_trial_has_a_whole_schedule() -> None:
    timed = in_minutes(DEFAULT_BONES, 2.0)
    assert (timed.minutes, timed.steps_per_epoch, timed.validate_every) == (2.0, 20, 1)
    assert timed.epochs * timed.steps_per_epoch == 6000
    assert timed.warmup_steps == 12
    assert timed.average_decay == pytest.approx(1 - 20 / 120)
    counted = in_epochs(DEFAULT_BONES, 45)
    assert (counted.epochs, counted.validate_every) == (45, 3)
    assert counted.average_decay == DEFAULT_BONES.average_decay
    assert in_epochs(PAPER_BONES, 2).average_decay == 0.0


# ---- the search itself, on a database, with a stub in place of training


def opened(
    url: str,
    *,
    plan: Mapping[str, Any] = PLAN,
    heartbeat: int = 60,
    grace: int = 120,
    **given: Any,
) -> Search:
    storage = STORAGES.enter_context(
        open_storage(url, heartbeat_seconds=heartbeat, grace_seconds=grace)
    )
    return Search(storage, "study", plan, SPACE, Strategy(**given))


@pytest.fixture(autouse=True)
def storages_are_closed() -> Iterator[None]:
    yield
    STORAGES.close()


@pytest.fixture(scope="module", autouse=True)
def quick_disk() -> Iterator[None]:
    with no_wait_for_the_disk():
        yield


@pytest.fixture
def url(tmp_path: Path) -> str:
    return empty_database(tmp_path / "study.db")


def slope(trial: RunningTrial) -> float:
    return float(trial.values["x"]) * (2.0 if trial.values["kind"] == "steep" else 1.0)


def climb(trial: RunningTrial) -> float:
    """Reports as a training does, and stops when told to."""
    for tenth in range(1, 11):
        if trial.report(tenth / 10, slope(trial) * tenth / 10) and tenth < 10:
            raise optuna.TrialPruned
    return slope(trial)


def run(search: Search, objective: Any, total: int) -> None:
    search.take_back_lost()
    while not search.is_full(total):
        search.attempt(objective, total)
        search.take_back_lost()


@pytest.mark.parametrize(("sampler", "total"), [("random", 5), ("tpe", 12)])
def test_a_search_goes_on_where_it_ended_with_the_same_trials(
    url: str, tmp_path: Path, sampler: str, total: int
) -> None:
    whole = opened(empty_database(tmp_path / "whole.db"), sampler=sampler, seed=3)
    run(whole, slope, total)
    run(opened(url, sampler=sampler, seed=3), slope, 3)
    again = opened(url, sampler=sampler, seed=3)
    assert len(again.records()) == 3
    run(again, slope, total)
    assert [r.values for r in again.records()] == [r.values for r in whole.records()]
    assert {r.fate for r in again.records()} == {Fate.FINISHED}
    assert {r.sampler for r in again.records()} == {sampler}
    run(opened(url, seed=3), slope, total)
    assert len(again.records()) == total


def test_tpe_moves_to_where_the_score_is_high(url: str) -> None:
    search = opened(url, sampler="tpe", pruner="none")
    run(search, slope, 24)
    late = [r.score or 0.0 for r in search.records()[14:]]
    early = [r.score or 0.0 for r in search.records()[:10]]
    assert sum(late) / len(late) > 1.2 * sum(early) / len(early)


def test_the_preset_is_the_first_trial(url: str) -> None:
    search = opened(url, first={"x": 0.25, "kind": "flat"})
    run(search, slope, 2)
    first, second = search.records()
    assert (first.values, first.slot) == ({"x": 0.25, "kind": "flat"}, "preset")
    assert second.slot is None


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_poor_trials_are_stopped_early(url: str, pruner: str) -> None:
    search = opened(url, pruner=pruner, seed=1)
    run(search, climb, 16)
    fates = [r.fate for r in search.records()]
    assert set(fates) == {Fate.FINISHED, Fate.PRUNED}
    pruned = [r for r in search.records() if r.fate is Fate.PRUNED]
    assert all(5 <= max(r.curve) < 20 for r in pruned)
    assert all(r.number >= 5 for r in pruned) or pruner == "hyperband"
    kept = [r.score or 0.0 for r in search.records() if r.fate is Fate.FINISHED]
    assert max(kept) > max(r.values["x"] for r in pruned)  # type: ignore[type-var]


def test_without_pruner_nothing_is_stopped(url: str) -> None:
    search = opened(url, pruner="none")
    run(search, climb, 8)
    assert {r.fate for r in search.records()} == {Fate.FINISHED}


def test_a_score_stands_until_the_next(url: str) -> None:
    def sparse(trial: RunningTrial) -> float:
        trial.report(0.1, 0.3)
        trial.report(0.26, 0.5)
        trial.report(0.27, 0.6)
        return 0.6

    search = opened(url)
    run(search, sparse, 1)
    assert search.records()[0].curve == {2: 0.3, 3: 0.3, 4: 0.3, 5: 0.5}


def test_failing_trials_are_kept_with_their_reason_and_the_search_goes_on(url: str) -> None:
    errors: list[Exception] = [
        VerificationError("The loss is not finite", got="nan at step 3"),
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        ZeroDivisionError("float division by zero\nsecond line"),
    ]

    def failing(trial: RunningTrial) -> float:
        if trial.number < len(errors):
            raise errors[trial.number]
        return float("nan") if trial.number == len(errors) else 0.5

    search = opened(url)
    run(search, failing, 8)
    records = search.records()
    assert [r.fate for r in records] == [Fate.FAILED] * 6 + [Fate.FINISHED] * 2
    assert [r.reason for r in records[:6]] == [
        "The loss is not finite (got nan at step 3).",
        "not enough memory",
        "not enough memory",
        "not enough memory",
        "ZeroDivisionError: float division by zero",
        "The score is not finite (got nan).",
    ]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(143), InputError("damaged")])
def test_what_is_no_fault_of_a_trial_ends_the_search_and_the_trial_is_begun_again(
    url: str, stop: BaseException
) -> None:
    def stopped(trial: RunningTrial) -> float:
        trial.report(0.5, 0.25)
        raise stop

    search = opened(url, seed=5)
    with pytest.raises(type(stop)):
        run(search, stopped, 3)
    again = opened(url, seed=5)
    run(again, climb, 3)
    lost, retried, *_ = again.records()
    assert (lost.fate, retried.fate) == (Fate.LOST, Fate.FINISHED)
    assert (retried.values, retried.run) == (lost.values, lost.run)
    assert retried.curve[10] == pytest.approx(0.5 * (retried.score or 0.0))
    assert places_taken(again.records()) == 3


KILLED = """
    import os, sys
    from pelvimets.io.record.search_storage import open_storage
    from pelvimets.training.search.searching import Search
    from pelvimets.training.search.space import Choice, Range
    SPACE = {"x": Range(0.0, 1.0), "kind": Choice(("flat", "steep"))}
    opened = open_storage(sys.argv[1], heartbeat_seconds=60, grace_seconds=120)
    search = Search(opened.__enter__(), "study", {"task": "bones", "preset": "default"}, SPACE)
    def killed(trial):
        trial.report(0.3, 0.2)
        os.kill(os.getpid(), 9)
    search.attempt(killed, 4)
"""


def test_trials_of_a_killed_worker_are_begun_again_but_not_for_ever(url: str) -> None:
    def start_and_kill() -> None:
        script = textwrap.dedent(KILLED)
        done = subprocess.run([sys.executable, "-c", script, url], check=False, timeout=120)
        assert done.returncode == -9

    start_and_kill()
    search = opened(url)
    assert search.records()[0].fate is Fate.RUNNING
    search.take_back_lost()
    first, second = search.records()
    assert (first.fate, first.lost, second.fate) == (Fate.LOST, 1, Fate.WAITING)
    assert (second.values, second.run) == (first.values, "0000")
    start_and_kill()  # takes the waiting one
    search.take_back_lost()
    assert [r.fate for r in search.records()] == [Fate.LOST, Fate.FAILED]
    assert "killed 2 times" in (search.records()[1].reason or "")
    run(search, slope, 4)
    assert len(ended(search.records())) == 4


def test_silent_workers_elsewhere_are_given_up_after_the_grace_period(url: str) -> None:
    search = opened(url, heartbeat=1, grace=1)

    def from_elsewhere(trial: RunningTrial) -> float:
        trial._trial.set_user_attr("worker", "another-host:1:1")
        other = opened(url, heartbeat=1, grace=1)
        other.take_back_lost()
        assert other.records()[0].fate is Fate.RUNNING  # it gives a sign every second
        other._study.tell(0, state=optuna.trial.TrialState.FAIL)  # as if it had been silent
        trial.report(0.5, 0.1)  # refused, as the trial is no longer its own
        raise AssertionError

    record = search.attempt(from_elsewhere, 2)
    assert record is not None
    assert record.fate is Fate.LOST
    run(search, slope, 2)
    assert places_taken(search.records()) == 2


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({**PLAN, "task": "lesions"}, "task: bones before, lesions now"),
        ({**PLAN, "preset": "paper"}, "preset: default before, paper now"),
        ({**PLAN, "space": {"x": [1]}}, "space: nothing before"),
    ],
)
def test_another_plan_is_refused_with_what_differs(
    url: str, plan: dict[str, Any], words: str
) -> None:
    opened(url)
    with pytest.raises(SettingsError, match=words):
        opened(url, plan=plan)


def test_differences_name_every_setting() -> None:
    old = settings_to_dict(DEFAULT_BONES)
    new = settings_to_dict(
        replace(DEFAULT_BONES, seed=1, network=replace(DEFAULT_BONES.network, blocks=3))
    )
    assert differences(old, new) == ["network.blocks: 2 before, 3 now", "seed: 2021 before, 1 now"]


def test_unknown_samplers_and_pruners_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="Known: random, tpe"):
        opened(url, sampler="grid")
    with pytest.raises(SettingsError, match="Known: median, hyperband, none"):
        opened(url, pruner="mean")


def test_importance_finds_the_setting_that_matters(url: str) -> None:
    search = opened(url)
    run(search, lambda trial: float(trial.values["x"]), 14)
    importances = search.importances()
    assert importances["x"] > 0.8
    assert sum(importances.values()) == pytest.approx(1)


# ---- what counts, without a database


def made_record(number: int, fate: Fate, **given: Any) -> TrialRecord:
    empty = TrialRecord(
        number=number,
        fate=fate,
        score=None,
        values={},
        reason=None,
        curve={},
        started=None,
        minutes=None,
        sampler=None,
        worker=None,
        run=f"{number:04d}",
        slot=None,
        lost=0,
    )
    return replace(empty, **given)


def test_of_two_workers_that_take_the_last_place_the_second_gives_it_back() -> None:
    records = [
        made_record(0, Fate.FINISHED),
        made_record(1, Fate.LOST),
        made_record(2, Fate.RUNNING),
        made_record(3, Fate.RUNNING),
    ]
    assert not is_surplus(records, 2, total=2)
    assert is_surplus(records, 3, total=2)
    assert not is_surplus(records, 3, total=3)


def test_what_two_workers_put_in_the_queue_is_run_once() -> None:
    records = [
        made_record(0, Fate.RUNNING, slot="preset"),
        made_record(1, Fate.RUNNING, slot="preset"),
    ]
    assert not is_surplus(records, 0, total=9)
    assert is_surplus(records, 1, total=9)


def test_the_best_are_finished_ones_and_time_is_shared_by_workers() -> None:
    records = [
        made_record(0, Fate.FINISHED, score=0.4, minutes=2.0),
        made_record(1, Fate.PRUNED, score=0.9, minutes=1.0),
        made_record(2, Fate.FINISHED, score=0.5, minutes=3.0),
        made_record(3, Fate.RUNNING),
    ]
    assert [r.number for r in best(records, 5)] == [2, 0]
    assert remaining_minutes(records, 9) == pytest.approx(6 * 2.0 / 2)
    assert remaining_minutes(records[3:], 9) is None


# ---- storage


def test_passwords_are_never_shown(tmp_path: Path) -> None:
    plain = "postgresql://ann:s3cr%40t@db.example:5433/search?password=s3cr%40t&sslmode=require"
    assert masked_url(plain) == "postgresql+psycopg://ann@db.example:5433/search"
    with pytest.raises(SettingsError) as refused, open_storage("ann:s3cret of db"):
        pass
    assert "s3cret" not in str(refused.value)
    with (
        pytest.raises(SettingsError, match="SQLite or PostgreSQL"),
        open_storage("mysql://ann:s3cret@db.example/search"),
    ):
        pass


def test_a_database_that_does_not_answer_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    nowhere = "postgresql://ann:s3cret@127.0.0.1:1/search?connect_timeout=2"
    with pytest.raises(ResourceError, match="does not answer") as refused, open_storage(nowhere):
        pass
    assert "s3cret" not in str(refused.value)
    missing = sqlite_url(tmp_path / "missing" / "study.db")
    with pytest.raises(ResourceError, match="unable to open"), open_storage(missing):
        pass


def test_an_error_of_the_database_on_the_way_does_not_show_the_password(url: str) -> None:
    shown = "postgresql://ann:s3cret@db.example/search"
    error = OperationalError("SELECT 1", {}, RuntimeError("no way in with s3cret"))
    with pytest.raises(ResourceError) as refused, open_storage(url) as storage:
        assert storage.url == url
        raise error
    assert "no way in" in str(refused.value)
    assert "s3cret" not in str(_unreachable(shown, error))


def test_only_this_process_is_named(url: str) -> None:
    search = opened(url)
    run(search, slope, 1)
    assert f":{os.getpid()}:" in (search.records()[0].worker or "")
