"""``pelvimets benchmark``: the frozen benchmark, a method's score, the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pelvimets.cli import console

app = typer.Typer(
    help="The frozen benchmark on digital patients: make it, score a method, the leaderboard.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

PartOption = Annotated[
    list[str] | None,
    typer.Option(
        "--part",
        help="seeds, people, stress, or tiny to try it out; may be repeated. "
        "[default: the first three]",
    ),
]
JobsOption = Annotated[int, typer.Option(min=1, help="Patients at a time.")]


@app.command()
def make(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder; an interrupted run goes on.")],
    part: PartOption = None,
    jobs: JobsOption = 1,
) -> None:
    """Make its cohorts, and compare them with the frozen ones."""
    from pelvimets.app.benchmark import make_benchmark

    with console.shown_progress() as progress:
        agreed = make_benchmark(out, tuple(part or ()), jobs=jobs, progress=progress)
    for name, how in agreed.items():
        console.line(f"{name}: {how.value}", style="red" if how.value == "different" else "")
    if any(how.value == "different" for how in agreed.values()):
        console.line("What differs from the frozen cohort gives no score. See docs/benchmark.md.")
        raise typer.Exit(1)


@app.command()
def score(
    benchmark: Annotated[Path, typer.Argument(help="Folder of the benchmark.")],
    submission: Annotated[Path, typer.Argument(help="Masks and scores of a method.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Result file (JSON).")],
    part: PartOption = None,
    jobs: JobsOption = 1,
) -> None:
    """Score a method's masks; writes one result file."""
    from pelvimets.app.benchmark import ScoreRequest
    from pelvimets.app.benchmark import score as run
    from pelvimets.io.record.output import write_json

    with console.shown_progress() as progress:
        result = run(ScoreRequest(benchmark, submission, tuple(part or ()), jobs), progress)
    write_json(out, result)
    for name, facts in result["parts"].items():
        for reading, own in facts["lesions"].items():
            for rule, rates in own["by_rule"].items():
                recall, precision = (_rate(rates[key]) for key in ("recall", "precision"))
                console.line(f"{name}, {reading}, {rule}: recall {recall}, precision {precision}")
    console.line(f"Result (in silico): {out}")


def _rate(rate: list[float] | None) -> str:
    return "-" if rate is None else f"{rate[0]:.3f} ({rate[1]} of {rate[2]})"


@app.command()
def table(
    results: Annotated[list[Path], typer.Argument(help="Result files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Markdown file.")],
) -> None:
    """Write the leaderboard from result files."""
    from pelvimets.app.benchmark import write_leaderboard

    shown = write_leaderboard(results, out)
    console.line(f"{shown} methods: {out}")
