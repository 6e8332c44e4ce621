"""A header that wobbles inside one volume splits nothing; what differs in kind stays apart."""

from pathlib import Path

import numpy as np
import pytest
from dicom_samples import block, dwi, t1, write
from phantom_files import (
    PHILIPS_CLASSIC,
    SIEMENS,
    check,
    dwi_truth,
    edited,
    images,
    t1_truth,
)
from pydicom.dataset import Dataset

from pelvimets.core.study import SeriesRole
from pelvimets.errors import GeometryError
from pelvimets.io.study import inspect, read_study
from pelvimets.phantom.physics.sequences import DixonImage

SERIES = {SIEMENS: ("TRACEW", "_in"), PHILIPS_CLASSIC: ("SPAIR", "mDIXON")}


def another_token(ds: Dataset) -> None:
    ds.ImageType = [*ds.ImageType, "DIS2D_X"]


def first_tokens(ds: Dataset) -> None:
    ds.ImageType = ["DERIVED", "SECONDARY", *ds.ImageType[2:]]


def another_order(ds: Dataset) -> None:
    ds.ImageType = [*ds.ImageType[:2], *ds.ImageType[2:][::-1]]


def later_echo(ds: Dataset) -> None:
    ds.EchoTime = float(ds.EchoTime) + 0.01


def echo_on_the_other_side_of_a_tenth(ds: Dataset) -> None:
    ds.EchoTime = np.ceil(float(ds.EchoTime) * 10) / 10 + 0.06


def no_echo(ds: Dataset) -> None:
    del ds.EchoTime


def no_directionality(ds: Dataset) -> None:
    for tag in ((0x0019, 0x100D), (0x2001, 0x1004), (0x0018, 0x9075)):
        if tag in ds:
            del ds[tag]


WOBBLES = [
    another_token,
    first_tokens,
    another_order,
    later_echo,
    echo_on_the_other_side_of_a_tenth,
    no_echo,
    no_directionality,
]


@pytest.mark.parametrize("style", SERIES, ids=str)
@pytest.mark.parametrize("wobble", WOBBLES, ids=lambda f: f.__name__)
def test_every_second_slice_with_another_header_is_one_volume(tmp_path: Path, style, wobble):
    def edit(ds: Dataset, k: int) -> None:
        if k % 2:
            wobble(ds)

    write(tmp_path, edited(images(style, *SERIES[style]), edit))
    study = read_study(tmp_path)
    check(study.dwi, dwi_truth(style))
    check(study.t1, t1_truth(style))
    assert study.t1.role is SeriesRole.T1_IN_PHASE
    assert study.dwi.notes == study.t1.notes == ()


def test_echo_times_that_differ_in_every_slice_are_one_volume(tmp_path: Path):
    def edit(ds: Dataset, k: int) -> None:
        ds.EchoTime = float(ds.EchoTime) * (1 + 0.002 * ((k * 7) % 20))

    write(tmp_path, edited(images(SIEMENS, "TRACEW", "_in"), edit))
    study = read_study(tmp_path)
    check(study.dwi, dwi_truth(SIEMENS))
    check(study.t1, t1_truth(SIEMENS))


def test_b_value_absent_in_some_slices_of_a_single_volume(tmp_path: Path):
    def edit(ds: Dataset, k: int) -> None:
        if k % 3 == 1:
            del ds[0x0019, 0x100C]
            del ds.SequenceName

    files = [ds for ds in images(SIEMENS, "TRACEW") if ds.SequenceName == "*ep_b900t"]
    write(tmp_path, edited(files, edit))
    study = read_study(tmp_path)
    check(study.dwi, dwi_truth(SIEMENS))
    assert study.dwi.b_value_s_per_mm2 == 900


def test_b_value_absent_in_slices_of_several_volumes_is_refused(tmp_path: Path):
    def edit(ds: Dataset, k: int) -> None:
        if k % 2 == 1:
            del ds[0x0019, 0x100C]
            del ds.SequenceName

    write(tmp_path, edited(images(SIEMENS, "TRACEW"), edit))
    with pytest.raises(GeometryError, match=r"slices are missing: 10 that the same series has"):
        read_study(tmp_path)


