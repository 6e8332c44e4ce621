"""The main path: one study in, masks, findings and a report out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pelvimets.app.further import furnished
from pelvimets.app.result import (
    DICOM_FOLDER,
    content_of,
    rehearse_dicom,
    write_dicom,
    write_result,
)
from pelvimets.config import ReadingSettings
from pelvimets.core.budget import Extent, estimate
from pelvimets.core.field import (
    search_windows,
)
from pelvimets.core.findings import Findings
from pelvimets.core.geometry import check_scale
from pelvimets.core.given import GivenBones
from pelvimets.core.pipeline import StudyResult, process_study
from pelvimets.core.progress import Progress, silent
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.study import SeriesRole, Study
from pelvimets.errors import InputError
from pelvimets.io.dicom.form import DicomForm
from pelvimets.io.exchange.given_bones import read_given_bones
from pelvimets.io.nifti.study import nifti_grid, read_nifti_study
from pelvimets.io.record.output import RECORD_NAME, staged_folder, write_json
from pelvimets.io.record.run_record import run_record
from pelvimets.io.record.stages import StageClock, check_memory, peak_memory_mib
from pelvimets.io.record.telemetry import remove_telemetry
from pelvimets.io.study import OpenStudy, open_study
from pelvimets.labels import Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.devices import RunDevice, chosen_device, device_name
from pelvimets.model.openvino_backend import OpenVinoSegmenter
from pelvimets.phantom.anatomy.split import split_unions
from pelvimets.report.content import ReportContent
from pelvimets.requests.predict import RunOptions, StudyInput

if TYPE_CHECKING:
    from pelvimets.io.dicom.source import HeadersBySeries


@dataclass(frozen=True)
class RunSummary:
    """What a finished run tells its user; ``failed`` names outputs that could not be written."""

    report: Path
    findings: Findings
    notes: tuple[str, ...]
    seconds: float
    peak_memory_mib: int
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Reading:
    """A result with what a run record and DICOM outputs need beside it.

    Attributes:
        result: What was found.
        segmenter: The networks that found it.
        clock: Seconds and memory of each stage so far.
        opened: The DICOM objects that the study came from; None of NIfTI files.
        device: What the networks ran on.
    """

    result: StudyResult
    segmenter: Segmenter
    clock: StageClock
    opened: OpenStudy | None
    device: RunDevice = RunDevice.CPU


def write_run(
    work: Path, reading: Reading, options: RunOptions, created: datetime
) -> tuple[str, ...]:
    """Write everything that a run leaves: masks, report, DICOM results if asked for, record.

    Args:
        work: Folder that becomes the result.
        reading: What was found.
        options: How to write.
        created: The moment that all of it carries.

    Returns:
        Extra outputs that could not be written, each with the reason; all else is there.
    """
    result, clock = reading.result, reading.clock
    with clock.stage("report"):
        content = content_of(result, reading.segmenter.name, created)
    with clock.stage("write"):
        write_result(work, result, content)
    failed: tuple[str, ...] = ()
    if options.dicom and reading.opened is not None:
        with clock.stage("DICOM"):
            headers = _headers(result.study, reading.opened)
            failed = _extra_dicom(work, result, headers, content, created, _form(options))
    budget = estimate(Extent.of(result.study), reading.segmenter.settings, options.tile_voxels)
    record = run_record(result.study, reading.segmenter, clock, created, budget)
    record |= {"small_tiles": options.small_tiles, "precision": options.precision.value}
    record |= {"device": {"name": reading.device.value, "model": device_name(reading.device)}}
    record |= {"out_of_fold": options.out_of_fold}
    record |= {"labelmap": options.labelmap, "rtstruct": options.rtstruct}
    record |= {"failed_outputs": list(failed)}
    write_json(work / RECORD_NAME, record)
    return failed


def _extra_dicom(
    work: Path,
    result: StudyResult,
    headers: HeadersBySeries,
    content: ReportContent,
    created: datetime,
    form: DicomForm,
) -> tuple[str, ...]:
    """Write the DICOM results; should that fail, masks and report stay, and the failure is told."""
    try:
        with staged_folder(work / DICOM_FOLDER) as folder:
            write_dicom(folder, result, headers, content, created, form)
    except Exception as error:
        from pelvimets.io.dicom.rehearsal import what_failed

        reason = what_failed(error, (h for series in headers.values() for h in series))
        return (f"The DICOM results could not be written (got {reason})",)
    return ()


def predict(
    source: StudyInput,
    out: Path,
    options: RunOptions | None = None,
    *,
    segmenter: Segmenter | None = None,
    progress: Progress = silent,
    now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
) -> RunSummary:
    """Read one study into ``out``: masks, findings, lesion list, report, run record.

    Args:
        source: Where the study is.
        out: Folder of the result; it appears when all is written.
        options: How to read and write.
        segmenter: Networks in place of those of ``options.bundle``.
        progress: Told of each stage.
        now: The clock.

    Raises:
        PelvimetsError: with what is wrong, what was found and what to do; then ``out`` is as
            it was before.
    """
    options = options or RunOptions()
    _check_source(source, options)
    remove_telemetry()
    with staged_folder(out, overwrite=options.overwrite) as work, ExitStack() as resources:
        clock = StageClock(progress, len(planned_stages(Sequence, dicom=options.dicom)))
        with clock.stage("networks"):
            segmenter, known = opened_networks(source, options, segmenter)
            if isinstance(segmenter, OpenVinoSegmenter):
                resources.callback(segmenter.compile_beside().join)
            if source.bones is not None:
                segmenter = with_given_bones(segmenter, source.bones)
        with clock.stage("read"):
            check = partial(check_budget, settings=segmenter.settings, options=options)
            study, opened = read_input(source, check)
            if opened is not None:
                resources.enter_context(opened)
            named = source.name is None
            study = furnished(study, segmenter, source.further, opened, named=named)
            clock.total = len(_stages_of(study, segmenter, options))
        created = now()
        if options.dicom and opened is not None:
            with clock.stage("DICOM rehearsal"):
                headers = _headers(study, opened)
                rehearse_dicom(work, study, headers, created, _form(options))
        result = process_study(study, segmenter, clock.stage)
        reading = Reading(result, segmenter, clock, opened, chosen_device(options.device))
        failed = write_run(work, reading, options, created)
    return RunSummary(
        report=out / "report.html",
        findings=result.findings,
        notes=(*known, *_notes(study)),
        seconds=clock.seconds,
        peak_memory_mib=peak_memory_mib(),
        failed=failed,
    )


def with_given_bones(segmenter: Segmenter, place: Path) -> Segmenter:
    """The networks with bones of someone else; undivided hip bones and femora are divided.

    Raises:
        InputError: if the mask cannot be used.
    """
    bones = split_unions(read_given_bones(place))
    digest = hashlib.sha256(bones.array.tobytes()).hexdigest()
    return GivenBones(segmenter, bones, digest)


def opened_networks(
    source: StudyInput, options: RunOptions, given: Segmenter | None = None
) -> tuple[Segmenter, tuple[str, ...]]:
    """The networks for a study, and what to know of them.

    Raises:
        BundleError: if they cannot be loaded.
        InputError: if those of a fold are asked for and the bundle knows none.
    """
    if given is not None:
        return given, ()
    segmenter = load_segmenter(options.bundle, options.engine)
    known = source.name in segmenter.cross_validated
    if not options.out_of_fold:
        note = "the networks learned from this patient; --out-of-fold takes those that did not"
        return segmenter, (note,) if known else ()
    if not segmenter.cross_validated:
        raise InputError(
            "The bundle knows no folds",
            got=segmenter.name,
            remedy="Make it of the folder of train --folds, or leave out --out-of-fold",
        )
    return segmenter.unseen_by(source.name or ""), ()


def _form(options: RunOptions) -> DicomForm:
    return DicomForm(labelmap=options.labelmap, rtstruct=options.rtstruct)


def _notes(study: Study) -> tuple[str, ...]:
    """What the user must hear of the study and of each image taken."""
    of_images = (f"{a.label}: {note}" for a in study.acquisitions.values() for note in a.notes)
    return (*study.notes, *of_images)


def _check_source(source: StudyInput, options: RunOptions) -> None:
    if options.dicom and source.path is None:
        raise InputError(
            "DICOM results point to the DICOM images they were made from",
            got="NIfTI files",
            remedy="Give the DICOM study, or leave out --dicom",
        )


def planned_stages(
    sequences: Iterable[Sequence], *, tall: Iterable[Sequence] = (), dicom: bool = False
) -> tuple[str, ...]:
    """Names of all stages of a run.

    Args:
        sequences: That are read.
        tall: Those in whose field the pelvis is looked for first.
        dicom: Whether DICOM results are written.
    """
    sequences = tuple(sequences)
    return (
        *("networks", "read"),
        *(("DICOM rehearsal",) if dicom else ()),
        *(f"pelvis on {s.title}" for s in tall),
        *(f"bones on {s.title}" for s in sequences),
        "read bones together",
        *(f"lesions on {s.title}" for s in sequences),
        *("read sequences together", "weigh lesions", "measure", "report", "write"),
        *(("DICOM",) if dicom else ()),
    )


def _stages_of(study: Study, segmenter: Segmenter, options: RunOptions) -> tuple[str, ...]:
    images = study.images
    tall = [s for s, i in images.items() if search_windows(i.geometry, segmenter.settings)]
    return planned_stages(images, tall=tall, dicom=options.dicom)


def read_input(
    source: StudyInput, check: Callable[[Extent], None]
) -> tuple[Study, OpenStudy | None]:
    """Read a study; ``check`` sees the images' grids before any pixel is read.

    Returns:
        The study, and the DICOM objects it came from, to be closed by the caller.
    """
    if source.path is None:
        given = ((source.dwi, SeriesRole.HIGH_B_DWI), (source.t1, SeriesRole.T1_IN_PHASE))
        images = tuple(nifti_grid(path, role) for path, role in given if path is not None)
        adc = None if source.adc is None else nifti_grid(source.adc, SeriesRole.ADC)
        check(Extent(images, adc))
        study = read_nifti_study(dwi=source.dwi, t1=source.t1, adc=source.adc)
        return study if source.name is None else replace(study, patient_key=source.name), None
    opened = open_study(
        source.path,
        dwi_series=source.dwi_series,
        t1_series=source.t1_series,
        same_patient=source.same_patient,
        before_pixels=check,
    )
    return opened.study, opened


def _headers(study: Study, opened: OpenStudy) -> HeadersBySeries:
    sources = [a.source for a in study.acquisitions.values() if a.source is not None]
    uids = dict.fromkeys(uid for source in sources for uid in source.all_series)
    return {uid: opened.headers(uid) for uid in uids}


def check_budget(
    extent: Extent, settings: ReadingSettings, options: RunOptions | None = None
) -> None:
    """Refuse a study that takes more memory than there is, or shows no body, before it is read."""
    for field in extent.images:
        check_scale(field)
    options = options or RunOptions()
    needed = estimate(extent, settings, options.tile_voxels).memory_mib
    check_memory(needed, "Reading this study", options.memory_limit_mib)
