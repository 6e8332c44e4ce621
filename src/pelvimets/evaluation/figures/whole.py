"""All figures of an evaluation, from its results and the patients' pictures."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from pelvimets.evaluation.figures import (
    Example,
    bland_altman_figure,
    bone_figure,
    calibration_figure,
    calibration_groups_figure,
    flow_figure,
    froc_figure,
    mark_in_silico,
    montage_figure,
    roc_figure,
    violin_figure,
)
from pelvimets.evaluation.figures.examples import case_scores
from pelvimets.evaluation.figures.flow import flow_arms, flow_steps
from pelvimets.evaluation.figures.overlays import RgbArray
from pelvimets.evaluation.measured import Measured
from pelvimets.evaluation.measures.case import LESIONS
from pelvimets.evaluation.report.captions import CAPTIONS, figure_name
from pelvimets.evaluation.results import CohortResults
from pelvimets.labels import Sequence

PictureOf = Callable[[str, Sequence, str], Callable[[], RgbArray] | None]


def evaluation_figures(
    results: CohortResults, measured: Measured, picture: PictureOf
) -> dict[str, Figure]:
    """All figures that the data allow, by file name.

    Args:
        results, measured: What was found, and in whom.
        picture: The picture of a patient, sequence and kind, read when it is called; None where
            there is none.
    """
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
        made[f"figure3_bones_{sequence.value}"] = _montage(results, picture, sequence, "bones")
        made[f"figure5_lesions_{sequence.value}"] = _montage(results, picture, sequence, LESIONS)
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
    results: CohortResults, picture: PictureOf, sequence: Sequence, kind: str
) -> Figure | None:
    """Best, median and worst case by DSC (mean DSC of the bones)."""
    scores = case_scores(results.voxel, sequence, kind)
    ranked = [
        (patient, score, drawn)
        for patient, score in sorted(scores.items(), key=lambda item: -item[1])
        if (drawn := picture(patient, sequence, kind)) is not None
    ]
    if not ranked:
        return None
    places = dict.fromkeys((0, len(ranked) // 2, len(ranked) - 1))
    words = ("best", "median", "worst")
    examples = [
        Example(
            f"{word}: {ranked[place][0]}, DSC {ranked[place][1]:.2f}",
            ranked[place][2](),
        )
        for word, place in zip(words, places, strict=False)
    ]
    legend = (
        "image, reference, prediction"
        if kind == "bones"
        else "slice; framed part; reference solid yellow, prediction dotted blue"
    )
    return montage_figure(f"{sequence.title}, {kind}", examples, legend)
