"""Names in every alphabet, under every spelling of their character set, come out as they are."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from dicom_samples import block, item, t1
from pydicom.dataset import Dataset

from pelvimets.io.dicom.identity import persons
from pelvimets.io.dicom.scan import read_header, scan
from pelvimets.io.dicom.text import UNICODE, in_unicode

LENGTH = 60
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
KOREAN = (
    b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
)
HALF_WIDTH = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J"


def in_jis(text: str) -> bytes:
    """Each component of a name with its own escape sequences (PS3.5 H.3)."""
    groups = [[part.encode("iso2022_jp") for part in g.split("^")] for g in text.split("=")]
    return b"=".join(b"^".join(group) for group in groups)


def latin(part: int, name: str) -> tuple[str, bytes]:
    return name, name.encode(f"iso8859-{part}")


NAMES = {
    "ascii": ("Smith^John", b"Smith^John"),
    "western": latin(1, "Müller^Jörg"),
    "central": latin(2, "Dvořák^Jiří"),
    "south": latin(3, "Ċetta^Ġorġ"),
    "north": latin(4, "Bērziņš^Jānis"),
    "cyrillic": latin(5, "Иванов^Пётр"),
    "arabic": latin(6, "قباني^لنزار"),
    "greek": latin(7, "Διονυσιος^Νικος"),
    "hebrew": latin(8, "שרון^דבורה"),
    "turkish": latin(9, "Çelik^Ağrı"),
    "thai": latin(11, "สมชาย^ใจดี"),
    "latin 9": latin(15, "Œuvre^Žan€"),
    "utf-8": ("Wang^XiaoDong=王^小東", "Wang^XiaoDong=王^小東".encode()),
    "gb18030": ("Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小东".encode("gb18030")),
    "gbk": ("Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小东".encode("gbk")),
    "kanji": (JAPANESE, in_jis(JAPANESE)),
    "half-width": ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", HALF_WIDTH),
    "katakana": ("ﾔﾏﾀﾞ^ﾀﾛｳ", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3"),
    "korean": ("Hong^Gildong=洪^吉洞=홍^길동", KOREAN),
}
LEGAL = [
    ("", "ascii"),
    ("ISO_IR 100", "western"),
    ("ISO_IR 101", "central"),
    ("ISO_IR 109", "south"),
    ("ISO_IR 110", "north"),
    ("ISO_IR 144", "cyrillic"),
    ("ISO_IR 127", "arabic"),
    ("ISO_IR 126", "greek"),
    ("ISO_IR 138", "hebrew"),
    ("ISO_IR 148", "turkish"),
    ("ISO_IR 166", "thai"),
    ("ISO_IR 203", "latin 9"),
    ("ISO_IR 13", "katakana"),
    ("ISO_IR 192", "utf-8"),
    ("GB18030", "gb18030"),
    ("GBK", "gbk"),
    ("ISO 2022 IR 6", "ascii"),
    ("ISO 2022 IR 100", "western"),
    ("ISO 2022 IR 101", "central"),
    ("ISO 2022 IR 144", "cyrillic"),
    ("ISO 2022 IR 126", "greek"),
    ("ISO 2022 IR 166", "thai"),
    ("\\ISO 2022 IR 87", "kanji"),
    ("ISO 2022 IR 6\\ISO 2022 IR 87", "kanji"),
    ("\\ISO 2022 IR 87\\ISO 2022 IR 159", "kanji"),
    ("ISO 2022 IR 13\\ISO 2022 IR 87", "half-width"),
    ("\\ISO 2022 IR 149", "korean"),
    ("ISO 2022 IR 100\\ISO 2022 IR 87", "western"),
]
WRONG = [
    ("ISO_IR 6", "ascii"),
    ("ASCII", "ascii"),
    ("ISO-IR 100", "western"),
    ("ISO IR 100", "western"),
    ("ISO_IR_100", "western"),
    ("iso_ir 100", "western"),
    ("ISO_IR100", "western"),
    ("IR 100", "western"),
    ("ISO 8859-1", "western"),
    ("ISO8859-1", "western"),
    ("ISO_8859-2", "central"),
    ("latin1", "western"),
    ("WINDOWS-1252", "western"),
    ("", "western"),
    ("ISO_IR 6", "western"),
    ("NONSENSE", "western"),
    ("ISO_IR 999", "western"),
    ("ISO_IR 100\\ISO_IR 100", "western"),
    ("UTF-8", "utf-8"),
    ("utf8", "utf-8"),
    ("ISO_IR_192", "utf-8"),
    ("ISO 2022 IR 192", "utf-8"),
    ("", "utf-8"),
    ("NONSENSE", "utf-8"),
    ("ISO_IR 192", "western"),
    ("GB2312", "gb18030"),
    ("gb18030", "gb18030"),
    ("ISO 2022 IR 87", "kanji"),
    ("ISO_IR 87", "kanji"),
    ("ISO-2022-IR-87", "kanji"),
    ("\\ISO2022 IR 87", "kanji"),
    ("ISO_IR 6\\ISO 2022 IR 87", "kanji"),
    ("", "kanji"),
    ("ISO_IR 192", "kanji"),
    ("Shift_JIS", "katakana"),
    ("ISO 2022 IR 149", "korean"),
    ("", "korean"),
]


def padded(text: bytes) -> bytes:
    return text.ljust(LENGTH)


def written_as(character_set: str, text: bytes) -> bytes:
    """A file with these bytes as the patient's name, in a nested item, and as the description."""
    image = t1(block())[0]
    image.SpecificCharacterSet = "ISO_IR 100"
    image.PatientName, image.SeriesDescription = "N" * LENGTH, "D" * LENGTH
    image.ProcedureCodeSequence = item(CodeMeaning="M" * LENGTH)
    stream = io.BytesIO()
    image.save_as(stream, enforce_file_format=True)
    data = stream.getvalue()
    for letter in b"NDM":
        assert data.count(bytes([letter]) * LENGTH) == 1
        data = data.replace(bytes([letter]) * LENGTH, padded(text))
    term = character_set.encode()
    term += b" " * (len(term) % 2)
    start = b"\x08\x00\x05\x00CS"
    assert start + b"\x0a\x00ISO_IR 100" in data
    return data.replace(
        start + b"\x0a\x00ISO_IR 100", start + len(term).to_bytes(2, "little") + term
    )


