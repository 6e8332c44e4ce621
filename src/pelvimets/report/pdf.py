"""The report as PDF without more than the base install: what ``printed`` falls back to.

Set with ReportLab (BSD licence) from the same plain data as the HTML. The bytes depend on
the content alone: no date, no identifier of the run. Fonts are embedded (Bitstream Vera).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    Image,
    KeepTogether,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    TableStyle,
)
from reportlab.platypus import Table as Grid

from pelvimets.report.content import LesionCard, ReportContent, Table
from pelvimets.report.pictures import Picture, legend

_MARGIN = 16 * mm
_WIDTH = A4[0] - 2 * _MARGIN
_GAP = 1.5 * mm
_FRAME_PADDING = 6  # points that ReportLab keeps free inside a frame
_PER_ROW = {"overview": 4, "card": 6}
_TALLEST = {"overview": 62 * mm, "card": 30 * mm}
_SHORTEST_COLUMN, _LONGEST_COLUMN = 8, 34  # characters that a column is given room for

_INK, _SOFT, _LINE = HexColor("#1c2127"), HexColor("#5b6672"), HexColor("#d9dee3")
_BAND, _NOTICE = HexColor("#f4f6f8"), HexColor("#fff4d6")
_STATEMENT = {
    "suspicious": HexColor("#b3261e"),
    "none": HexColor("#2a6b3f"),
    "review": HexColor("#8a5a00"),
}


def render_pdf(content: ReportContent) -> bytes:
    """The report as a PDF file on A4.

    Args:
        content: What the report says and shows.

    Returns:
        The file's bytes; equal content gives equal bytes.
    """
    _register_fonts()
    stream = io.BytesIO()
    document = SimpleDocTemplate(
        stream,
        pagesize=A4,
        leftMargin=_MARGIN - _FRAME_PADDING,
        rightMargin=_MARGIN - _FRAME_PADDING,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN + 6 * mm,
        title=content.title,
        author="pelvimets",
        subject=content.notice,
        lang="en",
        invariant=1,
    )

    def footer(canvas: Canvas, _: Any) -> None:
        _draw_footer(canvas, content)

    document.build(_story(content), onFirstPage=footer, onLaterPages=footer)
    return stream.getvalue()


@cache
def _register_fonts() -> None:
    for name, file in (("Vera", "Vera.ttf"), ("VeraBd", "VeraBd.ttf")):
        pdfmetrics.registerFont(TTFont(name, file))
    pdfmetrics.registerFontFamily("Vera", normal="Vera", bold="VeraBd")


def _draw_footer(canvas: Canvas, content: ReportContent) -> None:
    canvas.saveState()
    canvas.setFont("Vera", 7)
    canvas.setFillColor(_SOFT)
    canvas.drawString(_MARGIN, _MARGIN - 2 * mm, content.footer)
    canvas.drawRightString(A4[0] - _MARGIN, _MARGIN - 2 * mm, f"page {canvas.getPageNumber()}")
    canvas.restoreState()


def _story(content: ReportContent) -> list[Flowable]:
    story: list[Flowable] = [
        _box(content.notice, _NOTICE, _style(bold=True, size=8.5)),
        Spacer(0, 4 * mm),
        _text(content.title, size=16, bold=True),
        Spacer(0, 2 * mm),
        _statement(content),
        _pairs(content.signature),
        Spacer(0, 3 * mm),
        _pairs(content.header),
        *_flags(content.flags),
        *_table(content.lesions),
    ]
    if content.overviews:
        overview = _pictures(content.overviews, "overview")
        story += [_heading("Overview", overview[0]), *overview[1:], _legend()]
    for number, card in enumerate(content.cards):
        story.append(_card(card, first=number == 0))
    return [
        *story,
        *_table(content.burden),
        *_left_out(content),
        Spacer(0, 6 * mm),
        _pairs(content.provenance),
    ]


def _left_out(content: ReportContent) -> list[Flowable]:
    """Bones without a lesion, and the series that were not read."""
    free = ", ".join(content.free_bones)
    lines: list[Flowable] = [_text(f"No lesion marked: {free}.", size=7.5)] if free else []
    rows = [
        _text(f"{names}: {reason}", size=7, colour=_SOFT) for reason, names in content.not_taken
    ]
    return lines + ([_heading("Other series of the study", rows[0]), *rows[1:]] if rows else [])


def _style(
    size: float = 8.5, *, bold: bool = False, colour: Color = _INK, right: bool = False
) -> ParagraphStyle:
    return ParagraphStyle(
        "text",
        fontName="VeraBd" if bold else "Vera",
        fontSize=size,
        leading=size * 1.35,
        textColor=colour,
        splitLongWords=True,
        **({"alignment": TA_RIGHT} if right else {}),
    )


def _text(text: str, **style: Any) -> Paragraph:
    return Paragraph(escape(text), _style(**style))


def _box(text: str, fill: Color, style: ParagraphStyle) -> Grid:
    grid = Grid([[Paragraph(escape(text), style)]], colWidths=[_WIDTH])
    grid.setStyle(TableStyle([("BACKGROUND", (0, 0), (-1, -1), fill)]))
    return grid


def _heading(text: str, first: Flowable) -> KeepTogether:
    """A heading that stays with what follows it."""
    return KeepTogether(
        [Spacer(0, 5 * mm), _text(text, size=11.5, bold=True), Spacer(0, 2 * mm), first]
    )


def _pairs(pairs: Iterable[tuple[str, str]]) -> Flowable:
    rows = [[_text(name, colour=_SOFT), _text(value)] for name, value in pairs]
    if not rows:
        return Spacer(0, 0)
    grid = Grid(rows, colWidths=[30 * mm, _WIDTH - 30 * mm])
    grid.setStyle(TableStyle([*_FLUSH, ("VALIGN", (0, 0), (-1, -1), "TOP")]))
    return grid


_FLUSH = (
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 1),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
)


def _statement(content: ReportContent) -> Grid:
    colour = _STATEMENT.get(content.level, _SOFT)
    statement = content.statement[:1].upper() + content.statement[1:]
    grid = Grid(
        [[[_text(statement, size=13, bold=True, colour=colour), _text(content.statement_detail)]]],
        colWidths=[_WIDTH],
    )
    grid.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), _BAND),
                ("LINEBEFORE", (0, 0), (0, -1), 4, colour),
                ("LEFTPADDING", (0, 0), (-1, -1), 10),
                ("TOPPADDING", (0, 0), (-1, -1), 7),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 7),
            ]
        )
    )
    return grid


def _flags(flags: Sequence[tuple[str, str]]) -> list[Flowable]:
    if not flags:
        return []
    rows = [
        [_text(level, bold=True, colour=_STATEMENT.get(level, _SOFT)), _text(message)]
        for level, message in flags
    ]
    grid = Grid(rows, colWidths=[18 * mm, _WIDTH - 18 * mm])
    grid.setStyle(TableStyle([*_FLUSH, ("VALIGN", (0, 0), (-1, -1), "TOP")]))
    return [Spacer(0, 3 * mm), grid]


def _table(table: Table) -> list[Flowable]:
    if not table.rows:
        return [_heading(table.title, _text(table.empty))]
    right = [column in table.numeric for column in table.columns]
    head = [_text(c, bold=True, colour=_SOFT, size=7.5, right=r) for c, r in _zip(table, right)]
    body = [
        [_text(cell, size=7.5, right=r) for cell, r in zip(row, right, strict=True)]
        for row in table.rows
    ]
    grid = Grid([head, *body], colWidths=_column_widths(table), repeatRows=1)
    grid.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, -1), 0.5, _LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 2),
                ("RIGHTPADDING", (0, 0), (-1, -1), 4),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
            ]
        )
    )
    title = [Spacer(0, 5 * mm), _text(table.title, size=11.5, bold=True), Spacer(0, 2 * mm)]
    return [KeepTogether([*title, grid])] if len(body) <= 12 else [*title, grid]


def _zip(table: Table, right: list[bool]) -> Iterable[tuple[str, bool]]:
    return zip(table.columns, right, strict=True)


def _column_widths(table: Table) -> list[float]:
    """Room by the longest text of each column, within bounds, over the page's width."""
    lengths = [
        max(len(word) for word in (column, *(row[n] for row in table.rows)))
        for n, column in enumerate(table.columns)
    ]
    room = [min(max(length, _SHORTEST_COLUMN), _LONGEST_COLUMN) for length in lengths]
    return [_WIDTH * r / sum(room) for r in room]


