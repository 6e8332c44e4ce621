"""Slices that were lost on the way are missed, however regular what is left looks."""

from pathlib import Path

import numpy as np
import pytest
from dicom_samples import block, dwi, enhanced, write
from phantom_files import (
    GE,
    PHILIPS_CLASSIC,
    SIEMENS,
    by_slice,
    check,
    dwi_truth,
    edited,
    images,
    t1_truth,
)
from pydicom.dataset import Dataset

from pelvimets.errors import GeometryError, SelectionError
from pelvimets.io.study import inspect, read_study


def every_second(datasets: list[Dataset]) -> list[Dataset]:
    return [ds for plane in by_slice(datasets)[::2] for ds in plane]


def lower(datasets: list[Dataset], count: int) -> list[Dataset]:
    return [ds for plane in by_slice(datasets)[:count] for ds in plane]


def without(datasets: list[Dataset], *keywords: str) -> list[Dataset]:
    for ds in datasets:
        for keyword in keywords:
            del ds[keyword]
    return datasets


def of_b(datasets: list[Dataset], *b: int) -> list[Dataset]:
    return [ds for ds in datasets if int(ds[0x0019, 0x100C].value) in b]


# --- refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["TRACEW", "_in"])
def test_every_second_slice_is_missing_by_the_stated_spacing(tmp_path: Path, word):
    write(tmp_path, every_second(images(SIEMENS, word)))
    with pytest.raises(GeometryError, match=r"not whole.*mm apart, and the header says [\d.]+ mm"):
        read_study(tmp_path)
    assert "cannot be read: slices are missing" in inspect(tmp_path)[0].reason


def test_every_second_slice_is_missing_by_the_thickness(tmp_path: Path):
    files = without(every_second(images(SIEMENS, "TRACEW")), "SpacingBetweenSlices")
    write(tmp_path, files)
    with pytest.raises(GeometryError, match=r"lie 25.30 mm apart, and each is only 11.50 mm thick"):
        read_study(tmp_path)


def test_every_second_slice_is_missing_by_the_numbering(tmp_path: Path):
    files = of_b(images(SIEMENS, "TRACEW"), 900)
    for ds in files:
        ds.SliceThickness = 12.65
    write(tmp_path, without(every_second(files), "SpacingBetweenSlices"))
    with pytest.raises(GeometryError, match=r"12.65 mm thick, and numbered in steps of 2"):
        read_study(tmp_path)


def test_high_b_with_fewer_slices_than_the_other_b_values(tmp_path: Path):
    series = images(SIEMENS, "TRACEW")
    write(tmp_path, [*of_b(series, 50, 400), *lower(of_b(series, 900), 13)])
    with pytest.raises(GeometryError) as caught:
        read_study(tmp_path)
    places = [by_slice(series)[k][0].ImagePositionPatient[2] for k in (13, 19)]
    assert (
        "The series 4 'ep2d_diff_tra_TRACEW' is not whole: slices are missing: 7 that the same "
        f"series at b = 400 has, at z = {places[0]:.2f} to {places[1]:.2f} mm; 13 are here"
    ) in str(caught.value)
    assert "--dwi-series" in str(caught.value)


def test_dwi_with_fewer_slices_than_its_adc_map(tmp_path: Path):
    high = [ds for ds in images(GE, "Ax DWI") if int(ds[0x0043, 0x1039].value[0])]
    write(tmp_path, [*lower(high, 13), *images(GE, "Apparent")])
    with pytest.raises(GeometryError, match=r"7 that series 450 'Apparent Diff.*13 are here"):
        read_study(tmp_path)


def test_in_phase_with_fewer_slices_than_the_other_dixon_images(tmp_path: Path):
    write(tmp_path, [*lower(images(SIEMENS, "_in"), 16), *images(SIEMENS, "_opp", "_W")])
    with pytest.raises(GeometryError, match=r"8 that series \d+ 't1_vibe_dixon_tra_\w+' has"):
        read_study(tmp_path)


