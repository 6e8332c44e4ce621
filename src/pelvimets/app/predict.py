"""The main path: one study in, masks, findings and a report out."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pelvimets import __version__
from pelvimets.app.stages import Observer, Silent, StageClock, check_memory
from pelvimets.config import settings_to_dict
from pelvimets.core.budget import Budget, estimate
from pelvimets.core.findings import BoneMasks, Findings, LesionMasks, QualityFlag
from pelvimets.core.measure import measure
from pelvimets.core.quality import agreement_flags, bone_flags
from pelvimets.core.segmentation import segment_bones, segment_lesions
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.study import Study
from pelvimets.core.volume import Volume
from pelvimets.io.nifti import write_nifti
from pelvimets.io.output import staged_folder, write_json, write_text
from pelvimets.io.study import open_study, read_nifti_study
from pelvimets.labels import Sequence
from pelvimets.report.content import Provenance, ReportContent, report_content
from pelvimets.report.data import findings_to_dict, lesions_csv
from pelvimets.report.html import render_html


@dataclass(frozen=True)
class StudyInput:
    """Where a study comes from: a DICOM folder or zip, or NIfTI files.

    ``name`` becomes the patient key of NIfTI files; a DICOM study has its own pseudonym.
    """

    path: Path | None = None
    dwi: Path | None = None
    t1: Path | None = None
    adc: Path | None = None
    dwi_series: str | None = None
    t1_series: str | None = None
    name: str | None = None


@dataclass(frozen=True, eq=False)
class StudyResult:
    """All that reading a study gives, before it is written."""

    study: Study
    bones: BoneMasks
    lesions: LesionMasks
    findings: Findings


@dataclass(frozen=True)
class RunSummary:
    """What a finished run tells its user."""

    report: Path
    findings: Findings
    seconds: float
    peak_memory_mib: int


def process_study(
    study: Study, segmenter: Segmenter, clock: StageClock | None = None
) -> StudyResult:
    """Segment bones, segment lesions, measure: the pure middle of the main path."""
    clock = clock or StageClock(Silent(), 0)
    bones: dict[Sequence, Volume] = {}
    lesions: dict[Sequence, Volume] = {}
    probability: dict[Sequence, Volume] = {}
    for sequence in study.sequences:
        image = _image(study, sequence)
        with clock.stage(f"bones on {sequence.title}"):
            bones[sequence] = segment_bones(image, sequence, segmenter)
        with clock.stage(f"lesions on {sequence.title}"):
            lesions[sequence], probability[sequence] = segment_lesions(
                image, bones[sequence], sequence, segmenter
            )
    with clock.stage("measure"):
        masks = LesionMasks(lesions, probability)
        findings = measure(
            BoneMasks(bones),
            masks,
            study.adc.volume if study.adc else None,
            segmenter.settings.lesions,
            patient_key=study.patient_key,
            bundle=segmenter.name,
            uid_seed=f"{segmenter.name}/{study_digest(study)}",
            flags=_flags(bones),
        )
    return StudyResult(study, BoneMasks(bones), masks, findings)


def predict(
    source: StudyInput,
    out: Path,
    segmenter: Segmenter,
    *,
    overwrite: bool = False,
    observer: Observer | None = None,
    weights_sha256: str = "",
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> RunSummary:
    """Read one study into ``out``: masks, findings, lesion list, report, run record.

    Raises:
        PelvimetsError: with what is wrong, what was found and what to do; then ``out`` is as
            it was before.
    """
    with staged_folder(out, overwrite=overwrite) as work:
        clock = StageClock(observer or Silent(), total=8)
        with _opened(source, clock) as study:
            budget = _checked_budget(study, segmenter)
            result = process_study(study, segmenter, clock)
            created = now()
            with clock.stage("report"):
                content = _content(result, segmenter, created)
                write_text(work / "report.html", render_html(content))
            with clock.stage("write"):
                write_results(work, result)
        record = _record(result, segmenter, clock, budget, created, weights_sha256)
        write_json(work / "run.json", record)
    return RunSummary(
        out / "report.html", result.findings, clock.seconds, clock.stages[-1]["peak_memory_mib"]
    )


@contextmanager
def _opened(source: StudyInput, clock: StageClock) -> Iterator[Study]:
    with ExitStack() as resources:
        with clock.stage("read"):
            study = _read(source, resources)
        yield study


def _read(source: StudyInput, resources: ExitStack) -> Study:
    if source.path is None:
        study = read_nifti_study(dwi=source.dwi, t1=source.t1, adc=source.adc)
        return study if source.name is None else replace(study, patient_key=source.name)
    opened = open_study(source.path, dwi_series=source.dwi_series, t1_series=source.t1_series)
    return resources.enter_context(opened).study


def write_results(folder: Path, result: StudyResult) -> None:
    """Write masks, images for the viewer, findings and lesion list."""
    images = folder / "images"
    images.mkdir()
    for sequence in result.study.sequences:
        write_nifti(images / f"{sequence}.nii.gz", _image(result.study, sequence))
        write_nifti(folder / f"{sequence}_bones.nii.gz", result.bones.by_sequence[sequence])
        write_nifti(folder / f"{sequence}_lesions.nii.gz", result.lesions.by_sequence[sequence])
    if result.study.adc is not None:
        write_nifti(images / "adc.nii.gz", result.study.adc.volume)
    write_json(folder / "findings.json", findings_to_dict(result.findings))
    write_text(folder / "lesions.csv", lesions_csv(result.findings))


def study_digest(study: Study) -> str:
    """SHA-256 of the images read: voxels and their place, not names or files."""
    digest = hashlib.sha256()
    for acquisition in (study.dwi, study.t1, study.adc):
        if acquisition is not None:
            digest.update(volume_digest(acquisition.volume).encode())
    return digest.hexdigest()


def volume_digest(volume: Volume) -> str:
    """SHA-256 of one image: number type, shape, place and voxels."""
    digest = hashlib.sha256(f"{volume.array.dtype.str}{volume.array.shape}".encode())
    digest.update(np.round(volume.geometry.matrix, 6).tobytes())
    digest.update(np.ascontiguousarray(volume.array).data)
    return digest.hexdigest()


def _image(study: Study, sequence: Sequence) -> Volume:
    acquisition = study.sequence(sequence)
    assert acquisition is not None, sequence
    return acquisition.volume


def _flags(bones: dict[Sequence, Volume]) -> tuple[QualityFlag, ...]:
    flags = tuple(flag for s, mask in bones.items() for flag in bone_flags(mask, s))
    if len(bones) == len(Sequence):
        flags += agreement_flags(bones[Sequence.DWI], bones[Sequence.T1])
    return flags


def _checked_budget(study: Study, segmenter: Segmenter) -> Budget:
    fields = [_image(study, s).geometry for s in study.sequences]
    budget = estimate(fields, segmenter.settings)
    check_memory(budget.memory_mib, "Reading this study")
    return budget


def _content(result: StudyResult, segmenter: Segmenter, created: datetime) -> ReportContent:
    provenance = Provenance(
        version=__version__,
        bundle=segmenter.name,
        created=created.strftime("%Y-%m-%d %H:%M UTC"),
        in_silico=True,
    )
    return report_content(result.study, result.bones, result.lesions, result.findings, provenance)


def _record(
    result: StudyResult,
    segmenter: Segmenter,
    clock: StageClock,
    budget: Budget,
    created: datetime,
    weights_sha256: str,
) -> dict[str, Any]:
    study = result.study
    inputs = {
        name: {"sha256": volume_digest(item.volume), "label": item.label, "notes": list(item.notes)}
        for name, item in (("dwi", study.dwi), ("t1", study.t1), ("adc", study.adc))
        if item is not None
    }
    return {
        "pelvimets": __version__,
        "created": created.isoformat(timespec="seconds"),
        "versions": _versions(),
        "bundle": {"name": segmenter.name, "weights_sha256": weights_sha256},
        "settings": settings_to_dict(segmenter.settings),
        "inputs": inputs,
        "series": [asdict(decision) for decision in study.decisions],
        "stages": clock.stages,
        "seconds": round(clock.seconds, 3),
        "estimate": {"memory_mib": round(budget.memory_mib), "seconds": round(budget.seconds, 1)},
    }


def _versions() -> dict[str, str]:
    packages = ("numpy", "scipy", "SimpleITK", "pydicom", "openvino", "connected-components-3d")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
