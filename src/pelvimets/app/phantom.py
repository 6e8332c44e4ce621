"""Digital patients to disk: one man, or a whole cohort."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from pelvimets.core.progress import Progress, silent
from pelvimets.errors import CohortError
from pelvimets.io.cohort.folder import TABLE_NAME, read_cohort, write_table
from pelvimets.io.nifti.files import write_nifti
from pelvimets.io.nifti.names import image_name
from pelvimets.io.phantom.record import (
    COHORT_RECORD,
    PATIENT_RECORD,
    open_cohort_folder,
    read_record,
)
from pelvimets.io.phantom.study import write_phantom_study
from pelvimets.io.record.output import staged_folder, tidy, write_json
from pelvimets.io.workers import Jobs, each
from pelvimets.labels import FurtherInput
from pelvimets.phantom.choices import Population
from pelvimets.phantom.cohort.build import build_follow_up, build_patient
from pelvimets.phantom.cohort.checks import CheckRow
from pelvimets.phantom.cohort.paper_checks import paper_table
from pelvimets.phantom.cohort.population import ENROLMENT, enrolment_flow
from pelvimets.phantom.cohort.record import SeenBySequence, man_drawn, patient_record, table_row
from pelvimets.phantom.physics.imaging import WHOLE, ImagedPatient, Wanted, examine
from pelvimets.phantom.physics.visibility import (
    drawn_truth,
    lesions_seen,
)
from pelvimets.requests.phantom import CohortMember, CohortOrder, PhantomOrder

FLOW_NAME = "flow.csv"
Stage = Callable[[str], None]


def make_phantom(
    order: PhantomOrder,
    out: Path,
    stage: Stage = lambda name: None,
    *,
    overwrite: bool = False,
) -> Path:
    """Make one digital patient in the cohort layout.

    Args:
        order: What to make.
        out: New folder; appears complete or not at all. A second time point lies in its
            sub-folder ``follow_up``.
        stage: Called with the name of each stage as it starts.
        overwrite: Replace an earlier digital patient, and nothing else.

    Raises:
        OutputError: if the folder exists or cannot be written.
    """
    with staged_folder(out, overwrite=overwrite, result_marker=PATIENT_RECORD) as work:
        _write_time_point(order, work, 0, stage)
        if order.examined.follow_up:
            later = work / "follow_up"
            later.mkdir()
            _write_time_point(order, later, 1, stage)
    return out


def _write_time_point(order: PhantomOrder, folder: Path, number: int, stage: Stage) -> None:
    plan, how = order.plan(), order.examined
    settings = plan.settings(how.settings) if plan else how.settings
    stage("anatomy")
    build = build_follow_up if number else build_patient
    imaged = examine(
        build(order.seed, settings),
        order.chosen_scanner(),
        artefacts=how.artefacts,
        examination_number=number,
        wanted=(WHOLE if how.dicom else Wanted()).and_further(how.inputs),
        stage=stage,
    )
    stage("files")
    seen = lesions_seen(imaged.read, ENROLMENT[plan.population].reader if plan else None)
    _write_images(imaged, seen, folder, how.inputs)
    write_json(folder / PATIENT_RECORD, patient_record(imaged, seen, plan, number))
    if how.dicom:
        write_phantom_study(folder / "dicom", imaged, how.dicom, examination=number)


def _write_images(
    imaged: ImagedPatient,
    seen: SeenBySequence,
    folder: Path,
    inputs: tuple[FurtherInput, ...],
) -> None:
    wanted = (FurtherInput.ADC, *inputs)
    files = {kind.value: v for kind, v in imaged.further.items() if kind in wanted}
    for sequence, (image, truth) in imaged.read.items():
        files[sequence.value] = image
        truth = drawn_truth(truth, seen[sequence])
        for kind in ("bones", "lesions", "mimics"):
            files[f"{sequence.value}_{kind}"] = image.with_array(getattr(truth, kind))
    for name, volume in files.items():
        write_nifti(folder / image_name(name), volume)


def check_cohort(folder: Path) -> tuple[CheckRow, ...]:
    """Compare the disease of a cohort of digital patients, as made, with the paper's tables.

    Raises:
        CohortError: if it is no complete cohort of digital patients, or follows no table.
    """
    order = read_record(folder / COHORT_RECORD)["order"]
    patients = read_cohort(folder).patients
    men = [man_drawn(read_record(p.folder / PATIENT_RECORD)) for p in patients]
    return paper_table(men, Population(order["population"]))


def make_cohort(
    cohort: CohortOrder,
    out: Path,
    *,
    jobs: Jobs = 1,
    progress: Progress = silent,
) -> Path:
    """Make a cohort, or what is still missing of it.

    Args:
        cohort: What to make.
        out: Folder of the cohort; may hold an interrupted run of the same order.
        jobs: Patients made at a time, or a cluster.
        progress: Told of each patient.

    Raises:
        CohortError: if the folder holds another cohort, or something else; or, once all others
            are made, if a patient could not be.
    """
    members = cohort.members()
    open_cohort_folder(out, cohort.as_data())
    waiting = [m for m in members if not (out / m.key / PATIENT_RECORD).is_file()]
    done = len(members) - len(waiting)
    progress("", done, len(members))
    faults = []
    for made in each(partial(_make_member, out=out), waiting, jobs):
        done += 1
        progress(made.item.key, done, len(members))
        if made.fault:
            faults.append(f"{made.item.key}: {made.fault}")
    tidy(out)
    if faults:
        raise CohortError(
            f"{len(faults)} of {len(members)} patients could not be made",
            got="; ".join(sorted(faults)),
            remedy="Run it again: it goes on with these",
        )
    flow = enrolment_flow(cohort.population, cohort.patients, cohort.seed)
    write_table(out / FLOW_NAME, [asdict(row) for row in flow])
    records = [read_record(out / member.key / PATIENT_RECORD) for member in members]
    rows = [table_row(m.key, m.plan, record) for m, record in zip(members, records, strict=True)]
    write_table(out / TABLE_NAME, rows)
    return out


def _make_member(member: CohortMember, out: Path) -> None:
    make_phantom(member.order, out / member.key)
