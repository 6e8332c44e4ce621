"""``bundle``, ``calibrate``, ``card``: from finished runs to a bundle with its figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pelvimets.cli import console
from pelvimets.cli.cluster import ClusterOption, workers
from pelvimets.cli.train import require_torch
from pelvimets.io.record.fold_folder import FoldFolder
from pelvimets.labels import LearnedFrom

OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder of the bundle.")]
OverwriteOption = Annotated[bool, typer.Option(help="Replace an older bundle.")]


def bundle(
    bones: Annotated[
        Path, typer.Option(help="Run of the bone network, the folder of its folds, or a bundle.")
    ],
    lesions: Annotated[Path, typer.Option(help="The same for the lesion network.")],
    out: OutOption,
    lesions_t1: Annotated[
        Path | None, typer.Option(help="The same for a lesion network of its own for T1.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the bundle. [default: folder]")] = None,
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    summary: Annotated[str, typer.Option(help="One line on what it is.")] = "Own networks.",
    note: Annotated[
        list[str] | None, typer.Option(help="A line of the card on training or limits.")
    ] = None,
    learned_from: Annotated[
        LearnedFrom | None,
        typer.Option(
            help="What the networks learned from, as every report repeats it. [default: as the "
            "runs say]"
        ),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make a bundle of two networks, each of a run or of another bundle; write the model card."""
    require_torch()
    from pelvimets.model_development.bundle import BundleRequest, make_bundle

    make_bundle(
        BundleRequest(
            bones,
            lesions,
            out,
            name or out.name,
            version,
            summary,
            lesions_t1,
            tuple(note or ()),
            overwrite,
            learned_from,
        )
    )
    console.line(f"Bundle: {out}")
    folds = any(FoldFolder(place).is_there for place in (bones, lesions))
    data = "COHORT --out-of-fold" if folds else "VALIDATION_COHORT"
    console.line(f"Next: pelvimets calibrate {out} --data {data} -o OUT")


def calibrate(
    bundle: Annotated[Path, typer.Argument(help="Bundle: folder or name.")],
    data: Annotated[
        list[Path], typer.Option("--data", help="Validation cohort with its masks; repeatable.")
    ],
    out: OutOption,
    split: Annotated[
        str | None,
        typer.Option(
            help="Patients of this split only. [default: all; out of fold but the test's]"
        ),
    ] = None,
    out_of_fold: Annotated[
        bool,
        typer.Option(
            "--out-of-fold", help="Read each patient by the fold that did not learn from him."
        ),
    ] = False,
    overwrite: OverwriteOption = False,
    jobs: Annotated[int, typer.Option(min=1, help="Patients read at a time.")] = 1,
    cluster: ClusterOption = None,
) -> None:
    """Weigh the evidence on lesions and choose the cuts on a validation cohort."""
    from pelvimets.evaluation.extra import check_study_extra

    check_study_extra()
    from pelvimets.model_development.calibrate import CalibrationRequest
    from pelvimets.model_development.calibrate import calibrate as run

    readers = workers(jobs, cluster)
    request = CalibrationRequest(bundle, tuple(data), out, split, overwrite, readers, out_of_fold)
    with console.shown_progress("patients") as progress:
        record = run(request, progress)
    if record["without_masks"]:
        console.line(f"{record['without_masks']} patients without masks of the lesions left out")
    for sequence, own in record["sequences"].items():
        recall, precision = (_with_interval(own, name) for name in ("recall", "precision"))
        console.line(
            f"{sequence}: recall {recall}, precision {precision}, "
            f"ECE of lesion scores {own['lesion_ece']:.3f} (cross-validated)"
        )
    for sequence, counts in record["unweighed"].items():
        console.line(
            f"{sequence}: too few candidates to weigh the evidence ({counts['right']} right, "
            f"{counts['false']} false); its scores stay the network's own"
        )
    console.line(f"Bundle: {out}")


def _with_interval(own: Mapping[str, Any], name: str) -> str:
    low, high = own[f"{name}_interval"]
    return f"{own[name]:.3f} (95 % {low:.2f} to {high:.2f})"


def card(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle; its card is replaced.")],
    evaluation: Annotated[Path, typer.Option(help="Result folder of 'pelvimets evaluate'.")],
    predictions: Annotated[Path, typer.Option(help="Predictions that it evaluated.")],
    reference: Annotated[Path, typer.Option(help="Cohort that it compared with.")],
    name: Annotated[str, typer.Option(help="Name of the test in the card.")] = "the test cohort",
) -> None:
    """Put the figures of an evaluation into a bundle's model card."""
    from pelvimets.model_development.card import EvaluationFolders, add_test

    add_test(bundle, EvaluationFolders(evaluation, predictions, reference), name)
    console.line(f"Card: {bundle / 'model_card.md'}")
