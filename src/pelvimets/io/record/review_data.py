"""A review as plain data and back; the published schema is ``review.schema.json``."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from pelvimets.core.review import Review
from pelvimets.core.schema import check_schema, plain
from pelvimets.labels import Bone

REVIEW_VERSION = "1.1"
NOTICE = "Research use only. Not a medical device; not for diagnosis or treatment."


@cache
def review_schema() -> dict[str, Any]:
    """The published JSON Schema of ``review.json``."""
    path = resources.files("pelvimets.resources") / "schemas" / "review.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def review_to_dict(review: Review) -> dict[str, Any]:
    """Plain data of a review, valid under the published schema."""
    bones = {s.value: [bone.key for bone in bones] for s, bones in review.bones.items()}
    head = {"schema": REVIEW_VERSION, "notice": NOTICE}
    return {**head, **plain(review), "bones": bones}


def review_from_dict(data: dict[str, Any]) -> Review:
    """Rebuild a review from plain data.

    Raises:
        InputError: if the data do not follow the schema; the first violation is named.
    """
    remedy = "Mend the place named, or move the file away to begin anew"
    check_schema(data, review_schema(), "review.json", remedy)
    bones = {s: [Bone[key.upper()] for key in keys] for s, keys in data.get("bones", {}).items()}
    return msgspec.convert({**data, "bones": bones}, Review)
