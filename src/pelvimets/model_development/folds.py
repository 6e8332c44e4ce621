"""Cross-validation: as many runs as folds, each measured on patients that the others learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pelvimets.core.progress import RunObserver
from pelvimets.core.splits import fold_splits
from pelvimets.core.strata import drawn_folds, torn
from pelvimets.errors import CohortError, InputError, SettingsError
from pelvimets.io.cohort.folder import Cohort, CohortPatient, read_cohort
from pelvimets.io.record.fold_folder import FoldFolder
from pelvimets.io.record.run_folder import RunFolder
from pelvimets.labels import Sequence, Split
from pelvimets.model_development.lesion_masks import check_folds_have_lesions
from pelvimets.model_development.samples import members_of, splits_of_run
from pelvimets.model_development.train import RunSummary, run_settings, train_run
from pelvimets.requests.train import TrainRequest
from pelvimets.training.settings import Task, training_settings

FOLD_COLUMN = "fold"


@dataclass(frozen=True)
class FoldsSummary:
    """What the runs of a cross-validation came to, by their folds."""

    runs: dict[int, RunSummary]


def train_folds(
    request: TrainRequest,
    observer: RunObserver | None = None,
    begins: Callable[[int, int], None] = lambda fold, folds: None,
) -> FoldsSummary:
    """Train a run for each fold, one after the other, or go on with them.

    Folds are those of the table's column ``fold``, of an earlier cross-validation (``split_of``),
    or drawn: by person, with M stages and scanners spread evenly. Test patients are in none.

    Args:
        request: With ``folds``; its ``out`` gets ``folds.json`` and a run per fold.
        observer: Is told of progress.
        begins: Called with each fold and how many there are.

    Raises:
        CohortError: if the folds contradict the table or an earlier start.
        InputError: if there is no such fold, or digital patients are to be parted.
    """
    if request.cohort is None or request.folds is None:
        raise InputError("Folds part a cohort", got="digital patients", remedy="Give --data COHORT")
    cohort, folder = read_cohort(request.cohort), FoldFolder(request.out)
    aside = tuple(p.key for p in cohort.patients if p.split is Split.TEST)
    fold_of = _folds(request, [p for p in cohort.patients if p.key not in aside], folder)
    chosen = range(1, request.folds + 1) if request.fold is None else (request.fold,)
    if not set(chosen) <= set(fold_of.values()):
        raise InputError(
            "There is no such fold", got=request.fold, remedy=f"Take 1 to {request.folds}"
        )
    _check_before_training(request, cohort, fold_of)
    own = request.samples or folder.samples
    runs = {}
    for fold in chosen:
        begins(fold, request.folds)
        one = replace(
            request, out=folder.run(fold), samples=own, folds=None, fold=None, split_of=None
        )
        splits = fold_splits(fold_of, fold, aside)
        runs[fold] = train_run(
            run_settings(one), one, observer, splits, before=lambda: folder.write(fold_of)
        )
    return FoldsSummary(runs)


def _check_before_training(
    request: TrainRequest, cohort: Cohort, fold_of: Mapping[str, int]
) -> None:
    """What would only show once a fold was trained, or when they are bundled.

    Raises:
        CohortError: if a fold has no metastasis to measure on.
        SettingsError: if another fold was trained on another grid.
    """
    folder, settings = FoldFolder(request.out), run_settings(request)
    if settings.task is Task.LESIONS:
        sequences = [Sequence(name) for name in settings.sequences]
        check_folds_have_lesions(cohort.patients, fold_of, sequences)
    if request.fold is not None and RunFolder(folder.run(request.fold)).can_go_on:
        return  # keeps its own
    for fold in sorted(set(fold_of.values())):
        run = RunFolder(folder.run(fold))
        if (
            run.can_go_on
            and (other := training_settings(run.read_settings())).grid != settings.grid
        ):
            raise SettingsError(
                f"Fold {fold} was trained on another grid, and an ensemble reads on one",
                got=f"{other.grid} there, {settings.grid} now",
                remedy="Give the --settings of that fold, or choose another folder",
            )


def _folds(
    request: TrainRequest, patients: list[CohortPatient], folder: FoldFolder
) -> dict[str, int]:
    assert request.folds is not None
    kept = folder.read()
    given = kept or _of_table(patients) or _of_other(request.split_of, patients)
    fold_of = given or drawn_folds(members_of(patients), request.folds, 2021)
    strangers = sorted(set(fold_of) ^ {p.key for p in patients})
    if strangers or len(set(fold_of.values())) != request.folds:
        raise CohortError(
            "The folds do not fit the patients" if strangers else "There are other folds already",
            got=", ".join(strangers[:10]) or f"{len(set(fold_of.values()))} folds",
            remedy="Give as many --folds as there are, or choose another folder",
        )
    in_two = torn((m.person, fold_of[m.key]) for m in members_of(patients))
    if in_two:
        raise CohortError(
            "Images of one person stand in two folds",
            got=", ".join(in_two),
            remedy=f"Correct the column {FOLD_COLUMN} of the table",
        )
    return fold_of


def _of_table(patients: list[CohortPatient]) -> dict[str, int]:
    """Folds that the table gives; {} if it has none.

    Raises:
        CohortError: if a cell is empty while others are not, or is no number.
    """
    cells = {p.key: p.details.get(FOLD_COLUMN, "") for p in patients}
    if not any(cells.values()):
        return {}
    wrong = [key for key, cell in cells.items() if not cell.isdecimal() or int(cell) < 1]
    if wrong:
        raise CohortError(
            f"The column {FOLD_COLUMN} holds no fold for some patients",
            got=", ".join(f"{key}: {cells[key]!r}" for key in wrong[:10]),
            remedy="Write 1, 2, ... for each patient outside the test split, or leave it empty",
        )
    return {key: int(cell) for key, cell in cells.items()}


def _of_other(split_of: Path | None, patients: list[CohortPatient]) -> dict[str, int]:
    """Folds of another cross-validation on the same patients."""
    if split_of is None:
        return {}
    kept = FoldFolder(split_of).read()
    if kept is None:
        splits_of_run(split_of)  # says what is wrong with the folder, if it is no run
        raise InputError(
            "That run has no folds", got=split_of, remedy="Name the folder of train --folds"
        )
    return kept
