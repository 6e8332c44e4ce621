"""What somebody judged in the images of a patient: ``annotation.json`` in his folder.

::

    {"dwi": {"judged": ["ilium", "sacrococcyx"],
             "predicted": ["pubis", ...], "by": "first 0.4"}}

A patient without the file, or a sequence that it does not name, was judged as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pelvimets.core.judged import Judged, structure_names
from pelvimets.errors import CohortError, InputError
from pelvimets.io.record.output import write_json
from pelvimets.labels import Sequence

ANNOTATION_NAME = "annotation.json"


def read_judged(folder: Path, sequence: Sequence) -> Judged:
    """Who drew what in one image.

    Raises:
        CohortError: if the file cannot be read or names an unknown structure.
    """
    path = Path(folder) / ANNOTATION_NAME
    if not path.is_file():
        return Judged()
    try:
        data = json.loads(path.read_text(encoding="utf-8")).get(sequence.value)
        return Judged() if data is None else _judged(data)
    except (OSError, ValueError, AttributeError, TypeError, KeyError, InputError) as error:
        raise CohortError(
            f"What was annotated in patient {Path(folder).name} cannot be read",
            got=f"{ANNOTATION_NAME}: {error}",
            remedy='Write {"dwi": {"judged": ["ilium"]}}, or delete the file if all was drawn',
        ) from error


def _judged(data: Mapping[str, Any]) -> Judged:
    named = data["judged"]
    judged = structure_names(named) if named else frozenset()
    predicted = data.get("predicted", [])
    by = data.get("by", "")
    return Judged(judged, structure_names(predicted) if predicted else frozenset(), str(by))


def write_judged(folder: Path, judged: Mapping[Sequence, Judged]) -> None:
    """Keep what was judged; nothing is written where all of it was drawn by a person."""
    partial = {
        sequence.value: {
            "judged": sorted(own.structures),
            "predicted": sorted(own.predicted),
            "by": own.by,
        }
        for sequence, own in judged.items()
        if not own.whole or own.predicted
    }
    if partial:
        write_json(Path(folder) / ANNOTATION_NAME, partial)
