"""The HTML report: tables, figures and the table of patients on one page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

import jinja2
from markupsafe import Markup

from pelvimets import __version__
from pelvimets.evaluation.checks import Problem
from pelvimets.evaluation.tables.table import Table

_LONGEST_OPEN = 12
"""Rows of a table that stands open beside the numbered ones."""
_MIME = {"svg": "image/svg+xml", "png": "image/png"}


@dataclass(frozen=True)
class PageFigure:
    """A figure to show.

    Attributes:
        title: Heading.
        kind: ``svg`` or ``png``.
        content: Of the file.
        caption: What it shows and how to read it.
        name: File name without ending, by which the page can be linked to.
    """

    title: str
    kind: str
    content: bytes
    caption: str = ""
    name: str = ""

    @property
    def source(self) -> str:
        """Data address, so that the page needs no further file."""
        return f"data:{_MIME[self.kind]};base64,{base64.b64encode(self.content).decode()}"


@dataclass(frozen=True)
class Page:
    """What the report shows.

    Attributes:
        title, notice: Heading and research-use notice.
        summary: Sentences at the top.
        problems: Warnings and notes.
        tables, figures: In order.
        case_table: Table of patients, whose rows link to pictures; None to leave it out.
        links: Patient -> heading -> address of the picture, relative to the page.
        version: Of the program.
    """

    title: str
    notice: str
    summary: Sequence[str]
    problems: Sequence[Problem]
    tables: Sequence[Table]
    figures: Sequence[PageFigure]
    case_table: Table | None = None
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    version: str = __version__


def _is_folded(table: Table) -> bool:
    """Long tables are folded, so that the page can be read at a glance; Tables 1-5 are not."""
    return len(table.rows) > _LONGEST_OPEN and not table.title.startswith("Table ")


def render_page(page: Page) -> str:
    """The report as one HTML text; it opens offline."""
    templates = resources.files("pelvimets.resources") / "templates" / "evaluation"
    text = (templates / "report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    tables = [  # escaped there
        (table, Markup(table.to_html()), _is_folded(table)) for table in page.tables
    ]
    return environment.from_string(text).render(page=page, tables=tables)
