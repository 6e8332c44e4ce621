"""Figures of segmentation: split violins (4A, 6A), bones (3), volumes (4B, 4C, 6B, 6C)."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.stats import gaussian_kde

from pelvimets.evaluation.figures.style import SEQUENCE_LOOKS, Look, letter, new_figure
from pelvimets.evaluation.measures.case import LESIONS
from pelvimets.evaluation.measures.masks import FloatArray
from pelvimets.evaluation.measures.voxel import MEASURE_TITLES
from pelvimets.evaluation.results import STRUCTURES, CohortResults, VolumeAgreement
from pelvimets.evaluation.statistics.intervals import Interval
from pelvimets.labels import Sequence

_SHOWN = ("dsc", "vs", "hd_mm")
_LOWEST_FOR_VIOLIN = 5
"""Fewer values than this are drawn as points only."""


def violin_figure(results: CohortResults) -> Figure | None:
    """Split violins of DSC, VS and HD: DWI left, T1 right; per patient, then lesion by lesion."""
    if not any(results.rows_of(sequence, LESIONS) for sequence in Sequence):
        return None
    levels = {"per patient": _values_per_patient, "per lesion": _values_per_lesion}
    if not results.pairs:
        del levels["per lesion"]
    figure, axes = new_figure(len(_SHOWN), len(levels))
    panels = [(level, measure) for level in levels for measure in _SHOWN]
    for ax, (level, measure) in zip(axes, panels, strict=True):
        counts = []
        for sequence in Sequence:
            values = _finite(levels[level](results, sequence, measure))
            counts.append(f"{sequence.title}\nn = {values.size}")
            _half_violin(ax, values, SEQUENCE_LOOKS[sequence], left=sequence is Sequence.DWI)
        ax.set_title(f"{MEASURE_TITLES[measure]}, {level}")
        ax.set_xticks([-0.25, 0.25], counts)
        ax.set_xlim(-0.6, 0.6)
        if measure != "hd_mm":
            ax.set_ylim(-0.02, 1.02)
        else:
            ax.set_ylim(bottom=0)
    letter(axes)
    return figure


def _values_per_patient(results: CohortResults, sequence: Sequence, measure: str) -> list[float]:
    return [getattr(row.measures, measure) for row in results.rows_of(sequence, LESIONS)]


def _values_per_lesion(results: CohortResults, sequence: Sequence, measure: str) -> list[float]:
    return [getattr(pair, measure) for pair in results.pairs if pair.sequence is sequence]


def _finite(values: Ordered[float]) -> FloatArray:
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
    measured = {row.structure for row in results.voxel}
    keys = [key for key in STRUCTURES if key in measured and key != LESIONS]
    if not keys:
        return None
    figure, axes = new_figure(1, len(_SHOWN), size=(8.0, 2.4))
    for ax, measure in zip(axes, _SHOWN, strict=True):
        drawn = [_boxes(ax, results, sequence, measure, keys) for sequence in Sequence]
        _focus(ax, [values for boxes in drawn for values in boxes], measure)
        ax.set_title(MEASURE_TITLES[measure])
        names = [key.replace("_", "\n", 1).replace("_", " ") for key in keys]
        ax.set_xticks(range(len(keys)), names)
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


def _focus(ax: Axes, boxes: Ordered[FloatArray], measure: str) -> None:
    """An axis that spans the whiskers; values beyond it are counted where they would lie."""
    filled = [values for values in boxes if values.size]
    if not filled:
        return
    reach = [_whiskers(values) for values in filled]
    low, high = min(low for low, _ in reach), max(high for _, high in reach)
    margin = 0.06 * max(high - low, 0.02)
    top = high + margin if measure == "hd_mm" else min(1.0, high + margin) + 0.005
    ax.set_ylim(max(0.0, low - margin), top)
    for n, values in enumerate(boxes):
        place = n % (len(boxes) // 2) + (-0.19 if n < len(boxes) // 2 else 0.19)
        for count, y, arrow in (
            (int((values < low).sum()), 0.012, "v"),
            (int((values > high + margin).sum()), 0.988, "^"),
        ):
            if count:
                where = ax.get_xaxis_transform()
                ax.plot(place, y, arrow, color="black", ms=3.5, transform=where, clip_on=False)
                ax.text(
                    place + 0.1, y, str(count), transform=where, fontsize=6,
                    va="bottom" if y < 0.5 else "top",
                )  # fmt: skip


def _whiskers(values: FloatArray) -> tuple[float, float]:
    """Furthest values within 1.5 interquartile ranges of the box, as matplotlib draws them."""
    low, high = np.percentile(values, [25, 75])
    reach = 1.5 * (high - low)
    inside = values[(values >= low - reach) & (values <= high + reach)]
    return float(inside.min()), float(inside.max())


def _boxes(
    ax: Axes, results: CohortResults, sequence: Sequence, measure: str, keys: Ordered[str]
) -> list[FloatArray]:
    """Draw the bones of one sequence; their values."""
    look = SEQUENCE_LOOKS[sequence]
    values = [
        _finite([getattr(row.measures, measure) for row in results.rows_of(sequence, key)])
        for key in keys
    ]
    offset = -0.19 if sequence is Sequence.DWI else 0.19
    drawn = ax.boxplot(
        values,
        positions=np.arange(len(keys)) + offset,
        widths=0.32,
        patch_artist=True,
        manage_ticks=False,
        flierprops={"marker": look.marker, "ms": 2.5, "mfc": "white", "mew": 0.6},
        medianprops={"color": "black", "lw": 1.6},
    )
    for box in drawn["boxes"]:
        box.set(facecolor=look.colour, hatch=look.hatch, alpha=0.75)
    return values


def bland_altman_figure(agreement: VolumeAgreement, sequence: Sequence) -> Figure:
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
    ax.set_title(f"Volume of metastases, {sequence.title}\n{agreement.population}, n = {found.n}")
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
