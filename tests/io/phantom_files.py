"""The DICOM study of a small digital patient, in memory, to be changed as scanners and nets do."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

sys.path.insert(0, str(Path(__file__).parents[1] / "phantom"))
from simple_patient import simple_patient
from small_scanner import coarse

from pelvimets.core.study import Acquisition
from pelvimets.core.volume import Volume
from pelvimets.io.phantom.study import write_phantom_study
from pelvimets.phantom.choices import DicomStyle
from pelvimets.phantom.physics.imaging import ImagedPatient, Wanted, examine
from pelvimets.phantom.physics.scanner import scanner_of
from pelvimets.phantom.physics.sequences import DixonImage

Edit = Callable[[Dataset, int], None]
SIEMENS, GE = DicomStyle.SIEMENS, DicomStyle.GE
PHILIPS, PHILIPS_CLASSIC = DicomStyle.PHILIPS, DicomStyle.PHILIPS_CLASSIC


@cache
def _study(style: DicomStyle) -> tuple[ImagedPatient, tuple[tuple[str, bytes], ...]]:
    """What was made, and its files with the descriptions of their series."""
    scanner = scanner_of(style.vendor)
    imaged = examine(
        simple_patient(),
        replace(
            scanner,
            diffusion=replace(scanner.diffusion, field=coarse(scanner.diffusion.field, 48, 20)),
            dixon=replace(scanner.dixon, field=coarse(scanner.dixon.field, 56, 24)),
        ),
        examination_number=2,
        wanted=Wanted(tuple(DixonImage)),
    )
    with tempfile.TemporaryDirectory() as folder:
        write_phantom_study(Path(folder) / "dicom", imaged, style)
        files = _dicom(Path(folder))
        names = (pydicom.dcmread(p, specific_tags=["SeriesDescription"]) for p in files)
        named = [str(ds.SeriesDescription) for ds in names]
        return imaged, tuple(zip(named, (p.read_bytes() for p in files), strict=True))


def _dicom(folder: Path) -> list[Path]:
    names = {"README.TXT", "viewer.ini", "thumbs.db", "capture.dcm"}
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in names)


def images(style: DicomStyle, *words: str) -> list[Dataset]:
    """Images of the series whose description holds one of the words."""
    wanted = [data for name, data in _study(style)[1] if any(word in name for word in words)]
    return [pydicom.dcmread(io.BytesIO(data)) for data in wanted]


def dwi_truth(style: DicomStyle, b: float | None = None) -> Volume:
    """The diffusion image as the scanner made it; the highest b-value unless another is named."""
    diffusion = _study(style)[0].diffusion
    return Volume(diffusion.by_b[max(diffusion.by_b) if b is None else b], diffusion.geometry)


def adc_truth(style: DicomStyle) -> Volume:
    """The ADC map in um2/s."""
    diffusion = _study(style)[0].diffusion
    return Volume(diffusion.adc_um2_per_s, diffusion.geometry)


def t1_truth(style: DicomStyle, image: DixonImage = DixonImage.IN_PHASE) -> Volume:
    """A Dixon image as the scanner made it."""
    dixon = _study(style)[0].dixon
    return Volume(dixon.images[image], dixon.geometry)


def level(ds: Dataset) -> float:
    """Where a classic slice lies along the patient."""
    return float(ds.ImagePositionPatient[2])


def by_slice(datasets: Iterable[Dataset]) -> list[list[Dataset]]:
    """Images of each slice position, from the feet up."""
    at: dict[float, list[Dataset]] = {}
    for ds in datasets:
        at.setdefault(round(level(ds), 2), []).append(ds)
    return [at[z] for z in sorted(at)]


def edited(datasets: Iterable[Dataset], edit: Edit) -> list[Dataset]:
    """Every image passed through ``edit`` with the number of its slice."""
    planes = by_slice(datasets)
    for k, plane in enumerate(planes):
        for ds in plane:
            edit(ds, k)
    return [ds for plane in planes for ds in plane]


def check(acquisition: Acquisition | None, truth: Volume) -> None:
    """Voxel by voxel: the volume read is the one that the phantom made."""
    assert acquisition is not None
    read = acquisition.volume.canonical()
    assert read.geometry.matches(truth.geometry, tolerance_mm=1e-2), read.geometry
    np.testing.assert_allclose(read.array, truth.array, atol=0.76)  # half a rescale step
