"""Volumes come from position and orientation: any order, axis, flip and angle."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_samples import block, dwi, slices, t1, uid, write
from pydicom import dcmread

from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import from_sitk
from pelvimets.core.volume import Volume
from pelvimets.errors import GeometryError, InputError
from pelvimets.io.study import inspect, open_study, read_study

AXIAL = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
ORIENTATIONS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def same_voxels(read: Volume, truth: Volume) -> bool:
    """Whether each voxel of the truth has its value at its place in the patient."""
    index = np.stack(np.meshgrid(*map(np.arange, truth.array.shape), indexing="ij"), axis=-1)
    at = read.geometry.to_index(truth.geometry.to_lps(index))
    near = np.rint(at).astype(int)
    assert np.abs(at - near).max() < 1e-3
    return bool((read.array[tuple(np.moveaxis(near, -1, 0))] == truth.array).all())


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_all_48_orientations_in_shuffled_files(tmp_path: Path, order, signs):
    axes = (AXIAL * np.array(signs)[:, None])[list(order)]
    truth = block((8, 10, 9), (13.0, 14.0, 15.0), axes)
    write(tmp_path, dwi(truth, 1000), seed=sum(order) + sum(signs))
    read = read_study(tmp_path).dwi.volume
    assert read.array.shape == truth.array.shape
    assert same_voxels(read, truth)
    assert np.linalg.det(read.geometry.axes[::-1]) == pytest.approx(1.0)


def rotation(degrees: float, axis: int) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = [n for n in range(3) if n != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = c
    matrix[first, second], matrix[second, first] = -s, s
    return matrix


@pytest.mark.parametrize("degrees", [(12.0, 0.0), (-20.0, 7.0), (3.0, 33.0)])
def test_doubly_oblique_equals_simpleitk(tmp_path: Path, degrees):
    axes = AXIAL @ rotation(degrees[0], 0) @ rotation(degrees[1], 1)
    truth = block(axes=axes)
    write(tmp_path, t1(truth))
    with open_study(tmp_path) as opened:
        image = opened.study.t1
        headers = opened.source_headers(image.source)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(header.filename) for header in headers])
    other = from_sitk(reader.Execute())
    assert other.geometry.matches(image.volume.geometry)
    np.testing.assert_array_equal(other.array, image.volume.array)
    assert same_voxels(image.volume, truth)


def test_source_headers_follow_the_slices(tmp_path: Path):
    write(tmp_path, t1(block()))
    with open_study(tmp_path) as opened:
        image = opened.study.t1
        for k, header in enumerate(opened.source_headers(image.source)):
            assert "PixelData" not in header
            assert image.source.sop_instance_uids[k] == header.SOPInstanceUID
            at = image.volume.geometry.to_lps([k, 0, 0])
            np.testing.assert_allclose(at, header.ImagePositionPatient, atol=1e-6)
        uids = {h.SOPInstanceUID for h in opened.headers(image.source.series_instance_uid)}
        assert uids == set(image.source.sop_instance_uids)
        with pytest.raises(InputError, match="no series of this UID"):
            opened.headers("1.2.3")


@pytest.mark.parametrize(("slope", "intercept", "kind"), [(2.0, -100.0, "u2"), (0.5, 3.0, "i2")])
def test_rescaling_of_signed_and_unsigned(tmp_path: Path, slope, intercept, kind):
    truth = block()
    stored = truth.with_array(truth.array.astype(kind) - (500 if kind == "i2" else 0))
    write(tmp_path, dwi(stored, 800, RescaleSlope=slope, RescaleIntercept=intercept))
    read = read_study(tmp_path).dwi.volume.array
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, stored.array.astype(float) * slope + intercept, rtol=1e-6)


def test_rescaling_differs_between_slices(tmp_path: Path):
    truth = block()

    def scale(dataset, k):
        dataset.RescaleSlope, dataset.RescaleIntercept = k + 1.0, 0.0

    write(tmp_path, dwi(truth, 800, edit=scale))
    expected = truth.array * (np.arange(truth.array.shape[0]) + 1.0)[:, None, None]
    np.testing.assert_allclose(read_study(tmp_path).dwi.volume.array, expected, rtol=1e-6)


def test_rescaling_beyond_what_a_voxel_holds_is_refused(tmp_path: Path):
    write(tmp_path, dwi(block(), 800, RescaleSlope=1e300, RescaleIntercept=0.0))
    with pytest.raises(InputError, match=r"not finite.*rescale slope 1e\+300.*--dwi-series none"):
        read_study(tmp_path)


def test_float_pixels(tmp_path: Path):
    truth = block()

    def as_float(dataset, k):
        del dataset.PixelData, dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit
        dataset.BitsAllocated = 32
        dataset.FloatPixelData = (truth.array[k] / 7).astype("<f4").tobytes()

    write(tmp_path, t1(truth, edit=as_float))
    read = read_study(tmp_path).t1.volume.array
    np.testing.assert_allclose(read, truth.array / 7, rtol=1e-6)


# --- refusals ------------------------------------------------------------------------------


def test_missing_slice_is_refused_with_its_place(tmp_path: Path):
    planes = dwi(block(), 1000)
    del planes[4]
    write(tmp_path, planes)
    with pytest.raises(GeometryError) as caught:
        read_study(tmp_path)
    text = str(caught.value)
    assert "between z = -5.00 and 5.00 mm" in text
    assert "expected spacing 5.00 mm" in text
    assert "series 5" in text


def test_missing_half_of_the_slices_is_refused(tmp_path: Path):
    planes = dwi(block((20, 12, 14)), 1000)
    write(tmp_path, planes[:8] + planes[14:])
    with pytest.raises(GeometryError, match=r"6 slices are missing between z = 15.00 and 50.00"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("ImageOrientationPatient", [0.0, 1.0, 0.0, 0.0, 0.0, -1.0], "Mixed orientations"),
        ("PixelSpacing", [9.0, 12.0], "Mixed pixel spacings"),
        ("ImagePositionPatient", [-80.0, -40.0, 0.0], "not stacked along their normal"),
        ("ImagePositionPatient", [-80.0, -60.0, 1.6], "spaced unevenly"),
        ("ImageOrientationPatient", [1.0, 0.0, 0.0, 0.5, 0.5, 0.0], "Mixed orientations"),
    ],
)
def test_one_slice_that_does_not_fit(tmp_path: Path, keyword, value, message):
    planes = t1(block())
    setattr(planes[4], keyword, value)
    write(tmp_path, planes)
    with pytest.raises(GeometryError, match=message):
        read_study(tmp_path)


def test_mixed_sizes(tmp_path: Path):
    planes = t1(block())
    planes[3].Rows, planes[3].Columns = 14, 12
    write(tmp_path, planes)
    with pytest.raises(GeometryError, match=r"Mixed image sizes.*12 x 14, 14 x 12"):
        read_study(tmp_path)


def test_orientation_that_is_none(tmp_path: Path):
    planes = t1(block(), ImageOrientationPatient=[1.0, 0.0, 0.0, 0.5, 0.5, 0.0])
    write(tmp_path, planes)
    with pytest.raises(GeometryError, match="right angles"):
        read_study(tmp_path)


@pytest.mark.parametrize("keep", [0.6, 0.97])
def test_truncated_file(tmp_path: Path, keep):
    write(tmp_path, t1(block((10, 40, 40), (5.0, 4.0, 4.0))))
    victim = tmp_path / "I00003"
    victim.write_bytes(victim.read_bytes()[: int(victim.stat().st_size * keep)])
    with pytest.raises(InputError, match="cut short"):
        read_study(tmp_path)


def test_no_position(tmp_path: Path):
    planes = t1(block())
    del planes[2].ImagePositionPatient
    write(tmp_path, planes)
    with pytest.raises(GeometryError, match=r"no position.*1 of 10 images"):
        read_study(tmp_path)


def test_a_defect_in_a_series_that_is_not_taken_does_no_harm(tmp_path: Path):
    broken = slices(block(), number=3, description="t2_tse_sag", EchoTime=100.0)
    del broken[4]
    write(tmp_path, [*dwi(block(), 1000), *broken])
    study = read_study(tmp_path)
    row = next(d for d in study.decisions if d.number == 3)
    assert study.dwi is not None
    assert row.taken_as is None
    assert "missing between" in row.reason


# --- copies --------------------------------------------------------------------------------


def test_same_files_twice_are_read_once_with_a_note(tmp_path: Path):
    truth = block()
    write(tmp_path / "a", dwi(truth, 1000))
    write(tmp_path / "b", dwi(truth, 1000)[:3], seed=3)
    image = read_study(tmp_path).dwi
    assert same_voxels(image.volume, truth)
    assert "3 copies of images dropped" in image.notes


def test_same_images_under_new_identifiers_are_read_once(tmp_path: Path):
    truth = block()
    copies = dwi(truth, 1000)
    for k, dataset in enumerate(copies):
        dataset.SOPInstanceUID = uid("copy", k)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    write(tmp_path, [*dwi(truth, 1000), *copies])
    image = read_study(tmp_path).dwi
    assert same_voxels(image.volume, truth)
    assert any("new identifiers" in note for note in image.notes)


def test_two_images_of_one_identifier_are_refused(tmp_path: Path):
    write(tmp_path / "a", dwi(block(), 1000))
    write(tmp_path / "b", dwi(block(seed=1), 1000)[:1])
    with pytest.raises(GeometryError, match="same SOP Instance UID"):
        read_study(tmp_path)


def broken_copy(folder: Path, name: str, change) -> None:
    """A changed copy of one image of b 50, under a name that is read first or last."""
    source = next(p for p in sorted(folder.iterdir()) if dcmread(p).get("DiffusionBValue") == 50)
    (folder / name).write_bytes(change(source.read_bytes()))


@pytest.mark.parametrize("name", ["A first", "Z last"])
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-100],
        lambda data: data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"),
    ],
    ids=["cut short", "unknown packing"],
)
def test_of_a_broken_and_a_whole_copy_the_whole_one_is_read(tmp_path: Path, name, change):
    truth = block(seed=2)
    write(tmp_path, [*dwi(block(), 50), *dwi(truth, 1000), *t1(block(seed=1))])
    broken_copy(tmp_path, name, change)
    study = read_study(tmp_path)
    assert same_voxels(study.dwi.volume, truth)
    assert study.dwi.b_value_s_per_mm2 == 1000
    assert "1 broken copies of images passed over" in study.dwi.notes


@pytest.mark.parametrize("name", ["A first", "Z last"])
def test_different_copies_of_one_image_hide_no_b_value(tmp_path: Path, name):
    """Files after them were once not read: T1 alone was left, without a word."""
    write(tmp_path, [*dwi(block(), 50), *dwi(block(seed=2), 1000), *t1(block(seed=1))])
    broken_copy(tmp_path, name, lambda data: data[:-100] + b"\x55" + data[-99:])
    with pytest.raises(GeometryError, match="same SOP Instance UID"):
        read_study(tmp_path)
    shown = {b for decision in inspect(tmp_path) for b in decision.b_values_s_per_mm2}
    assert shown == {50, 1000}


def test_one_slice_acquired_twice_is_refused(tmp_path: Path):
    write(tmp_path, [*dwi(block(), 1000), *dwi(block(seed=1), 1000, first_instance=500)[4:5]])
    with pytest.raises(GeometryError, match="1 to 2 images for each of 10 positions"):
        read_study(tmp_path)


def test_grid_of_the_study_is_a_geometry(tmp_path: Path):
    write(tmp_path, t1(block()))
    assert isinstance(read_study(tmp_path).t1.volume.geometry, Geometry)