def read_back(header: Dataset) -> Dataset:
    stream = io.BytesIO()
    header.save_as(stream, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(stream.getvalue()))


@pytest.mark.parametrize(("character_set", "name"), LEGAL + WRONG)
def test_text_is_decoded_and_written_as_unicode(tmp_path: Path, character_set: str, name: str):
    meant, stored = NAMES[name]
    (tmp_path / "image").write_bytes(written_as(character_set, stored))
    header = read_header(tmp_path / "image")
    for found in (header, read_back(header)):
        assert found.SpecificCharacterSet == UNICODE
        assert str(found.PatientName) == meant
        assert found.ProcedureCodeSequence[0].CodeMeaning.strip() == meant
    (series,) = scan(tmp_path).series
    assert series.description == meant


def test_one_patient_under_two_character_sets_is_one(tmp_path: Path):
    meant = NAMES["western"][0]
    for n, (term, coding) in enumerate([("ISO_IR 100", "latin1"), ("ISO_IR 192", "utf-8")]):
        (tmp_path / str(n)).write_bytes(written_as(term, meant.encode(coding)))
    assert len(persons(scan(tmp_path).identities)) == 1


def test_an_item_with_a_character_set_of_its_own(tmp_path: Path):
    image = t1(block())[0]
    image.SpecificCharacterSet = "ISO_IR 144"
    image.PatientName = "Иванов"
    image.ProcedureCodeSequence = item(CodeMeaning="Διονυσιος", SpecificCharacterSet="ISO_IR 126")
    image.save_as(tmp_path / "image", enforce_file_format=True)
    header = read_header(tmp_path / "image")
    assert "SpecificCharacterSet" not in header.ProcedureCodeSequence[0]
    back = read_back(header)
    assert str(back.PatientName) == "Иванов"
    assert back.ProcedureCodeSequence[0].CodeMeaning == "Διονυσιος"


def test_other_elements_stay_as_they_were(tmp_path: Path):
    image = t1(block())[0]
    image.add_new(0x00191001, "LO", "private")
    image.save_as(tmp_path / "image", enforce_file_format=True)
    before = pydicom.dcmread(tmp_path / "image", stop_before_pixels=True)
    after = in_unicode(pydicom.dcmread(tmp_path / "image", stop_before_pixels=True))
    del after.SpecificCharacterSet
    assert after == before
