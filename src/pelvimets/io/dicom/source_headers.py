"""Headers of the source images, kept beside the DICOM results.

A corrected result must point to the same images as the first one, long after the study's
files are gone. The headers hold the patient's data, as the DICOM results beside them do.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from pelvimets.errors import InputError, reason
from pelvimets.io.dicom.text import UNICODE
from pelvimets.io.record.output import write_bytes

SOURCE_HEADERS_NAME = "source_headers.json.gz"


def write_source_headers(folder: Path, headers: Mapping[str, Sequence[Dataset]]) -> None:
    """Write headers (no pixels) by Series Instance UID in the DICOM JSON model (PS3.18 F)."""
    plain = {
        uid: [header.to_json_dict(suppress_invalid_tags=True) for header in series]
        for uid, series in headers.items()
    }
    data = gzip.compress(json.dumps(plain).encode(), 6, mtime=0)
    write_bytes(folder / SOURCE_HEADERS_NAME, data)


def read_source_headers(folder: Path) -> dict[str, list[Dataset]]:
    """Read what ``write_source_headers`` wrote.

    Raises:
        InputError: if the file is damaged.
    """
    path = folder / SOURCE_HEADERS_NAME
    try:
        plain = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise InputError(
            "The source headers beside the DICOM results cannot be read",
            got=f"{path.name}: {reason(error)}",
            remedy="Run 'pelvimets predict --dicom' again",
        ) from error
    return {uid: [_header(h) for h in series] for uid, series in plain.items()}


def _header(plain: dict[str, Any]) -> Dataset:
    """A header; JSON is Unicode, whatever character set it was once read in."""
    header = Dataset.from_json(plain)
    header.SpecificCharacterSet = UNICODE
    return header
