"""Two models on one cohort, from the results of two evaluations."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from pelvimets import __version__
from pelvimets.evaluation.checks import Problem, Weight
from pelvimets.evaluation.extra import check_study_extra
from pelvimets.evaluation.report.page import Page, PageFigure, render_page
from pelvimets.evaluation.report.plain import NOTICE, NOTICE_IN_SILICO
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.statistics.comparison import Comparison, compare_models, comparison_tables
from pelvimets.io.record.output import check_output, staged_folder, write_json, write_text
from pelvimets.io.record.results import read_results, write_figures, write_tables


@dataclass(frozen=True, eq=False)
class Compared:
    """A finished comparison."""

    comparison: Comparison
    report: Path


def compare(
    first: Path,
    second: Path,
    out: Path,
    *,
    names: tuple[str, str] | None = None,
    settings: EvaluationSettings | None = None,
    overwrite: bool = False,
) -> Compared:
    """Compare the results of two evaluations of the same reference.

    Args:
        first, second: Output folders of ``evaluate``.
        out: Folder of the result; it appears whole or not at all.
        names: Of the models; default the names of the folders.
        settings: Bootstrap and confidence level.
        overwrite: Replace an earlier result.

    Raises:
        InputError: if results cannot be read or share no patient.
        MissingExtraError: without the ``study`` extra.
        OutputError: if the result cannot be written.
    """
    check_study_extra()
    check_output(out, overwrite=overwrite)
    results = read_results(first), read_results(second)
    called = names or _names(Path(first), Path(second))
    in_silico = any(r["settings"].get("in_silico") for r in results)
    comparison = compare_models(*results, called, settings or EvaluationSettings())
    with staged_folder(out, overwrite=overwrite) as work:
        _write(work, comparison, in_silico=bool(in_silico))
    return Compared(comparison, out / "report.html")


def _names(first: Path, second: Path) -> tuple[str, str]:
    if first.name != second.name:
        return first.name, second.name
    return str(first), str(second)


def _write(folder: Path, comparison: Comparison, *, in_silico: bool) -> None:
    from pelvimets.evaluation.figures import comparison_figure, looks, mark_in_silico

    tables = comparison_tables(comparison)
    write_tables(folder / "tables", tables)
    with looks():
        drawn = {f"cases_{m}": comparison_figure(comparison, m) for m in ("dsc", "hd_mm")}
        figures = {name: figure for name, figure in drawn.items() if figure is not None}
        for figure in figures.values() if in_silico else ():
            mark_in_silico(figure)
        written = write_figures(folder / "figures", figures)
    write_json(folder / "comparison.json", {"pelvimets": __version__, **asdict(comparison)})
    write_json(folder / "run.json", {"pelvimets": __version__, "names": list(comparison.names)})
    problems = [
        Problem(Weight.WARNING, "unpaired", "Present in one evaluation only; left out.", patient)
        for patient in comparison.left_out
    ]
    page = Page(
        title=f"{comparison.names[1]} against {comparison.names[0]}",
        notice=NOTICE_IN_SILICO if in_silico else NOTICE,
        summary=("Paired differences on the same patients, with 95 % intervals.",),
        problems=problems,
        tables=tables,
        figures=[PageFigure(name, "svg", w["svg"]) for name, w in written.items()],
    )
    write_text(folder / "report.html", render_page(page))
