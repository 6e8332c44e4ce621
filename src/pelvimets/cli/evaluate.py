"""``evaluate``, ``agreement``, ``compare`` and ``replicate``: statistics of a cohort.

Everything heavy is imported by the command that needs it.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pelvimets.cli import console
from pelvimets.cli.cluster import ClusterOption, workers
from pelvimets.cli.requests import from_requests
from pelvimets.errors import MissingExtraError
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.requests.evaluate import AgreementRequest, EvaluationRequest

if TYPE_CHECKING:
    from pelvimets.evaluation.checks import Problem

OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder of the result.")]
OverwriteOption = Annotated[bool, typer.Option(help="Replace an earlier result.")]
BootstrapOption = Annotated[int, typer.Option(min=1, help="Bootstrap samples over patients.")]
SeedOption = Annotated[int, typer.Option(help="Of the bootstrap.")]


@from_requests
def evaluate(
    request: EvaluationRequest,
    out: OutOption = Path("evaluation"),
    jobs: Annotated[int, typer.Option(min=1, help="Patients at a time.")] = 1,
    cluster: ClusterOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Measure predicted masks and scores against a reference: tables, figures, a report.

    An interrupted run goes on where it stopped when it is called again.
    """
    from pelvimets.app.evaluate import evaluate as run

    with console.shown_progress("patients") as progress:
        given = workers(jobs, cluster)
        evaluated = run(request, out, jobs=given, overwrite=overwrite, progress=progress)
    _print_problems(evaluated.results.problems)
    for text in evaluated.headlines():
        console.line(text)
    console.line(f"Report: {evaluated.report}")


@from_requests
def agreement(
    request: AgreementRequest,
    out: OutOption = Path("agreement"),
    overwrite: OverwriteOption = False,
) -> None:
    """Compare observers' lesion masks: within and between readers, consensus, the model."""
    from pelvimets.app.agreement import agree

    found = agree(request, out, overwrite=overwrite)
    _print_problems(found.problems)
    rows = [
        (s.sequence.title, s.kind, f"{s.first} vs {s.second}", f"{s.dsc.mean:.3f}", str(s.dsc.n))
        for s in found.summaries
    ]
    console.table("Agreement", ("Sequence", "Kind", "Masks", "DSC", "Patients"), rows)
    for sentence in found.rank:
        console.line(sentence)
    console.line(f"Report: {found.report}")


