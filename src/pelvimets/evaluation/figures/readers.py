"""Figures of readers and of two models: pairwise DSC, value against value."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

import numpy as np
from matplotlib.figure import Figure

from pelvimets.evaluation.figures.style import SEQUENCE_LOOKS, letter, new_figure
from pelvimets.evaluation.measures.voxel import MEASURE_TITLES
from pelvimets.evaluation.statistics.comparison import Comparison
from pelvimets.evaluation.statistics.readers import PairCase, pair_kind
from pelvimets.labels import Sequence

_SHADES = {
    "inter-observer": "#56B4E9",
    "intra-observer": "#009E73",
    "against consensus": "#DDDDDD",
    "model": "#D55E00",
}
_HATCHES = {
    "inter-observer": "",
    "intra-observer": "....",
    "against consensus": "",
    "model": "////",
}


def readers_figure(cases: Ordered[PairCase], model: str | None = None) -> Figure | None:
    """DSC of each pair of masks over patients, one panel per sequence."""
    sequences = [s for s in Sequence if any(c.sequence is s for c in cases)]
    if not sequences:
        return None
    pairs = list(dict.fromkeys((c.first, c.second) for c in cases))
    pairs.sort(key=lambda p: list(_SHADES).index(pair_kind(p[0], p[1], model)))
    figure, axes = new_figure(1, len(sequences), size=(max(4.0, 0.9 * len(pairs)), 3.0))
    for ax, sequence in zip(axes, sequences, strict=True):
        values = [_dsc(cases, sequence, pair) for pair in pairs]
        drawn = ax.boxplot(
            values,
            patch_artist=True,
            flierprops={"marker": "o", "ms": 3, "mfc": "white"},
            medianprops={"color": "black", "lw": 1.6},
        )
        for box, pair in zip(drawn["boxes"], pairs, strict=True):
            kind = pair_kind(pair[0], pair[1], model)
            box.set(facecolor=_SHADES[kind], hatch=_HATCHES[kind])
        names = [f"{a.replace('STAPLE ', '')}\n{b}" for a, b in pairs]
        ax.set_xticks(range(1, len(pairs) + 1), names, fontsize=7)
        ax.set(ylabel="DSC", ylim=(-0.02, 1.02))
        ax.set_title(sequence.title)
    letter(axes)
    return figure


def _dsc(cases: Ordered[PairCase], sequence: Sequence, pair: tuple[str, str]) -> list[float]:
    return [
        c.dsc
        for c in cases
        if c.sequence is sequence and (c.first, c.second) == pair and np.isfinite(c.dsc)
    ]


def comparison_figure(comparison: Comparison, measure: str = "dsc") -> Figure | None:
    """Each patient's lesion value (else the bones') of one model against the other's."""
    items = [item for item in comparison.measures if item.measure == measure]
    lesions = [item for item in items if item.structure == "lesions"]
    shown = lesions or items
    if not shown:
        return None
    figure, axes = new_figure(1, size=(4.4, 4.2))
    ax = axes[0]
    for sequence in Sequence:
        look = SEQUENCE_LOOKS[sequence]
        pairs = [p for item in shown if item.sequence is sequence for p in item.pairs.values()]
        if pairs:
            first, second = zip(*pairs, strict=True)
            ax.plot(first, second, look.marker, color=look.colour, mec="black", mew=0.6, ms=5,
                    label=sequence.title)  # fmt: skip
    low, high = ax.get_xlim()
    low, high = min(low, ax.get_ylim()[0]), max(high, ax.get_ylim()[1])
    ax.plot([low, high], [low, high], color="0.6", lw=0.8)
    ax.set(xlabel=comparison.names[0], ylabel=comparison.names[1])
    what = "metastases" if lesions else "bones"
    ax.set_title(f"{MEASURE_TITLES[measure]} of the {what}, patient by patient")
    ax.legend(loc="upper left")
    return figure
