"""The HTML report: tables, figures and the table of patients on one page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import jinja2
from markupsafe import Markup

from pelvimets.evaluation.checks import Problem
from pelvimets.evaluation.tables.table import Table

_MIME = {"svg": "image/svg+xml", "png": "image/png"}


@dataclass(frozen=True)
class PageFigure:
    """A figure to show: its heading and its file content."""

    title: str
    kind: str
    content: bytes

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
    case_table: Table | None
    links: Mapping[str, Mapping[str, str]]
    version: str


def render_page(page: Page) -> str:
    """The report as one HTML text; it opens offline."""
    templates = resources.files("pelvimets.resources") / "templates" / "evaluation"
    text = (templates / "report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    tables = [(table, Markup(table.to_html())) for table in page.tables]  # escaped there
    return environment.from_string(text).render(page=page, tables=tables)
