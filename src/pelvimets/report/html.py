"""A report as one HTML file that opens offline: styles and pictures are inside."""

from __future__ import annotations

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from pelvimets.report.content import ReportContent
from pelvimets.report.pictures import Picture, legend


def templates() -> Environment:
    """The packaged templates; everything printed is escaped, and what is missing is an error."""
    environment = Environment(
        loader=PackageLoader("pelvimets.resources", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    return environment


def render_html(content: ReportContent) -> str:
    """The report as HTML; everything printed is escaped."""
    environment = templates()
    environment.filters["css_text"] = _css_text
    colours = {name: "#{:02x}{:02x}{:02x}".format(*rgb) for name, rgb in legend().items()}
    return environment.get_template("report.html.j2").render(report=content, legend=colours)


def _data_uri(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.png).decode("ascii")


def _css_text(text: str) -> Markup:
    """Text inside a CSS string: every character that is no plain letter or digit as its code."""
    plain = (c if (c.isascii() and c.isalnum()) or c == " " else f"\\{ord(c):x} " for c in text)
    return Markup("".join(plain))