def test_fewer_slices_than_the_vendor_counts(tmp_path: Path):
    write(tmp_path, lower(images(PHILIPS_CLASSIC, "SPAIR"), 15))
    with pytest.raises(GeometryError, match="header declares 20 in a volume, and 15 are here"):
        read_study(tmp_path)


@pytest.mark.parametrize("keyword", ["ImagesInAcquisition", "NumberOfSeriesRelatedInstances"])
def test_fewer_images_than_declared(tmp_path: Path, keyword):
    files = lower(images(SIEMENS, "_in"), 17)
    for ds in files:
        setattr(ds, keyword, 24)
    write(tmp_path, files)
    with pytest.raises(GeometryError, match="header declares 24 images, and 17 are here"):
        read_study(tmp_path)


def test_a_part_of_a_concatenation_is_missing(tmp_path: Path):
    dataset = enhanced([(block(), 1000.0)])
    dataset.ConcatenationUID, dataset.InConcatenationNumber = "1.2.3", 1
    dataset.InConcatenationTotalNumber = 2
    write(tmp_path, [dataset])
    with pytest.raises(GeometryError, match="1 of the files that the images were spread over"):
        read_study(tmp_path)


def test_positions_in_the_stack_show_what_is_missing(tmp_path: Path):
    dataset = enhanced([(block(), 1000.0)])
    for k, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.StackID, content.InStackPositionNumber = "1", 2 * k + 1
        frame.FrameContentSequence = [content]
    write(tmp_path, [dataset])
    with pytest.raises(GeometryError, match="header declares 19 in a volume, and 10 are here"):
        read_study(tmp_path)


# --- read all the same -----------------------------------------------------------------------


def test_what_is_here_is_read_if_the_series_is_named_and_says_so(tmp_path: Path):
    series = images(SIEMENS, "TRACEW")
    write(tmp_path, [*of_b(series, 50), *lower(of_b(series, 900), 13)])
    image = read_study(tmp_path, dwi_series="4").dwi
    np.testing.assert_array_equal(image.volume.canonical().array, dwi_truth(SIEMENS).array[:13])
    assert any("slices are missing: 7 that the same series" in note for note in image.notes)


def test_a_whole_repeat_is_taken_before_a_later_broken_one(tmp_path: Path):
    whole = of_b(images(SIEMENS, "TRACEW"), 900)
    broken = every_second(of_b(images(SIEMENS, "TRACEW"), 900))
    for k, ds in enumerate(broken):
        ds.SeriesInstanceUID, ds.SeriesNumber = "1.2.3.4", 44
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{k}"
        ds.SeriesDescription += " pelvis"
    write(tmp_path, [*whole, *broken])
    study = read_study(tmp_path)
    check(study.dwi, dwi_truth(SIEMENS))
    assert "series 4 " in study.dwi.label


def test_real_gaps_are_read(tmp_path: Path):
    """Slices apart by up to twice their thickness, without a stated spacing."""

    def thin(ds: Dataset, k: int) -> None:
        ds.SliceThickness = float(ds.SpacingBetweenSlices) / 2
        del ds.SpacingBetweenSlices

    write(tmp_path, edited(images(SIEMENS, "TRACEW", "_in"), thin))
    study = read_study(tmp_path)
    check(study.dwi, dwi_truth(SIEMENS))
    check(study.t1, t1_truth(SIEMENS))


@pytest.mark.parametrize("share", [0.5, 0.8, 0.9])
def test_the_gap_in_place_of_the_spacing_is_read(tmp_path: Path, share):
    """As some older scanners write it."""

    def gap(ds: Dataset, k: int) -> None:
        spacing = float(ds.SpacingBetweenSlices)
        ds.SliceThickness = share * spacing + 0.001
        ds.SpacingBetweenSlices = (1 - share) * spacing

    write(tmp_path, edited(images(SIEMENS, "TRACEW"), gap))
    check(read_study(tmp_path).dwi, dwi_truth(SIEMENS))


