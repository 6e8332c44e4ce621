"""NIfTI files read back by this package and by nibabel lie where they were written."""

from __future__ import annotations

import gzip
import itertools
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import GeometryError, InputError, OutputError
from pelvimets.io.nifti.files import nifti_geometry, read_nifti, write_nifti

ORIENTATIONS = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


def oblique_volume(dtype: str = "uint16", angle_deg: float = 20.0) -> Volume:
    angle = np.deg2rad(angle_deg)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    axes = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]) @ turn
    geometry = Geometry.from_axes((4, 5, 6), (7.0, 2.5, 1.5), (-31.0, 12.5, -400.25), axes)
    array = np.arange(120, dtype=dtype).reshape(4, 5, 6)
    return Volume(array, geometry)


@pytest.mark.parametrize("order,flips", ORIENTATIONS)
def test_every_orientation_survives_and_nibabel_agrees(tmp_path: Path, order, flips):
    original = oblique_volume()
    array = original.array.transpose(order)[
        tuple(slice(None, None, -1) if f else slice(None) for f in flips)
    ]
    volume = Volume(array, original.geometry.reoriented(order, flips))
    path = tmp_path / "volume.nii.gz"
    write_nifti(path, volume)

    back = read_nifti(path)
    assert back.geometry.matches(volume.geometry, tolerance_mm=1e-3)
    np.testing.assert_array_equal(back.array, volume.array)

    other = nib.load(path)
    index = np.array([1, 2, 3])
    ras = volume.geometry.to_lps(index) * [-1, -1, 1]
    for affine in (other.get_sform(coded=True)[0], other.get_qform(coded=True)[0]):
        np.testing.assert_allclose((affine @ [*index[::-1], 1])[:3], ras, atol=1e-3)
    assert np.asarray(other.dataobj)[tuple(index[::-1])] == volume.array[tuple(index)]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_number_types_are_kept(tmp_path: Path, dtype: str, name: str):
    volume = oblique_volume(dtype)
    write_nifti(tmp_path / name, volume)
    back = read_nifti(tmp_path / name)
    assert back.array.dtype == dtype
    np.testing.assert_array_equal(back.array, volume.array)


def test_bool_and_double_are_stored_smaller_and_long_is_refused(tmp_path: Path):
    volume = oblique_volume()
    for given_type, stored in (("bool", "uint8"), ("float64", "float32")):
        write_nifti(tmp_path / "a.nii", volume.with_array(volume.array.astype(given_type)))
        assert read_nifti(tmp_path / "a.nii").array.dtype == stored
    with pytest.raises(TypeError, match="int64"):
        write_nifti(tmp_path / "b.nii", volume.with_array(volume.array.astype("int64")))
    assert not (tmp_path / "b.nii").exists()


def test_same_volume_gives_same_bytes_and_leaves_nothing_else(tmp_path: Path):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, oblique_volume())
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]


