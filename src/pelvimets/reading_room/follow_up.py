"""The same patient again: results of two or more runs beside each other."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pelvimets.app.result import DICOM_FOLDER
from pelvimets.core.follow_up.course import Course, follow
from pelvimets.core.follow_up.matching import TimePoint
from pelvimets.core.follow_up.settings import FollowUpSettings
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError
from pelvimets.io.dicom.follow_up_sr import StudyObjects, study_objects, write_follow_up_report
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.record.findings import read_findings
from pelvimets.io.record.output import staged_folder, write_json, write_text
from pelvimets.io.record.review import ReviewFolder, read_run_output
from pelvimets.labels import Sequence
from pelvimets.reading_room.output import lesion_settings
from pelvimets.report.content import local_words
from pelvimets.report.data import findings_from_dict
from pelvimets.report.follow_up import course_to_dict, render_course

FOLLOW_UP_NAME, PAGE_NAME, REPORT_NAME = "follow_up.json", "follow_up.html", "follow_up_sr.dcm"


@dataclass(frozen=True)
class FollowUpOptions:
    """How to compare.

    Attributes:
        same_patient: Compare even if nothing says that the patient is one.
        overwrite: Replace an earlier comparison.
        settings: Of matching and of the rule.
    """

    same_patient: bool = False
    overwrite: bool = False
    settings: FollowUpSettings = field(default_factory=FollowUpSettings)


@dataclass(frozen=True, eq=False)
class FollowUp:
    """A comparison that was written.

    Attributes:
        course: What was found.
        page: The page.
        report: The Structured Report; None where a run had no DICOM results.
    """

    course: Course
    page: Path
    report: Path | None


def follow_up(
    runs: Ordered[Path],
    out: Path,
    options: FollowUpOptions | None = None,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> FollowUp:
    """Compare the results of runs on one patient.

    Args:
        runs: Output folders of 'predict', two or more, in order of time; corrections of a
            reader count.
        out: New folder.
        options: How to compare.
        told: Of comparisons done, and of all.

    Raises:
        InputError: if a folder is no result, or the results are of several patients.
        OutputError: if ``out`` exists or cannot be written.
    """
    options = options or FollowUpOptions()
    objects = [study_objects(run / DICOM_FOLDER) for run in runs]
    _check_order(objects)
    with staged_folder(out, overwrite=options.overwrite, result_marker=FOLLOW_UP_NAME) as work:
        points = [
            _time_point(run, _title(n, own))
            for n, (run, own) in enumerate(zip(runs, objects, strict=True))
        ]
        if not options.same_patient:
            _check_patient(points, objects)
        score = lesion_settings(read_run_output(ReviewFolder(runs[-1])).run).operating_point
        course = follow(points, options.settings, suspicious_score=score, told=told)
        moment = datetime.now(UTC)
        write_json(work / FOLLOW_UP_NAME, course_to_dict(course))
        images = [_images(run) for run in runs]
        write_text(work / PAGE_NAME, render_course(course, local_words(moment), images))
        known = [own for own in objects if own is not None and own.segmentations]
        if len(known) == len(runs):
            write_follow_up_report(work / REPORT_NAME, course, known, moment=moment)
    report = out / REPORT_NAME if len(known) == len(runs) else None
    return FollowUp(course, out / PAGE_NAME, report)


def _title(number: int, objects: StudyObjects | None) -> str:
    name = "baseline" if number == 0 else f"time point {number + 1}"
    day = objects.day if objects is not None else ""
    return f"{name}, {day}" if day else name


def _check_order(objects: Ordered[StudyObjects | None]) -> None:
    days = [own.day for own in objects if own is not None and own.day]
    if days != sorted(days):
        raise InputError(
            "The results are not in order of time",
            got=", ".join(days),
            remedy="Give the earliest first",
        )


def _check_patient(points: Ordered[TimePoint], objects: Ordered[StudyObjects | None]) -> None:
    """By the identifiers of the images where they are known, else by the keys of the results.

    A key is of a study, so that two keys alone do not say that the patients differ.
    """
    identifiers = {own.patient for own in objects if own is not None}
    if None not in objects and len(identifiers) > 1:
        raise InputError(
            "The studies are of different patients, by their identifiers and days of birth",
            got=f"{len(identifiers)} patients",
            remedy="Give results of one patient; if they are, add --same-patient",
        )
    keys = {point.findings.patient_key for point in points}
    if None in objects and len(keys) > 1:
        raise InputError(
            "Nothing says that the results are of one patient",
            got=", ".join(sorted(keys)),
            remedy="If they are, add --same-patient; results of predict --dicom say it themselves",
        )


def _images(run: Path) -> dict[Sequence, Volume]:
    """What was acquired, as the run keeps it."""
    folder = ReviewFolder(run)
    return {s: read_nifti(path) for s in Sequence if (path := folder.image(s.value)).is_file()}


def _time_point(run: Path, title: str) -> TimePoint:
    folder = ReviewFolder(run)
    output = read_run_output(folder)
    findings = findings_from_dict(read_findings(folder.findings))
    lesions = dict(output.lesions)
    bones = dict(output.bones)
    for sequence in output.lesions:
        if folder.corrected(sequence).is_file():
            lesions[sequence] = read_nifti(folder.corrected(sequence))
        if folder.drawn_bones(sequence).is_file():
            bones[sequence] = read_nifti(folder.drawn_bones(sequence))
    return TimePoint(title, findings, bones, lesions)