def test_overlapping_and_thin_slices_are_read(tmp_path: Path):
    def half(ds: Dataset, k: int) -> None:
        factor = 2.0 if "_in" in ds.SeriesDescription else 0.2
        ds.SliceThickness = float(ds.SpacingBetweenSlices) * factor

    write(tmp_path, edited(images(SIEMENS, "TRACEW", "_in"), half))
    study = read_study(tmp_path)
    check(study.dwi, dwi_truth(SIEMENS))
    check(study.t1, t1_truth(SIEMENS))


def test_whole_volumes_left_out_and_too_many_images_are_no_loss(tmp_path: Path):
    high, in_phase = of_b(images(SIEMENS, "TRACEW"), 900), images(SIEMENS, "_in")
    for ds in high:
        ds.ImagesInAcquisition = 60
    for ds in in_phase:
        ds.ImagesInAcquisition = 12
    write(tmp_path, [*high, *in_phase])
    study = read_study(tmp_path)
    check(study.dwi, dwi_truth(SIEMENS))
    check(study.t1, t1_truth(SIEMENS))


def test_counts_copied_into_a_reformatted_series_say_nothing(tmp_path: Path):
    """Fewer slices than the images that they were made from had."""
    files = lower(images(PHILIPS_CLASSIC, "SPAIR"), 15)
    for ds in files:
        ds.ImageType = ["DERIVED", "SECONDARY", *ds.ImageType[2:]]
        ds.ImagesInAcquisition = 41
        ds.SpacingBetweenSlices = float(ds.SpacingBetweenSlices) / 3
    write(tmp_path, files)
    read = read_study(tmp_path).dwi.volume.canonical().array
    np.testing.assert_allclose(read, dwi_truth(PHILIPS_CLASSIC).array[:15], atol=0.76)


def test_longer_low_b_series_explained_by_another_high_b(tmp_path: Path):
    """Two acquisitions: one whole with its map; a second, shorter one nearer to the wanted b."""
    long, short = block((20, 12, 14)), block((20, 12, 14), seed=1)
    first = [*dwi(long, 50, RepetitionTime=5000.0), *dwi(long, 700, RepetitionTime=5000.0)]
    second = dwi(short, 1000, number=9, description="ep2d_diff_small")[3:15]
    write(tmp_path, [*first, *second])
    image = read_study(tmp_path).dwi
    assert image.b_value_s_per_mm2 == 1000
    np.testing.assert_array_equal(image.volume.array, short.array[3:15])


# --- several images of each slice, and no b-value ---------------------------------------------


def bare(datasets: list[Dataset]) -> list[Dataset]:
    for ds in datasets:
        for tag in ((0x0019, 0x100C), (0x0019, 0x100D)):
            del ds[tag]
        ds.SequenceName = "*ep2d"
    return datasets


def test_b_values_that_nothing_tells_apart_are_not_averaged(tmp_path: Path):
    write(tmp_path, [*bare(images(SIEMENS, "TRACEW")), *images(SIEMENS, "_in")])
    with pytest.raises(SelectionError, match=r"3 of each, 60 in all.*series of their own"):
        read_study(tmp_path, dwi_series="4")
    row = next(d for d in inspect(tmp_path) if d.number == 4)
    assert "which of its 3 images of each slice is the high-b one cannot be told" in row.reason
    check(read_study(tmp_path, dwi_series="none").t1, t1_truth(SIEMENS))


def test_a_single_volume_without_b_value_is_read_if_named(tmp_path: Path):
    write(tmp_path, bare(of_b(images(SIEMENS, "TRACEW"), 900)))
    image = read_study(tmp_path, dwi_series="4").dwi
    check(image, dwi_truth(SIEMENS))
    assert "its b-value is unknown" in image.notes


def test_phases_of_a_dynamic_series_are_not_averaged(tmp_path: Path):
    files = []
    for phase in range(3):
        for k, ds in enumerate(images(SIEMENS, "_in")):
            ds.TemporalPositionIdentifier = phase + 1
            ds.SOPInstanceUID = f"1.2.3.{phase}.{k}"
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            files.append(ds)
    write(tmp_path, files)
    with pytest.raises(SelectionError, match="3 of each, 72 in all"):
        read_study(tmp_path, t1_series="t1_vibe")
