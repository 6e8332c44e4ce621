"""What a search leaves in its folder: tables, figures and the best settings."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pelvimets.io.record.search_folder import SearchFolder, locked
from pelvimets.training.presets import preset_settings
from pelvimets.training.search.space import SearchSpace, overrides, with_values
from pelvimets.training.search.table import trial_rows
from pelvimets.training.settings import TrainingSettings

if TYPE_CHECKING:
    from pelvimets.training.search.records import TrialRecord
    from pelvimets.training.search.searching import Search

_FEWEST_FOR_IMPORTANCE = 4


@dataclass(frozen=True)
class PlannedSearch:
    """A search and where it is kept.

    Attributes:
        folder: Of its runs, tables and figures.
        preset: Name of the preset.
        full: Settings at full length, the drawn values aside.
        base: The same with the schedule of a trial.
        space: What is drawn.
        in_silico: Whether its patients are digital.
    """

    folder: SearchFolder
    preset: str
    full: TrainingSettings
    base: TrainingSettings
    space: SearchSpace
    in_silico: bool


def write_outputs(search: Search, study: PlannedSearch, keep: int) -> tuple[str, ...]:
    """Write tables, figures and the best settings.

    Args:
        search: The trials.
        study: Where they belong.
        keep: Checkpoints are kept of so many of the best trials.

    Returns:
        What was not made, and why.
    """
    write_tables(search, study, keep)
    records = search.records()
    missing = [n for n in ("matplotlib", "sklearn") if importlib.util.find_spec(n) is None]
    notes = [] if "matplotlib" in missing else _write_figures(study, records)
    if "matplotlib" in missing:
        notes.append("No figures: matplotlib is missing; pip install 'pelvimets[study]'")
    if "sklearn" in missing:
        return (*notes, "No importance: scikit-learn is missing; pip install 'pelvimets[study]'")
    return (*notes, *_write_importance(search, study, records, draw="matplotlib" not in missing))


def write_tables(search: Search, study: PlannedSearch, keep: int) -> None:
    """Write the table of trials and the best settings; drop checkpoints of the others."""
    from pelvimets.training.search.records import Fate, best

    records = search.records()
    kept = {r.run for r in best(records, keep)}
    ended = {r.run for r in records if r.fate in (Fate.FINISHED, Fate.PRUNED, Fate.FAILED)}
    open_runs = {r.run for r in records if r.fate in (Fate.RUNNING, Fate.WAITING)}
    with locked(study.folder.folder):
        study.folder.write_table("trials", trial_rows(records, study.space))
        for record in best(records):
            found = with_values(study.full, record.values)
            preset = preset_settings(found.task.value, study.preset)
            study.folder.write_best(overrides(found, preset, study.space))
        study.folder.drop_checkpoints(ended - kept - open_runs)


def _write_figures(study: PlannedSearch, records: Sequence[TrialRecord]) -> list[str]:
    from pelvimets.training.search.figures import history_figure, values_figure

    if not any(r.score is not None for r in records):
        return ["No figures: no trial has a score yet"]
    marked = study.in_silico
    with locked(study.folder.folder):
        study.folder.write_figure("history", history_figure(records, in_silico=marked))
        study.folder.write_figure("values", values_figure(records, study.space, in_silico=marked))
    return []


def _write_importance(
    search: Search, study: PlannedSearch, records: Sequence[TrialRecord], *, draw: bool
) -> list[str]:
    from pelvimets.training.search.records import Fate

    finished = [r.score for r in records if r.fate is Fate.FINISHED]
    if len(finished) < _FEWEST_FOR_IMPORTANCE or len(set(finished)) < 2:
        return [
            f"No importance yet: it needs {_FEWEST_FOR_IMPORTANCE} finished trials with "
            f"different scores, and there are {len(set(finished))}"
        ]
    importances = search.importances()
    rows = [{"setting": n, "importance": round(v, 4)} for n, v in importances.items()]
    with locked(study.folder.folder):
        study.folder.write_table("importance", rows)
        if draw:
            from pelvimets.training.search.figures import importance_figure

            figure = importance_figure(importances, in_silico=study.in_silico)
            study.folder.write_figure("importance", figure)
    return []
