"""Agreement of observers' lesion masks, with a model placed among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pelvimets import __version__
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError, PelvimetsError
from pelvimets.evaluation.checks import Problem, Weight
from pelvimets.evaluation.extra import check_study_extra
from pelvimets.evaluation.report.page import Page, PageFigure, render_page
from pelvimets.evaluation.report.plain import NOTICE, NOTICE_IN_SILICO
from pelvimets.evaluation.statistics.readers import (
    PairCase,
    PairSummary,
    ReaderCase,
    agreement_table,
    compare_readers,
    consensus_table,
    model_rank,
    summarise_pairs,
)
from pelvimets.evaluation.tables.table import Table
from pelvimets.io.cohort.evaluation_input import patients_of, read_label_mask
from pelvimets.io.nifti.names import mask_name
from pelvimets.io.record.output import check_output, staged_folder, write_json, write_text
from pelvimets.io.record.results import write_figures, write_tables
from pelvimets.labels import Sequence
from pelvimets.requests.evaluate import AgreementRequest

MODEL = "model"


@dataclass(frozen=True, eq=False)
class Agreement:
    """A finished comparison of observers."""

    summaries: tuple[PairSummary, ...]
    problems: tuple[Problem, ...]
    rank: tuple[str, ...]
    report: Path


def agree(request: AgreementRequest, out: Path, *, overwrite: bool = False) -> Agreement:
    """Compare all observers on the patients that at least two of them have.

    Args:
        request: Whose masks.
        out: Folder of the result; it appears whole or not at all.
        overwrite: Replace an earlier result.

    Raises:
        InputError: with fewer than two observers, or without a common patient.
        MissingExtraError: without the ``study`` extra.
        OutputError: if the result cannot be written.
    """
    check_study_extra()
    check_output(out, overwrite=overwrite)
    if len(request.observers) < 2:
        raise InputError(
            "Agreement needs at least two observers",
            got=", ".join(request.observers) or "none",
            remedy="Give --observer NAME=FOLDER once per observer and session",
        )
    folders = dict(request.observers)
    if request.model is not None:
        folders[MODEL] = request.model
    pairs, readers, problems = _compare_all(folders, request)
    if not pairs:
        raise InputError(
            "The observers have no patient with lesion masks in common",
            got={name: str(folder) for name, folder in folders.items()},
        )
    model = MODEL if request.model is not None else None
    summaries = summarise_pairs(pairs, request.settings, model)
    rank = model_rank(summaries, MODEL) if model else ()
    found = _Found(pairs, readers, problems, summaries, rank)
    with staged_folder(out, overwrite=overwrite) as work:
        _write(work, request, found)
    return Agreement(summaries, tuple(problems), rank, out / "report.html")


@dataclass(frozen=True, eq=False)
class _Found:
    """All that comparing observers gave."""

    pairs: list[PairCase]
    readers: list[ReaderCase]
    problems: list[Problem]
    summaries: tuple[PairSummary, ...]
    rank: tuple[str, ...]

    @property
    def tables(self) -> list[Table]:
        """What is printed of it."""
        return [agreement_table(self.summaries), consensus_table(self.readers)]


def _compare_all(
    folders: Mapping[str, Path], request: AgreementRequest
) -> tuple[list[PairCase], list[ReaderCase], list[Problem]]:
    """Patient by patient, so that memory stays flat."""
    patients = {p.key for folder in folders.values() for p in patients_of(folder)[0]}
    pairs: list[PairCase] = []
    readers: list[ReaderCase] = []
    problems: list[Problem] = []
    for patient in sorted(patients):
        for sequence in Sequence:
            masks = _masks(folders, patient, sequence, problems)
            if len(masks) < 2:
                continue
            model = MODEL if MODEL in folders else None
            found = compare_readers(patient, sequence, masks, request.settings, model)
            pairs += found.pairs
            readers += found.readers
            problems += [
                Problem(Weight.WARNING, "not computed", text, patient) for text in found.problems
            ]
    return pairs, readers, problems


def _masks(
    folders: Mapping[str, Path], patient: str, sequence: Sequence, problems: list[Problem]
) -> dict[str, Volume]:
    masks = {}
    missing = []
    for name, folder in folders.items():
        path = Path(folder) / patient / mask_name(sequence, "lesions")
        if not path.is_file():
            missing.append(name)
            continue
        try:
            masks[name] = read_label_mask(path)
        except PelvimetsError as error:
            problems.append(Problem(Weight.WARNING, "unreadable mask", str(error), patient))
    if masks and missing:
        text = f"{sequence.title}: no lesion mask of {', '.join(missing)}."
        problems.append(Problem(Weight.WARNING, "missing mask", text, patient))
    return masks


def _write(folder: Path, request: AgreementRequest, found: _Found) -> None:
    from pelvimets.evaluation.figures import looks, mark_in_silico, readers_figure

    in_silico = request.settings.in_silico
    write_tables(folder / "tables", found.tables)
    with looks():
        figure = readers_figure(found.pairs, MODEL if request.model is not None else None)
        if figure is not None and in_silico:
            mark_in_silico(figure)
        written = write_figures(folder / "figures", {} if figure is None else {"agreement": figure})
    kept = ("pairs", "readers", "summaries", "problems")
    data = {name: [asdict(one) for one in getattr(found, name)] for name in kept}
    write_json(folder / "agreement.json", {"schema": "1.0", "pelvimets": __version__, **data})
    write_json(
        folder / "run.json", {"pelvimets": __version__, "settings": asdict(request.settings)}
    )
    page = Page(
        title="Agreement of the annotations",
        notice=NOTICE_IN_SILICO if in_silico else NOTICE,
        summary=(f"Observers: {', '.join(request.observers)}.", *found.rank),
        problems=found.problems,
        tables=found.tables,
        figures=[PageFigure("DSC of each pair", "svg", w["svg"]) for w in written.values()],
    )
    write_text(folder / "report.html", render_page(page))