def compare(
    first: Annotated[Path, typer.Argument(help="Output folder of 'evaluate' of one model.")],
    second: Annotated[Path, typer.Argument(help="The same of another model, same cohort.")],
    out: OutOption = Path("comparison"),
    names: Annotated[
        tuple[str, str] | None, typer.Option(help="Names of both models.", metavar="A B")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Test whether the second model is no worse: the largest loss that counts as none, "
            "such as 0.05, set before the data were seen."
        ),
    ] = None,
    bootstrap: BootstrapOption = 10_000,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Compare two models on one cohort: paired differences, intervals, tests, cases."""
    from pelvimets.app.compare_models import compare as run

    settings = EvaluationSettings(bootstrap_samples=bootstrap, seed=seed, margin=margin)
    compared = run(first, second, out, names=names, settings=settings, overwrite=overwrite)
    left_out = compared.comparison.left_out
    if left_out:
        console.line(f"{len(left_out)} patients in one evaluation only, left out", style="yellow")
    for item in compared.comparison.measures:
        if item.structure == "lesions" and item.measure in ("dsc", "hd_mm"):
            d = item.difference
            console.line(
                f"{item.sequence.title}, lesions, {item.measure}: difference {d.estimate:.3f} "
                f"({d.low:.3f} to {d.high:.3f})"
            )
    console.line(f"Report: {compared.report}")


def sample_size(
    recall: Annotated[float, typer.Option(help="Expected recall of lesions.")] = 0.9,
    sensitivity: Annotated[float, typer.Option(help="Expected sensitivity of patients.")] = 0.87,
    auc: Annotated[float, typer.Option(help="Expected area under the ROC curve.")] = 0.9,
    prevalence: Annotated[float, typer.Option(help="Share of patients with metastases.")] = 0.5,
    lesions: Annotated[float, typer.Option(help="Mean lesions of a patient with any.")] = 5.6,
    variation: Annotated[float, typer.Option(help="SD over mean of that number.")] = 0.8,
    correlation: Annotated[
        float, typer.Option(help="How far lesions of one man are found together, 0-1.")
    ] = 0.2,
    half_width: Annotated[
        list[float] | None,
        typer.Option(help="Wanted half width of the interval; may be repeated."),
    ] = None,
) -> None:
    """How many patients a study needs, before it annotates: lesion recall, sensitivity, AUC."""
    from pelvimets.evaluation.statistics.sample_size import Plan, sample_size_table

    plan = Plan(recall, sensitivity, auc, prevalence, lesions, variation, correlation)
    table = sample_size_table(plan, half_width or [0.1, 0.075, 0.05])
    console.table(table.title, table.columns, table.rows)
    for note in table.notes:
        console.line(note)


def replicate(
    out: OutOption = Path("replication"),
    in_silico: Annotated[
        bool, typer.Option(help="Repeat the study on digital patients as well.")
    ] = True,
    patients: Annotated[
        int, typer.Option(min=4, help="Of the external set; the others scale with it.")
    ] = 63,
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle of networks: folder or name. [default: shipped]")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Where cohorts are kept. [default: OUT.work]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the digital patients.")] = 20_210_523,
    bootstrap: BootstrapOption = 10_000,
    jobs: Annotated[int, typer.Option(min=1, help="Patients at a time.")] = 1,
    overwrite: OverwriteOption = False,
) -> None:
    """Recompute the paper's printed figures, and repeat its study on digital patients."""
    study_of = _study()
    folder = work or out.with_name(f"{out.name}.work")
    made = study_of.digital_study(folder, patients=patients, seed=seed, jobs=jobs, bundle=bundle)
    settings = EvaluationSettings(bootstrap_samples=bootstrap)
    request = study_of.ReplicationRequest(made if in_silico else None, settings=settings)
    done = study_of.replicate(request, out, overwrite=overwrite, stage=console.line)
    counted = Counter(finding.verdict.value for finding in done.findings)
    console.line(
        f"{len(done.findings)} printed figures: "
        + ", ".join(f"{n} {verdict}" for verdict, n in counted.items())
    )
    for name, results in done.results.items():
        console.line(f"{name}: {len(results.facts)} digital patients (in-silico)")
    console.line(f"Report: {done.report}")


def _study() -> Any:
    """The study of the paper, which lies beside the package.

    Raises:
        MissingExtraError: if this is an installed wheel, which has no studies.
    """
    root = Path(__file__).parents[3]
    if not (root / "studies" / "liu2021").is_dir():
        raise MissingExtraError(
            "The study of the printed paper is no part of the installed package",
            got=f"no studies/liu2021 beside {Path(__file__).parents[1].name}",
            remedy="Call 'pelvimets replicate' from a checkout of the source: pip install -e .",
        )
    if str(root) not in sys.path:
        sys.path.append(str(root))
    return importlib.import_module("studies.liu2021.replicate")


_SHOWN_PROBLEMS = 12


def _print_problems(problems: Sequence[Problem]) -> None:
    for problem in problems[:_SHOWN_PROBLEMS]:
        who = f"{problem.patient}: " if problem.patient else ""
        console.line(f"{problem.weight}: {who}{problem.message}", style="yellow")
    if len(problems) > _SHOWN_PROBLEMS:
        rest = len(problems) - _SHOWN_PROBLEMS
        console.line(f"... and {rest} more; all are in the report", style="yellow")
