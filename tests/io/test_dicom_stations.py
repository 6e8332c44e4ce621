"""Table positions: joined where they fit, named where not, and DWI and T1 of one place."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import adc, block, dwi, t1, uid, write
from phantom_files import (
    PHILIPS,
    PHILIPS_CLASSIC,
    SIEMENS,
    adc_truth,
    by_slice,
    check,
    dwi_truth,
    images,
    t1_truth,
)
from pydicom.dataset import Dataset
from test_dicom_spread import results

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import GeometryError
from pelvimets.io.study import inspect, open_study, read_study


def moved_to(datasets: list[Dataset], number: int, tag: str) -> list[Dataset]:
    """The same images as another series, under names of their own."""
    for n, ds in enumerate(datasets):
        ds.SeriesInstanceUID = uid(str(ds.SeriesInstanceUID), tag)
        ds.SeriesNumber = number
        ds.SOPInstanceUID = uid(str(ds.SOPInstanceUID), tag, n)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return datasets


def spoiled(datasets: list[Dataset]) -> list[Dataset]:
    """The end of a station, where it is distorted: it must not be used where another one has it."""
    for ds in datasets:
        ds.PixelData = bytes(len(ds.PixelData))
    return datasets


def station(style, word: str, low: int, high: int, number: int) -> list[Dataset]:
    """Slices of a series of the phantom as a series of its own; inner ends spoiled."""
    planes = by_slice(images(style, word))
    last = len(planes)
    own = [ds for plane in planes[low:high] for ds in plane]
    moved_to(own, number, f"{low}-{high}")
    if low > 0:
        spoiled([ds for ds in own if ds in planes[low]])
    if high < last:
        spoiled([ds for ds in own if ds in planes[high - 1]])
    return own


@pytest.mark.parametrize("style", [SIEMENS, PHILIPS_CLASSIC], ids=str)
def test_overlapping_stations_of_each_kind_are_joined(tmp_path: Path, style):
    words = ("TRACEW", "_ADC", "_in") if style is SIEMENS else ("SPAIR", "_ADC", "mDIXON")
    files = []
    for n, word in enumerate(words):
        last = 24 if n == 2 else 20
        for k, (low, high) in enumerate([(0, 9), (6, 15), (12, last)]):
            files += station(style, word, low, high, 10 * (n + 1) + k)
    write(tmp_path, files)
    study = read_study(tmp_path)
    check(study.dwi, dwi_truth(style))
    check(study.adc, adc_truth(style))
    check(study.t1, t1_truth(style))
    assert "3 stations joined to one volume" in study.dwi.notes
    assert study.dwi.label.startswith("series 10, 11, 12 '")
    taken = {row.number: row.taken_as for row in inspect(tmp_path)}
    expected = {10 * (n + 1) + k: ("dwi", "adc", "t1")[n] for n in range(3) for k in range(3)}
    assert taken == expected


@pytest.mark.parametrize("cuts", [[(0, 10), (10, 20)], [(0, 9), (6, 20)]])
def test_abutting_and_unequal_stations(tmp_path: Path, cuts):
    planes = by_slice(images(SIEMENS, "TRACEW"))
    files = [
        ds
        for n, (low, high) in enumerate(cuts)
        for ds in moved_to(
            [pydicom.dcmread(p) for p in _saved(tmp_path, planes[low:high], n)], 20 + n, str(n)
        )
    ]
    write(tmp_path / "study", files)
    check(read_study(tmp_path / "study").dwi, dwi_truth(SIEMENS))


def _saved(folder: Path, planes: list[list[Dataset]], n: int) -> list[Path]:
    """Written and read anew, since the same image may belong to two stations."""
    return sorted(write(folder / f"part{n}", [d for p in planes for d in p]).iterdir())


@pytest.mark.parametrize("numbered", [True, False])
def test_stations_inside_one_series(tmp_path: Path, numbered):
    series = images(SIEMENS, "_in")
    whole = str(series[0].SeriesInstanceUID)
    files = []
    for k, (low, high) in enumerate([(0, 10), (7, 17), (14, 24)]):
        part = station(SIEMENS, "_in", low, high, 7)
        for n, ds in enumerate(sorted(part, key=lambda d: float(d.ImagePositionPatient[2]))):
            ds.SeriesInstanceUID = whole
            ds.InstanceNumber = 100 * k + n
            ds.AcquisitionNumber = k + 1 if numbered else 1
        files += part
    write(tmp_path, files)
    study = read_study(tmp_path)
    check(study.t1, t1_truth(SIEMENS))
    assert "3 stations joined to one volume" in study.t1.notes
    (row,) = inspect(tmp_path)
    assert (row.images, row.taken_as) == (30, "t1")


def ramp(slices: int, start_mm: float, spacing: float = 5.0) -> Volume:
    """A volume whose values rise evenly along the patient: any interpolation is exact."""
    grid = Geometry.from_axes((slices, 12, 14), (spacing, 10.0, 12.0), (-80.0, -60.0, start_mm))
    z = grid.to_lps(np.stack(np.indices(grid.shape), axis=-1))[..., 2]
    rows = np.arange(12)[:, None] * 20.0
    return Volume(np.rint(10 * z + rows + 1000).astype(np.uint16), grid)


@pytest.mark.parametrize("start", [42.5, 38.3, 52.0])
def test_slices_between_those_of_the_lowest_station_are_interpolated(tmp_path: Path, start):
    """Stations that overlap, or leave up to half a slice between them, off each other's grid."""
    low, high = ramp(10, 0.0), ramp(12, start)
    write(tmp_path, [*dwi(low, 1000, number=5), *dwi(high, 1000, number=6)])
    image = read_study(tmp_path).dwi
    expected = ramp(image.volume.array.shape[0], 0.0)
    assert image.volume.geometry.matches(expected.geometry)
    assert expected.geometry.to_lps([expected.array.shape[0] - 1, 0, 0])[2] == pytest.approx(
        start + 55, abs=5.0
    )
    np.testing.assert_allclose(image.volume.array, expected.array, atol=1.01)
    assert any("interpolated" in note for note in image.notes)


