"""A search over settings: trials in a database that one or many workers share.

Optuna keeps the trials, draws values and prunes. Here is what makes a search out of them:
the plan that all workers must share, trials of lost workers, and the total that all workers
reach together.
"""

from __future__ import annotations

import json
import math
import socket
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, cast

import optuna
import psutil
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from pelvimets.errors import PelvimetsError, SettingsError, VerificationError
from pelvimets.training.search.records import (
    SHARES,
    Fate,
    TrialRecord,
    is_surplus,
    places_taken,
    record_of,
    run_name,
)
from pelvimets.training.search.sampler import TrialSampler, made_pruner
from pelvimets.training.search.space import Choice, Range, SearchSpace, Value

_PRESET_SLOT = "preset"
_NO_MEMORY = ("out of memory", "allocate memory")
_LONGEST_REASON = 300


class _FailedError(Exception):
    """A trial failed; the search goes on."""


class RunningTrial:
    """A trial in the hands of its objective.

    Attributes:
        number: Of the trial.
        run: Name of the folder of its run.
        values: Drawn, by name of the setting.
    """

    def __init__(self, trial: optuna.Trial, space: SearchSpace) -> None:
        self._trial = trial
        self._earlier = {int(step): score for step, score in trial.user_attrs.get("earlier", ())}
        self._next = 0
        self._last: float | None = None
        self.number = trial.number
        self.run = run_name(trial.number, trial.user_attrs)
        self.values = {name: _draw(trial, name, space[name]) for name in space}

    def start_over(self) -> None:
        """Forget the scores of an earlier worker, as its run is not there to go on with."""
        self._earlier = {}

    def report(self, share: float, score: float) -> bool:
        """Keep a score of the validation samples at a share (0-1) of the schedule.

        Between two scores the older one stands.

        Returns:
            Whether the trial should stop.
        """
        step = int(share * SHARES + 1e-6)
        for between in range(self._next, step):
            self._last = self._earlier.get(between, self._last)
            if self._last is not None:
                self._trial.report(self._last, between)
        if step >= self._next:
            self._trial.report(score, step)
            self._next = step + 1
        self._last = score
        return self._trial.should_prune()


Objective = Callable[[RunningTrial], float]


@dataclass(frozen=True)
class Strategy:
    """How a search goes through its space.

    Attributes:
        sampler: ``random`` or ``tpe``.
        pruner: ``median``, ``hyperband`` or ``none``.
        seed: With the number of a trial, and for TPE the trials before it, fixes its values.
        first: Values of the first trial, such as those of the preset.
    """

    sampler: str = "random"
    pruner: str = "median"
    seed: int = 0
    first: Mapping[str, Value] | None = None


