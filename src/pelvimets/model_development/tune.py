"""A search over settings: trials, tables, figures and the best settings."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pelvimets.config import settings_to_dict
from pelvimets.errors import VerificationError
from pelvimets.io.record.run_folder import RunFolder
from pelvimets.io.record.search_folder import SearchFolder
from pelvimets.io.record.search_storage import masked_url, open_storage
from pelvimets.io.record.settings_file import read_settings_file
from pelvimets.model_development.start import adopted, load_start, start_source
from pelvimets.model_development.tune_output import PlannedSearch, write_outputs, write_tables
from pelvimets.model_development.tune_samples import TuneData, prepared_samples, tune_data
from pelvimets.requests.train import TuneOptions, TuneRequest
from pelvimets.training.fine_tuning import fine_tuned
from pelvimets.training.overrides import overridden
from pelvimets.training.pool import PhantomPool
from pelvimets.training.presets import preset_settings
from pelvimets.training.search.budget import in_epochs, in_minutes
from pelvimets.training.search.space import (
    check_keeps_form,
    default_space,
    space_from_dict,
    space_of_given_weights,
    space_to_dict,
    values_of,
    with_values,
)

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

    from pelvimets.training.search.records import TrialRecord
    from pelvimets.training.search.searching import Objective, RunningTrial, Search

_POLL_SECONDS = 2.0


class TuneObserver(Protocol):
    """Hears how a search goes."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """Samples are being prepared."""
        ...

    def begun(self, records: Sequence[TrialRecord]) -> None:
        """The trials begin, after those of earlier starts."""
        ...

    def trial_share(self, share: float) -> None:
        """Share of the running trial that is done."""
        ...

    def finished(self, trial: TrialRecord, records: Sequence[TrialRecord]) -> None:
        """A trial has ended; all trials of the study."""
        ...


@dataclass(frozen=True)
class TuneSummary:
    """What a search came to.

    Attributes:
        records: All trials of the study.
        best: The best finished one.
        settings: File of its settings.
        notes: What was not made, and why.
    """

    records: tuple[TrialRecord, ...]
    best: TrialRecord | None
    settings: Path
    notes: tuple[str, ...]


def described_study(request: TuneRequest) -> PlannedSearch:
    """A search as it was asked for.

    Raises:
        SettingsError: if a name is unknown or a value does not fit.
    """
    full = preset_settings(request.task, request.preset)
    source = None if request.start_from is None else start_source(request.start_from)
    if source is not None:
        full = adopted(full, source)
        full = fine_tuned(full) if source.has_network_of(full.task) else full
    if request.settings is not None:
        full = overridden(full, read_settings_file(request.settings))
    base = full
    if request.minutes_per_trial is not None:
        base = in_minutes(full, request.minutes_per_trial)
    elif request.epochs is not None:
        base = in_epochs(full, request.epochs)
    space = default_space() if source is None else space_of_given_weights()
    if request.space is not None:
        space = space_from_dict(read_settings_file(request.space), base)
    if source is not None:
        check_keeps_form(space)
    in_silico = request.cohort is None
    return PlannedSearch(SearchFolder(request.out), request.preset, full, base, space, in_silico)


def tune(request: TuneRequest, observer: TuneObserver) -> TuneSummary:
    """Search, or go on with a search, until it has its number of trials.

    Args:
        request: What is searched, and how; several workers may share its folder.
        observer: Hears how it goes.

    Raises:
        SettingsError: if the study was begun with other settings.
        ResourceError: if the database does not answer.
        VerificationError: if all trials failed.
    """
    from pelvimets.training.search.trial import TrialOptions, train_trial

    study, options = described_study(request), request.options
    base, pool = study.base, search_pool(options)
    given = None if request.start_from is None else start_source(request.start_from)
    start = load_start(given, base, request.from_sequence) if given else None
    study.folder.make()
    source = tune_data(request.cohort, pool, options.split_of, base.seed)
    plan = plan_of(study, source, options.seed)
    if given is not None:
        plan["start"] = given.words
    url = options.storage or study.folder.url
    with open_storage(url) as storage:
        search = open_search(storage, study, plan, options)
        study.folder.write_plan({**plan, "storage": masked_url(url)})
        store = options.samples or study.folder.samples
        training, validation = prepared_samples(source, base, store, observer.preparing)

        def objective(trial: RunningTrial) -> float:
            settings = with_values(base, trial.values)
            run = RunFolder(study.folder.run(trial.run))
            run.write_settings(settings_to_dict(settings))
            source.describe(run)
            return train_trial(
                settings,
                training,
                validation,
                run.folder,
                trial,
                TrialOptions(start, options.workers, observer.trial_share),
            )

        return run_search(search, objective, study, options, observer)


def search_pool(options: TuneOptions) -> PhantomPool:
    """The digital patients of a search."""
    return PhantomPool(options.patients, options.patients // 10, options.validation)


def open_search(
    storage: RDBStorage, study: PlannedSearch, plan: Mapping[str, Any], options: TuneOptions
) -> Search:
    """Begin or join the study; its first trial takes the values of the preset.

    Raises:
        SettingsError: if it was begun with another plan.
    """
    from pelvimets.training.search.searching import Search, Strategy

    return Search(
        storage,
        options.study or study.folder.folder.absolute().name,
        plan,
        study.space,
        Strategy(options.sampler, options.pruner, options.seed, values_of(study.base, study.space)),
    )


def run_search(
    search: Search,
    objective: Objective,
    study: PlannedSearch,
    options: TuneOptions,
    observer: TuneObserver,
) -> TuneSummary:
    """Run trials until all workers together have reached the total, or the time is over.

    Raises:
        VerificationError: if all trials failed.
    """
    from pelvimets.training.search.records import best

    observer.begun(search.records())
    try:
        _run_trials(search, objective, study, options, observer)
    finally:
        notes = write_outputs(search, study, options.keep)
    records = search.records()
    _check_some_succeeded(records)
    return TuneSummary(records, next(iter(best(records)), None), study.folder.best, notes)


def _run_trials(
    search: Search,
    objective: Objective,
    study: PlannedSearch,
    options: TuneOptions,
    observer: TuneObserver,
) -> None:
    end = None if options.timeout_minutes is None else 60 * options.timeout_minutes
    began, idle_since = time.monotonic(), None
    while end is None or time.monotonic() - began < end:
        search.take_back_lost()
        if search.is_full(options.trials):
            idle_since = idle_since or time.monotonic()
            if not search.may_reopen(time.monotonic() - idle_since):
                return
            time.sleep(_POLL_SECONDS)
            continue
        idle_since = None
        record = search.attempt(objective, options.trials)
        if record is not None:
            write_tables(search, study, options.keep)
            observer.finished(record, search.records())


def _check_some_succeeded(records: Sequence[TrialRecord]) -> None:
    """Refuse a search in which no trial has a score.

    Raises:
        VerificationError: with the reason of the last failure.
    """
    failed = [r for r in records if r.reason is not None]
    if failed and not any(r.score is not None for r in records):
        raise VerificationError(
            f"All {len(failed)} trials failed",
            got=failed[-1].reason,
            remedy="Look at the reasons in trials.csv; try smaller patches or a lower rate",
        )


def plan_of(study: PlannedSearch, source: TuneData, seed: int) -> dict[str, Any]:
    """What every worker and every later start of a study must share."""
    return {
        "task": study.base.task.value,
        "preset": study.preset,
        "data": source.identity,
        "seed": seed,
        "space": space_to_dict(study.space),
        "settings": settings_to_dict(study.base),
    }
