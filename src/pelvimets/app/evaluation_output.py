"""Everything that an evaluation writes: tables, figures, results and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from pelvimets import __version__
from pelvimets.app.evaluate import Measured, headlines, picture_name, settings_to_plain
from pelvimets.evaluation.figures import (
    Example,
    FlowStep,
    bland_altman_figure,
    bone_figure,
    calibration_figure,
    flow_figure,
    froc_figure,
    looks,
    mark_in_silico,
    montage_figure,
    roc_figure,
    violin_figure,
)
from pelvimets.evaluation.measures.case import LESIONS
from pelvimets.evaluation.measures.voxel import summarise
from pelvimets.evaluation.report.claim import claim_table
from pelvimets.evaluation.report.page import Page, PageFigure, render_page
from pelvimets.evaluation.report.plain import NOTICE, NOTICE_IN_SILICO, results_to_dict
from pelvimets.evaluation.results import CohortResults, VoxelRow
from pelvimets.evaluation.tables.cohort import cohort_tables
from pelvimets.evaluation.tables.table import Table
from pelvimets.io.record.output import write_json, write_text
from pelvimets.io.record.results import CaseStore, read_picture, write_figures, write_tables
from pelvimets.labels import Sequence as MrSequence

FIGURE_TITLES = {
    "figure1_flow": "Figure 1 | Patients",
    "figure3_bones": "Figure 3 | Segmentation of the bones",
    "figure3_bones_dwi": "Figure 3 | Bones: best, median and worst case, DWI",
    "figure3_bones_t1": "Figure 3 | Bones: best, median and worst case, T1 in phase",
    "figure4a_lesions": "Figures 4A, 6A | Segmentation of the metastases",
    "figure4b_volumes_dwi": "Figures 4B, 6B | Volumes, DWI",
    "figure4c_volumes_t1": "Figures 4C, 6C | Volumes, T1 in phase",
    "figure5_lesions_dwi": "Figure 5 | Metastases: best, median and worst case, DWI",
    "figure5_lesions_t1": "Figure 5 | Metastases: best, median and worst case, T1 in phase",
    "roc": "ROC curves",
    "froc": "FROC curves",
    "calibration": "Calibration and net benefit",
}
_EMBEDDED_AS_PNG = (
    "figure3_bones_dwi",
    "figure3_bones_t1",
    "figure5_lesions_dwi",
    "figure5_lesions_t1",
)


def write_evaluation(
    folder: Path,
    results: CohortResults,
    measured: Measured,
    store: CaseStore,
    *,
    extra_tables: Sequence[Table] = (),
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
    tables = (*extra_tables, *cohort_tables(results, measured.cases), claim_table(results))
    write_tables(folder / "tables", tables)
    written: dict[str, dict[str, bytes]] = {}
    if figures:
        with looks():
            drawn = evaluation_figures(results, measured, store)
            written = write_figures(folder / "figures", drawn)
    links = _keep_pictures(folder, results, store)
    write_json(folder / "results.json", results_to_dict(results, __version__))
    write_json(
        folder / "run.json",
        {"pelvimets": __version__, "settings": settings_to_plain(results.settings)},
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


def _sentence(results: CohortResults) -> str:
    m1 = sum(fact.m_stage == "M1" for fact in results.facts)
    return f"{len(results.facts)} patients evaluated, {m1} of them with bone metastases."


def _page_figure(name: str, contents: Mapping[str, bytes]) -> PageFigure:
    kind = "png" if name in _EMBEDDED_AS_PNG else "svg"
    return PageFigure(FIGURE_TITLES[name], kind, contents[kind])


def evaluation_figures(
    results: CohortResults, measured: Measured, store: CaseStore
) -> dict[str, Figure]:
    """All figures that the data allow, by file name."""
    made: dict[str, Figure | None] = {
        "figure1_flow": flow_figure(flow_steps(results, measured)),
        "figure3_bones": bone_figure(results),
        "figure4a_lesions": violin_figure(results),
        "roc": roc_figure(results),
        "froc": froc_figure(results),
        "calibration": calibration_figure(results),
    }
    names = {MrSequence.DWI: "figure4b_volumes_dwi", MrSequence.T1: "figure4c_volumes_t1"}
    for sequence, agreement in results.volumes.items():
        made[names[sequence]] = bland_altman_figure(agreement, sequence)
    for sequence in MrSequence:
        made[f"figure3_bones_{sequence.value}"] = _montage(results, store, sequence, "bones")
        made[f"figure5_lesions_{sequence.value}"] = _montage(results, store, sequence, LESIONS)
    figures = {name: made[name] for name in FIGURE_TITLES if made.get(name) is not None}
    if results.settings.in_silico:
        for figure in figures.values():
            mark_in_silico(figure)  # type: ignore[arg-type]
    return figures  # type: ignore[return-value]


def flow_steps(results: CohortResults, measured: Measured) -> list[FlowStep]:
    """From the table of patients to those evaluated, with and without metastases."""
    total = len(measured.all_facts)
    chosen = len(results.facts) + sum(measured.excluded.values())
    steps = [FlowStep((f"{total} patients in the reference",), _other_splits(total - chosen))]
    if chosen != total or measured.excluded:
        steps.append(FlowStep((f"{chosen} patients of the split",), measured.excluded))
    stages = {s: sum(f.m_stage == s for f in results.facts) for s in ("M1", "M0")}
    lesions = sum(fact.lesions or 0 for fact in results.facts)
    last = (
        f"{len(results.facts)} patients evaluated",
        f"{stages['M1']} with metastases ({lesions} lesions), {stages['M0']} without",
    )
    return [*steps, FlowStep(last, {})]


def _other_splits(count: int) -> dict[str, int]:
    return {"other splits": count} if count else {}


def _montage(
    results: CohortResults, store: CaseStore, sequence: MrSequence, kind: str
) -> Figure | None:
    """Best, median and worst case by DSC (mean DSC of the bones)."""
    scores = _scores(results.voxel, sequence, kind)
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
        else "image; reference solid yellow, prediction dotted blue"
    )
    return montage_figure(f"{sequence.title}, {kind}", examples, legend)


def _scores(rows: Sequence[VoxelRow], sequence: MrSequence, kind: str) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for row in rows:
        lesions = row.structure == LESIONS
        if row.sequence is not sequence or lesions != (kind == LESIONS):
            continue
        if lesions and row.measures.reference_empty:
            continue
        values.setdefault(row.patient, []).append(row.measures.dsc)
    means = {patient: summarise(own).mean for patient, own in values.items()}
    return {patient: mean for patient, mean in means.items() if mean == mean}


def _keep_pictures(
    folder: Path, results: CohortResults, store: CaseStore
) -> dict[str, dict[str, str]]:
    """Copy the pictures; addresses by 'patient|sequence title' and heading."""
    links: dict[str, dict[str, str]] = {}
    for fact in results.facts:
        for sequence in MrSequence:
            for kind in ("bones", LESIONS):
                name = picture_name(fact.patient, sequence, kind)
                if store.copy_picture(name, folder / "overlays"):
                    own = links.setdefault(f"{fact.patient}|{sequence.title}", {})
                    own[kind] = f"overlays/{name}"
    return links
