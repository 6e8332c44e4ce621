"""A cohort made of files that lie elsewhere: planned, checked as a whole, then written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pelvimets.core.further import check_beside
from pelvimets.core.geometry import Geometry
from pelvimets.core.judged import STRUCTURES, Judged
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, GeometryError, InputError, listed
from pelvimets.io.cohort.acquisition import read_sidecar, write_acquisition
from pelvimets.io.cohort.annotation import write_judged
from pelvimets.io.cohort.folder import TABLE_NAME, CohortPatient, read_patients, write_table
from pelvimets.io.cohort.plan import KINDS, ImageSource, ImportPlan, MaskSource, PlannedPatient
from pelvimets.io.cohort.sources import (
    Fill,
    bones_in,
    filled_bones,
    read_adc,
    read_image,
    read_truth,
    storable,
)
from pelvimets.io.nifti.files import nifti_geometry, read_nifti, write_nifti
from pelvimets.io.nifti.names import image_name, mask_name
from pelvimets.io.workers import Jobs, each
from pelvimets.labels import Sequence, Split

__all__ = ["KINDS", "ImageSource", "ImportPlan", "MaskSource", "PlannedPatient"]

Result = TypeVar("Result")
Finished = Callable[[int, int], None]


def check_names(patients: Iterable[PlannedPatient]) -> None:
    """Refuse keys that are no names of folders, or the same on a disk that ignores case.

    Raises:
        CohortError: with the keys.
    """
    seen: dict[str, str] = {}
    for patient in patients:
        key = patient.key
        if not key or Path(key).name != key or key.startswith(".") or key != key.strip():
            raise CohortError("A patient's name must be the name of a folder", got=repr(key))
        if key.lower() in seen:
            raise CohortError("Two patients have the same name", got=f"{seen[key.lower()]}, {key}")
        seen[key.lower()] = key


def check_masks(patients: Iterable[PlannedPatient], optional: Ordered[str]) -> None:
    """Refuse images without a mask of a kind that others have, unless it is optional.

    Raises:
        CohortError: with the patients.
    """
    images = [(p.key, s, image) for p in patients for s, image in p.images.items()]
    wanted = {kind for _, _, image in images for kind in image.kinds} - set(optional)
    bare = [f"{k} {s}" for k, s, i in images if not i.kinds and set(optional) < set(KINDS)]
    lacking = [
        f"{key} {sequence}: {kind}"
        for key, sequence, image in images
        for kind in KINDS
        if kind in wanted and kind not in image.kinds
    ]
    if lacking or bare:
        raise CohortError(
            "Images without a mask",
            got=listed(lacking or bare),
            remedy="Add the masks, or say what their absence means: --missing-lesions empty "
            "(there is none) or leave (not known), --missing-bones leave",
        )


def person_of(key: str, pattern: str | None) -> str | None:
    """The man that a patient's name means; None without a pattern.

    Raises:
        InputError: if the pattern is no regular expression with a group.

    >>> person_of("p1_scan2", "^([^_]+)")
    'p1'
    """
    if pattern is None:
        return None
    try:
        match = re.search(pattern, key)
        return match[1] if match else key
    except (re.error, IndexError) as error:
        raise InputError(
            "The pattern of the person cannot be used",
            got=f"{pattern!r}: {error}",
            remedy="Give a regular expression with one group, such as '^([^_]+)'",
        ) from None


def read_table(path: Path | None) -> dict[str, CohortPatient]:
    """Rows of a table of patients by key; empty without a table.

    Raises:
        CohortError: as ``read_patients``, or if the file has another name.
    """
    if path is None:
        return {}
    if path.name != TABLE_NAME or not path.is_file():
        raise CohortError(
            f"The table of patients must be a file named {TABLE_NAME}",
            got=path,
            remedy="Its columns are patient, split, m_stage, scanner, age, psa and any further",
        )
    return {patient.key: patient for patient in read_patients(path.parent)}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a file of the source.

    Attributes:
        patient: Whose it is.
        what: Which file and what is wrong.
        remedy: The option that mends it.
    """

    patient: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.patient}: {self.what}"


