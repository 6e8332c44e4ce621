"""A run's output folder as ``predict`` leaves it, made of a few ellipsoids."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pelvimets.config import LesionSettings
from pelvimets.core.findings import BoneMasks, Findings, LesionMasks
from pelvimets.core.geometry import Geometry
from pelvimets.core.measure import Origin, measure
from pelvimets.core.volume import Volume
from pelvimets.io.nifti.files import write_nifti
from pelvimets.labels import Bone, Sequence
from pelvimets.report.data import findings_to_dict

# (LPS mm centre, radii, bone): two ilia, sacrum, femoral heads
_BONES = [
    ((70.0, 10.0, 30.0), (18.0, 45.0, 50.0), Bone.ILIUM),
    ((-70.0, 10.0, 30.0), (18.0, 45.0, 50.0), Bone.ILIUM),
    ((0.0, 50.0, 25.0), (35.0, 20.0, 45.0), Bone.SACROCOCCYX),
    ((85.0, 0.0, -55.0), (24.0, 24.0, 24.0), Bone.FEMORAL_HEAD),
    ((-85.0, 0.0, -55.0), (24.0, 24.0, 24.0), Bone.FEMORAL_HEAD),
]
# (LPS mm centre, radius, sequences that show it)
_LESIONS = [
    ((70.0, 12.0, 40.0), 13.0, (Sequence.DWI, Sequence.T1)),
    ((-3.0, 50.0, 20.0), 11.0, (Sequence.DWI, Sequence.T1)),
    ((-84.0, 2.0, -54.0), 9.0, (Sequence.DWI,)),
]
# T1 is stored with two axes reversed, as scanners do; the viewer must not mind.
DWI_GRID = Geometry.from_axes((26, 64, 72), (7.0, 4.0, 4.0), (-142.0, -110.0, -90.0))
T1_GRID = Geometry.from_axes(
    (32, 70, 80),
    (6.0, 3.5, 3.5),
    (138.0, 120.0, -92.0),
    [[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]],
)
GRIDS = {Sequence.DWI: DWI_GRID, Sequence.T1: T1_GRID}


def write_output(
    out: Path,
    grids: dict[Sequence, Geometry] = GRIDS,
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Findings:
    """Write findings, masks and images; the patient may lie elsewhere (LPS mm) in the scanner."""

    def write(path: Path, volume: Volume) -> None:
        matrix = volume.geometry.matrix.copy()
        matrix[:3, 3] += shift_mm
        write_nifti(path, Volume(volume.array, Geometry(volume.geometry.shape, matrix)))

    (out / "images").mkdir(parents=True)
    bones = BoneMasks({s: _bones(grid) for s, grid in grids.items()})
    lesions = {s: _lesions(grid, s) for s, grid in grids.items()}
    probability = {s: v.with_array((v.array > 0) * np.float32(0.9)) for s, v in lesions.items()}
    adc = _adc(lesions[Sequence.DWI])
    findings = measure(
        bones,
        LesionMasks.of(lesions, probability),
        adc,
        LesionSettings(),
        Origin(patient_key="patient-0042", bundle="digital-1 1.0", uid_seed="seed"),
    )
    for sequence in grids:
        write(out / f"{sequence}_bones.nii.gz", bones.by_sequence[sequence])
        write(out / f"{sequence}_lesions.nii.gz", lesions[sequence])
        image = _image(bones.by_sequence[sequence], lesions[sequence], sequence)
        write(out / "images" / f"{sequence}.nii.gz", image)
    write(out / "images" / "adc.nii.gz", adc)
    (out / "findings.json").write_text(json.dumps(findings_to_dict(findings)))
    (out / "report.html").write_text("<!doctype html><title>Report</title><h1>Report</h1>")
    (out / "run.json").write_text(json.dumps({"settings": {"lesions": {"operating_point": 0.6}}}))
    return findings


def _points(grid: Geometry) -> np.ndarray:
    return grid.to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))


def _ellipsoid(
    points: np.ndarray, centre: tuple[float, ...], radii: tuple[float, ...]
) -> np.ndarray:
    return (((points - centre) / radii) ** 2).sum(axis=-1) <= 1


def _bones(grid: Geometry) -> Volume:
    points, array = _points(grid), np.zeros(grid.shape, np.uint8)
    for centre, radii, bone in _BONES:
        array[_ellipsoid(points, centre, radii)] = bone
    return Volume(array, grid)


def _lesions(grid: Geometry, sequence: Sequence) -> Volume:
    points, array = _points(grid), np.zeros(grid.shape, np.uint16)
    shown = [(c, r) for c, r, sequences in _LESIONS if sequence in sequences]
    for label, (centre, radius) in enumerate(shown, start=1):
        array[_ellipsoid(points, centre, (radius,) * 3)] = label
    return Volume(array, grid)


def _body(grid: Geometry) -> np.ndarray:
    return _ellipsoid(_points(grid), (0.0, 5.0, 0.0), (132.0, 95.0, 220.0))


def _image(bones: Volume, lesions: Volume, sequence: Sequence) -> Volume:
    body, marrow, lesion = (100, 60, 420) if sequence is Sequence.DWI else (260, 480, 140)
    array = np.random.default_rng(3).normal(20, 6, bones.geometry.shape)
    array += body * _body(bones.geometry)
    array[bones.array > 0] += marrow - body
    array[lesions.array > 0] += lesion - marrow
    return bones.with_array(np.clip(array, 0, None).astype(np.int16))


def _adc(lesions: Volume) -> Volume:
    array = np.where(_body(lesions.geometry), 1400.0, 0.0)
    array[lesions.array > 0] = 820.0
    return lesions.with_array(array.astype(np.float32))