@settings(max_examples=20, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.3, 12.0)] * 3),
    origin=st.tuples(*[st.floats(-900.0, 900.0)] * 3),
    quaternion=st.tuples(*[st.floats(-1.0, 1.0)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
)
def test_any_grid_round_trips(tmp_path_factory, spacing, origin, quaternion):
    w, x, y, z = np.asarray(quaternion) / np.linalg.norm(quaternion)
    axes = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    geometry = Geometry.from_axes((3, 4, 5), spacing, origin, axes)
    path = tmp_path_factory.mktemp("nifti") / "any.nii"
    write_nifti(path, Volume(np.zeros((3, 4, 5), "uint8"), geometry))
    assert read_nifti(path).geometry.matches(geometry, tolerance_mm=5e-3)


def nibabel_file(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    image = nib.Nifti1Image(array, np.diag([2.0, 2.0, 4.0, 1.0]) if affine is None else affine)
    nib.save(image, path)
    return path


def test_a_fourth_axis_of_one_is_dropped(tmp_path: Path):
    array = np.arange(24, dtype="float32").reshape(2, 3, 4, 1)
    volume = read_nifti(nibabel_file(tmp_path / "four.nii.gz", array))
    np.testing.assert_array_equal(volume.array, array[..., 0].T)


def test_two_volumes_in_one_file_are_refused(tmp_path: Path):
    path = nibabel_file(tmp_path / "series.nii", np.zeros((3, 3, 3, 2), "uint8"))
    with pytest.raises(InputError, match=r"3 x 3 x 3 x 2.*of its own"):
        read_nifti(path)


def test_a_single_plane_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="one 3D image"):
        read_nifti(nibabel_file(tmp_path / "plane.nii", np.zeros((6, 5), "uint8")))


def test_colour_is_refused(tmp_path: Path):
    rgb = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(InputError, match="one real number"):
        read_nifti(nibabel_file(tmp_path / "rgb.nii", rgb))


def test_values_not_finite_are_counted_and_refused(tmp_path: Path):
    array = np.zeros((3, 3, 3), "float32")
    array[0, 0, :2] = np.nan, np.inf
    with pytest.raises(InputError, match=r"2 of 27 voxels in a \.nii file"):
        read_nifti(nibabel_file(tmp_path / "bad.nii", array))


def test_no_orientation_is_refused(tmp_path: Path):
    image = nib.Nifti1Image(np.zeros((3, 3, 3), "uint8"), None)
    image.header["qform_code"] = image.header["sform_code"] = 0
    nib.save(image, tmp_path / "lost.nii")
    with pytest.raises(InputError, match="how it lies in the patient"):
        read_nifti(tmp_path / "lost.nii")


def test_a_sheared_grid_is_refused(tmp_path: Path):
    affine = np.diag([2.0, 2.0, 4.0, 1.0])
    affine[0, 1] = 1.0
    with pytest.raises(GeometryError, match="right angles"):
        read_nifti(nibabel_file(tmp_path / "sheared.nii", np.zeros((3, 3, 3), "uint8"), affine))


@pytest.mark.parametrize("name", ["cut.nii", "cut.nii.gz"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, kept: float):
    rng = np.random.default_rng(1)
    array = rng.integers(0, 60000, (20, 20, 20)).astype("uint16")
    path = nibabel_file(tmp_path / name, array)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(InputError, match="damaged or truncated"):
        read_nifti(path)


def test_a_truncated_image_packed_again_is_refused(tmp_path: Path):
    plain = nibabel_file(tmp_path / "whole.nii", np.ones((20, 20, 20), "uint16")).read_bytes()
    path = tmp_path / "packed.nii.gz"
    path.write_bytes(gzip.compress(plain[: len(plain) // 2]))
    with pytest.raises(InputError, match="damaged or truncated"):
        read_nifti(path)


@pytest.mark.parametrize("name", ["absent.nii.gz", "image.mha"])
def test_absent_or_foreign_files_are_refused(tmp_path: Path, name: str):
    if name.endswith("mha"):
        (tmp_path / name).write_bytes(b"ObjectType = Image")
    with pytest.raises(InputError):
        read_nifti(tmp_path / name)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(OutputError, match="folder exists"):
        write_nifti(tmp_path / "no" / "such" / "a.nii.gz", oblique_volume())
    with pytest.raises(OutputError, match="ends in"):
        write_nifti(tmp_path / "a.mha", oblique_volume())


def with_field(path: Path, at: int, kind: str, *values: float) -> Path:
    """The same file with one field of its header overwritten."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<" + kind, data, at, *values)
    path.write_bytes(data)
    return path


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "image.nii"
    write_nifti(path, oblique_volume("float32"))
    return path


OFFSET = 108


@pytest.mark.parametrize("offset", [float("nan"), float("inf"), -5.0, 0.0, 347.0])
@pytest.mark.parametrize("read", [read_nifti, nifti_geometry])
def test_voxels_that_would_begin_inside_the_header_are_refused(written: Path, offset, read):
    with pytest.raises(InputError, match="begin inside its header"):
        read(with_field(written, OFFSET, "f", offset))


@pytest.mark.parametrize("offset", [1e6, 1e30])
def test_voxels_beyond_the_file_are_refused_without_memory_for_them(written: Path, offset):
    with pytest.raises(InputError, match="damaged or truncated"):
        nifti_geometry(with_field(written, OFFSET, "f", offset))


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_promises_more_than_any_such_file_holds(written: Path, packed: bool):
    with_field(written, 42, "hhh", 32000, 32000, 32000)
    if packed:
        data = gzip.compress(written.read_bytes())
        written = written.with_suffix(".nii.gz")
        written.write_bytes(data)
    with pytest.raises(InputError, match="damaged or truncated"):
        nifti_geometry(written)
    with pytest.raises(InputError, match="damaged or truncated"):
        read_nifti(written)


def test_a_slope_that_leaves_no_finite_values_is_refused(written: Path):
    with pytest.raises(InputError, match="not finite"):
        read_nifti(with_field(written, 112, "f", 3e38))


@pytest.mark.parametrize(("at", "what"), [(80, "spacing"), (280, "sform"), (256, "qform")])
def test_a_place_that_is_not_finite_is_refused(written: Path, at: int, what: str, capfd):
    with pytest.raises(InputError, match="place in the patient is not finite"):
        nifti_geometry(with_field(written, at, "f", float("nan")))
    assert capfd.readouterr() == ("", ""), f"the library complained of the {what} itself"


def test_a_tiny_image_is_read_in_both_versions(tmp_path: Path):
    affine = np.diag([-2.0, -2.0, 4.0, 1.0])
    nib.save(nib.Nifti1Image(np.ones((1, 2, 3), np.uint8), affine), tmp_path / "tiny.nii")
    assert read_nifti(tmp_path / "tiny.nii").array.shape == (3, 2, 1)
    nib.save(nib.Nifti2Image(np.ones((1, 2, 3), np.uint8), affine), tmp_path / "two.nii")
    assert read_nifti(tmp_path / "two.nii").array.shape == (3, 2, 1)