def test_philips_stations_come_to_one_scale(tmp_path: Path):
    """Value / (rescale slope x scale slope) is what compares."""
    low, high = ramp(10, 0.0), ramp(10, 50.0)

    def scaled(scale: float):
        def edit(ds: Dataset, k: int) -> None:
            ds.Manufacturer, ds.RescaleSlope, ds.RescaleIntercept = "Philips", 2.0, 0.0
            ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(
                0x0E, "FL", scale
            )

        return edit

    write(
        tmp_path,
        [*t1(low, number=5, edit=scaled(0.5)), *t1(high, number=6, edit=scaled(0.25))],
    )
    read = read_study(tmp_path).t1.volume.array
    np.testing.assert_allclose(read[:10], 2.0 * low.array)
    np.testing.assert_allclose(read[10:], 4.0 * high.array)


def test_results_of_a_joined_volume_point_to_the_images_of_each_station(tmp_path: Path):
    files = [ds for n, (a, b) in enumerate([(0, 11), (8, 20)])
             for ds in station(SIEMENS, "TRACEW", a, b, 30 + n)]  # fmt: skip
    write(tmp_path / "study", files)
    with open_study(tmp_path / "study") as opened:
        segmentation, *_ = results(tmp_path / "out", opened, "BINARY")
    of = {ds.SOPInstanceUID: ds for ds in files}
    written = pydicom.dcmread(segmentation)
    used = set()
    for frame in written.PerFrameFunctionalGroupsSequence:
        (image,) = frame.DerivationImageSequence[0].SourceImageSequence
        source = of[image.ReferencedSOPInstanceUID]
        used.add(source.SeriesInstanceUID)
        np.testing.assert_allclose(
            np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float),
            np.array(source.ImagePositionPatient, dtype=float),
            atol=1e-3,
        )
        assert source.SequenceName == "*ep_b900t"
    listed = {
        series.SeriesInstanceUID: len(series.ReferencedInstanceSequence)
        for series in written.ReferencedSeriesSequence
    }
    assert used == listed.keys()
    assert sum(listed.values()) == 20


# --- stations that do not fit ------------------------------------------------------------------


def test_stations_with_a_gap_are_not_joined_and_named(tmp_path: Path):
    low, high = ramp(12, 0.0), ramp(12, 70.0)
    write(tmp_path, [*dwi(low, 1000, number=5), *dwi(high, 1000, number=6)])
    image = read_study(tmp_path).dwi
    np.testing.assert_array_equal(image.volume.array, high.array)
    assert image.notes == (
        "other stations of its kind, which do not fit to it, are left out: "
        "series 5 'ep2d_diff_tra'",
    )


def test_the_pair_that_shows_one_place_is_taken(tmp_path: Path):
    """The later DWI covers nothing of the T1."""
    body, legs = ramp(12, 0.0), ramp(12, -300.0)
    files = [*dwi(body, 1000, number=5), *dwi(legs, 1000, number=9), *adc(body), *t1(body)]
    write(tmp_path, files)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.dwi.volume.array, body.array)
    np.testing.assert_array_equal(study.t1.volume.array, body.array)
    assert study.adc is not None
    assert any("series 9 'ep2d_diff_tra' does not" in note for note in study.dwi.notes)
    assert any("left out: series 9" in note for note in study.dwi.notes)


