"""The paper again: its printed figures recomputed, and its study on digital patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from pelvimets import __version__
from pelvimets.app.evaluate import measure_cohort
from pelvimets.core.progress import Progress, silent
from pelvimets.errors import InputError, SettingsError
from pelvimets.evaluation.checks import Problem, Weight
from pelvimets.evaluation.extra import check_study_extra
from pelvimets.evaluation.report.headlines import headlines
from pelvimets.evaluation.report.page import Page, PageFigure, render_page
from pelvimets.evaluation.report.plain import NOTICE_IN_SILICO
from pelvimets.evaluation.results import About, CohortResults, summarise_cohort
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.tables.facts import EXTERNAL
from pelvimets.evaluation.tables.table import Table
from pelvimets.io.record.output import check_output, staged_folder, write_json, write_text
from pelvimets.io.record.results import CaseStore, write_tables
from pelvimets.labels import Split
from pelvimets.requests.evaluate import EvaluationRequest
from studies.liu2021.beside_paper import bones_beside_paper, lesions_beside_paper
from studies.liu2021.facts import Finding, paper_facts
from studies.liu2021.recomputed import audit, audit_table

COHORT_SIZES = {"bones": 88, "lesions": 34, "external": 63}
"""The paper's test sets (Tables 2 and 3)."""

COHORT_TITLES = {
    "bones": "Test set of the bone model",
    "lesions": "Test set of the lesion model",
    "external": "External evaluation",
}


class CohortMaker(Protocol):
    """Writes a cohort of digital patients."""

    def __call__(self, like: str, patients: int, seed: int, folder: Path, jobs: int) -> None:
        """``like`` is ``bones``, ``lesions`` or ``external``; resumes in the folder."""
        ...


class CohortPredictor(Protocol):
    """Reads every patient of a cohort into masks and findings."""

    def __call__(self, cohort: Path, out: Path, jobs: int) -> None:
        """Writes ``out/<patient>/``; resumes in the folder."""
        ...


@dataclass(frozen=True)
class InSilico:
    """How the study on digital patients is done.

    Attributes:
        make_cohort, predict_cohort: The cohort and the pair of bundles.
        work: Where cohorts and predictions are kept; a second run goes on there.
        patients: Of the external set; the test sets scale with it. The paper's 63 by default.
        seed: Of the cohorts; set apart from those of training.
        jobs: Patients at a time.
    """

    make_cohort: CohortMaker
    predict_cohort: CohortPredictor
    work: Path
    patients: int = COHORT_SIZES["external"]
    seed: int = 20_210_523
    jobs: int = 1

    def __post_init__(self) -> None:
        if self.patients < 4:
            raise SettingsError("A replication needs at least 4 patients", got=self.patients)

    def size(self, like: str) -> int:
        """Patients of one cohort.

        >>> InSilico(print, print, Path(), patients=63).size("lesions")
        34
        """
        share = self.patients / COHORT_SIZES["external"]
        return max(4, round(COHORT_SIZES[like] * share))


def digital_study(
    work: Path, *, patients: int, seed: int, jobs: int, bundle: Path | None = None
) -> InSilico:
    """The study on the project's own digital patients with a bundle of networks.

    Args:
        work: Where cohorts and predictions are kept.
        patients, seed, jobs: See ``InSilico``.
        bundle: Folder of the networks; None takes the shipped ones.
    """
    return InSilico(_make_digital, partial(_predict, bundle), work, patients, seed, jobs)


def _make_digital(like: str, patients: int, seed: int, folder: Path, jobs: int) -> None:
    from pelvimets.app.phantom import make_cohort
    from pelvimets.phantom.choices import Population
    from pelvimets.requests.phantom import CohortOrder

    folder.parent.mkdir(parents=True, exist_ok=True)
    make_cohort(CohortOrder(Population(like), patients, seed), folder, jobs=jobs)


def _predict(bundle: Path | None, cohort: Path, out: Path, jobs: int) -> None:
    """Read a cohort; a patient that fails is named by the evaluation as missing."""
    from pelvimets.app.batch import batch_cases, predict_batch
    from pelvimets.requests.predict import RunOptions

    outcomes = predict_batch(batch_cases(cohort), out, RunOptions(bundle=bundle), jobs=jobs)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if len(failed) == len(outcomes):
        raise InputError("No digital patient could be read", got=failed[0].message)


@dataclass(frozen=True)
class ReplicationRequest:
    """What to replicate.

    Attributes:
        in_silico: None for the printed figures alone.
        evaluated: Cohorts evaluated already, (prediction, reference) by cohort name, in place
            of making them.
        settings: Of the evaluations.
        figures: Draw the figures.
    """

    in_silico: InSilico | None = None
    evaluated: Mapping[str, tuple[Path, Path]] = field(default_factory=dict)
    settings: EvaluationSettings = field(default_factory=EvaluationSettings)
    figures: bool = True


@dataclass(frozen=True, eq=False)
class Replication:
    """A finished replication."""

    findings: tuple[Finding, ...]
    results: Mapping[str, CohortResults]
    report: Path


