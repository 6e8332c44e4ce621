"""What became of the objects of one transfer."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from pelvimets.errors import InputError, MissingExtraError, OutputError


@dataclass
class StoreOutcome:
    """What a PACS says of the objects it was sent, by SOP Instance UID.

    Attributes:
        warnings: Of each object stored; empty where it was stored as it is.
        failures: Reasons of those refused. An object in neither was not confirmed.
        stopped: Why the transfer ended before its end, if it did.
        passing: Objects whose failure may have passed when they are sent again.
    """

    warnings: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    stopped: str = ""
    passing: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Received:
    """One object of a study, byte for byte as it came."""

    sop_instance_uid: str
    content: bytes

    def dataset(self) -> Dataset:
        """The object, read."""
        return pydicom.dcmread(BytesIO(self.content))


@dataclass(frozen=True)
class FetchOutcome:
    """What came of a study, by SOP Instance UID, and what did not.

    ``passing`` says that what is missing may come when the study is asked for again.
    """

    objects: tuple[Received, ...]
    missing: tuple[str, ...] = ()
    passing: bool = False


_REASONS = {
    0x0110: "processing failure",
    0x0111: "an object of this UID is there already",
    0x0117: "invalid UID",
    0x0122: "this kind of object is not supported",
    0x0124: "not authorised",
    0xA7: "out of resources",
    0xA8: "move destination unknown",
    0xA9: "object does not match its class",
    0xC0: "cannot be understood",
    0xB000: "some attributes were changed",
    0xB006: "some attributes were discarded",
    0xB007: "it does not match its class",
}


def reason_text(code: Any) -> str:
    """A status or failure reason in words (PS3.4 B.2.3, PS3.7 C, PS3.18 I.2).

    >>> reason_text(0xA700), reason_text(0xB000), reason_text(None)
    ('0xA700, out of resources', '0xB000, some attributes were changed', 'no reason given')
    """
    if not isinstance(code, int):
        return "no reason given"
    words = _REASONS.get(code) or _REASONS.get(code >> 8)
    return f"0x{code:04X}" + (f", {words}" if words else "")


def missing_extra(error: ImportError) -> MissingExtraError:
    """The error where the libraries of the ``pacs`` extra are not there."""
    return MissingExtraError(
        "The connection to a PACS is not installed",
        got=error.name,
        remedy="Install it with: pip install 'pelvimets[pacs]'",
    )


class MayPassError(Exception):
    """Mixed into an error of what may have passed when it is tried again."""


class _AwayInputError(MayPassError, InputError):
    """A node that a study should come from does not answer."""


class _AwayOutputError(MayPassError, OutputError):
    """A node that results should go to does not answer."""


def refused(
    kind: type[InputError | OutputError], where: str, reason: object, remedy: str | None = None
) -> InputError | OutputError:
    """The error where a node refuses, and will do so again."""
    return kind("The PACS did not do what it was asked", got=f"{where}: {reason}", remedy=remedy)


def unreachable(
    kind: type[InputError | OutputError], where: str, reason: object, remedy: str | None = None
) -> InputError | OutputError:
    """The error where a node does not answer, or breaks off: it may be tried again."""
    away = _AwayInputError if issubclass(kind, InputError) else _AwayOutputError
    return away("The PACS did not do what it was asked", got=f"{where}: {reason}", remedy=remedy)
