"""Which study to read, and how a run reads and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pelvimets.config import Arithmetic
from pelvimets.labels import FurtherInput
from pelvimets.model.devices import RunDevice, chosen_device
from pelvimets.options import Request, named_folders, option

if TYPE_CHECKING:
    from pelvimets.model.engine import Engine

_SERIES = "Series to take: number, UID, part of its description; none leaves it out."


def further_files(texts: Sequence[str]) -> dict[FurtherInput, Path]:
    """Files of further images, ``NAME=FILE``.

    Raises:
        ValueError: if one has another form, or a name comes twice.
        SettingsError: if a name is unknown.

    >>> further_files(["stir=s.nii.gz"])[FurtherInput.STIR].name
    's.nii.gz'
    """
    files = named_folders(texts, "NAME=FILE")
    return dict(zip(FurtherInput.named(files), files.values(), strict=True))


@dataclass(frozen=True)
class StudyInput(Request):
    """Where a study comes from: a DICOM folder or zip, or NIfTI files.

    Attributes:
        path: DICOM folder or zip; the command line also takes a cohort or a folder of studies.
        dwi, t1, adc: NIfTI files in its place.
        dwi_series, t1_series: The series to take.
        further: NIfTI files of further images; in DICOM they are found by their headers.
        bones: Mask of bones that someone else drew, or a folder of masks; see
            ``io.exchange.given_bones``.
        same_patient: All images of a folder are of one patient.
        name: Becomes the patient key of NIfTI files; a DICOM study has its own pseudonym.
    """

    path: Path | None = option(
        "DICOM folder or zip, cohort folder, or folder of studies.",
        default=None,
        argument=True,
        metavar="STUDY",
    )
    dwi: Path | None = option("DWI as NIfTI, in place of STUDY.", default=None)
    t1: Path | None = option("T1 in phase as NIfTI.", default=None)
    adc: Path | None = option("ADC map in um2/s as NIfTI.", default=None)
    dwi_series: str | None = option(_SERIES, default=None)
    t1_series: str | None = option(_SERIES, default=None)
    further: Mapping[FurtherInput, Path] = option(
        "Further image that the networks know, as NIfTI: NAME=FILE (fat, water, stir, ...).",
        "--input",
        factory=dict,
        parse=further_files,
        metavar="NAME=FILE",
    )
    bones: Path | None = option(
        "Bones that someone else drew: mask, or folder as TotalSegmentator's.", default=None
    )
    name: str | None = None
    same_patient: bool = option(
        "All images are of one patient, whatever their headers say.",
        "--same-patient",
        default=False,
    )

    @property
    def serves_one_study(self) -> bool:
        """Whether something is asked for that many studies cannot share."""
        return bool(
            self.dwi_series or self.t1_series or self.bones or self.same_patient or self.further
        )


@dataclass(frozen=True)
class RunOptions(Request):
    """How a run reads and writes.

    Attributes:
        bundle: Folder of the networks; None takes the shipped ones.
        overwrite: Replace an earlier result.
        dicom: Write DICOM results as well; the study must come from DICOM.
        labelmap: Write Segmentations as LABELMAP rather than BINARY.
        rtstruct: Write RT Structure Sets beside the Segmentations.
        memory_limit_mib: Refuse a study that would take more; None takes what is free.
        small_tiles: Show the networks a quarter of the usual voxels at a time: slower, for
            machines with little memory; masks differ a little.
        precision: Numbers in which the networks reckon.
        device: What the networks are run on; only the processor gives the same bytes again.
        out_of_fold: Read by the networks of the fold that did not learn from the patient.
    """

    bundle: Path | None = option(
        "Bundle of networks: folder or name. [default: shipped]", "--bundle", default=None
    )
    overwrite: bool = option("Replace an earlier result.", "--overwrite", default=False)
    dicom: bool = option(
        "Write Segmentations, SR and PDF as DICOM as well.", "--dicom", default=False
    )
    labelmap: bool = option("Segmentations as LABELMAP, not BINARY.", "--labelmap", default=False)
    rtstruct: bool = option(
        "Write RT Structure Sets beside the Segmentations.", "--rtstruct", default=False
    )
    memory_limit_mib: float | None = option(
        "Refuse a study that would take more memory.",
        "--memory-limit",
        default=None,
        least=1,
        metavar="MIB",
    )
    small_tiles: bool = option(
        "For little memory: slower, masks differ a bit.", "--small-tiles", default=False
    )
    precision: Arithmetic = option(
        "Numbers of the networks; bfloat16 is faster, masks differ.", default=Arithmetic.FLOAT32
    )
    device: RunDevice = option("What to run the networks on.", default=RunDevice.CPU)
    out_of_fold: bool = option(
        "Read each patient by the fold that did not learn from him.",
        "--out-of-fold",
        default=False,
    )

    @property
    def tile_voxels(self) -> int:
        """Most voxels that a network sees at a time."""
        from pelvimets.model.engine import LARGEST_TILE_VOXELS, SMALL_TILE_VOXELS

        return SMALL_TILE_VOXELS if self.small_tiles else LARGEST_TILE_VOXELS

    @property
    def engine(self) -> Engine:
        """How the networks are run; what is compiled is kept for the next run.

        Raises:
            SettingsError: if the device is not there, with those that are.
        """
        from pelvimets.io.record.compiled import compiled_folder
        from pelvimets.model.engine import Engine

        device = chosen_device(self.device)
        return Engine(self.tile_voxels, self.precision, compiled_folder(), device)
