"""Everything that an evaluation writes: tables, figures, results and the report."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from matplotlib.figure import Figure

from pelvimets import __version__
from pelvimets.evaluation.figures import (
    Example,
    bland_altman_figure,
    bone_figure,
    calibration_figure,
    calibration_groups_figure,
    flow_figure,
    froc_figure,
    looks,
    mark_in_silico,
    montage_figure,
    roc_figure,
    violin_figure,
)
from pelvimets.evaluation.figures.examples import case_scores
from pelvimets.evaluation.figures.flow import flow_arms, flow_steps
from pelvimets.evaluation.measured import Measured
from pelvimets.evaluation.measures.case import LESIONS
from pelvimets.evaluation.report.captions import CAPTIONS, caption_of, figure_name
from pelvimets.evaluation.report.claim import claim_table
from pelvimets.evaluation.report.headlines import headlines
from pelvimets.evaluation.report.methods import methods_text
from pelvimets.evaluation.report.page import Page, PageFigure, render_page
from pelvimets.evaluation.report.plain import NOTICE, NOTICE_IN_SILICO, results_to_dict
from pelvimets.evaluation.report.run_facts import RunFacts, run_facts
from pelvimets.evaluation.results import CohortResults
from pelvimets.evaluation.tables.cohort import cohort_tables
from pelvimets.evaluation.tables.table import Table
from pelvimets.io.cohort.pictures import picture_name
from pelvimets.io.record.output import write_json, write_text
from pelvimets.io.record.results import CaseStore, read_picture, write_figures, write_tables
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
            drawn = evaluation_figures(results, measured, store)
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
        version=__version__,
    )
    write_text(folder / "report.html", render_page(page))


_SOFTWARE = ("numpy", "scipy", "scikit-learn", "SimpleITK", "matplotlib")


def facts_of_run(measured: Measured) -> RunFacts:
    """What the records of the predictions, the installation and the flow tell."""
    versions = {"pelvimets": __version__, "Python": platform.python_version()}
    versions |= {name: version(name) for name in _SOFTWARE}
    flow = [(row.step, row.reason, row.patients) for row in measured.flow]
    return run_facts(measured.records, versions, flow)


def _sentence(results: CohortResults) -> str:
    m1 = sum(fact.m_stage == "M1" for fact in results.facts)
    return f"{len(results.facts)} patients evaluated, {m1} of them with bone metastases."


def _page_figure(name: str, contents: Mapping[str, bytes]) -> PageFigure:
    caption = caption_of(name)
    return PageFigure(caption.title, "svg", contents["svg"], caption.text, name)


def evaluation_figures(
    results: CohortResults, measured: Measured, store: CaseStore
) -> dict[str, Figure]:
    """All figures that the data allow, by file name."""
    made: dict[str, Figure | None] = {
        "figure1_flow": flow_figure(flow_steps(results, measured), flow_arms(results)),
        "figure3_bones": bone_figure(results),
        "figure4a_lesions": violin_figure(results),
        "roc": roc_figure(results),
        "froc": froc_figure(results),
        "calibration": calibration_figure(results),
        "calibration_groups": calibration_groups_figure(results),
    }
    names = {Sequence.DWI: "figure4b_volumes_dwi", Sequence.T1: "figure4c_volumes_t1"}
    for sequence, agreement in results.volumes.items():
        made[names[sequence]] = bland_altman_figure(agreement, sequence)
    for sequence in Sequence:
        made[f"figure3_bones_{sequence.value}"] = _montage(results, store, sequence, "bones")
        made[f"figure5_lesions_{sequence.value}"] = _montage(results, store, sequence, LESIONS)
    figures = {
        figure_name(name, external=results.external): made[name]
        for name in CAPTIONS
        if made.get(name) is not None
    }
    if results.settings.in_silico:
        for figure in figures.values():
            mark_in_silico(figure)  # type: ignore[arg-type]
    return figures  # type: ignore[return-value]


def _montage(
    results: CohortResults, store: CaseStore, sequence: Sequence, kind: str
) -> Figure | None:
    """Best, median and worst case by DSC (mean DSC of the bones)."""
    scores = case_scores(results.voxel, sequence, kind)
    ranked = [
        (patient, score, path)
        for patient, score in sorted(scores.items(), key=lambda item: -item[1])
        if (path := store.pictures() / picture_name(patient, sequence, kind)).is_file()
    ]
    if not ranked:
        return None
    places = dict.fromkeys((0, len(ranked) // 2, len(ranked) - 1))
    words = ("best", "median", "worst")
    examples = [
        Example(
            f"{word}: {ranked[place][0]}, DSC {ranked[place][1]:.2f}",
            read_picture(ranked[place][2]),
        )
        for word, place in zip(words, places, strict=False)
    ]
    legend = (
        "image, reference, prediction"
        if kind == "bones"
        else "slice; framed part; reference solid yellow, prediction dotted blue"
    )
    return montage_figure(f"{sequence.title}, {kind}", examples, legend)


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
