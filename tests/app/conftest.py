"""A small study whose bones and lesions are known in patient space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pelvimets.config import GridSettings, ReadingSettings
from pelvimets.core.segmenter import FixedSegmenter
from pelvimets.core.volume import Volume
from pelvimets.io.nifti.files import write_nifti
from pelvimets.labels import Bone, Sequence
from tests.core.test_bones import pelvis
from tests.core.test_lesions import ball

GRID = GridSettings(spacing_mm=(5.0, 5.0, 5.0))
SETTINGS = ReadingSettings(bone_grid=GRID, lesion_grid=GRID)
LESION_MM = (75.0, 10.0, 60.0)


@dataclass(frozen=True, eq=False)
class KnownStudy:
    """Files of a study and the segmenter that knows its truth."""

    files: dict[Sequence, Path]
    adc: Path
    bones: Volume
    lesions: Volume
    segmenter: FixedSegmenter


FATTY = (Bone.FEMORAL_HEAD, Bone.FEMORAL_NECK)


def image_of(bones: Volume, lesions: Volume, sequence: Sequence = Sequence.DWI) -> Volume:
    """Marrow brighter than what is around it; fatty marrow as the sequence shows fat."""
    noise = np.random.default_rng(1).normal(100, 5, bones.array.shape)
    array = noise + 60 * (bones.array > 0) + 100 * (lesions.array > 0)
    array += (-50 if sequence is Sequence.DWI else 40) * np.isin(bones.array, FATTY)
    return bones.with_array(np.clip(array, 0, None).astype(np.float32))


@pytest.fixture(scope="session")
def known_study(tmp_path_factory) -> KnownStudy:
    folder = tmp_path_factory.mktemp("study")
    bones = pelvis()
    lesions = bones.with_array(ball(bones.geometry, LESION_MM, 13).astype(np.uint8))
    files = {s: folder / f"{s}.nii.gz" for s in Sequence}
    for sequence, path in files.items():
        write_nifti(path, image_of(bones, lesions, sequence))
    adc = np.where(lesions.array > 0, 800, 1500).astype(np.float32)
    write_nifti(folder / "adc.nii.gz", bones.with_array(adc))
    segmenter = FixedSegmenter(bones, lesions, SETTINGS)
    return KnownStudy(files, folder / "adc.nii.gz", bones, lesions, segmenter)