def test_wobble_inside_directions(tmp_path: Path):
    parts = [block(seed=n) for n in range(3)]

    def edit(ds: Dataset, k: int) -> None:
        if k % 2:
            ds.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND"]

    files = [
        ds
        for n, part in enumerate(parts)
        for ds in dwi(
            part,
            1000,
            ImageType=["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"],
            tag=n,
            first_instance=1 + 50 * n,
            DiffusionDirectionality="DIRECTIONAL",
            DiffusionGradientOrientation=np.eye(3)[n].tolist(),
            edit=edit,
        )
    ]
    write(tmp_path, files)
    expected = np.prod([p.array.astype(float) for p in parts], axis=0) ** (1 / 3)
    np.testing.assert_allclose(read_study(tmp_path).dwi.volume.array, expected, rtol=1e-5)


# --- what stays apart ------------------------------------------------------------------------


def test_dixon_parts_of_one_series_stay_apart_under_wobble(tmp_path: Path):
    def edit(ds: Dataset, k: int) -> None:
        ds.InstanceNumber = 100 * k + int(ds.InstanceNumber) % 97  # interleaved
        if k % 2:
            another_order(ds)
            ds.EchoTime = float(ds.EchoTime) + 0.01

    write(tmp_path, edited(images(PHILIPS_CLASSIC, "mDIXON"), edit))
    study = read_study(tmp_path)
    check(study.t1, t1_truth(PHILIPS_CLASSIC))
    (row,) = [d for d in inspect(tmp_path) if "mDIXON" in d.description]
    assert row.images == 4 * t1_truth(PHILIPS_CLASSIC).array.shape[0]


def test_wobbling_double_echoes_stay_apart(tmp_path: Path):
    files = images(SIEMENS, "_in", "_opp")
    for ds in files:
        ds.SeriesInstanceUID, ds.SeriesNumber = files[0].SeriesInstanceUID, 7
        ds.SeriesDescription, ds.ImageType = "t1_vibe_tra", ["ORIGINAL", "PRIMARY", "M", "NORM"]

    def edit(ds: Dataset, k: int) -> None:
        if k % 2:
            another_token(ds)
            later_echo(ds)

    write(tmp_path, edited(files, edit))
    study = read_study(tmp_path)
    check(study.t1, t1_truth(SIEMENS, DixonImage.IN_PHASE))
    assert study.t1.role is SeriesRole.T1_IN_PHASE


def test_magnitude_and_phase_stay_apart(tmp_path: Path):
    magnitude, phase = block(seed=1), block(seed=2)
    kinds = {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"], "tag": "phase", "first_instance": 99}
    write(tmp_path, [*t1(magnitude, ImageType=["ORIGINAL", "PRIMARY", "M", "ND"]),
                     *t1(phase, **kinds)])  # fmt: skip
    np.testing.assert_array_equal(read_study(tmp_path).t1.volume.array, magnitude.array)


def test_halves_of_different_kinds_are_not_joined(tmp_path: Path):
    """What was lost of a series leaves the lower magnitude and the upper phase images."""
    volume = block((20, 12, 14))
    kinds = {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"], "tag": "phase", "first_instance": 99}
    lower = t1(volume, ImageType=["ORIGINAL", "PRIMARY", "M", "ND"])[:10]
    upper = t1(volume, **kinds)[10:]
    write(tmp_path, [*lower, *upper])
    with pytest.raises(GeometryError, match=r"not whole: slices are missing: 10 that the same"):
        read_study(tmp_path)


def test_what_is_left_over_is_named(tmp_path: Path):
    """Three slices again with another header, beside the whole volume."""
    volume = block()
    again = t1(block(seed=3), tag="again", first_instance=50)[2:5]
    for ds in again:
        another_token(ds)
    write(tmp_path, [*t1(volume), *again])
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.t1.volume.array, volume.array)
    assert study.t1.notes == ("3 more images of its kind left out: they fill no stack with it",)
