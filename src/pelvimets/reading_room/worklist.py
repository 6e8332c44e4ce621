"""The results of a cohort: the table and page beside them, and the worklist of their reviews."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pelvimets import __version__
from pelvimets.app.result import THUMBNAIL_NAME
from pelvimets.core.review import Review, Verdict
from pelvimets.errors import InputError, PelvimetsError, ReviewError, shown
from pelvimets.io.record import review as store
from pelvimets.io.record.findings import FINDINGS_NAME, read_findings
from pelvimets.io.record.output import write_text
from pelvimets.io.record.review import ReviewFolder
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.reading_room.opening import DeskOptions, export_case, open_desk
from pelvimets.report.cohort import (
    CohortPage,
    PatientRow,
    cohort_csv,
    cohort_row,
    render_cohort,
)
from pelvimets.report.content import local_words

TABLE_NAME, PAGE_NAME = "cohort.csv", "index.html"
_NOT_READ = "not read: "


def result_folders(folder: Path) -> tuple[Path, ...]:
    """The results of runs directly in a folder, by name."""
    if not folder.is_dir():
        return ()
    found = (path.parent for path in folder.glob(f"*/{FINDINGS_NAME}"))
    return tuple(sorted(path for path in found if not path.name.startswith(".")))


def is_cohort_of_results(folder: Path) -> bool:
    """Whether a folder holds results of runs and is none itself."""
    return not (folder / FINDINGS_NAME).is_file() and bool(result_folders(folder))


def write_cohort_page(out: Path, failed: Mapping[str, str] | None = None) -> Path:
    """Write ``cohort.csv`` and ``index.html`` beside the results of a cohort.

    Args:
        out: Folder of the results, one folder a patient.
        failed: Why a patient has no result, by the name of his folder; None takes over what the
            table said before.

    Returns:
        The page.
    """
    rows = [_row(folder, DeskOptions()) for folder in result_folders(out)]
    rows = [_linked(row, row.patient) for row in rows]
    there = {row.patient for row in rows}
    lost = _failed_before(out) if failed is None else failed
    for name, why in sorted(lost.items()):
        if name not in there:
            rows.append(PatientRow(name, f"{_NOT_READ}{why}", "failed", state="failed"))
    write_text(out / TABLE_NAME, cohort_csv(rows))
    page = CohortPage("Cohort", tuple(rows), f"pelvimets {__version__}, {_now()}")
    write_text(out / PAGE_NAME, render_cohort(page, offline=True))
    return out / PAGE_NAME


def _failed_before(out: Path) -> dict[str, str]:
    table = out / TABLE_NAME
    if not table.is_file():
        return {}
    rows = csv.DictReader(io.StringIO(store.read_whole(table).decode("utf-8", "replace")))
    said = ((row.get("patient"), row.get("statement") or "") for row in rows)
    return {
        name: words.removeprefix(_NOT_READ)
        for name, words in said
        if name and words.startswith(_NOT_READ)
    }


def _linked(row: PatientRow, name: str) -> PatientRow:
    picture = f"{name}/{THUMBNAIL_NAME}" if row.picture else ""
    return replace(row, link=f"{name}/report.html", picture=picture)


def _now() -> str:
    return local_words(datetime.now().astimezone())


@dataclass(frozen=True)
class Worklist:
    """The results of a cohort as one reader works through them.

    Attributes:
        out: Folder of the results.
        options: As whom they are opened; ``prior`` and ``study`` are folders in which each patient
            has a result or a study under the same name.
    """

    out: Path
    options: DeskOptions

    @property
    def folders(self) -> tuple[Path, ...]:
        """The results, in the order of the list."""
        return result_folders(self.out)

    def page(self) -> str:
        """The list as it stands, as a served page."""
        rows = []
        for number, folder in enumerate(self.folders):
            row = _row(folder, self.options)
            picture = f"thumbnails/{number}.png" if row.picture else ""
            rows.append(replace(row, link=f"p/{number}/", picture=picture))
        page = CohortPage(f"Worklist{self._whose()}", tuple(rows), f"pelvimets {__version__}")
        return render_cohort(page, offline=False)

    def _whose(self) -> str:
        read_as = self.options.read_as
        if read_as.settle:
            return ": settling the readers' reviews"
        return f" of {read_as.reader}" if read_as.reader else ""

    def desk(self, number: int) -> ReviewDesk:
        """The desk of one patient.

        Raises:
            IndexError: if there is none of this number.
            PelvimetsError: if his result cannot be opened.
        """
        folder = self.folders[number]
        prior, study = self.options.prior, self.options.study
        beside = replace(
            self.options,
            prior=_existing(prior and prior / folder.name),
            study=_existing(study and study / folder.name)
            or _existing(study and study / f"{folder.name}.zip"),
        )
        return open_desk(folder, beside)

    def thumbnail(self, number: int) -> bytes | None:
        """The picture of one patient, or None."""
        path = self.folders[number] / THUMBNAIL_NAME
        return store.read_whole(path) if path.is_file() else None


def open_worklist(out: Path, options: DeskOptions) -> Worklist:
    """The worklist of a cohort's results.

    Raises:
        InputError: if the folder holds no results.
    """
    if not result_folders(out):
        raise InputError(
            "The folder holds no results of runs",
            got=shown(out),
            remedy="Give the folder that 'pelvimets predict COHORT -o OUT' has written",
        )
    _ = options.read_as.key  # a name that gives none is refused now
    return Worklist(out, options)


def export_cases(out: Path, cohort: Path, reader: str | None = None) -> tuple[int, tuple[str, ...]]:
    """Put every signed review of a cohort's results into a cohort folder.

    Returns:
        How many were put there, and what was left out, each with its reason.
    """
    done, left = 0, []
    for folder in result_folders(out):
        try:
            export_case(folder, cohort, reader)
            done += 1
        except (ReviewError, InputError) as error:
            left.append(f"{folder.name}: {error}")
    return done, tuple(left)


def _existing(path: Path | None) -> Path | None:
    return path if path is not None and path.exists() else None


def _row(folder: Path, options: DeskOptions) -> PatientRow:
    """One patient; a result that cannot be read is a row that says so."""
    try:
        data = read_findings(folder / FINDINGS_NAME)
        return cohort_row(data, patient=folder.name, **_state(folder, options))
    except (PelvimetsError, ValueError, KeyError, TypeError) as error:
        what = str(error) if isinstance(error, PelvimetsError) else f"{FINDINGS_NAME} is damaged"
        return PatientRow(folder.name, f"cannot be read: {what}", "failed", state="failed")


def _state(folder: Path, options: DeskOptions) -> dict[str, Any]:
    read_as, key = options.read_as, options.read_as.key
    review = store.read_review(ReviewFolder(folder, key))
    state, by = state_of(review)
    told = not read_as.blind and (read_as.settle or key is not None)
    keys = store.readers(ReviewFolder(folder)) if told else ()
    others = tuple(_other(folder, name) for name in keys if name != key)
    return {
        "state": state,
        "by": by,
        "when": "" if review is None else local_words(datetime.fromisoformat(review.changed)),
        "others": others,
        "picture": THUMBNAIL_NAME if (folder / THUMBNAIL_NAME).is_file() else "",
    }


def _other(folder: Path, key: str) -> str:
    review = store.read_review(ReviewFolder(folder, key))
    state, by = state_of(review)
    return f"{by or key}: {state}"


def state_of(review: Review | None) -> tuple[str, str]:
    """How far a review is, and whose: unread, begun, read (all judged) or signed."""
    if review is None:
        return "unread", ""
    if review.signed:
        return "signed", review.reader
    judged = sum(entry.verdict is not Verdict.PENDING for entry in review.lesions)
    whole = judged == len(review.lesions) and (judged or review.changed != review.started)
    return ("read" if whole else "begun"), review.reader
