"""RT Structure Sets: masks come back voxel by voxel, on any grid; other programs read them."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from dicom_out_study import STUDY_UID, axial, make_case, turned, write
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.errors import VerificationError
from pelvimets.io.dicom.contours import filled, outlines
from pelvimets.io.dicom.rtstruct import read_masks
from pelvimets.labels import Sequence


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.randoms(use_true_random=False))
def test_any_mask_comes_back(rows, columns, random):
    mask = np.array([[random.random() < 0.5 for _ in range(columns)] for _ in range(rows)])
    loops = outlines(mask)
    assert np.array_equal(filled(loops, mask.shape), mask)
    for loop in loops:
        steps = np.roll(loop, -1, axis=0) - loop
        assert (np.count_nonzero(steps, axis=1) == 1).all()  # along rows and columns


def test_a_hole_is_an_outline_of_its_own():
    ring = np.ones((4, 4), bool)
    ring[1:3, 1:3] = False
    assert sorted(loop.tolist()[0] for loop in outlines(ring)) == [[0, 0], [1, 1]]


GRIDS = {
    "axial": axial((5, 9, 7)),
    "oblique": turned(axial((5, 9, 7)), (20.0, -12.0, 8.0)),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("frames", [None, (1, 2, 3, 4, 5)], ids=["classic", "enhanced"])
def test_structures_are_the_masks(tmp_path, name, frames):
    case = make_case({Sequence.T1: GRIDS[name]}, frame_numbers=frames)
    paths = {p.name: p for p in write(tmp_path, case, rtstruct=True)}
    structures = pydicom.dcmread(paths["t1_rtstruct.dcm"])
    assert structures.Modality == "RTSTRUCT" and structures.StudyInstanceUID == STUDY_UID
    masks = read_masks(structures, GRIDS[name])
    segmentation = pydicom.dcmread(paths["t1_seg.dcm"])
    assert set(masks) == {str(s.SegmentLabel) for s in segmentation.SegmentSequence}
    lesions = case.lesions[Sequence.T1].array
    found = [mask for label, mask in masks.items() if label.startswith("lesion")]
    assert np.array_equal(np.any(found, axis=0), lesions > 0)
    used = {
        str(c.ContourImageSequence[0].ReferencedSOPInstanceUID)
        for item in structures.ROIContourSequence
        for c in item.ContourSequence
    }
    assert used <= {str(h.SOPInstanceUID) for series in case.headers.values() for h in series}
    with pytest.raises(VerificationError, match="along the edges"):
        read_masks(structures, turned(GRIDS[name], (3.0, 0.0, 0.0)))


def test_the_same_masks_have_the_same_name_and_without_the_wish_there_is_none(tmp_path):
    case = make_case({Sequence.T1: GRIDS["axial"]})
    uids = [
        pydicom.dcmread(p).SOPInstanceUID
        for folder in ("a", "b")
        for p in write(tmp_path / folder, case, rtstruct=True)
        if p.name == "t1_rtstruct.dcm"
    ]
    assert len(uids) == 2 and len(set(uids)) == 1
    assert not [p for p in write(tmp_path / "c", case) if "rtstruct" in p.name]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
def test_dciodvfy_finds_no_error(tmp_path):
    case = make_case({Sequence.T1: GRIDS["oblique"]})
    write(tmp_path, case, rtstruct=True)
    path = tmp_path / "t1_rtstruct.dcm"
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    errors = [line for line in told.stderr.splitlines() if line.startswith("Error")]
    assert not errors, told.stderr
