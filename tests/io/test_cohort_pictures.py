"""Pictures of a measured patient show what was judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.evaluation.measures.case import SequenceMasks
from pelvimets.io.cohort.evaluation_input import CaseFolders
from pelvimets.io.cohort.pictures import draw_pictures, kept_picture
from pelvimets.io.nifti.files import write_nifti
from pelvimets.io.record.results import CaseStore
from pelvimets.labels import Bone, Sequence


@pytest.fixture
def masks(tmp_path: Path) -> SequenceMasks:
    """Ilium and pubis in both, beside a grey image."""
    geometry = Geometry.from_axes((4, 40, 60), (4.0, 2.0, 2.0))
    bones = np.zeros(geometry.shape, dtype=np.uint8)
    bones[:, 5:15, 5:25] = Bone.ILIUM
    bones[:, 25:35, 35:55] = Bone.PUBIS
    write_nifti(tmp_path / "t1.nii.gz", Volume(np.full(geometry.shape, 9.0, np.float32), geometry))
    mask = Volume(bones, geometry)
    return SequenceMasks(reference_bones=mask, prediction_bones=mask)


def drawn(tmp_path: Path, masks: SequenceMasks, name: str) -> CaseStore:
    store = CaseStore(tmp_path / name)
    draw_pictures(CaseFolders("p1", tmp_path, tmp_path), Sequence.T1, masks, store)
    return store


def coloured(store: CaseStore) -> float:
    """The share of the picture that is not grey."""
    picture = kept_picture(store, "p1", Sequence.T1, "bones")
    assert picture is not None
    rgb = picture().astype(int)
    return float((rgb.max(axis=2) - rgb.min(axis=2) > 20).mean())


def test_bones_that_nobody_judged_are_not_shown(tmp_path: Path, masks: SequenceMasks) -> None:
    whole = coloured(drawn(tmp_path, masks, "whole"))
    half = coloured(drawn(tmp_path, replace(masks, judged=frozenset({"ilium"})), "half"))
    assert whole > 0.05 and half == pytest.approx(whole / 2, rel=0.1)


def test_no_picture_where_no_bone_was_judged(tmp_path: Path, masks: SequenceMasks) -> None:
    store = drawn(tmp_path, replace(masks, judged=frozenset()), "none")
    assert kept_picture(store, "p1", Sequence.T1, "bones") is None
