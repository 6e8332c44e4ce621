"""``pelvimets follow-up``: the same patient again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pelvimets.cli import console


def follow_up(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="BASELINE NOW...",
            help="Output folders of 'pelvimets predict' on one patient, the earliest first.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder of the comparison.")],
    register: Annotated[
        str,
        typer.Option(
            help="Lay all bones onto each other as one ('all'), or then the pelvic ring, the "
            "lumbar spine and each femur on its own ('bodies')."
        ),
    ] = "bodies",
    same_patient: Annotated[
        bool,
        typer.Option("--same-patient", help="The results are of one patient, whatever they say."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier comparison.")
    ] = False,
) -> None:
    """Compare studies of one patient: change of each lesion and bone, and a suggested response.

    Bones are laid onto each other, lesions are matched by place. The response category after
    MET-RADS-P is a suggestion by a rule, for a reader to confirm.
    """
    from pelvimets.core.follow_up.settings import FollowUpSettings, MatchSettings
    from pelvimets.reading_room.follow_up import FollowUpOptions
    from pelvimets.reading_room.follow_up import follow_up as compare

    if register not in ("all", "bodies"):
        raise typer.BadParameter("Give 'all' or 'bodies'.", param_hint="--register")
    settings = FollowUpSettings(match=MatchSettings(bodies=register == "bodies"))
    options = FollowUpOptions(same_patient, overwrite, settings)
    with console.progress_bar() as progress:
        task = progress.add_task("comparing", total=None)
        found = compare(
            runs,
            out,
            options,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    for suggestion in found.course.main.suggestions:
        category = suggestion.category
        words = "none" if category is None else f"{category.value}, {category.words}"
        console.line(f"{suggestion.region}: suggested category {words} ({suggestion.rule})")
    console.line("Suggested by a rule, for a reader to confirm or change.")
    console.line(f"Page: {found.page}")
    if found.report is None:
        console.line("No Structured Report: not every run has DICOM results (predict --dicom)")
