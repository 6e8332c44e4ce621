"""Read one study: DICOM from a folder, a file or a zip, or NIfTI files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset

from pelvimets.core.adc import adc_um2_per_s
from pelvimets.core.budget import Extent
from pelvimets.core.series.facts import SeriesFacts
from pelvimets.core.series.selection import Selection, select
from pelvimets.core.series.table import Choice
from pelvimets.core.study import (
    Acquisition,
    SeriesDecision,
    SeriesRole,
    SourceReference,
    Study,
)
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError, ResourceError
from pelvimets.io.dicom.archive import ArchiveLimits, is_zip, unpack
from pelvimets.io.dicom.frames import Frame
from pelvimets.io.dicom.identity import gaps, persons
from pelvimets.io.dicom.joining import read_blend, with_joined
from pelvimets.io.dicom.pixels import Array32, read_trace
from pelvimets.io.dicom.scan import Scan, ScannedSeries, read_header, scan
from pelvimets.io.dicom.units import in_declared_unit
from pelvimets.io.dicom.volume import DicomVolume
from pelvimets.io.dicom.volumes import volumes_of
from pelvimets.io.nifti.files import SUFFIXES
from pelvimets.io.nifti.study import missing_notes, read_nifti_study
from pelvimets.io.record.temporary import owned_folder, remove_abandoned

__all__ = ["OpenStudy", "inspect", "open_study", "read_nifti_study", "read_study"]

_UNPACKED = "pelvimets-"
_STORED_BYTES = 2  # of one pixel, as a rule
_OTHER_BODY_PARTS = """
    HEAD BRAIN SKULL FACE NECK CSPINE TSPINE BREAST CHEST HEART KNEE ANKLE FOOT HAND WRIST ELBOW
    SHOULDER LEG ARM EXTREMITY PHANTOM ORBIT EAR IAC TMJ LIVER
"""


class OpenStudy:
    """A study that has been read, with access to the DICOM objects it came from.

    Use it as a context manager: a zip lies unpacked in a temporary folder until it closes.

    Attributes:
        study: What was read; it stays valid after closing.
        series: Every MR series of it, by its UID.
    """

    def __init__(self, study: Study, series: Sequence[ScannedSeries], resources: ExitStack) -> None:
        self.study = study
        self.series = {s.series_instance_uid: s for s in series}
        self._resources = resources

    def paths(self, series_instance_uid: str) -> list[Path]:
        """Files of the MR images of one series, in the order of their names.

        Raises:
            InputError: if the study has no such series.
        """
        if series_instance_uid not in self.series:
            raise InputError("The study has no series of this UID", got=series_instance_uid)
        return self.series[series_instance_uid].paths

    def headers(self, series_instance_uid: str) -> list[Dataset]:
        """Whole headers of a series' MR images, without pixel data, in the order of ``paths``."""
        return [read_header(path) for path in self.paths(series_instance_uid)]

    def source_headers(self, source: SourceReference) -> list[Dataset]:
        """Headers of exactly the instances that a volume refers to, in its order."""
        frames = self.series[source.series_instance_uid].frames
        path_of = {frame.sop_instance_uid: frame.path for frame in frames}
        return [read_header(path_of[uid]) for uid in source.sop_instance_uids]

    def close(self) -> None:
        """Remove the temporary folder of a zip."""
        self._resources.close()

    def __enter__(self) -> OpenStudy:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_study(
    path: Path | str,
    *,
    dwi_series: str | None = None,
    t1_series: str | None = None,
    same_patient: bool = False,
    before_pixels: Callable[[Extent], None] | None = None,
) -> OpenStudy:
    """Read a DICOM study and choose its series.

    Args:
        path: Folder of any nesting, single DICOM file, or zip.
        dwi_series, t1_series: Number, UID or part of the description of a series to take;
            ``'none'`` leaves that sequence out.
        same_patient: Take all images as of one patient, whatever their headers say.
        before_pixels: Told how large DWI, T1 and ADC are before any pixel is read; refuses
            the study by raising.

    Raises:
        ArchiveError: if a zip is hostile, damaged or too large.
        SelectionError: if no series serves, or the one asked for is not there.
        GeometryError: if a series that would be taken does not form a regular volume.
        InputError: if there is no MR study of one patient, or pixels cannot be decoded.
        ResourceError: if a file would cost more memory or time than any image.
    """
    with ExitStack() as resources:  # taken over by the result, or unwound on an error
        scanned = scan(study_folder(Path(path), ArchiveLimits(), resources))
        _check_one_patient(scanned, same_patient)
        volumes = _volumes(scanned)
        selection = select(
            [volume.facts for volume in volumes],
            dwi_series=dwi_series,
            t1_series=t1_series,
        )
        if selection.refusal is not None:
            raise selection.refusal
        if before_pixels is not None:
            before_pixels(_extent(scanned, volumes, selection))
        study = _study(scanned, volumes, selection)
        return OpenStudy(study, scanned.series, resources.pop_all())
    raise AssertionError("unreachable")