class Search:
    """A study that one or many workers go through.

    Args:
        storage: Where it is kept.
        name: Of the study in the storage.
        plan: Plain data that every worker and every later start must share.
        space: What is drawn.
        strategy: How values are drawn, and which trials end early.

    Raises:
        SettingsError: if the study was begun with another plan, with what differs.
    """

    def __init__(
        self,
        storage: RDBStorage,
        name: str,
        plan: Mapping[str, Any],
        space: SearchSpace,
        strategy: Strategy | None = None,
    ) -> None:
        strategy = strategy or Strategy()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._storage, self._space, self._sampler_name = storage, space, strategy.sampler
        self._plan = json.loads(json.dumps(plan))
        self._study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            sampler=TrialSampler(strategy.sampler, strategy.seed),
            pruner=made_pruner(strategy.pruner),
        )
        if "plan" not in self._study.user_attrs:
            self._study.set_user_attr("plan", self._plan)
            if strategy.first is not None:
                self._study.enqueue_trial(dict(strategy.first), user_attrs={"slot": _PRESET_SLOT})
        self._check_plan()

    def records(self) -> tuple[TrialRecord, ...]:
        """All trials by number, those without a place among the total included."""
        trials = self._study.get_trials(deepcopy=False)
        return tuple(sorted((record_of(t) for t in trials), key=lambda r: r.number))

    def importances(self) -> dict[str, float]:
        """Share of the variation of the score that each setting explains (fANOVA).

        Needs scikit-learn.
        """
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        evaluator = FanovaImportanceEvaluator(seed=0)
        return dict(get_param_importances(self._study, evaluator=evaluator))

    def attempt(self, objective: Objective, total: int) -> TrialRecord | None:
        """Run one trial.

        Errors of the trial, such as a loss that is not finite, are kept with it. Errors of
        the input or the disk end the search; its trial is begun again at the next start.

        Returns:
            The trial, or None if others had taken the last place meanwhile.
        """
        self._check_plan()
        begun: list[int] = []
        try:
            self._study.optimize(
                partial(self._run, objective, total, begun),
                n_trials=1,
                catch=(_FailedError,),
            )
        except KeyboardInterrupt as stop:
            raise stop.__cause__ if isinstance(stop.__cause__, SystemExit) else stop from None
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            if not begun or self._fate(begun[0]) in (Fate.RUNNING, Fate.WAITING):
                raise
        record = self.records()[begun[0]]
        return None if record.fate is Fate.SURPLUS else record

    def is_full(self, total: int) -> bool:
        """Whether the total is reached, running trials included."""
        return places_taken(self.records()) >= total

    def may_reopen(self, idle_seconds: float) -> bool:
        """Whether another worker's trial may still prove lost, and its place free again.

        Args:
            idle_seconds: Time since all places were taken; a living worker has given a sign
                since then, once the grace period is over.
        """
        patience = (self._storage.grace_period or 0) + (self._storage.heartbeat_interval or 0)
        running = any(r.fate is Fate.RUNNING for r in self.records())
        return running and idle_seconds <= patience

    def take_back_lost(self) -> None:
        """Give up the trials of workers that are gone, and put them in the queue again."""
        for record in self.records():
            if record.fate is Fate.RUNNING and _is_gone(record):
                self._fail(record.number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(self._study)
        records = self.records()
        slots = {r.slot for r in records}
        for record in records:
            if record.fate is Fate.LOST and _retry_slot(record) not in slots:
                self._begin_again(record)

    def _begin_again(self, record: TrialRecord) -> None:
        attributes = {
            "slot": _retry_slot(record),
            "run": record.run,
            "lost": record.lost,
            "earlier": sorted(record.curve.items()),
        }
        self._study.enqueue_trial(dict(record.values), user_attrs=attributes)

    def _fail(self, number: int) -> None:
        try:
            self._study.tell(number, state=TrialState.FAIL)
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            return  # another worker was faster

    def _fate(self, number: int) -> Fate:
        return self.records()[number].fate

    def _run(
        self, objective: Objective, total: int, begun: list[int], trial: optuna.Trial
    ) -> float:
        begun.append(trial.number)
        trial.set_user_attr("worker", this_worker())
        trial.set_user_attr("sampler", self._sampler_name)
        if is_surplus(self.records(), trial.number, total):
            trial.set_user_attr("surplus", True)
            raise _FailedError
        try:
            score = objective(RunningTrial(trial, self._space))
        except optuna.TrialPruned:
            raise
        except (KeyboardInterrupt, SystemExit) as stop:
            trial.set_user_attr("interrupted", True)
            raise KeyboardInterrupt from stop
        except Exception as error:
            _keep_failure(trial, error)
        if not math.isfinite(score):
            _keep_failure(trial, VerificationError("The score is not finite", got=score))
        return score

    def _check_plan(self) -> None:
        kept = self._study.user_attrs["plan"]
        differing = differences(kept, self._plan)
        if differing:
            raise SettingsError(
                "This study was begun with other settings",
                got="; ".join(differing),
                remedy="Give the same ones, or another folder and --study name",
            )


def _keep_failure(trial: optuna.Trial, error: Exception) -> NoReturn:
    """Keep the reason with the trial, or pass on what is no fault of the trial."""
    if isinstance(error, optuna.exceptions.OptunaError):
        raise error
    of_trial = isinstance(error, VerificationError | SettingsError)
    if isinstance(error, PelvimetsError | OSError) and not of_trial:
        trial.set_user_attr("interrupted", True)
        raise error
    trial.set_user_attr("reason", _reason(error))
    raise _FailedError from error


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError) or any(w in str(error) for w in _NO_MEMORY):
        return "not enough memory"
    if isinstance(error, PelvimetsError):
        return str(error)
    return f"{type(error).__name__}: {error}".splitlines()[0][:_LONGEST_REASON]


def differences(kept: Any, given: Any, name: str = "") -> list[str]:
    """What differs between two plain structures, by dotted name.

    >>> differences({"task": "bones", "a": {"b": 1}}, {"task": "bones", "a": {"b": 2}})
    ['a.b: 1 before, 2 now']
    """
    if isinstance(kept, dict) and isinstance(given, dict):
        names = [*kept, *(n for n in given if n not in kept)]
        return [
            line
            for n in names
            for line in differences(kept.get(n), given.get(n), f"{name}.{n}".removeprefix("."))
        ]
    return [] if kept == given else [f"{name}: {_shown(kept)} before, {_shown(given)} now"]


def this_worker() -> str:
    """Host, process and its start: a name that no other process gets."""
    process = psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.0f}"


def _draw(trial: optuna.Trial, name: str, parameter: Range | Choice) -> Value:
    if isinstance(parameter, Choice):
        return cast(Value, trial.suggest_categorical(name, parameter.options))
    low, high, step, log = parameter.low, parameter.high, parameter.step, parameter.log
    if parameter.whole:
        return trial.suggest_int(name, int(low), int(high), step=int(step or 1), log=log)
    return trial.suggest_float(name, low, high, step=step, log=log)


def _is_gone(record: TrialRecord) -> bool:
    """Whether the worker ran on this machine and has ended."""
    host, pid, started = (record.worker or "::").rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        return f"{psutil.Process(int(pid)).create_time():.0f}" != started
    except psutil.NoSuchProcess:
        return True


def _retry_slot(record: TrialRecord) -> str:
    return f"again {record.number}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)
