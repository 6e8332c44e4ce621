"""The answer of a DICOMweb service to a store request (PS3.18 10.5.3 and I.2).

The module of the answer says which objects were stored (Referenced SOP Sequence) and which were
not (Failed SOP Sequence); the HTTP status alone proves nothing. Services write it as DICOM JSON,
as an object or as a list of objects, or as XML.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from pelvimets.io.pacs.outcome import StoreOutcome, reason_text

_STORED, _FAILED = "00081199", "00081198"
_INSTANCE, _WARNING, _FAILURE = "00081155", "00081196", "00081197"
_Item = dict[str, Any]  # value by tag; of sequences a list of items


class NoStoreAnswerError(ValueError):
    """The body is no answer to a store request; the message says what it is."""


def parse_store_answer(body: bytes, content_type: str) -> StoreOutcome:
    """What a service says that it stored.

    Raises:
        NoStoreAnswerError: if the body holds no such answer.
    """
    if not body.strip():
        raise NoStoreAnswerError("an empty answer")
    outcome = StoreOutcome()
    for answer in _answers(body, content_type):
        for item in answer.get(_STORED, []):
            warning = item.get(_WARNING)
            outcome.warnings[_uid(item)] = "" if not warning else reason_text(warning)
        for item in answer.get(_FAILED, []):
            outcome.failures[_uid(item)] = reason_text(item.get(_FAILURE))
    for uid in outcome.failures:
        outcome.warnings.pop(uid, None)
    return outcome


def _uid(item: _Item) -> str:
    return str(item.get(_INSTANCE, "")).strip(" \0")


def _answers(body: bytes, content_type: str) -> list[_Item]:
    kind = content_type.partition(";")[0].strip().lower()
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    try:
        if kind.endswith("json") or (start in b"{[" and not kind.endswith("html")):
            return _of_json(json.loads(body))
        if kind.endswith("xml") and not kind.endswith("xhtml+xml"):
            return [_of_xml(ElementTree.fromstring(body))]
    except (ValueError, TypeError, AttributeError, ElementTree.ParseError) as error:
        raise NoStoreAnswerError(f"an answer that cannot be read ({kind or 'no type'})") from error
    raise NoStoreAnswerError(f"a page of another kind ({kind or 'no type'})")


def _of_json(plain: Any) -> list[_Item]:
    """Items of an object, or of a list of objects."""
    objects = plain if isinstance(plain, list) else [plain]
    return [{tag: _json_value(element) for tag, element in item.items()} for item in objects]


def _json_value(element: Any) -> Any:
    values = element.get("Value") or [None]
    if element.get("vr") == "SQ":
        return [item for value in values if value for item in _of_json(value)]
    return values[0]


def _of_xml(item: ElementTree.Element) -> _Item:
    return {element.get("tag", "").upper(): _xml_value(element) for element in _children(item)}


def _children(item: ElementTree.Element) -> Iterator[ElementTree.Element]:
    return (child for child in item if child.tag.rpartition("}")[2] == "DicomAttribute")


def _xml_value(element: ElementTree.Element) -> Any:
    if element.get("vr") == "SQ":
        return [_of_xml(child) for child in element if child.tag.rpartition("}")[2] == "Item"]
    values = [c.text or "" for c in element if c.tag.rpartition("}")[2] == "Value"]
    text = values[0].strip() if values else ""
    return int(text) if element.get("vr") in ("US", "UL") and text else text
