"""Figures of segmentation: split violins (4A, 6A), bones (3), volumes (4B, 4C, 6B, 6C)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.stats import gaussian_kde

from pelvimets.evaluation.figures.style import SEQUENCE_LOOKS, Look, letter, new_figure
from pelvimets.evaluation.measures.case import LESIONS
from pelvimets.evaluation.measures.masks import FloatArray
from pelvimets.evaluation.measures.voxel import MEASURE_TITLES
from pelvimets.evaluation.results import CohortResults, VolumeAgreement
from pelvimets.evaluation.statistics.intervals import Interval
from pelvimets.labels import Bone
from pelvimets.labels import Sequence as MrSequence

_SHOWN = ("dsc", "vs", "hd_mm")
_LOWEST_FOR_VIOLIN = 5
"""Fewer values than this are drawn as points only."""


def violin_figure(results: CohortResults) -> Figure | None:
    """Split violins of DSC, VS and HD of the lesions: DWI left, T1 right."""
    if not any(results.rows_of(sequence, LESIONS) for sequence in MrSequence):
        return None
    figure, axes = new_figure(len(_SHOWN))
    for ax, measure in zip(axes, _SHOWN, strict=True):
        for sequence in MrSequence:
            rows = results.rows_of(sequence, LESIONS)
            values = _finite([getattr(row.measures, measure) for row in rows])
            _half_violin(ax, values, SEQUENCE_LOOKS[sequence], left=sequence is MrSequence.DWI)
        ax.set_title(MEASURE_TITLES[measure])
        ax.set_xticks([-0.25, 0.25], [s.title for s in MrSequence])
        ax.set_xlim(-0.6, 0.6)
        if measure != "hd_mm":
            ax.set_ylim(-0.02, 1.02)
        else:
            ax.set_ylim(bottom=0)
    letter(axes)
    return figure


def _finite(values: Sequence[float]) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def _half_violin(ax: Axes, values: FloatArray, look: Look, *, left: bool) -> None:
    side = -1 if left else 1
    if values.size >= _LOWEST_FOR_VIOLIN and np.ptp(values) > 0:
        grid = np.linspace(values.min(), values.max(), 120)
        density = gaussian_kde(values)(grid)
        width = side * 0.45 * density / density.max()
        ax.fill_betweenx(
            grid, 0, width, facecolor=look.colour, alpha=0.55, edgecolor="black", lw=0.8,
            hatch=look.hatch,
        )  # fmt: skip
    jitter = side * (0.06 + 0.05 * (np.arange(values.size) % 3))
    ax.plot(jitter, values, look.marker, color="black", ms=2.5, mfc="white", mew=0.6, zorder=3)
    if values.size:
        low, middle, high = np.percentile(values, [25, 50, 75])
        ax.plot([side * 0.02] * 2, [low, high], color="black", lw=3.5, solid_capstyle="butt")
        ax.plot(side * 0.02, middle, "o", color="white", mec="black", ms=4.5, zorder=4)


def bone_figure(results: CohortResults) -> Figure | None:
    """DSC, VS and HD of the eight bones on both sequences, as boxes."""
    if not any(row.structure != LESIONS for row in results.voxel):
        return None
    figure, axes = new_figure(1, len(_SHOWN), size=(8.0, 2.4))
    for ax, measure in zip(axes, _SHOWN, strict=True):
        for sequence in MrSequence:
            _boxes(ax, results, sequence, measure)
        ax.set_title(MEASURE_TITLES[measure])
        ax.set_xticks(range(len(Bone)), [bone.title.replace(" ", "\n") for bone in Bone])
    axes[0].legend(
        handles=[
            Patch(facecolor=look.colour, edgecolor="black", hatch=look.hatch, label=sequence.title)
            for sequence, look in SEQUENCE_LOOKS.items()
        ],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
    )
    letter(axes)
    return figure


def _boxes(ax: Axes, results: CohortResults, sequence: MrSequence, measure: str) -> None:
    look = SEQUENCE_LOOKS[sequence]
    values = [
        _finite([getattr(row.measures, measure) for row in results.rows_of(sequence, bone.key)])
        for bone in Bone
    ]
    offset = -0.19 if sequence is MrSequence.DWI else 0.19
    drawn = ax.boxplot(
        values,
        positions=np.arange(len(Bone)) + offset,
        widths=0.32,
        patch_artist=True,
        manage_ticks=False,
        flierprops={"marker": look.marker, "ms": 2.5, "mfc": "white", "mew": 0.6},
        medianprops={"color": "black", "lw": 1.6},
    )
    for box in drawn["boxes"]:
        box.set(facecolor=look.colour, hatch=look.hatch, alpha=0.75)


def bland_altman_figure(agreement: VolumeAgreement, sequence: MrSequence) -> Figure:
    """Difference against mean of the lesion volumes, with limits and their intervals."""
    figure, axes = new_figure(1, size=(4.6, 3.4))
    ax, look = axes[0], SEQUENCE_LOOKS[sequence]
    middle = (agreement.reference_cm3 + agreement.prediction_cm3) / 2
    difference = agreement.prediction_cm3 - agreement.reference_cm3
    ax.plot(middle, difference, look.marker, color=look.colour, mec="black", mew=0.6, ms=5)
    found = agreement.bland_altman
    for interval, style, name, place in (
        (found.bias, "-", "bias", 0.975),
        (found.lower, "--", "lower limit", 0.955),
        (found.upper, "--", "upper limit", 0.995),
    ):
        if not np.isfinite(interval.estimate):
            continue
        ax.axhline(interval.estimate, color="black", ls=style, lw=1)
        if interval.defined:
            _bracket(ax, interval, place)
        ax.annotate(
            f"{name} {interval.estimate:.2f}",
            (1.01, interval.estimate),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
        )
    ax.axhline(0, color="0.6", lw=0.8, ls=":")
    ax.set_xlabel("Mean of reference and prediction (cm³)")
    ax.set_ylabel("Prediction - reference (cm³)")
    ax.margins(x=0.12)
    ax.set_title(f"Volume of metastases, {sequence.title}: {agreement.population}, n = {found.n}")
    return figure


def _bracket(ax: Axes, interval: Interval, place: float) -> None:
    """The interval of a line as a bracket at the right edge."""
    middle = (interval.low + interval.high) / 2
    ax.errorbar(
        place,
        middle,
        yerr=(interval.high - interval.low) / 2,
        transform=ax.get_yaxis_transform(),
        color="0.35",
        lw=1,
        capsize=3,
        fmt="none",
    )