@dataclass(frozen=True)
class Checked:
    """What reading every file of a source came to.

    Attributes:
        faults: All that is wrong.
        notes: Structures that count as drawn and are in no case.
    """

    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()

    def refuse_faults(self) -> None:
        """Stop if anything is wrong.

        Raises:
            CohortError: with up to twenty faults.
        """
        if self.faults:
            raise CohortError(
                f"The source has {len(self.faults)} problems, nothing was written",
                got=listed([str(fault) for fault in self.faults]),
                remedy="Repair these files or leave the patients out (--leave-out); --dry-run "
                "lists all of them, each with what mends it",
            )


def check_sources(plan: ImportPlan, finished: Finished, jobs: Jobs = 1) -> Checked:
    """Read every file once, as the import will, and list all that is wrong.

    Args:
        plan: What is to be read.
        finished: Told of each patient.
        jobs: Patients at a time, or a cluster.

    Raises:
        CohortError: if a patient could not be looked at.
    """
    looked_at = _all_of(_checked, plan.patients, finished, jobs)
    faults = [fault for one in looked_at for fault in one.faults]
    seen = {key for one in looked_at for key in one.seen}
    wanted = {key for one in looked_at for key in one.wanted}
    absent = [key for key in STRUCTURES if key in wanted - seen]
    note = (
        f"no case holds a voxel of {', '.join(key.replace('_', ' ') for key in absent)}, which "
        "counts as drawn: if nobody drew it, name what was drawn with --annotated"
    )
    return Checked(tuple(faults), (note,) if absent else ())


@dataclass(frozen=True)
class _LookedAt:
    """What is wrong with a patient; bones that its masks hold, and that they should hold."""

    faults: tuple[Fault, ...]
    seen: frozenset[str]
    wanted: frozenset[str]


def _checked(patient: PlannedPatient) -> _LookedAt:
    faults: list[Fault] = []
    seen, wanted = set[str](), set[str]()
    places: dict[Sequence, Geometry] = {}
    dwi: Volume | None = None
    for sequence, source in patient.images.items():
        try:
            image = read_image(source)
            places[sequence] = image.geometry
            dwi = image if sequence is Sequence.DWI else dwi
            truth, judged = read_truth(source, image)
        except InputError as error:
            faults.append(_fault(patient, f"{sequence}: ", error))
            continue
        if truth.bones is not None:
            wanted |= judged.structures
            seen |= bones_in(truth.bones)
    try:
        check_in_one_place(places)
    except InputError as error:
        faults.append(_fault(patient, "", error))
    if patient.adc is not None and (dwi is not None or Sequence.DWI not in patient.images):
        try:
            read_adc(patient.adc, dwi)
        except InputError as error:
            faults.append(_fault(patient, "adc: ", error))
    faults += _further_faults(patient)
    return _LookedAt(tuple(faults), frozenset(seen), frozenset(wanted))


def check_in_one_place(places: Mapping[Sequence, Geometry]) -> None:
    """Refuse a DWI and a T1 that share no place: they cannot be of one examination.

    Raises:
        GeometryError: with the centre of each.
    """
    if len(places) < 2 or places[Sequence.DWI].meets(places[Sequence.T1]):
        return
    centres = {s.title: grid.corners().mean(axis=0).round() for s, grid in places.items()}
    raise GeometryError(
        "DWI and T1 do not overlap",
        got=", ".join(
            f"{name} around {x:g}, {y:g}, {z:g} mm" for name, (x, y, z) in centres.items()
        ),
        remedy="Look whether both are of one patient and keep their place; import each by itself",
    )


def _further_faults(patient: PlannedPatient) -> list[Fault]:
    """Further images that cannot be read or that show another place."""
    faults = []
    for kind, path in patient.further.items():
        try:
            read_nifti(path)
            images = {s: nifti_geometry(source.path) for s, source in patient.images.items()}
            check_beside({kind: nifti_geometry(path)}, images, f"patient {patient.key}")
        except InputError as error:
            faults.append(_fault(patient, f"{kind.value}: ", error))
    return faults


