"""Calibration of a bundle: run its networks on a validation cohort, weigh the evidence."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.app.further import furnished
from pelvimets.calibration.candidates import (
    FoundAndTrue,
    FoundPatient,
)
from pelvimets.calibration.fitting import FEWEST, fit_calibration
from pelvimets.config import ReadingSettings, settings_to_dict
from pelvimets.core.further import seeing
from pelvimets.core.judged import UNJUDGED_LESION
from pelvimets.core.progress import Progress, silent
from pelvimets.core.segmentation import run_networks
from pelvimets.core.segmenter import wanted_by
from pelvimets.core.study import Study
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, listed
from pelvimets.io.cohort.folder import Cohort, CohortPatient, read_case, read_cohort
from pelvimets.io.nifti.study import read_nifti_study
from pelvimets.io.phantom.record import phantom_command, refuse_unseen
from pelvimets.io.record.arrays import ArrayFolder
from pelvimets.io.record.bundle import read_description, rewrite_bundle
from pelvimets.io.record.output import check_output
from pelvimets.io.record.stamps import stamp
from pelvimets.io.workers import Jobs, each
from pelvimets.labels import Sequence, Split
from pelvimets.model.bundle import DESCRIPTION_NAME, bundle_folder, load_segmenter
from pelvimets.model.openvino_backend import OpenVinoSegmenter
from pelvimets.model_development.calibrate_bones import with_bones_together
from pelvimets.report.card import model_card

_NOTHING = 1e-3


@dataclass(frozen=True)
class CalibrationRequest:
    """What to calibrate.

    Attributes:
        bundle: Folder of the bundle, or the name of a shipped one.
        cohorts: Validation cohorts; none of their patients may have been trained or tested on.
        out: Folder of the calibrated bundle.
        split: Patients of this split only; None takes all, out of fold all but the test's.
        overwrite: Replace an older bundle there.
        jobs: Patients that the networks read at a time, or a cluster.
        out_of_fold: Read each patient by the network of the fold that did not learn from him.
    """

    bundle: Path
    cohorts: tuple[Path, ...]
    out: Path
    split: str | None = None
    overwrite: bool = False
    jobs: Jobs = 1
    out_of_fold: bool = False


def calibrate(request: CalibrationRequest, progress: Progress) -> dict[str, Any]:
    """Fit how sequences are joined, of bones and of lesions, threshold, weights, cuts.

    A bundle with them is written.

    What the networks found in each patient is kept in ``<out>.work``, so that an interrupted
    run goes on where it was. Sequences are joined only if F1 of the lesions gains by it.
    Patients in whom nobody looked for lesions are left out and counted.

    Returns:
        The record that the model card shows.

    Raises:
        CohortError: if there are too few candidates, a patient lacks masks, two cohorts have a
            patient of the same name, or one is of anatomies kept for measuring.
        OutputError: if the bundle exists and is not to be replaced.
    """
    for cohort in request.cohorts:
        refuse_unseen(cohort)
    source = bundle_folder(request.bundle)
    check_output(request.out, overwrite=request.overwrite, result_marker=DESCRIPTION_NAME)
    segmenter = load_segmenter(source)
    chosen = _patients(request)
    patients = tuple(p for p in chosen if _was_looked_at(p)) or chosen
    _check_knowledge(segmenter, patients, out_of_fold=request.out_of_fold)
    check_lesions(patients)
    segmenter, bones = with_bones_together(
        segmenter, patients, progress, out_of_fold=request.out_of_fold
    )
    work = request.out.with_name(f"{request.out.name}.work") / segmenter.weights_sha256[:16]
    found = FoundPatients(patients, segmenter, work, progress, request.out_of_fold)
    if request.jobs != 1:
        _read_all(found, source, request.jobs)
    fitted = fit_calibration(found, segmenter.settings.lesions)
    settings = replace(segmenter.settings, lesions=fitted.settings)
    made = [
        f"{command} -o {cohort.name}"
        for cohort in request.cohorts
        if (command := phantom_command(cohort))
    ]
    record = {
        **fitted.record,
        "bones": bones,
        "cohort": ", ".join(cohort.name for cohort in request.cohorts),
        "made_by": made or None,
        "out_of_fold": request.out_of_fold,
        "without_masks": len(chosen) - len(patients),
    }
    description = {
        **read_description(source),
        "settings": settings_to_dict(settings),
        "calibration": record,
    }
    card = model_card(description)
    rewrite_bundle(source, request.out, description, card, overwrite=request.overwrite)
    return record


def _read_all(found: FoundPatients, bundle: Path, jobs: Jobs) -> None:
    """Let the networks read all patients, several at a time, and keep what they find.

    Raises:
        CohortError: with the first patient that could not be read.
    """
    reading = partial(
        _read_and_keep,
        bundle=bundle,
        settings=found.segmenter.settings,
        work=found.work,
        out_of_fold=found.out_of_fold,
    )
    for done, ended in enumerate(each(reading, found.patients, jobs), start=1):
        if ended.fault:
            raise CohortError(f"{ended.item.key} cannot be read", got=ended.fault)
        found.progress(ended.item.key, done, len(found.patients))
    ArrayFolder(found.work).remove_unfinished()


def _read_and_keep(
    patient: CohortPatient,
    bundle: Path,
    settings: ReadingSettings,
    work: Path,
    *,
    out_of_fold: bool,
) -> None:
    segmenter = replace(_networks(bundle), settings=settings)
    FoundPatients((patient,), segmenter, work, silent, out_of_fold).keep(patient)


@lru_cache(maxsize=1)
def _networks(bundle: Path) -> OpenVinoSegmenter:
    return load_segmenter(bundle)


def _check_knowledge(
    segmenter: OpenVinoSegmenter, patients: tuple[CohortPatient, ...], *, out_of_fold: bool
) -> None:
    """Refuse patients from whom the networks learned, unless each is read by those that did not.

    Raises:
        CohortError: with these patients, or with those who are in no fold.
    """
    known = segmenter.cross_validated
    taught = sorted(p.key for p in patients if p.key in known)
    if out_of_fold and not known:
        raise CohortError(
            "The bundle knows no folds",
            got=segmenter.name,
            remedy="Make it of the folder of train --folds, or leave out --out-of-fold",
        )
    if taught and not out_of_fold:
        raise CohortError(
            "The networks learned from these patients",
            got=listed(taught),
            remedy="Add --out-of-fold: each is then read by the fold that did not learn from him",
        )


def check_lesions(patients: tuple[CohortPatient, ...]) -> None:
    """Say what is missing for a calibration, from the masks alone, before any network runs.

    Raises:
        CohortError: with the images that lack a mask, or the metastases that are too few.
    """
    lacking = [
        f"{p.key} {s.title}"
        for p in patients
        for s in p.sequences
        if not p.mask_path(s, "lesions").is_file()
    ]
    if lacking:
        raise CohortError(
            "Images without a mask of the lesions",
            got=listed(lacking),
            remedy="Write an empty one where there is none, or take both of their masks away",
        )
    for sequence in Sequence:
        masks = [_reference(p, sequence).array for p in patients if sequence in p.sequences]
        counts = [len(set(np.unique(m).tolist()) - {0, UNJUDGED_LESION}) for m in masks]
        if masks and sum(counts) < FEWEST:
            raise CohortError(
                f"Too few metastases on {sequence.title} to weigh the evidence",
                got=f"{sum(counts)} in {sum(map(bool, counts))} of {len(counts)} patients",
                remedy=f"Give cohorts with at least {FEWEST} on each sequence: more patients with "
                "metastases, or --out-of-fold with all patients of train --folds",
            )


def _patients(request: CalibrationRequest) -> tuple[CohortPatient, ...]:
    if request.split is not None and request.split not in list(Split):
        known = ", ".join(Split)
        raise CohortError("Unknown split", got=request.split, remedy=f"Known: {known}")
    patients = [p for folder in request.cohorts for p in _chosen(read_cohort(folder), request)]
    twice = [key for key, count in Counter(p.key for p in patients).items() if count > 1]
    if twice:
        raise CohortError(
            "Two cohorts have a patient of the same name",
            got=", ".join(sorted(twice)[:5]),
            remedy="Rename the patients of one of them",
        )
    return tuple(patients)


def _was_looked_at(patient: CohortPatient) -> bool:
    """Whether there is a mask of the lesions, if an empty one, for any of the images."""
    return any(patient.mask_path(s, "lesions").is_file() for s in patient.sequences)


def _chosen(cohort: Cohort, request: CalibrationRequest) -> tuple[CohortPatient, ...]:
    """The patients asked for; those set aside for a test only where their split is."""
    if request.split is None and request.out_of_fold:
        return tuple(p for p in cohort.patients if p.split is not Split.TEST)
    if request.split is None:
        return cohort.patients
    patients = cohort.of_split(Split(request.split))
    if not patients:
        raise CohortError(f"The cohort has no patient in the split {request.split}")
    return patients


@dataclass(frozen=True)
class FoundPatients:
    """The patients of a cohort one by one; the networks read each only once.

    Attributes:
        patients: Who.
        segmenter: The networks.
        work: Folder where what they found is kept.
        progress: Told of each patient that is gone through.
        out_of_fold: Each is read by the networks that did not learn from him.
    """

    patients: tuple[CohortPatient, ...]
    segmenter: OpenVinoSegmenter
    work: Path
    progress: Progress
    out_of_fold: bool = False

    def __iter__(self) -> Iterator[FoundPatient]:
        """Read those that are not kept; go through all."""
        for number, patient in enumerate(self.patients):
            self.progress(patient.key, number, len(self.patients))
            yield self._found(patient)
        self.progress("", len(self.patients), len(self.patients))

    def keep(self, patient: CohortPatient) -> None:
        """Read a patient that is not kept yet."""
        self._read_once(patient, _study(patient))

    def _found(self, patient: CohortPatient) -> FoundPatient:
        truth = {s: _reference(patient, s) for s in patient.sequences}
        study = _study(patient)
        kept = self._read_once(patient, study)
        adc = study.adc.volume if study.adc else None
        found = {}
        for s, image in study.images.items():
            own = image.with_array(kept[f"{s.value}_lesions"].astype(np.float32))
            left_open = truth[s].array == UNJUDGED_LESION
            own.array[left_open], truth[s].array[left_open] = 0, 0  # neither right nor wrong
            bones = image.with_array(kept[f"{s.value}_bones"])
            found[s] = FoundAndTrue(bones, own, bones, truth[s])
        person = patient.details.get("person") or patient.key
        return FoundPatient(patient.key, person, found, adc)

    def _read_once(self, patient: CohortPatient, study: Study) -> dict[str, npt.NDArray[Any]]:
        folder = ArrayFolder(self.work, compressed=True)
        name = f"{patient.key}-{self._stamp(patient)}"
        if name not in folder.names():
            own = self.segmenter.unseen_by(patient.key) if self.out_of_fold else self.segmenter
            study = furnished(study, own, patient.further_paths())
            found = run_networks(study.images, seeing(own, study))
            masks = {f"{s.value}_bones": one.bones.array for s, one in found.items()}
            lesions = {f"{s.value}_lesions": _rounded(one.own.array) for s, one in found.items()}
            folder.write(name, {**masks, **lesions})
        return folder.read(name)

    def _stamp(self, patient: CohortPatient) -> str:
        """What was read, and how; what is made of the probabilities does not matter."""
        further = patient.further_paths(wanted_by(self.segmenter)).values()
        files = stamp([*(patient.image_path(s) for s in Sequence), *further])
        settings = settings_to_dict(self.segmenter.settings)
        del settings["lesions"]
        how = "out of fold" if self.out_of_fold else ""
        return hashlib.sha256(f"{files}{settings}{how}".encode()).hexdigest()[:12]


def _rounded(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Half precision, and 0 where nothing is seen, so that it takes little space."""
    return np.where(probability < _NOTHING, 0, probability).astype(np.float16)


def _study(patient: CohortPatient) -> Study:
    return read_nifti_study(
        dwi=_path(patient, Sequence.DWI),
        t1=_path(patient, Sequence.T1),
        adc=patient.adc_path if patient.adc_path.is_file() else None,
    )


def _path(patient: CohortPatient, sequence: Sequence) -> Path | None:
    return patient.image_path(sequence) if sequence in patient.sequences else None


def _reference(patient: CohortPatient, sequence: Sequence) -> Volume:
    lesions = read_case(patient, sequence).lesions
    if lesions is None:
        raise CohortError(
            f"Patient {patient.key}, {sequence.title}: no mask of the lesions",
            remedy="Write an empty one where there is none",
        )
    return lesions