def _pictures(pictures: Sequence[Picture], kind: str) -> list[Flowable]:
    """Rows of pictures on dark ground, each with its caption below."""
    columns = _PER_ROW[kind]
    width = (_WIDTH - (columns - 1) * _GAP) / columns
    rows = [pictures[n : n + columns] for n in range(0, len(pictures), columns)]
    return [_picture_row(row, columns, width, _TALLEST[kind]) for row in rows]


def _picture_row(row: Sequence[Picture], columns: int, width: float, tallest: float) -> Grid:
    cells: list[Any] = []
    for picture in row:
        scale = min(width / picture.width, tallest / picture.height)
        image = Image(
            io.BytesIO(picture.png), picture.width * scale, picture.height * scale, hAlign="LEFT"
        )
        cells.append([image, _text(picture.caption, size=6.5, colour=_SOFT)])
    cells += [""] * (columns - len(row))
    grid = Grid([cells], colWidths=[width + _GAP] * (columns - 1) + [width])
    grid.setStyle(TableStyle([*_FLUSH, ("VALIGN", (0, 0), (-1, -1), "BOTTOM")]))
    return grid


def _legend() -> Grid:
    """Colours of the bones and of the lesions, five in a row."""
    entries = list(legend().items())
    cells: list[list[Any]] = []
    style: list[Any] = [("VALIGN", (0, 0), (-1, -1), "MIDDLE"), ("TOPPADDING", (0, 0), (-1, -1), 1)]
    for number, (name, colour) in enumerate(entries):
        row, column = divmod(number, _LEGEND_COLUMNS)
        if column == 0:
            cells.append([""] * (2 * _LEGEND_COLUMNS))
        cells[row][2 * column + 1] = _text(name, size=6.5, colour=_SOFT)
        swatch = (2 * column, row)
        style.append(("BACKGROUND", swatch, swatch, Color(*(c / 255 for c in colour))))
        style.append(("BOX", swatch, swatch, 2, white))
    room = _WIDTH / _LEGEND_COLUMNS
    grid = Grid(cells, colWidths=[_SWATCH, room - _SWATCH] * _LEGEND_COLUMNS)
    grid.setStyle(TableStyle(style))
    return grid


_LEGEND_COLUMNS, _SWATCH = 5, 5 * mm


def _card(card: LesionCard, *, first: bool) -> KeepTogether:
    start = [Spacer(0, 5 * mm), _text("Each lesion", size=11.5, bold=True)] if first else []
    return KeepTogether(
        [
            *start,
            Spacer(0, 3 * mm),
            _text(f"{card.number}. {card.title}", size=9.5, bold=True),
            _text(card.facts, size=7.5, colour=_SOFT),
            *([_text(card.note, size=7.5)] if card.note else []),
            Spacer(0, 1.5 * mm),
            *_pictures(card.pictures, "card"),
        ]
    )
