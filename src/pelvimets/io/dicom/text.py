"""The text of a header, decoded by the character set that it is really written in.

Specific Character Set (0008,0005) has a defined spelling (PS3.3 C.12.1.1.2); headers in archives
hold others as well, name a set that their bytes contradict, or name none. Decoded text leaves
here as Unicode, declared as ISO_IR 192, so that whatever is written from it is UTF-8.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

UNICODE = "ISO_IR 192"
_LATIN_1 = "ISO_IR 100"  # every byte is a letter of it
_CHARACTER_SET = BaseTag(0x00080005)
_TEXT = frozenset({"SH", "LO", "ST", "LT", "UC", "UT", "PN"})
_DELIMITERS = {0x0A, 0x0C, 0x0D, 0x5C, 0x5E, 0x3D}  # each ends a code extension (PS3.5 6.1.2.5.3)
_ESCAPE = b"\x1b"
_EXTENSIONS = ("", *(f"ISO 2022 IR {n}" for n in (87, 159, 13, 149, 58)))
_PARTS = {1: 100, 2: 101, 3: 109, 4: 110, 5: 144, 6: 127, 7: 126, 8: 138, 9: 148, 11: 166, 15: 203}
_KNOWN_NUMBERS = {*_PARTS.values(), 13, 58, 87, 149, 159, 192}
_EXTENDING = {58, 87, 149, 159}  # sets that need code extensions, however they are spelled
_NEVER_FIRST = {f"ISO 2022 IR {n}" for n in _EXTENDING}
_BY_PYTHON = dict.fromkeys(("ISO_IR 203", "ISO 2022 IR 203"), "iso8859_15")  # not by pydicom
_OTHER_NAMES = (
    (r"utf-?8|unicode|utf", UNICODE),
    (r"latin-?1|cp-?1252|windows-?1252", _LATIN_1),
    (r"gb-?18030", "GB18030"),
    (r"gbk|cp-?936|gb-?2312(-?80)?|euc-?cn", "GB18030"),  # of which the others are parts
    (r"shift-?jis|s-?jis|ms-?932|cp-?932|windows-?31j", "ISO_IR 13"),
    (r"euc-?kr|ks-?c-?5601.*|cp-?949", "ISO 2022 IR 149"),
    (r"iso-?2022-?jp", "ISO 2022 IR 87"),
)


def in_unicode(header: Dataset) -> Dataset:
    """The same header with its text decoded, and declared as Unicode; changed in place."""
    _decode(header, encodings_of(header))
    header.SpecificCharacterSet = UNICODE
    return header


def know_text(header: Dataset) -> Dataset:
    """The same header; its text will be decoded rightly when it is looked at."""
    _know(header, encodings_of(header))
    return header


def encodings_of(header: Dataset) -> list[str]:
    """Names in Python of the character sets that the text of a header is written in."""
    declared = _terms(header)
    texts = list(_raw_texts(header))
    escaped = any(_ESCAPE in text for text in texts)
    for terms in (declared, [*_EXTENSIONS] if escaped else [UNICODE], [UNICODE], [_LATIN_1]):
        encodings = _encodings(terms)
        if all(_decodes(text, encodings) for text in texts):
            return encodings
    return _encodings([_LATIN_1])


def _terms(header: Dataset) -> list[str]:
    """The declared character sets as the standard spells them; none declared means ASCII."""
    value = header.get(_CHARACTER_SET)
    stated = [] if value is None or value.value is None else value.value
    given = [stated] if isinstance(stated, str) else [str(term) for term in stated]
    terms = [_term(text) for text in given]
    known = [term for n, term in enumerate(terms) if term is not None and (term or n == 0)]
    only_extends = bool(known) and known[0] in _NEVER_FIRST
    return ["", *known] if only_extends or not known else known


def _term(text: str) -> str | None:
    """A defined term, '' for ASCII, None for what names no character set.

    >>> _term("iso-ir 100"), _term("ISO2022 IR-87"), _term("UTF8"), _term("ISO 8859-2")
    ('ISO_IR 100', 'ISO 2022 IR 87', 'ISO_IR 192', 'ISO_IR 101')
    """
    plain = re.sub(r"[\s_\-]+", "-", text.strip(" \0").lower())
    if plain in ("", "iso-ir-6", "iso-2022-ir-6", "ascii", "us-ascii", "iso-646"):
        return ""
    if match := re.fullmatch(r"(?:iso)?-?(2022)?-?ir-?(\d+)", plain):
        number = int(match[2])
        if number not in _KNOWN_NUMBERS:
            return None
        extended = (match[1] or number in _EXTENDING) and number != 192
        return f"ISO {match[1] or 2022} IR {number}" if extended else f"ISO_IR {number}"
    if match := re.fullmatch(r"iso-?8859-?(\d+)", plain):
        number = _PARTS.get(int(match[1]), 0)
        return f"ISO_IR {number}" if number else None
    return next((term for name, term in _OTHER_NAMES if re.fullmatch(name, plain)), None)


def _encodings(terms: Sequence[str]) -> list[str]:
    if list(terms) == [""]:
        return ["ascii"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cannot extend the first is left out
        return convert_encodings([_BY_PYTHON.get(term, term) for term in terms])


def _raw_texts(header: Dataset) -> Iterator[bytes]:
    """Values of text elements that are not decoded yet and are more than ASCII."""
    for tag in list(header.keys()):  # iterating a data set decodes its elements
        element = header.get_item(tag)
        if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
            continue
        special = not element.value.isascii() or _ESCAPE in element.value
        if special and _kind(element) in _TEXT:
            yield element.value


def _kind(element: RawDataElement) -> str:
    if element.VR not in (None, "UN"):
        return str(element.VR)
    try:
        return dictionary_VR(element.tag)
    except KeyError:
        return ""


def _decodes(text: bytes, encodings: list[str]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pydicom warns where it puts in replacements
            decode_bytes(text, encodings, _DELIMITERS)
    except (UnicodeError, LookupError, Warning):
        return False
    return True


def _know(header: Dataset, encodings: list[str]) -> None:
    implicit, little = header.original_encoding
    header.set_original_encoding(implicit, little, encodings)


def _decode(header: Dataset, encodings: list[str]) -> None:
    """Decode all text, of nested items too; what is damaged otherwise stays as it is."""
    _know(header, encodings)
    for tag in list(header.keys()):
        element = header.get_item(tag)
        kind = _kind(element) if isinstance(element, RawDataElement) else str(element.VR)
        if kind not in _TEXT and kind != "SQ":
            continue
        value = header[tag].value
        for item in value if kind == "SQ" else ():
            own = _encodings(_terms(item)) if _CHARACTER_SET in item else encodings
            _decode(item, own)
            item.pop(_CHARACTER_SET, None)


@contextmanager
def names_as_given() -> Iterator[None]:
    """Copy person names without a word on their form: pseudonyms often have one part only.

    The word would show the name.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The string .* is unlikely to represent")
        yield
