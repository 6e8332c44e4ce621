"""The report on paper: the same page as the HTML, or set plainly where that cannot be done.

WeasyPrint (BSD licence, extra ``pdf``) prints the page itself, by its styles for paper. It needs
the system's Pango, which pip cannot bring to every system; without it ReportLab, which the base
install has, sets the same content in the same order.
"""

from __future__ import annotations

import hashlib
import importlib
from typing import Any

from pelvimets.report.content import ReportContent
from pelvimets.report.html import render_html
from pelvimets.report.pdf import render_pdf


def print_report(content: ReportContent) -> bytes:
    """The report as a PDF file on A4.

    Args:
        content: What the report says and shows.

    Returns:
        The file's bytes; on one machine equal content gives equal bytes.
    """
    printer = page_printer()
    if printer is None:
        return render_pdf(content)
    page = render_html(content)
    inside_only = printer.urls.URLFetcher(allowed_protocols=("data",))
    document = printer.HTML(string=page, url_fetcher=inside_only)
    digest = hashlib.sha256(page.encode()).hexdigest()[:32]
    pdf: bytes = document.write_pdf(pdf_identifier=digest.encode(), presentational_hints=False)
    return pdf


def page_printer() -> Any:
    """WeasyPrint, or None where it or the system's Pango is missing."""
    try:
        importlib.import_module("weasyprint.urls")
        return importlib.import_module("weasyprint")
    except (ImportError, OSError):  # OSError: the libraries of the system
        return None
