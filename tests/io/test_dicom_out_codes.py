"""The codes of the vocabulary against the code systems that pydicom carries."""

import pytest
from pydicom.sr._concepts_dict import concepts

from pelvimets.io.dicom import codes as dicom_codes
from pelvimets.labels import LESION_CODE, Bone

NOT_IN_DICOM = {Bone.LUMBAR_VERTEBRA, Bone.FEMORAL_NECK, Bone.PUBIS}
CODES = [(bone.key, bone.code) for bone in Bone] + [("metastasis", LESION_CODE)]

_TIMES = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]  # dihedral group of order 10 (Verhoeff 1969)
_TIMES += [
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
]
_STEP = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def _verhoeff(identifier: str) -> int:
    """0 for an identifier whose check digit is right, as SNOMED CT demands."""
    check = 0
    for place, digit in enumerate(reversed(identifier)):
        value = int(digit)
        for _ in range(place % 8):
            value = _STEP[value]
        check = _TIMES[check][value]
    return check


def _meanings(scheme: str, value: str) -> set[str]:
    entries = concepts[scheme].values()
    return {found[value][0].lower() for found in entries if value in found}


@pytest.mark.parametrize(("name", "code"), CODES, ids=[name for name, _ in CODES])
def test_snomed_identifiers_have_a_right_check_digit(name, code):
    assert code.scheme == "SCT"
    assert _verhoeff(code.value) == 0


def test_the_check_digit_finds_an_error():
    assert _verhoeff("22356006") != 0


@pytest.mark.parametrize(("name", "code"), CODES, ids=[name for name, _ in CODES])
def test_codes_mean_in_dicom_what_they_mean_here(name, code):
    known = _meanings("SCT", code.value)
    if name in {bone.key for bone in NOT_IN_DICOM}:
        assert not known, f"DICOM now has {code.value}: take its meaning"
    else:
        assert code.meaning.lower() in known


def test_codes_of_the_report_are_those_of_dicom():
    coded = [v for v in vars(dicom_codes).values() if isinstance(v, dicom_codes.CodedConcept)]
    public = [c for c in coded if c.scheme_designator in ("SCT", "DCM", "LN")]
    assert len(public) > 12
    for code in public:
        known = _meanings(code.scheme_designator, code.value)
        assert code.meaning.lower() in known, code


def test_private_codes_name_their_scheme():
    private = [
        v
        for v in vars(dicom_codes).values()
        if isinstance(v, dicom_codes.CodedConcept) and v.scheme_designator.startswith("99")
    ]
    assert {c.scheme_designator for c in private} == {"99PELVIMETS"}
    assert len({c.value for c in private}) == len(private)
    assert all(len(c.value) <= 16 for c in private)
