"""Everything that an evaluation writes: tables, figures, results and the report."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import asdict
from functools import partial
from pathlib import Path

from pelvimets import __version__
from pelvimets.evaluation.figures import looks
from pelvimets.evaluation.figures.whole import evaluation_figures
from pelvimets.evaluation.measured import Measured
from pelvimets.evaluation.measures.case import LESIONS
from pelvimets.evaluation.report.captions import caption_of
from pelvimets.evaluation.report.claim import claim_table
from pelvimets.evaluation.report.headlines import headlines
from pelvimets.evaluation.report.methods import methods_text
from pelvimets.evaluation.report.page import Page, PageFigure, render_page
from pelvimets.evaluation.report.plain import NOTICE, NOTICE_IN_SILICO, results_to_dict
from pelvimets.evaluation.report.run_facts import facts_of_run
from pelvimets.evaluation.results import CohortResults
from pelvimets.evaluation.tables.cohort import cohort_tables
from pelvimets.evaluation.tables.table import Table
from pelvimets.io.cohort.pictures import kept_picture, picture_name
from pelvimets.io.record.output import write_json, write_text
from pelvimets.io.record.results import CaseStore, write_figures, write_tables
from pelvimets.labels import Sequence


def write_evaluation(
    folder: Path,
    results: CohortResults,
    measured: Measured,
    store: CaseStore,
    *,
    extra_tables: Ordered[Table] = (),
    figures: bool = True,
) -> None:
    """Write all files of an evaluation into an existing folder.

    Args:
        folder: Staged by the caller.
        results: The figures.
        measured: The patients they were made from.
        store: Where the patients' pictures lie.
        extra_tables: Shown first, for example values of the paper.
        figures: Draw the figures.
    """
    facts = facts_of_run(measured)
    tables = (*extra_tables, *cohort_tables(results, measured.cases), claim_table(results, facts))
    write_tables(folder / "tables", tables)
    written: dict[str, dict[str, bytes]] = {}
    if figures:
        with looks():
            drawn = evaluation_figures(results, measured, partial(kept_picture, store))
            written = write_figures(folder / "figures", drawn)
    links = _keep_pictures(folder, results, store)
    write_text(folder / "methods.md", methods_text(results, facts))
    write_json(folder / "results.json", results_to_dict(results, __version__))
    write_json(
        folder / "run.json",
        {"pelvimets": __version__, "settings": asdict(results.settings)},
    )
    page = Page(
        title=results.title,
        notice=NOTICE_IN_SILICO if results.settings.in_silico else NOTICE,
        summary=(_sentence(results), *headlines(results)),
        problems=results.problems,
        tables=[table for table in tables if table.key != "cases"],
        figures=[_page_figure(name, contents) for name, contents in written.items()],
        case_table=next((table for table in tables if table.key == "cases"), None),
        links=links,
    )
    write_text(folder / "report.html", render_page(page))


def _sentence(results: CohortResults) -> str:
    m1 = sum(fact.m_stage == "M1" for fact in results.facts)
    return f"{len(results.facts)} patients evaluated, {m1} of them with bone metastases."


def _page_figure(name: str, contents: Mapping[str, bytes]) -> PageFigure:
    caption = caption_of(name)
    return PageFigure(caption.title, "svg", contents["svg"], caption.text, name)


def _keep_pictures(
    folder: Path, results: CohortResults, store: CaseStore
) -> dict[str, dict[str, str]]:
    """Copy the pictures; addresses by 'patient|sequence title' and heading."""
    links: dict[str, dict[str, str]] = {}
    for fact in results.facts:
        for sequence in Sequence:
            for kind in ("bones", LESIONS):
                name = picture_name(fact.patient, sequence, kind)
                if store.copy_picture(name, folder / "overlays"):
                    own = links.setdefault(f"{fact.patient}|{sequence.title}", {})
                    own[kind] = f"overlays/{name}"
    return links