def read_study(
    path: Path | str,
    *,
    dwi_series: str | None = None,
    t1_series: str | None = None,
    same_patient: bool = False,
) -> Study:
    """``open_study`` for those who need no source headers; same arguments and errors."""
    with open_study(
        path, dwi_series=dwi_series, t1_series=t1_series, same_patient=same_patient
    ) as opened:
        return opened.study


def inspect(
    path: Path | str,
    *,
    dwi_series: str | None = None,
    t1_series: str | None = None,
    same_patient: bool = False,
) -> tuple[SeriesDecision, ...]:
    """The table of series alone, from headers; a study that would be refused is shown too.

    Raises:
        ArchiveError, InputError: if there is no DICOM, or more than one patient.
        SelectionError: if a series asked for is not there.
    """
    with ExitStack() as resources:
        scanned = scan(study_folder(Path(path), ArchiveLimits(), resources))
        _check_one_patient(scanned, same_patient)
        facts = [volume.facts for volume in _volumes(scanned)]
        return select(facts, dwi_series=dwi_series, t1_series=t1_series).decisions
    raise AssertionError("unreachable")


# --- from path to scan -----------------------------------------------------------------------


def study_folder(path: Path, limits: ArchiveLimits, resources: ExitStack) -> Path:
    """Where the files of a study lie: the folder itself, or a zip unpacked for the time being.

    Raises:
        ArchiveError: if a zip is hostile, damaged or too large.
        InputError: if there is nothing, or a NIfTI file.
        ResourceError: if a zip cannot be unpacked.
    """
    if not path.exists():
        raise InputError("There is no such file or folder", got=path, remedy="Check the path")
    if path.is_dir():
        return path
    if path.name.endswith(SUFFIXES):
        raise InputError(
            "A NIfTI file is not a DICOM study",
            got=path,
            remedy="Say which sequence it is: --dwi FILE, --t1 FILE, --adc FILE",
        )
    if not (is_zip(path) or path.suffix.lower() == ".zip"):
        return path
    place = Path(tempfile.gettempdir())
    remove_abandoned(place, f"{_UNPACKED}*")
    folder = resources.enter_context(owned_folder(place, _UNPACKED)) / "files"
    folder.mkdir()
    try:
        unpack(path, folder, limits)
    except OSError as error:
        raise ResourceError(
            "The zip cannot be unpacked",
            got=error.strerror or type(error).__name__,
            remedy="Free some disk, or set TMPDIR to a larger one",
        ) from error
    return folder


def _check_one_patient(scanned: Scan, same_patient: bool) -> None:
    if not scanned.studies:
        kinds: dict[str, int] = {}
        for series in scanned.series:
            kinds[series.modality or "?"] = kinds.get(series.modality or "?", 0) + sum(
                series.others.values()
            )
        raise InputError(
            "The study holds no MR images",
            got=", ".join(f"{count} objects of modality {kind}" for kind, count in kinds.items()),
            remedy="Give a pelvic MR study",
        )
    count = len(persons(scanned.identities))
    if count > 1 and not same_patient:
        raise InputError(
            "The folder holds MR images of more than one patient",
            got=f"{count} patients",
            remedy="Give a folder with one patient's study; several studies go one per folder. "
            "If you know that all are of one patient, add --same-patient",
        )
    if len(scanned.studies) > 1:
        raise InputError(
            "The folder holds more than one MR study of this patient",
            got=f"{len(scanned.studies)} studies",
            remedy="Give a folder with one study, so that images of different days are not mixed",
        )


def _volumes(scanned: Scan) -> list[DicomVolume]:
    return with_joined([volume for series in scanned.series for volume in volumes_of(series)])


# --- from scan to study ----------------------------------------------------------------------


def _study(scanned: Scan, volumes: Sequence[DicomVolume], selection: Selection) -> Study:
    of_series = {s.series_instance_uid: s for s in scanned.series}
    dwi, t1 = (
        None if choice is None else acquisition_of(volumes[choice.index], choice, of_series)
        for choice in (selection.dwi, selection.t1)
    )
    adc, adc_note = _adc(volumes, selection.adc, of_series)
    notes = _study_notes(scanned, selection, dwi, t1) + adc_note
    return Study(scanned.key, dwi, t1, adc, selection.decisions, notes)


def _extent(scanned: Scan, volumes: Sequence[DicomVolume], selection: Selection) -> Extent:
    """What reading the choice will take; of a multi-frame file all frames are unpacked."""
    images = [volumes[c.index] for c in (selection.dwi, selection.t1) if c is not None]
    adc = None if selection.adc is None else volumes[selection.adc.index]
    chosen = images if adc is None else [*images, adc]
    whole = {f.path for v in chosen for part in v.components for f in part if f.index is not None}
    pixels = sum(
        frame.plane.rows * frame.plane.columns
        for series in scanned.series
        for frame in series.frames
        if frame.path in whole and frame.plane is not None
    )
    return Extent(
        tuple(v.facts.geometry for v in images if v.facts.geometry is not None),
        None if adc is None else adc.facts.geometry,
        _STORED_BYTES * pixels,
    )


