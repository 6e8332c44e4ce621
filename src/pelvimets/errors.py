"""The errors a user can meet.

Every message says what is wrong, the value that was found, and what to do::

    PelvimetsError
    +-- InputError            the input cannot be read as a pelvic MR study
    |   +-- ArchiveError      a zip that is hostile, truncated or too large
    |   +-- GeometryError     gap, mixed orientation or size, grids that do not match
    |   +-- SelectionError    no series serves, or the one asked for is not there
    |   +-- CohortError       a cohort folder that contradicts itself
    +-- OutputError           the result cannot be written where it was asked for
    +-- BundleError           a model bundle that is missing, damaged or too new
    +-- ResourceError         not enough memory or disk for the work
    +-- SettingsError         a setting outside its range
    +-- MissingExtraError     an optional part of the package is not installed
    +-- VerificationError     a result that failed the check of itself
    +-- ReviewError           a step of a review that its state does not allow
        +-- ReviewConflictError   the review was changed elsewhere in the meantime

The command line exits with 1 on each of these, with 2 on a usage error.

Messages end in logs. The names of a user's files and folders may hold a patient's name, so a
message shows none but those that this package gives itself (``shown``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

_OWN_NAMES = re.compile(
    r"(?:dwi|t1|adc)(?:_(?:bones|lesions|mimics|seg))?\.(?:nii|nii\.gz|dcm)|(?:sr|report)\.dcm"
    r"|(?:findings|run|review|results|dataset|splits_final|cohort|patient|acquisition|annotation)\.json"
    r"|(?:lesions|patients|flow)\.csv|report\.html|source_headers\.json\.gz"
    r"|(?:images|labels)(?:Tr|Ts)"
)
_KIND = re.compile(r"(?:\.nii|\.tar)?\.[A-Za-z0-9]{1,5}$")


def shown(path: PurePath) -> str:
    """A file or folder as messages name it: by its name only if this package gave it.

    >>> shown(PurePath("/data/Smith/t1.nii.gz")), shown(PurePath("/data/Smith/smith_t1.nii.gz"))
    ('t1.nii.gz', 'a .nii.gz file')
    >>> shown(PurePath("/data/Smith"))
    'a folder or file whose name is not shown'
    """
    if _OWN_NAMES.fullmatch(path.name):
        return path.name
    kind = _KIND.search(path.name)
    return f"a {kind[0].lower()} file" if kind else "a folder or file whose name is not shown"


def reason(error: Exception) -> str:
    """Why something failed, without the path that an OSError names."""
    words = error.strerror if isinstance(error, OSError) else None
    return words or str(error).strip() or type(error).__name__


class PelvimetsError(Exception):
    """Base of all errors that a message and a remedy can explain.

    Args:
        what: What is wrong, in one clause.
        got: The value that was found, if one was; of a path what ``shown`` makes of it.
        remedy: What the user can do.
    """

    _hides_names = True

    def __init__(self, what: str, *, got: object | None = None, remedy: str | None = None) -> None:
        if isinstance(got, PurePath) and self._hides_names:
            got = shown(got)
        self.what, self.got, self.remedy = what, got, remedy
        super().__init__(self._message())

    def _message(self) -> str:
        message = self.what.rstrip(".")
        if self.got is not None:
            message += f" (got {self.got})"
        message += "."
        if self.remedy:
            message += f" {self.remedy.rstrip('.')}."
        return message


class InputError(PelvimetsError):
    """The input cannot be read as a pelvic MR study."""


class ArchiveError(InputError):
    """A zip archive that is hostile, truncated or too large."""


class GeometryError(InputError):
    """A gap, mixed orientation or size, or grids that do not match."""


class SelectionError(InputError):
    """No series serves, or the one asked for is not there."""


class CohortError(InputError):
    """A cohort folder that contradicts itself."""


class OutputError(PelvimetsError):
    """The result cannot be written where it was asked for."""


class BundleError(PelvimetsError):
    """A model bundle that is missing, damaged or too new."""

    _hides_names = False  # a bundle is of no patient


class ResourceError(PelvimetsError):
    """Not enough memory or disk for the work."""


class SettingsError(PelvimetsError):
    """A setting outside its range."""

    _hides_names = False


class MissingExtraError(PelvimetsError):
    """An optional part of the package is not installed."""


class VerificationError(PelvimetsError):
    """A result that failed the check of itself."""


class ReviewError(PelvimetsError):
    """A step of a review that its state does not allow."""


class ReviewConflictError(ReviewError):
    """The review was changed elsewhere since it was read; nothing was saved."""


def listed(items: Sequence[str], most: int = 20) -> str:
    """Items in one line of a message, a long list cut.

    >>> listed(["a", "b", "c"], most=2)
    'a; b; and 1 more'
    """
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return "; ".join([*items[:most], *more])