def test_a_poorer_t1_of_the_place_comes_before_a_better_one_elsewhere(tmp_path: Path):
    body, legs = ramp(12, 0.0), ramp(12, -300.0)
    plain = {"description": "t1_tse", "ImageType": ["ORIGINAL", "PRIMARY", "M"]}
    spin_echo = {"ScanningSequence": ["SE"], "EchoTime": 11.0, "RepetitionTime": 600.0}
    files = [*dwi(body, 1000), *t1(legs), *t1(body, number=9, **plain, **spin_echo)]
    write(tmp_path, files)
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.t1.volume.array, body.array)
    assert study.t1.label.startswith("series 9")


def test_what_was_asked_for_stays_and_the_other_follows(tmp_path: Path):
    body, legs = ramp(12, 0.0), ramp(12, -300.0)
    files = [*dwi(body, 1000, number=5), *dwi(legs, 1000, number=9)]
    write(tmp_path, [*files, *t1(body, number=3), *t1(legs, number=4)])
    study = read_study(tmp_path, dwi_series="5")
    np.testing.assert_array_equal(study.dwi.volume.array, body.array)
    np.testing.assert_array_equal(study.t1.volume.array, body.array)


def test_a_station_named_by_hand_is_taken_alone_and_a_common_name_takes_all(tmp_path: Path):
    low, high = ramp(10, 0.0), ramp(10, 50.0)
    write(tmp_path, [*dwi(low, 1000, number=5), *dwi(high, 1000, number=6)])
    alone = read_study(tmp_path, dwi_series="6").dwi
    np.testing.assert_array_equal(alone.volume.array, high.array)
    assert read_study(tmp_path, dwi_series="ep2d_diff").dwi.volume.array.shape[0] == 20


def test_repeats_and_other_b_values_are_no_stations(tmp_path: Path):
    whole = block()
    shifted = Volume(
        block(seed=2).array,
        Geometry.from_axes((10, 12, 14), (5.0, 10.0, 12.0), (-80.0, -60.0, -10.0)),
    )
    write(tmp_path, [*dwi(whole, 1000, number=5), *dwi(shifted, 1000, number=6)])
    image = read_study(tmp_path).dwi
    np.testing.assert_array_equal(image.volume.array, shifted.array)
    other = ramp(10, 30.0)
    write(tmp_path / "b", [*dwi(block(), 1000, number=5), *dwi(other, 600, number=6)])
    np.testing.assert_array_equal(read_study(tmp_path / "b").dwi.volume.array, block().array)


@pytest.mark.parametrize("acquisitions", [1, 2])
@pytest.mark.parametrize("missing", [1, 5])
def test_a_hole_in_one_series_is_still_missing_slices(tmp_path: Path, missing, acquisitions):
    planes = by_slice(images(SIEMENS, "_in"))
    files = [ds for plane in planes[:9] + planes[9 + missing :] for ds in plane]
    shift = 1e-4  # positions are rounded in headers
    for n, ds in enumerate(files):
        ds.AcquisitionNumber = 1 if n < 9 else acquisitions
        x, y, z = (float(v) for v in ds.ImagePositionPatient)
        ds.ImagePositionPatient = [x, y, z - shift * (n >= 9)]
    write(tmp_path, files)
    with pytest.raises(GeometryError, match=rf"{missing} slices? (is|are) missing between z"):
        read_study(tmp_path)


def test_enhanced_stations_are_joined(tmp_path: Path):
    (dataset,) = images(PHILIPS, "SPAIR")
    frames = list(dataset.PerFrameFunctionalGroupsSequence)
    z = np.array([float(f.PlanePositionSequence[0].ImagePositionPatient[2]) for f in frames])
    levels, pixels = np.unique(z.round(2)), dataset.pixel_array
    parts = []
    for n, (low, high) in enumerate([(0, 11), (9, 20)]):
        (part,) = images(PHILIPS, "SPAIR")
        own = np.flatnonzero((z >= levels[low] - 0.01) & (z <= levels[high - 1] + 0.01))
        part.PerFrameFunctionalGroupsSequence = [frames[k] for k in own]
        part.PixelData, part.NumberOfFrames = pixels[own].tobytes(), len(own)
        parts += moved_to([part], 40 + n, str(n))
    write(tmp_path / "study", parts)
    with open_study(tmp_path / "study") as opened:
        check(opened.study.dwi, dwi_truth(PHILIPS))
        assert results(tmp_path / "out", opened, "BINARY")
