"""The front door in Python: a study is read, networks read it, and the result is saved.

    study = pelvimets.read_study("DICOM")
    result = pelvimets.predict(study)
    result.save("OUT", dicom=True)

``app.predict`` is the same way from files to a folder, as the command line takes it.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path

from pelvimets.app.further import furnished
from pelvimets.app.predict import Reading, check_budget, read_input, write_run
from pelvimets.core.budget import Extent
from pelvimets.core.findings import BoneMasks, Findings, LesionMasks
from pelvimets.core.pipeline import StudyResult, process_study
from pelvimets.core.progress import silent
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.study import Study
from pelvimets.errors import InputError, OutputError, SettingsError
from pelvimets.io.nifti.study import read_further_files
from pelvimets.io.record.output import staged_folder
from pelvimets.io.record.stages import StageClock
from pelvimets.io.record.telemetry import remove_telemetry
from pelvimets.io.study import OpenStudy
from pelvimets.labels import FurtherInput
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.devices import RunDevice, chosen_device
from pelvimets.model.engine import Engine
from pelvimets.requests.predict import RunOptions, StudyInput


@dataclass(frozen=True, eq=False)
class OpenedStudy(Study):
    """A study with the DICOM objects it came from; a zip stays unpacked as long as it lives."""

    opened: OpenStudy | None = None

    def __repr__(self) -> str:
        """The images, without their voxels."""
        images = ", ".join(f"{s.title} {volume!r}" for s, volume in self.images.items())
        return f"Study({images})"


def read_study(
    path: Path | str | None = None,
    *,
    dwi: Path | str | None = None,
    t1: Path | str | None = None,
    adc: Path | str | None = None,
    dwi_series: str | None = None,
    t1_series: str | None = None,
    name: str | None = None,
    same_patient: bool = False,
    further: Mapping[str, Path | str] | None = None,
) -> Study:
    """Read one study, DICOM or NIfTI.

    Args:
        path: DICOM folder, file or zip; or give NIfTI files by keyword.
        dwi, t1, adc: NIfTI files; DWI or T1 at least.
        dwi_series, t1_series: Number, UID or part of the description of the DICOM series to
            take; ``"none"`` leaves that sequence out.
        name: Key of the patient, for NIfTI files.
        same_patient: Take all images of a folder as of one patient, whatever their headers say.
        further: NIfTI files of further images that networks may see, by name: fat, water,
            out_phase, stir, t2. In DICOM they are found when networks want them.

    Raises:
        InputError: if both or neither are given, or it cannot be read, with what to do.
    """
    files = [f for f in (dwi, t1, adc) if f is not None]
    if (path is None) == (not files):
        raise InputError(
            "A study is one DICOM folder, file or zip, or NIfTI files",
            got="both" if files else "neither",
            remedy='read_study("DICOM") or read_study(dwi="dwi.nii.gz", t1="t1.nii.gz")',
        )
    source = StudyInput(
        path=_path(path),
        dwi=_path(dwi),
        t1=_path(t1),
        adc=_path(adc),
        dwi_series=dwi_series,
        t1_series=t1_series,
        name=name,
        same_patient=same_patient,
    )
    study, opened = read_input(source, lambda grids: None)
    kinds, paths = FurtherInput.named(further or {}), (further or {}).values()
    named = {kind: Path(path) for kind, path in zip(kinds, paths, strict=True)}
    study = replace(study, further=read_further_files(named))
    read = OpenedStudy(**{f.name: getattr(study, f.name) for f in fields(Study)}, opened=opened)
    if opened is not None:
        weakref.finalize(read, opened.close)
    return read


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What the networks found in a study, in memory.

    Attributes:
        study: What was read.
        bones, lesions: Masks on the images' own grids, ``result.bones["t1"]``.
        findings: Lesion list, burden, suspicion, quality flags.
    """

    study: Study
    bones: BoneMasks
    lesions: LesionMasks
    findings: Findings
    _reading: Reading

    def __repr__(self) -> str:
        """How many lesions on which images."""
        seen = ", ".join(s.title for s in self.bones.by_sequence)
        return f"Result({len(self.findings.lesions)} lesions on {seen}; {self.findings.bundle})"

    def save(
        self,
        out: Path | str,
        *,
        dicom: bool = False,
        labelmap: bool = False,
        overwrite: bool = False,
    ) -> Path:
        """Write masks, findings, lesion list, report and run record, as ``pelvimets predict``.

        Args:
            out: New folder; it appears when all is written.
            dicom: Write SEG, SR and the report as DICOM, too.
            labelmap: Segmentations as LABELMAP rather than BINARY.
            overwrite: Replace an earlier result.

        Returns:
            The report.

        Raises:
            InputError: if DICOM results are asked for and the study is not from DICOM.
            OutputError: if the folder exists or cannot be written, or the DICOM results cannot;
                then all else is there.
        """
        if dicom and self._reading.opened is None:
            raise InputError(
                "DICOM results point to the DICOM images they were made from",
                got="a study that was not read from DICOM",
                remedy="Read the DICOM study, or leave out dicom=True",
            )
        options = RunOptions(overwrite=overwrite, dicom=dicom, labelmap=labelmap)
        with staged_folder(Path(out), overwrite=overwrite) as work:
            failed = write_run(work, self._reading, options, datetime.now().astimezone())
        if failed:
            raise OutputError("; ".join(failed), remedy="Masks and report are there")
        return Path(out) / "report.html"


def _device(name: str) -> RunDevice:
    try:
        return RunDevice(name)
    except ValueError as error:
        raise SettingsError(
            "There is no such kind of device", got=name, remedy=f"Take {', '.join(RunDevice)}"
        ) from error


def predict(
    study: Study,
    *,
    bundle: Path | str | None = None,
    segmenter: Segmenter | None = None,
    device: str = RunDevice.CPU,
) -> Result:
    """Segment bones and lesions of a study and measure them, in memory.

    Args:
        study: As ``read_study`` gives it, or made of own ``Volume`` objects.
        bundle: Folder of a bundle or name of a shipped one; None takes the default.
        segmenter: Networks in its place.
        device: What to run the bundle on: ``cpu``, ``cuda``, ``mps``, ``xpu``, ``gpu``, or
            ``auto`` for the fastest that is there; only the processor gives the same bytes again.

    Raises:
        SettingsError: if the device is not there, with those that are.
        BundleError: if the bundle is missing or damaged.
        ResourceError: if there is too little memory.
    """
    remove_telemetry()
    place = chosen_device(_device(device))
    engine = Engine(device=place)
    networks = segmenter or load_segmenter(None if bundle is None else Path(bundle), engine)
    check_budget(Extent.of(study), networks.settings)
    clock = StageClock(silent, 0)
    opened = study.opened if isinstance(study, OpenedStudy) else None
    study = furnished(study, networks, opened=opened)
    found: StudyResult = process_study(study, networks, clock.stage)
    reading = Reading(found, networks, clock, opened, place)
    return Result(found.study, found.bones, found.lesions, found.findings, reading)
