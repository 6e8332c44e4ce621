"""RT Structure Sets: masks come back voxel by voxel, on any grid; other programs read them."""

from __future__ import annotations

import shutil
import subprocess

import matplotlib.path
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_out_study import STUDY_UID, axial, make_case, turned, write
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from scipy import ndimage

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


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0.3, 0.95), st.randoms())
def test_outlines_fill_the_mask_also_for_those_who_know_no_holes(rows, columns, share, random):
    mask = np.array([[random.random() < share for _ in range(columns)] for _ in range(rows)])
    parts = [filled([loop], mask.shape) for loop in outlines(mask)]
    assert np.array_equal(np.sum(parts, axis=0), mask) if parts else not mask.any()
    assert len(parts) == ndimage.label(mask)[1]


def test_a_hole_is_reached_through_a_channel():
    ring = np.ones((4, 4), bool)
    ring[1:3, 1:3] = False
    (loop,) = outlines(ring)
    assert loop.tolist() == [
        [0, 0], [0, 4], [4, 4], [4, 0],
        [1, 0], [1, 1], [3, 1], [3, 3], [1, 3], [1, 1], [1, 0],
    ]  # fmt: skip


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


UNEQUAL = {
    "axial": axial((5, 13, 20), (5.0, 2.0, 1.25)),
    "oblique": turned(axial((5, 13, 20), (5.0, 2.0, 1.25)), (20.0, -12.0, 8.0)),
}


@pytest.fixture(params=UNEQUAL)
def grid(request):
    return UNEQUAL[request.param]


def lopsided(grid):
    """A study with more columns than rows and unequal spacings, whose two sides differ."""
    case = make_case({Sequence.T1: grid})
    bones = case.bones.by_sequence[Sequence.T1].array
    bones[:, :3, -9:-6] = 0
    bones[1, 5, 2:4] = 0
    return case


def masks_of(segmentation):
    """Voxels of each segment in the frames of a Segmentation, by label and image."""
    frames, found = segmentation.pixel_array.astype(bool), {}
    labels = {s.SegmentNumber: str(s.SegmentLabel) for s in segmentation.SegmentSequence}
    for pixels, frame in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        label = labels[frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        found[label, str(source.ReferencedSOPInstanceUID)] = pixels
    return found


def test_polygons_filled_by_matplotlib_are_the_segments(grid, tmp_path):
    """Of the images' own attributes (PS3.3 C.7.6.2.1.1) and matplotlib; nothing of pelvimets."""
    case = lopsided(grid)
    paths = {p.name: p for p in write(tmp_path, case, rtstruct=True)}
    images = {str(h.SOPInstanceUID): h for series in case.headers.values() for h in series}
    structures, found = pydicom.dcmread(paths["t1_rtstruct.dcm"]), {}
    names = {r.ROINumber: str(r.ROIName) for r in structures.StructureSetROISequence}
    for item in structures.ROIContourSequence:
        for contour in item.ContourSequence:
            uid = str(contour.ContourImageSequence[0].ReferencedSOPInstanceUID)
            inside = pixels_inside(contour, images[uid])
            key = names[item.ReferencedROINumber], uid
            found[key] = found.get(key, np.zeros_like(inside)) ^ inside
    meant = masks_of(pydicom.dcmread(paths["t1_seg.dcm"]))
    assert found.keys() == meant.keys() and len(found) > 10
    assert all(np.array_equal(found[key], meant[key]) for key in meant)


def pixels_inside(contour, image):
    """Pixels (row, column) whose centre lies inside a polygon."""
    points = np.reshape([float(v) for v in contour.ContourData], (-1, 3))
    along_row, down = np.reshape([float(v) for v in image.ImageOrientationPatient], (2, 3))
    between_rows, between_columns = (float(v) for v in image.PixelSpacing)
    away = points - np.array([float(v) for v in image.ImagePositionPatient])
    assert np.allclose(away @ np.cross(along_row, down), 0, atol=1e-3)  # in the image's plane
    polygon = np.column_stack([away @ along_row / between_columns, away @ down / between_rows])
    rows, columns = np.indices((image.Rows, image.Columns)).reshape(2, -1)
    inside = matplotlib.path.Path(polygon).contains_points(np.column_stack([columns, rows]))
    return inside.reshape(image.Rows, image.Columns)


@pytest.mark.parametrize("program", ["plastimatch", "dcmrtstruct2nii"])
def test_programs_of_radiotherapy_read_the_segments(program, grid, tmp_path):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    case = lopsided(grid)
    structures = {p.name: p for p in write(tmp_path / "out", case, rtstruct=True)}
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    for n, header in enumerate(h for series in case.headers.values() for h in series):
        save_empty_image(header, images / f"{n}.dcm")
    command = {
        "plastimatch": "plastimatch convert --prefix-format nii.gz --input {} --referenced-ct {} "
        "--output-prefix {}",
        "dcmrtstruct2nii": "dcmrtstruct2nii convert -r {} -d {} -o {}",
    }[program].format(structures["t1_rtstruct.dcm"], images, masks)
    subprocess.run(command.split(), check=True, capture_output=True, timeout=120)
    maps = read_masks(pydicom.dcmread(structures["t1_rtstruct.dcm"]), grid)
    assert len(maps) > 5
    for label, mask in maps.items():
        hyphens = "mask_" + label.replace(", ", "-").replace(" ", "-")
        name = label if program == "plastimatch" else hyphens
        meant = np.round(grid.to_lps(np.argwhere(mask)), 1) + 0.0
        read = places(sitk.ReadImage(str(masks / f"{name}.nii.gz")))
        assert read == {tuple(p) for p in meant}, label


def places(image):
    index = np.argwhere(sitk.GetArrayViewFromImage(image))[:, ::-1]
    points = [image.TransformIndexToPhysicalPoint(i) for i in index.tolist()]
    return {tuple(p) for p in np.round(points, 1) + 0.0}


def save_empty_image(header, path):
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.SamplesPerPixel, header.PixelRepresentation = 1, 0
    header.PhotometricInterpretation = "MONOCHROME2"
    header.PixelData = bytes(2 * header.Rows * header.Columns)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.save_as(path, enforce_file_format=True)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
def test_dciodvfy_finds_no_error(tmp_path):
    case = make_case({Sequence.T1: GRIDS["oblique"]})
    write(tmp_path, case, rtstruct=True)
    path = tmp_path / "t1_rtstruct.dcm"
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    errors = [line for line in told.stderr.splitlines() if line.startswith("Error")]
    assert not errors, told.stderr
