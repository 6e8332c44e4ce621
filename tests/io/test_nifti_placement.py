"""Headers that say twice, or not exactly, where their voxels lie; NIfTI-1 and NIfTI-2."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from pelvimets.cli.main import app
from pelvimets.errors import GeometryError, PelvimetsError
from pelvimets.io.nifti.files import nifti_geometry, nifti_notes, read_nifti
from pelvimets.io.nifti.study import read_nifti_study

SHAPE = (40, 50, 30)  # x, y, z


def matrix(*, x: float = 0.0, skew: float = 0.0) -> np.ndarray:
    """RAS, voxels of 2 x 2 x 4 mm; ``skew`` is the cosine between the first two axes."""
    affine = np.diag([2.0, 2.0, 4.0, 1.0])
    affine[0, 3] = x
    affine[:2, 1] = 2.0 * skew, 2.0 * np.sqrt(1 - skew**2)
    return affine


def stored(
    path: Path,
    *,
    qform: np.ndarray | None = None,
    sform: np.ndarray | None = None,
    codes: tuple[int, int] = (1, 1),
    kind: type = nib.Nifti1Image,
) -> Path:
    array = np.arange(np.prod(SHAPE), dtype="uint16").reshape(SHAPE)
    image = kind(array, np.eye(4))
    image.set_qform(qform, 0 if qform is None else codes[0])
    image.set_sform(sform, 0 if sform is None else codes[1])
    nib.save(image, path)
    return path


@pytest.mark.parametrize("codes", [(1, 1), (1, 2), (2, 1), (1, 4), (3, 3)])
def test_two_places_are_refused_with_their_distance(tmp_path: Path, codes):
    path = stored(tmp_path / "a.nii.gz", qform=matrix(), sform=matrix(x=40.0), codes=codes)
    for read in (read_nifti, nifti_geometry, nifti_notes):
        with pytest.raises(
            GeometryError, match=r"differ \(got a .nii.gz file: up to 40.0 mm apart"
        ):
            read(path)


def test_two_directions_are_refused_too(tmp_path: Path):
    flipped = matrix() @ np.diag([-1.0, 1.0, 1.0, 1.0])
    path = stored(tmp_path / "a.nii", qform=matrix(), sform=flipped)
    with pytest.raises(GeometryError, match=r"up to 156\.0 mm apart"):
        read_nifti(path)


def test_a_different_code_alone_is_no_fault(tmp_path: Path):
    path = stored(tmp_path / "a.nii", qform=matrix(x=7.0), sform=matrix(x=7.0), codes=(1, 4))
    assert read_nifti(path).geometry.origin == (-7.0, 0.0, 0.0)
    assert nifti_notes(path) == ()


@pytest.mark.parametrize("only", ["qform", "sform"])
def test_the_only_one_that_counts_is_taken(tmp_path: Path, only: str):
    path = stored(tmp_path / "a.nii", **{only: matrix(x=9.0)})
    unused = {"qform": {"srow_x": (1, 2, 3, 4)}, "sform": {"qoffset_x": 55}}
    with_header(path, **unused[only])
    assert read_nifti(path).geometry.origin == (-9.0, 0.0, 0.0)


def test_the_rounding_of_a_quaternion_is_no_difference(tmp_path: Path):
    """Half a turn and a little more: float32 keeps the rotation to half a millimetre only."""
    half_turn = np.diag([-1.0, -1.0, 1.0])
    affine = np.diag([8.0, 8.0, 10.0, 1.0])
    affine[:3, :3] = Rotation.from_rotvec([1e-3, 1e-3, 5e-4]).as_matrix() @ half_turn * [8, 8, 10]
    path = stored(tmp_path / "a.nii", qform=affine, sform=affine)
    header = nib.load(path).header
    corner = [*(np.array(SHAPE) - 1), 1]
    assert np.abs((header.get_qform() - header.get_sform()) @ corner).max() > 0.1
    lps = half_turn @ (affine @ corner)[:3]
    index = np.array(SHAPE[::-1]) - 1
    np.testing.assert_allclose(read_nifti(path).geometry.to_lps(index), lps, atol=1e-3)


def with_header(path: Path, **fields) -> Path:
    """The same file with other values in its header."""
    with path.open("rb") as file:
        header = nib.load(path).header_class.from_fileobj(file)
    for name, value in fields.items():
        header[name] = value
    data = bytearray(path.read_bytes())
    data[: header.sizeof_hdr] = header.binaryblock
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("skew", [2e-4, 1e-3, 9e-3])
def test_a_little_skew_is_set_upright_about_the_centre_with_a_note(tmp_path: Path, skew: float):
    path = stored(tmp_path / "a.nii.gz", sform=matrix(skew=skew))
    grid = read_nifti(path).geometry
    np.testing.assert_allclose(grid.axes @ grid.axes.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(grid.spacing, (4.0, 2.0, 2.0), rtol=1e-6)
    meant = np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix(skew=skew)
    index = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(SHAPE[::-1]) - 1)
    there = (meant @ np.c_[index[:, ::-1], np.ones(8)].T)[:3].T
    moved = np.linalg.norm(grid.to_lps(index) - there, axis=1)
    assert moved.max() < 0.75 * skew * 60  # half the angle at half the diagonal
    middle = grid.to_lps((np.array(SHAPE[::-1]) - 1) / 2)
    np.testing.assert_allclose(middle, there.mean(axis=0), atol=1e-4)
    (note,) = nifti_notes(path)
    assert f"cosine {skew:.4f}" in note and f"up to {moved.max():.2f} mm" in note


def test_the_right_angled_qform_beats_a_skewed_sform_at_the_same_place(tmp_path: Path):
    path = stored(tmp_path / "a.nii", qform=matrix(), sform=matrix(skew=1e-3))
    axes = read_nifti(path).geometry.axes
    np.testing.assert_allclose(axes, [[0, 0, 1], [0, -1, 0], [-1, 0, 0]], atol=6e-4)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-7)
    assert nifti_notes(path) == ()


def test_more_skew_is_refused(tmp_path: Path):
    path = stored(tmp_path / "a.nii", sform=matrix(skew=1.2e-2))
    with pytest.raises(GeometryError, match=r"right angles \(got a .nii file: cosine 0.0120"):
        read_nifti(path)


@pytest.mark.parametrize(
    "form,fields", [("sform", {"srow_x": 0}), ("qform", {"pixdim": (1, 0, 2, 2, 1, 1, 1, 1)})]
)
def test_a_header_without_size_is_refused(tmp_path: Path, form: str, fields: dict):
    path = with_header(stored(tmp_path / "a.nii", **{form: matrix()}), **fields)
    with pytest.raises(GeometryError, match=r"names no place .*a .nii file: voxels of"):
        read_nifti(path)


def test_sizes_of_zero_do_not_matter_beside_an_sform(tmp_path: Path):
    path = stored(tmp_path / "a.nii", qform=matrix(x=1.0), sform=matrix(x=1.0))
    with_header(path, pixdim=(1, 0, 0, 0, 1, 1, 1, 1))
    assert read_nifti(path).geometry.spacing == (4.0, 2.0, 2.0)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_both_versions_and_both_byte_orders_read_alike(tmp_path: Path, name, order, kind):
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype("float32") / 7
    affine = matrix(x=-31.0)
    image = kind(array, affine, kind.header_class(endianness=order))
    image.set_data_dtype(np.dtype("f4").newbyteorder(order))
    nib.save(image, tmp_path / name)
    assert nib.load(tmp_path / name).header.endianness == order
    volume = read_nifti(tmp_path / name)
    assert volume.array.dtype == np.dtype("float32")
    np.testing.assert_array_equal(volume.array, array.T)
    assert volume.geometry.origin == (31.0, 0.0, 0.0)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_scaled_values_are_read_scaled(tmp_path: Path, kind):
    raw = stored(tmp_path / "a.nii", sform=matrix(), kind=kind)
    with_header(raw, scl_slope=0.5, scl_inter=-10.0)
    volume = read_nifti(raw)
    assert volume.array.dtype == np.dtype("float32")
    wanted = np.arange(np.prod(SHAPE)).reshape(SHAPE).T * 0.5 - 10.0
    np.testing.assert_allclose(volume.array, wanted, rtol=1e-6)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_nifti_2_is_damaged(tmp_path: Path, kept: float):
    path = stored(tmp_path / "a.nii", sform=matrix(), kind=nib.Nifti2Image)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(PelvimetsError, match=r"damaged or truncated \(got a .nii file: "):
        read_nifti(path)


def test_the_study_carries_the_note(tmp_path: Path):
    t1 = stored(tmp_path / "t1.nii", sform=matrix(skew=1e-3))
    study = read_nifti_study(t1=t1)
    assert study.t1 is not None
    assert study.t1.notes == nifti_notes(t1) != ()


@pytest.mark.parametrize("option", ["--dwi", "--t1", "--adc"])
def test_predict_refuses_an_image_in_two_places(tmp_path: Path, option: str):
    good = stored(tmp_path / "good.nii.gz", sform=matrix())
    bad = stored(tmp_path / "bad.nii.gz", qform=matrix(), sform=matrix(x=40.0), codes=(1, 2))
    images = {"--dwi": good, option: bad}
    words = [str(word) for pair in images.items() for word in pair]
    result = CliRunner().invoke(app, ["predict", *words, "-o", str(tmp_path / "out")])
    assert isinstance(result.exception, GeometryError)
    assert str(result.exception).startswith(f"{option.strip('-').upper()}: The NIfTI file names")
    assert "bad" not in str(result.exception)
    assert "up to 40.0 mm apart, qform_code 1, sform_code 2" in str(result.exception)
    assert not (tmp_path / "out").exists()