def _all_of(
    work: Callable[[PlannedPatient], Result],
    patients: Ordered[PlannedPatient],
    finished: Finished,
    jobs: Jobs,
) -> list[Result]:
    """The result for each patient, in their order.

    Raises:
        CohortError: with the first patient whose work failed.
    """
    results: dict[str, Result] = {}
    for done, ended in enumerate(each(work, patients, jobs), start=1):
        if ended.fault or ended.result is None:
            raise CohortError(f"{ended.item.key} cannot be imported", got=ended.fault)
        results[ended.item.key] = ended.result
        finished(done, len(patients))
    return [results[patient.key] for patient in patients]


def _fault(patient: PlannedPatient, where: str, error: InputError) -> Fault:
    got = "" if error.got is None else f" (got {error.got})"
    remedy = f"{(error.remedy or 'Repair the file').rstrip('.')}, or --leave-out {patient.key}"
    return Fault(patient.key, f"{where}{error.what}{got}", remedy)


def write_patient(patient: PlannedPatient, folder: Path, fill: Fill | None = None) -> None:
    """Write the images and masks of a patient into a new folder.

    Args:
        patient: Who.
        folder: Where to.
        fill: Draws the bones that no person drew.
    """
    folder.mkdir()
    dwi: Volume | None = None
    protocols = {s: read_sidecar(source.path) for s, source in patient.images.items()}
    write_acquisition(folder, protocols)
    who: dict[Sequence, Judged] = {}
    for sequence, source in patient.images.items():
        image = read_image(source)
        dwi = image if sequence is Sequence.DWI else dwi
        write_nifti(folder / image_name(sequence), image)
        truth, judged = read_truth(source, image)
        if fill is not None:
            truth, judged = filled_bones(truth, judged, image, sequence, fill)
        who |= {} if truth.bones is None else {sequence: judged}
        for kind, array in zip(KINDS, (truth.bones, truth.lesions), strict=True):
            if array is not None:
                write_nifti(folder / mask_name(sequence, kind), image.with_array(array))
    write_judged(folder, who)
    if patient.adc is not None:
        write_nifti(folder / image_name("adc"), read_adc(patient.adc, dwi))
    for kind, path in patient.further.items():
        write_nifti(folder / image_name(kind), storable(read_nifti(path)))


def write_cohort(
    plan: ImportPlan,
    splits: Mapping[str, Split],
    folder: Path,
    finished: Finished,
    fill: Fill | None = None,
    jobs: Jobs = 1,
) -> int:
    """Write all patients and their table into an empty folder.

    Returns:
        Images whose bones were drawn by ``fill``.

    Raises:
        CohortError: if a patient could not be written.
    """
    work = partial(_written, folder=folder, fill=fill)
    drawn = sum(_all_of(work, plan.patients, finished, jobs))
    write_table(folder / TABLE_NAME, [_row(p, splits[p.key], plan) for p in plan.patients])
    return drawn


def _written(patient: PlannedPatient, folder: Path, fill: Fill | None) -> int:
    """Write a patient; how many of his images had bones drawn."""
    drawn = 0

    def counted(image: Volume, sequence: Sequence) -> tuple[npt.NDArray[np.uint8], str]:
        nonlocal drawn
        assert fill is not None
        drawn += 1
        return fill(image, sequence)

    place = folder / patient.key
    if place.exists():  # what a process left that died over this patient
        shutil.rmtree(place)
    write_patient(patient, place, None if fill is None else counted)
    return drawn


def _row(patient: PlannedPatient, split: Split, plan: ImportPlan) -> dict[str, object]:
    known = plan.table.get(patient.key) or plan.table.get(patient.man)
    row: dict[str, object] = {"patient": patient.key, "split": split.value}
    row["m_stage"] = known.m_stage if known else None
    row["scanner"] = known.scanner if known else None
    row["age"] = known.age_years if known else None
    row["psa"] = known.psa_ng_per_ml if known else None
    names = dict.fromkeys(name for p in plan.table.values() for name in p.details)
    row.update({name: known.details.get(name) if known else None for name in names})
    if any(p.person for p in plan.patients):
        row["person"] = patient.man
    return row
