"""A review as plain data and back; the published schema is ``review.schema.json``."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from pelvimets.core.review import LesionReview, Origin, Review, Verdict
from pelvimets.core.schema import check_schema
from pelvimets.labels import Bone, Sequence

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
    return {
        "schema": REVIEW_VERSION,
        "notice": NOTICE,
        "findings_sha256": review.findings_sha256,
        "started": review.started,
        "changed": review.changed,
        "signed": review.signed,
        "reader": review.reader,
        "comment": review.comment,
        "verified": review.verified,
        "organisation": review.organisation,
        "bones": {s.value: [bone.key for bone in bones] for s, bones in review.bones.items()},
        "lesions": [_entry_to_dict(entry) for entry in review.lesions],
    }


def review_from_dict(data: dict[str, Any]) -> Review:
    """Rebuild a review from plain data.

    Raises:
        InputError: if the data do not follow the schema; the first violation is named.
    """
    remedy = "Mend the place named, or move the file away to begin anew"
    check_schema(data, review_schema(), "review.json", remedy)
    return Review(
        findings_sha256=data["findings_sha256"],
        started=data["started"],
        changed=data["changed"],
        lesions=tuple(_entry_from_dict(entry) for entry in data["lesions"]),
        reader=data["reader"],
        comment=data["comment"],
        signed=data["signed"],
        verified=data.get("verified", False),
        organisation=data.get("organisation", ""),
        bones={
            Sequence(s): tuple(Bone[key.upper()] for key in keys)
            for s, keys in data.get("bones", {}).items()
        },
    )


def _entry_to_dict(entry: LesionReview) -> dict[str, Any]:
    return {
        "number": entry.number,
        "tracking_uid": entry.tracking_uid,
        "origin": entry.origin.value,
        "labels": {s.value: label for s, label in entry.labels.items()},
        "verdict": entry.verdict.value,
        "note": entry.note,
        "edited": [s.value for s in entry.edited],
    }


def _entry_from_dict(data: dict[str, Any]) -> LesionReview:
    return LesionReview(
        number=data["number"],
        tracking_uid=data["tracking_uid"],
        origin=Origin(data["origin"]),
        labels={Sequence(s): label for s, label in data["labels"].items()},
        verdict=Verdict(data["verdict"]),
        note=data["note"],
        edited=tuple(Sequence(s) for s in data["edited"]),
    )
