"""Cohorts and bundles from and to the formats of other tools."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets import __version__
from pelvimets.core.progress import Progress, silent
from pelvimets.core.segmentation import segment_bones
from pelvimets.core.volume import Volume
from pelvimets.io.cohort.folder import read_cohort
from pelvimets.io.cohort.importing import Fault, check_sources, write_cohort
from pelvimets.io.cohort.plan import ImportPlan
from pelvimets.io.cohort.splits import with_splits
from pelvimets.io.exchange.nnunet import NnunetOptions, plan_nnunet
from pelvimets.io.exchange.nnunet_export import (
    NnunetOrder,
    check_cases,
    check_dataset_name,
    export_cases,
    write_dataset,
)
from pelvimets.io.nifti.pairs import PairsOptions, find_files, plan_pairs
from pelvimets.io.record.output import check_output, staged_folder, write_json
from pelvimets.labels import Sequence, Split
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.openvino_backend import OpenVinoSegmenter
from pelvimets.requests.exchange import ImportJob

MARKER = "exchange.json"


@dataclass(frozen=True)
class ImportSummary:
    """What was, or would be, written.

    Attributes:
        rows: Patient, split, and the files of each sequence.
        counts: Patients of each split.
        notes: What the user should know.
        faults: What is wrong with the source; of a dry run, else it was refused.
        filled: Images whose bones networks drew, in part or as a whole.
    """

    rows: tuple[tuple[str, str, str, str], ...]
    counts: dict[Split, int]
    notes: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    filled: int = 0


def import_nnunet(
    datasets: Ordered[Path],
    out: Path,
    options: NnunetOptions,
    job: ImportJob | None = None,
    progress: Progress = silent,
) -> ImportSummary:
    """Make a cohort of nnU-Net raw data sets; the source stays as it is.

    Args:
        datasets: Folders; cases of one name are joined.
        out: Folder of the cohort; it appears when all is written.
        options: What the names do not say.
        job: How.
        progress: Told of each patient that is checked and written.

    Raises:
        CohortError: if the source is unclear or contradicts itself.
        OutputError: if the cohort cannot be written.
    """
    plan = plan_nnunet(datasets, options)
    return _import(plan, out, "nnunet", job or ImportJob(), progress)


def import_nifti(
    folder: Path,
    out: Path,
    options: PairsOptions,
    job: ImportJob | None = None,
    progress: Progress = silent,
) -> ImportSummary:
    """Make a cohort of a folder of NIfTI images and masks; the source stays as it is.

    Args and errors as ``import_nnunet``.
    """
    plan = plan_pairs(folder, find_files(folder, options), options)
    return _import(plan, out, "nifti", job or ImportJob(), progress)


def _import(
    plan: ImportPlan, out: Path, kind: str, job: ImportJob, progress: Progress
) -> ImportSummary:
    splits = with_splits(plan.patients, plan.table, np.random.default_rng(job.seed))
    summary = _summary(plan, splits)
    fill = None if job.fill_bones is None else BoneFill(job.fill_bones)
    drawn_by = "" if fill is None else fill.name  # says now what is wrong with the bundle
    if not job.dry_run:
        check_output(out, overwrite=job.overwrite, result_marker=MARKER)
    checked = check_sources(plan, partial(progress, "check"), job.jobs)
    summary = replace(summary, notes=summary.notes + checked.notes, faults=checked.faults)
    if job.dry_run:
        return summary
    checked.refuse_faults()
    with staged_folder(out, overwrite=job.overwrite, result_marker=MARKER) as work:
        step = partial(progress, "write")
        images = write_cohort(plan, splits, work, step, fill, job.jobs)
        read_cohort(work)
        filled = {} if fill is None else {"bones_drawn_by": drawn_by, "images": images}
        notes = list(summary.notes)
        write_json(work / MARKER, _record(f"import {kind}", seed=job.seed, notes=notes, **filled))
    return replace(summary, filled=images)


@dataclass(frozen=True)
class BoneFill:
    """Draws bones with the first network of a bundle, in whatever process it is called.

    Attributes:
        bundle: Its folder, or the name of a shipped one.
    """

    bundle: Path

    @property
    def name(self) -> str:
        """Name and version of the bundle."""
        return _networks(self.bundle).name

    def __call__(self, image: Volume, sequence: Sequence) -> tuple[npt.NDArray[np.uint8], str]:
        """Bones of an image (``Bone`` values, on its grid), and the name of the bundle."""
        return segment_bones(image, sequence, _networks(self.bundle)).array, self.name


@lru_cache(maxsize=1)
def _networks(bundle: Path) -> OpenVinoSegmenter:
    return load_segmenter(bundle)


def _summary(plan: ImportPlan, splits: dict[str, Split]) -> ImportSummary:
    rows = tuple(
        (
            patient.key,
            splits[patient.key].value,
            "; ".join(
                f"{sequence} ({', '.join(source.kinds) or 'no mask'})"
                for sequence, source in patient.images.items()
            ),
            ", ".join([*(["adc"] if patient.adc else []), *patient.further]) or "-",
        )
        for patient in plan.patients
    )
    counts = {split: list(splits.values()).count(split) for split in Split}
    unknown = sorted(set(plan.table) - set(splits))
    notes = (f"{len(unknown)} rows of the table have no images",) if unknown else ()
    return ImportSummary(rows, counts, plan.notes + notes)


def _record(what: str, **facts: Any) -> dict[str, Any]:
    return {"pelvimets": __version__, "made_by": what, **facts}


@dataclass(frozen=True)
class ExportSummary:
    """What was written, and who was left out."""

    cases: int
    held_out: int
    without_image: int


def export_nnunet(
    cohort: Path,
    out: Path,
    order: NnunetOrder,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> ExportSummary:
    """Write a cohort as an nnU-Net raw data set.

    Args:
        cohort: Folder of the cohort.
        out: ``DatasetNNN_Name``; it appears when all is written.
        order: Task, sequences and channels.
        overwrite: Replace an earlier export.
        progress: Told of each case that is checked and written.

    Raises:
        CohortError: if the cohort lacks what the data set needs.
        OutputError: if it cannot be written there.
    """
    check_dataset_name(out)
    check_output(out, overwrite=overwrite, result_marker=MARKER)
    source = read_cohort(cohort)
    cases = export_cases(source, order)
    check_cases(cases, order, partial(progress, "check"))
    with staged_folder(out, overwrite=overwrite, result_marker=MARKER) as work:
        write_dataset(cases, order, work, out.name, partial(progress, "write"))
        write_json(work / MARKER, _record("export nnunet"))
    held_out = sum(case.held_out for case in cases)
    there = {case.patient.key for case in cases}
    return ExportSummary(len(cases), held_out, len(source.patients) - len(there))
