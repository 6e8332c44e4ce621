"""``pelvimets next``: whom to annotate next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pelvimets.cli import console


def next_patients(
    cohort: Annotated[Path, typer.Argument(help="Cohort with patients that have no lesion masks.")],
    bundle: Annotated[
        Path, typer.Option("--bundle", help="Bundle of the folds, whose networks may disagree.")
    ],
    count: Annotated[int, typer.Option(min=1, help="How many to show.")] = 10,
) -> None:
    """Rank patients without annotations: those on whom the networks disagree most come first."""
    from pelvimets.model_development.annotate_next import next_to_annotate

    with console.shown_progress("patients") as progress:
        found = next_to_annotate(cohort, bundle, progress)
    rows = [
        (str(place), one.patient, f"{one.disagreement:.3f}", f"{one.lesions_cm3:.2f}")
        for place, one in enumerate(found[:count], start=1)
    ]
    columns = ("No.", "Patient", "Disagreement, nat cm3", "Lesion expected, cm3")
    console.table("Annotate next", columns, rows)
    console.line(f"{len(found)} patients without masks of the lesions")
