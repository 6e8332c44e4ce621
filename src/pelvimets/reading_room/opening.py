"""Opening results for reading: one study, as whom, with what beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pelvimets.app.result import regenerate
from pelvimets.io.record.review import ReviewFolder
from pelvimets.reading_room.beside import open_beside
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.reading_room.output import add_to_cohort
from pelvimets.reading_room.readers import ReadAs


@dataclass(frozen=True)
class DeskOptions:
    """How a result is opened.

    Attributes:
        read_as: As whom it is read.
        prior: The output folder of an earlier examination, to be shown beside.
        study: The DICOM study that was read, for its other series.
    """

    read_as: ReadAs = field(default_factory=ReadAs)
    prior: Path | None = None
    study: Path | None = None


def open_desk(out: Path, options: DeskOptions | None = None) -> ReviewDesk:
    """The desk of a run whose report and DICOM outputs are made anew from the review."""
    options = options or DeskOptions()
    return ReviewDesk(
        out,
        options.read_as,
        regenerate=regenerate,
        beside=open_beside(out, prior=options.prior, study=options.study),
    )


def export_case(out: Path, cohort: Path, reader: str | None = None) -> Path:
    """Put a signed review into a cohort folder, as a patient to train on or to compare.

    Args:
        out: The output folder of a run.
        cohort: A cohort folder, or one that does not exist yet.
        reader: One of several readers, whose own review it is.

    Returns:
        The patient's folder.

    Raises:
        ReviewError: if the review is not signed.
        InputError: if the patient is in the cohort already.
        OutputError: if it cannot be written.
    """
    desk = ReviewDesk(out, ReadAs(reader, blind=True))
    folder = ReviewFolder(out, desk.read_as.key)
    return add_to_cohort(folder, desk.findings.patient_key, desk.review, cohort)
