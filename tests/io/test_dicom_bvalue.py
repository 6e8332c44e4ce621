"""b-values and directions as the vendors write them."""

import struct

import pytest
from pydicom.dataset import Dataset

from pelvimets.io.dicom.bvalue import b_value, direction, directionality
from pelvimets.io.dicom.header import Header


def header(
    private: dict[tuple[int, int], tuple[str, object]] | None = None, **attributes
) -> Header:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    for (group, element), (vr, value) in (private or {}).items():
        dataset.add_new((group << 16) | element, vr, value)
    return Header([dataset])


SIEMENS, PHILIPS, GE = "SIEMENS", "Philips Medical Systems", "GE MEDICAL SYSTEMS"
UNITED = "UIH"


@pytest.mark.parametrize(
    ("maker", "tag", "vr", "value", "expected"),
    [
        (SIEMENS, (0x0019, 0x100C), "IS", "800", 800),
        (SIEMENS, (0x0019, 0x100C), "OB", b"800 ", 800),
        (SIEMENS, (0x0019, 0x100C), "UN", b"50", 50),
        (SIEMENS, (0x0019, 0x100C), "UN", b"1000\0", 1000),
        (SIEMENS, (0x0019, 0x100C), "OB", b"0 ", 0),
        (PHILIPS, (0x2001, 0x1003), "FL", 1000.0, 1000),
        (PHILIPS, (0x2001, 0x1003), "UN", struct.pack("<f", 800.0), 800),
        (PHILIPS, (0x2001, 0x1003), "FL", 0.004, 0.004),
        (GE, (0x0043, 0x1039), "IS", [1000, 8, 0, 0], 1000),
        (GE, (0x0043, 0x1039), "IS", [1000000800, 8, 0, 0], 800),
        (GE, (0x0043, 0x1039), "UN", b"1000001000\\8\\0\\0 ", 1000),
        (GE, (0x0043, 0x1039), "IS", [0, 8, 0, 0], 0),
        (UNITED, (0x0065, 0x1009), "FD", 900.0, 900),
    ],
)
def test_private_tags(maker, tag, vr, value, expected):
    assert b_value(header({tag: (vr, value)}, Manufacturer=maker)) == pytest.approx(expected)


def test_standard_tag_comes_first_and_ge_offset_is_taken_off_there_too():
    private = {(0x0019, 0x100C): ("IS", "50")}
    assert b_value(header(private, Manufacturer=SIEMENS, DiffusionBValue=800.0)) == 800
    assert b_value(header(Manufacturer=GE, DiffusionBValue=1000000800.0)) == 800


def test_tag_of_another_vendor_is_not_read():
    private = {(0x0019, 0x100C): ("IS", "12345"), (0x0043, 0x1039): ("IS", [1000, 8, 0, 0])}
    assert b_value(header(private, Manufacturer=GE)) == 1000
    assert b_value(header({(0x0019, 0x100C): ("DS", "3.5")}, Manufacturer=PHILIPS)) is None


@pytest.mark.parametrize(
    ("sequence", "description", "expected"),
    [
        ("*ep_b800t", "", 800),
        ("ep_b1000t", "", 1000),
        ("*ep_b1000#12", "", 1000),
        ("*ep_b0", "", 0),
        ("*ep_b50_800", "", None),
        ("*tse2d1_25", "DWI b1000", 1000),
        ("", "DWI_b=800_tra", 800),
        ("", "ep2d_diff_b50_400_800", None),
        ("", "DWI b50 b800", None),
        ("", "t1_vibe_tra", None),
        ("*fl3d1", "b0 map", None),
    ],
)
def test_names_are_the_last_resort(sequence, description, expected):
    found = b_value(header(SequenceName=sequence, SeriesDescription=description))
    assert found == expected


@pytest.mark.parametrize(
    ("attributes", "private", "expected"),
    [
        ({"DiffusionDirectionality": "ISOTROPIC"}, {}, "ISOTROPIC"),
        ({"DiffusionDirectionality": "BMATRIX"}, {}, "DIRECTIONAL"),
        ({"Manufacturer": SIEMENS}, {(0x0019, 0x100D): ("OB", b"ISOTROPIC ")}, "ISOTROPIC"),
        ({"Manufacturer": SIEMENS}, {(0x0019, 0x100D): ("CS", "DIRECTIONAL")}, "DIRECTIONAL"),
        ({"Manufacturer": SIEMENS}, {(0x0019, 0x100D): ("LO", "other")}, ""),
        ({"Manufacturer": PHILIPS}, {(0x2001, 0x1004): ("CS", "I")}, "ISOTROPIC"),
        ({"Manufacturer": PHILIPS}, {(0x2001, 0x1004): ("CS", "O")}, ""),
        ({"Manufacturer": GE}, {(0x0043, 0x1030): ("SS", 14)}, "ISOTROPIC"),
        ({"Manufacturer": GE}, {(0x0043, 0x1030): ("SS", 3)}, ""),
        ({}, {}, ""),
    ],
)
def test_directionality(attributes, private, expected):
    assert directionality(header(private, **attributes)) == expected


def test_directions_tell_images_apart():
    one = header(DiffusionGradientOrientation=[1.0, 0.0, 0.0])
    two = header(DiffusionGradientOrientation=[0.0, 1.0, 0.0])
    philips = header({(0x2005, 0x10B0): ("FL", 0.5), (0x2005, 0x10B1): ("FL", 0.25)})
    siemens = header({(0x0019, 0x100E): ("FD", [0.1, 0.2, 0.3])})
    assert len({direction(h) for h in (one, two, philips, siemens)}) == 4
    assert direction(header()) is None