def replicate(
    request: ReplicationRequest,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
    stage: Callable[[str], None] = lambda text: None,
) -> Replication:
    """Recompute the printed figures and, if asked, repeat the study on digital patients.

    Args:
        request: What to replicate.
        out: Folder of the result; it appears whole or not at all.
        overwrite: Replace an earlier result.
        progress: Told of each measured patient.
        stage: Told what begins.

    Raises:
        MissingExtraError: without the ``study`` extra.
        OutputError: if the result cannot be written.
    """
    check_study_extra()
    out = Path(out)
    check_output(out, overwrite=overwrite)
    stage("printed figures")
    facts = paper_facts()
    findings = audit(facts)
    cohorts = {**_made(request, stage), **request.evaluated}
    with staged_folder(out, overwrite=overwrite) as work:
        tables = [audit_table(findings)]
        results: dict[str, CohortResults] = {}
        for name, (prediction, reference) in cohorts.items():
            stage(f"evaluate {name}")
            results[name] = _evaluate(
                name, prediction, reference, request, out, work, facts, progress, results
            )
            tables.append(_beside(name, results[name], facts))
        _write(work, findings, tables, results, request)
    for name in cohorts:
        _store(out, name).clear()
    return Replication(findings, results, out / "report.html")


def _made(
    request: ReplicationRequest, stage: Callable[[str], None]
) -> dict[str, tuple[Path, Path]]:
    """Make and read the cohorts that are not given."""
    study = request.in_silico
    if study is None:
        return {}
    made = {}
    for number, like in enumerate(COHORT_SIZES):
        if like in request.evaluated:
            continue
        reference, prediction = study.work / f"{like}_cohort", study.work / f"{like}_prediction"
        stage(f"make the {like} cohort: {study.size(like)} digital patients")
        study.make_cohort(like, study.size(like), study.seed + number, reference, study.jobs)
        stage(f"read the {like} cohort")
        study.predict_cohort(reference, prediction, study.jobs)
        made[like] = (prediction, reference)
    return made


def _store(out: Path, name: str) -> CaseStore:
    return CaseStore(out.parent / f".{out.name}.{name}.cases")


def _evaluate(
    name: str,
    prediction: Path,
    reference: Path,
    request: ReplicationRequest,
    out: Path,
    work: Path,
    facts: Mapping[str, object],
    progress: Progress,
    earlier: Mapping[str, CohortResults],
) -> CohortResults:
    from pelvimets.app.evaluation_output import write_evaluation

    title = f"In-silico: {COHORT_TITLES.get(name, name)}"
    settings = replace(request.settings, in_silico=True)
    evaluation = EvaluationRequest(prediction, reference, settings, title=title)
    store = _store(out, name)
    jobs = request.in_silico.jobs if request.in_silico else 1
    measured = measure_cohort(evaluation, store, jobs=jobs, progress=progress)
    # The whole cohort was set apart from training, whatever its table calls the splits.
    split = EXTERNAL if name == EXTERNAL else str(Split.TEST)
    facts_of = tuple(replace(fact, split=split) for fact in measured.facts)
    results = summarise_cohort(
        measured.cases,
        facts_of,
        settings,
        About(
            problems=measured.problems,
            title=title,
            external=name == EXTERNAL,
            development={n: found.facts for n, found in earlier.items()}
            if name == EXTERNAL
            else {},
        ),
    )
    folder = work / name
    folder.mkdir()
    write_evaluation(
        folder,
        results,
        measured,
        store,
        extra_tables=(_beside(name, results, facts),),
        figures=request.figures,
    )
    return results


def _beside(name: str, results: CohortResults, facts: Mapping[str, object]) -> Table:
    if name == "bones":
        return bones_beside_paper(results, facts)
    return lesions_beside_paper(results, facts, "external" if name == "external" else "test")


def _write(
    folder: Path,
    findings: tuple[Finding, ...],
    tables: list[Table],
    results: Mapping[str, CohortResults],
    request: ReplicationRequest,
) -> None:
    write_tables(folder / "tables", tables)
    write_json(
        folder / "replication.json",
        {
            "schema": "1.0",
            "pelvimets": __version__,
            "paper": "Liu X. et al., Front Oncol 2021;11:773299",
            "findings": [asdict(finding) for finding in findings],
            "in_silico": {name: list(headlines(found)) for name, found in results.items()},
        },
    )
    write_json(
        folder / "run.json", {"pelvimets": __version__, "settings": asdict(request.settings)}
    )
    summary = [audit_table(findings).notes[0]]
    for name, found in results.items():
        summary.append(f"{found.title}: {len(found.facts)} digital patients ({name}/report.html).")
        summary += headlines(found)
    figures: list[PageFigure] = []
    for name in results:
        figures += _figures(folder / name, results[name].title)
    problems = [
        Problem(Weight.NOTE, finding.verdict.value, f"{finding.where}: {finding.remark}")
        for finding in findings
        if finding.verdict.value in ("contradicts", "differs") and finding.remark
    ]
    page = Page(
        title="Replication of Liu et al. 2021",
        notice=NOTICE_IN_SILICO if results else "Research use only.",
        summary=summary,
        problems=problems,
        tables=tables,
        figures=figures,
        case_table=None,
        links={},
        version=__version__,
    )
    write_text(folder / "report.html", render_page(page))


_SHOWN = ("figure3_bones", "figure4a_lesions", "figure6a_lesions", "roc", "froc")


def _figures(folder: Path, title: str) -> list[PageFigure]:
    from pelvimets.evaluation.report.captions import caption_of
    from pelvimets.io.record.results import read_figure

    found = [(name, read_figure(folder / "figures", name)) for name in _SHOWN]
    return [
        PageFigure(f"{title}: {caption_of(name).title}", "svg", content, caption_of(name).text)
        for name, content in found
        if content is not None
    ]
