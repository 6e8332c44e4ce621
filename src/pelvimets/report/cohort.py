"""The patients of a cohort at a glance: a table as CSV, and a page that sorts and filters."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from PIL import Image

from pelvimets.report.content import ReportContent
from pelvimets.report.data import RESEARCH_USE

STATES = ("unread", "begun", "read", "signed", "failed")
_LEVELS = (
    ("suspicious", "suspicious"),
    ("none", "not suspicious"),
    ("review", "needs review"),
    ("failed", "not read"),
)
_COLUMNS = (
    *("patient", "statement", "suspected", "score", "lesions", "volume_cm3"),
    *("flags_for_review", "flags", "review", "reader", "changed"),
)
_THUMBNAIL_PX = 176
_FRONT_VIEWS = (0, 2)  # of the overviews: bones and image


@dataclass(frozen=True)
class PatientRow:
    """One patient.

    Attributes:
        patient: Key.
        statement: On suspicion, or why he could not be read.
        level: ``suspicious``, ``none``, ``review`` or ``failed``.
        score, lesions, volume_cm3: None if he was not read.
        flags: Level and text of each.
        state: One of ``STATES``.
        by, when: Who reviewed him and, in words, when that changed last.
        others: What other readers have done.
        link, picture: Addresses on the page; '' without.
    """

    patient: str
    statement: str
    level: str
    score: float | None = None
    lesions: int | None = None
    volume_cm3: float | None = None
    flags: tuple[tuple[str, str], ...] = ()
    state: str = "unread"
    by: str = ""
    when: str = ""
    others: tuple[str, ...] = ()
    link: str = ""
    picture: str = ""


@dataclass(frozen=True)
class CohortPage:
    """What the page says."""

    title: str
    rows: tuple[PatientRow, ...]
    footer: str
    notice: str = RESEARCH_USE
    levels: tuple[tuple[str, str], ...] = _LEVELS
    states: tuple[str, ...] = STATES


def cohort_row(data: Mapping[str, Any], **more: Any) -> PatientRow:
    """A row from the plain data of ``findings.json``; ``more`` are further attributes."""
    suspicion, lesions = data["m1_suspicion"], data["lesions"]
    suspected = suspicion["suspected"]
    level = "review" if suspected is None else "suspicious" if suspected else "none"
    flags = ((flag["level"], _flag_text(flag)) for flag in data["flags"])
    return PatientRow(
        **{
            "patient": data["patient_key"],
            "statement": suspicion["wording"],
            "level": level,
            "score": suspicion["score"],
            "lesions": len(lesions),
            "volume_cm3": sum(lesion["volume_cm3"] for lesion in lesions),
            "flags": tuple(sorted(flags, key=lambda flag: flag[0] != "review")),
            **more,
        }
    )


def _flag_text(flag: Mapping[str, Any]) -> str:
    where = {"dwi": "DWI: ", "t1": "T1: "}.get(flag["sequence"] or "", "")
    return f"{where}{flag['message']}"


def cohort_csv(rows: Ordered[PatientRow]) -> str:
    """The table as CSV; empty cells where a value does not exist."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow(_cells(row))
    return text.getvalue()


def _cells(row: PatientRow) -> tuple[object, ...]:
    suspected = {"suspicious": True, "none": False}.get(row.level, "")
    volume = "" if row.volume_cm3 is None else round(row.volume_cm3, 3)
    score = "" if row.score is None else round(row.score, 4)
    lesions = "" if row.lesions is None else row.lesions
    for_review = sum(level == "review" for level, _ in row.flags)
    flags = "; ".join(text for _, text in row.flags)
    said = (row.patient, row.statement, suspected, score, lesions, volume, for_review, flags)
    return (*said, row.state, row.by, row.when)


def render_cohort(page: CohortPage, *, offline: bool) -> str:
    """The page; offline it carries its script and style, which its policy names by their hash."""
    environment = Environment(
        loader=PackageLoader("pelvimets.resources", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    inline = _inline() if offline else None
    return environment.get_template("cohort.html.j2").render(page=page, inline=inline)


def _inline() -> dict[str, str]:
    folder = resources.files("pelvimets.resources") / "cohort"
    parts = {"script": "cohort.js", "style": "cohort.css"}
    found = {name: (folder / file).read_text(encoding="utf-8") for name, file in parts.items()}
    return {**found, **{f"{name}_sha256": _sha256(text) for name, text in found.items()}}


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def thumbnail(content: ReportContent) -> bytes | None:
    """Bones and image from the front, side by side, as a small PNG; None without pictures."""
    if len(content.overviews) <= max(_FRONT_VIEWS):
        return None
    parts = []
    for index in _FRONT_VIEWS:
        image = Image.open(io.BytesIO(content.overviews[index].png)).convert("RGB")
        width = max(1, round(image.width * _THUMBNAIL_PX / image.height))
        parts.append(image.resize((width, _THUMBNAIL_PX), Image.Resampling.LANCZOS))
    joined = Image.new("RGB", (sum(part.width for part in parts) + 4, _THUMBNAIL_PX), "white")
    at = 0
    for part in parts:
        joined.paste(part, (at, 0))
        at += part.width + 4
    stream = io.BytesIO()
    joined.quantize(128).save(stream, format="PNG")
    return stream.getvalue()
