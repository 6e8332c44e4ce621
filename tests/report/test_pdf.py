"""The printable report: read back by an independent PDF reader."""

from __future__ import annotations

import dataclasses
import io

import pytest
from PIL import Image
from pypdf import PdfReader

from pelvimets.report import printed
from pelvimets.report.content import LesionCard, ReportContent, Table
from pelvimets.report.pdf import render_pdf
from pelvimets.report.pictures import Picture
from pelvimets.report.printed import page_printer, print_report

NOTICE = "Research use only. Not a medical device."


def picture(caption: str, width: int = 60, height: int = 40) -> Picture:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 10)).save(stream, format="PNG")
    return Picture(stream.getvalue(), caption, caption, width, height)


def content(lesions: int = 2, series: int = 3) -> ReportContent:
    numbers = range(1, lesions + 1)
    return ReportContent(
        title="Bone metastases on pelvic MRI",
        notice=NOTICE,
        header=(("Study", "p<1> & co"), ("DWI", "Größe 6.0 mm")),
        statement="suspicious for M1b in the scanned field",
        statement_detail="2 lesions listed",
        level="suspicious",
        flags=(("review", "left ilium is cut off"),),
        overviews=(picture("DWI, coronal"), picture("DWI, sagittal", 30, 200)),
        lesions=Table(
            "Lesions",
            ("No.", "Bone", "Volume, cm3"),
            tuple((str(n), "left ilium", f"{n}.25") for n in numbers),
            ("Volume, cm3",),
            "No lesion was found.",
        ),
        cards=tuple(
            LesionCard(n, "left ilium", f"{n}.25 cm3", (picture(f"lesion {n} on DWI"),))
            for n in numbers
        ),
        burden=Table("Burden per bone", ("Structure", "Share"), (("ilium", "1.0%"),)),
        free_bones=("right ilium",),
        not_taken=tuple((f"why not {n} " * 30, "ax_t1_" * 20) for n in range(series)),
        signature=(("Reviewed", "by Dr. Ada, signed 2026-03-01 08:05 (UTC+01:00)"),),
        provenance=(("pelvimets", "0.1.0"),),
    )


def text_of(pdf: bytes) -> str:
    pages = PdfReader(io.BytesIO(pdf)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_everything_is_printed():
    text = text_of(render_pdf(content()))
    for part in (
        NOTICE,
        "Bone metastases on pelvic MRI",
        "p<1> & co",
        "Größe 6.0 mm",
        "Suspicious for M1b in the scanned field",
        "left ilium is cut off",
        "2.25",
        "DWI, coronal",
        "lesion 2 on DWI",
        "Burden per bone",
        "1.0%",
        "lumbar vertebra",
        "0.1.0",
        "by Dr. Ada, signed 2026-03-01 08:05",
        "No lesion marked: right ilium.",
        "why not 0",
    ):
        assert part in text, part


def test_every_picture_is_inside():
    reader = PdfReader(io.BytesIO(render_pdf(content(lesions=3))))
    assert sum(len(page.images) for page in reader.pages) >= 3
    named = text_of(render_pdf(content(lesions=3)))
    assert all(f"lesion {n} on DWI" in named for n in (1, 2, 3))


def test_no_lesion_is_said():
    text = text_of(render_pdf(content(lesions=0)))
    assert "No lesion was found." in text
    assert "Each lesion" not in text


def test_long_tables_run_over_pages_with_their_head():
    reader = PdfReader(io.BytesIO(render_pdf(content(lesions=90))))
    heads = sum("Volume, cm3" in page.extract_text() for page in reader.pages)
    assert len(reader.pages) > 3
    assert heads >= 2
    assert all("Research use only" in page.extract_text() for page in reader.pages)


def test_same_content_same_bytes_and_fonts_inside():
    first = render_pdf(content())
    assert first == render_pdf(content())
    assert first.startswith(b"%PDF-")
    assert b"BitstreamVera" in first
    assert PdfReader(io.BytesIO(first)).metadata.title == content().title


@pytest.mark.parametrize("level", ["suspicious", "none", "review", "other"])
def test_every_level_is_set(level):
    assert "Suspicious for M1b" in text_of(render_pdf(dataclasses.replace(content(), level=level)))


def test_an_empty_report_is_a_page():
    bare = dataclasses.replace(content(0), header=(), flags=(), overviews=(), provenance=())
    assert len(PdfReader(io.BytesIO(render_pdf(bare))).pages) >= 1


@pytest.mark.skipif(page_printer() is None, reason="no WeasyPrint (extra pdf) or no Pango")
def test_the_page_itself_is_printed_where_that_can_be_done():
    first = print_report(content())
    assert first == print_report(content())
    text = text_of(first)
    for part in (
        "Suspicious for M1b in the scanned field",
        "p<1> & co",
        "lesion 2 on DWI",
        "page 1 of",
    ):
        assert part in text, part
    assert "WeasyPrint" in PdfReader(io.BytesIO(first)).metadata.producer


def test_without_the_printer_the_same_content_is_set_plainly(monkeypatch):
    monkeypatch.setattr(printed, "page_printer", lambda: None)
    assert print_report(content()) == render_pdf(content())