def acquisition_of(
    volume: DicomVolume, choice: Choice, of_series: dict[str, ScannedSeries]
) -> Acquisition:
    facts, first = volume.facts, volume.components[0]
    assert facts.geometry is not None  # a volume without one is refused
    return Acquisition(
        volume=Volume(_values(volume, choice.role), facts.geometry),
        role=choice.role,
        label=label_of(volume),
        notes=choice.notes + volume.notes + _body_part_note(of_series[facts.series_instance_uid]),
        b_value_s_per_mm2=facts.b_value if choice.role is SeriesRole.HIGH_B_DWI else None,
        echo_time_ms=facts.echo_time_ms,
        repetition_time_ms=facts.repetition_time_ms,
        field_strength_t=facts.field_strength_t,
        flip_angle_deg=facts.flip_angle_deg,
        bandwidth_hz_per_px=facts.bandwidth_hz_per_px,
        thickness_mm=facts.declared.thickness_mm,
        scanner=facts.scanner,
        source=_source(first, facts),
    )


def _values(volume: DicomVolume, role: SeriesRole) -> Array32:
    if volume.blend:
        return read_blend(volume.blend, same_scale=role is SeriesRole.ADC)
    return read_trace(volume.components)


def label_of(volume: DicomVolume) -> str:
    """How a user finds a volume again: series number, description, b-value."""
    label = volume.facts.label
    b_value = volume.facts.b_value
    return label if b_value is None else f"{label}, b = {b_value:g}"


def _source(frames: Sequence[Frame], facts: SeriesFacts) -> SourceReference:
    first = frames[0]
    enhanced = first.index is not None
    uids = tuple(frame.sop_instance_uid for frame in frames)
    if enhanced and len(set(uids)) == 1:
        uids = uids[:1]
    return SourceReference(
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        frame_of_reference_uid=first.frame_of_reference_uid,
        sop_class_uid=first.sop_class_uid,
        sop_instance_uids=uids,
        frame_numbers=tuple((f.index or 0) + 1 for f in frames) if enhanced else None,
        other_series=tuple(uid for uid in facts.all_series if uid != first.series_instance_uid),
        stations=max(1, len(facts.stations)),
    )


def _adc(
    volumes: Sequence[DicomVolume], choice: Choice | None, of_series: dict[str, ScannedSeries]
) -> tuple[Acquisition | None, tuple[str, ...]]:
    """The map in um2/s, or None with a note where its unit cannot be told."""
    if choice is None:
        return None, ()
    volume, unit = in_declared_unit(volumes[choice.index])
    acquisition = acquisition_of(volume, choice, of_series)
    converted = adc_um2_per_s(acquisition.volume.array, unit)
    if converted is None:
        return None, (f"ADC map not used, its values fit no known unit: {volume.facts.label}",)
    notes = acquisition.notes if converted.note is None else (*acquisition.notes, converted.note)
    image = acquisition.volume.with_array(converted.array)
    return replace(acquisition, volume=image, notes=notes), ()


def _study_notes(
    scanned: Scan, selection: Selection, dwi: Acquisition | None, t1: Acquisition | None
) -> tuple[str, ...]:
    notes = [*missing_notes(dwi is not None, t1 is not None), *_patient_notes(scanned)]
    if scanned.foreign_files:
        count = scanned.foreign_files
        were = "file was" if count == 1 else "files were"
        notes.append(f"{count} {were} not DICOM and passed over")
    if scanned.damaged_files:
        notes.append(f"damaged DICOM files passed over: {scanned.damaged_files}")
    if dwi and t1 and not _same_frame_of_reference(dwi, t1):
        notes.append("DWI and T1 have different frames of reference: the patient may have moved")
    return tuple(notes)


def _patient_notes(scanned: Scan) -> tuple[str, ...]:
    found = persons(scanned.identities)
    if len(found) > 1:
        return (f"headers name {len(found)} patients, taken as one at the user's word",)
    return gaps(found[0])


def _same_frame_of_reference(dwi: Acquisition, t1: Acquisition) -> bool:
    if dwi.source is None or t1.source is None:
        return True
    return dwi.source.frame_of_reference_uid == t1.source.frame_of_reference_uid


def _body_part_note(series: ScannedSeries) -> tuple[str, ...]:
    part = series.body_part.replace("_", "").replace(" ", "")
    if part not in _OTHER_BODY_PARTS.split():
        return ()
    return (f"the header names the body part {series.body_part}",)
