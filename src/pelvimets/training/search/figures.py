"""Figures of a search: how it went, what each value gave, which settings mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from pelvimets.evaluation.figures.style import letter, looks, mark_in_silico, new_figure
from pelvimets.training.search.records import SHARES, Fate, TrialRecord, best
from pelvimets.training.search.space import Choice, Parameter, Range, SearchSpace

_FINISHED, _PRUNED, _BEST, _FAILED = "#0072B2", "#E69F00", "#000000", "#D55E00"
_LABELS = {Fate.FINISHED: "finished", Fate.PRUNED: "pruned, when stopped"}
_PANEL = (3.2, 2.6)
_JITTER = 0.3
_COLUMNS = 3
_MOST_CURVES = 200
_MOST_TICKS = 10


def history_figure(records: Sequence[TrialRecord], *, in_silico: bool = False) -> Figure:
    """Score by trial with the best so far, and scores over the schedule."""
    with looks():
        figure, (trials, curves) = new_figure(2, size=(4.2, 3.0))
        _draw_trials(trials, records)
        _draw_curves(curves, records)
        letter([trials, curves])
        named = trials.get_legend_handles_labels()
        figure.legend(*named, loc="outside lower left", ncols=len(named[1]), fontsize=7)
        _finish(figure, in_silico)
    return figure


def values_figure(
    records: Sequence[TrialRecord], space: SearchSpace, *, in_silico: bool = False
) -> Figure:
    """Score of each trial against the value of each setting."""
    scored = [r for r in records if r.score is not None]
    columns = min(_COLUMNS, len(space))
    with looks():
        figure, axes = new_figure(columns, ceil(len(space) / columns), size=_PANEL)
        for ax, (name, parameter) in zip(axes, space.items(), strict=False):
            _draw_values(ax, scored, name, parameter)
            ax.set_xlabel(name)
        for ax in axes[len(space) :]:
            ax.set_axis_off()
        for ax in axes[::columns]:
            ax.set_ylabel("validation score")
        _finish(figure, in_silico)
    return figure


def importance_figure(importances: Mapping[str, float], *, in_silico: bool = False) -> Figure:
    """Share of the variation of the score that each setting explains."""
    names = sorted(importances, key=lambda name: importances[name])
    with looks():
        figure, (ax,) = new_figure(1, size=(4.6, 0.8 + 0.34 * len(names)))
        bars = ax.barh(names, [importances[n] for n in names], color=_FINISHED)
        ax.bar_label(bars, fmt="{:.0%}", padding=3)
        ax.set_xlim(0, 1.1 * max(*importances.values(), 0.1))
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        ax.set_xlabel("share of the variation of the score (fANOVA)")
        _finish(figure, in_silico)
    return figure


def _draw_trials(ax: Axes, records: Sequence[TrialRecord]) -> None:
    for fate, colour, marker in (
        (Fate.FINISHED, _FINISHED, "o"),
        (Fate.PRUNED, _PRUNED, "x"),
    ):
        those = [r for r in records if r.fate is fate and r.score is not None]
        if those:
            numbers, scores = [r.number for r in those], [r.score or 0.0 for r in those]
            ax.scatter(
                numbers, scores, s=18, c=colour, marker=marker, label=_LABELS[fate], zorder=2
            )
    failed = [r.number for r in records if r.fate is Fate.FAILED]
    if failed:
        where = ax.get_xaxis_transform()
        low = [0.02] * len(failed)
        ax.scatter(failed, low, s=18, c=_FAILED, marker="^", transform=where, label="failed")
    finished = [r for r in records if r.fate is Fate.FINISHED and r.score is not None]
    if finished:
        so_far = np.maximum.accumulate([r.score or 0.0 for r in finished])
        ax.step([r.number for r in finished], so_far, where="post", c=_BEST, lw=1, label="best")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(title="Trials", xlabel="trial", ylabel="validation score")


def _draw_curves(ax: Axes, records: Sequence[TrialRecord]) -> None:
    shown = [r for r in records if r.curve][-_MOST_CURVES:]
    first = {r.number for r in best(shown)}
    for record in shown:
        shares = [step / SHARES for step in record.curve]
        colour = _PRUNED if record.fate is Fate.PRUNED else _FINISHED
        look = {"c": _BEST, "lw": 1.6, "zorder": 3} if record.number in first else {"c": colour}
        ends = "x" if record.fate is Fate.PRUNED else ""
        ax.plot(shares, list(record.curve.values()), **{"lw": 0.8, "alpha": 0.8} | look)
        ax.plot(shares[-1:], list(record.curve.values())[-1:], ends, c=colour, ms=4)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set(title="Scores on the way", xlabel="share of the schedule", xlim=(0, 1.02))


def _draw_values(ax: Axes, records: Sequence[TrialRecord], name: str, parameter: Parameter) -> None:
    first = {r.number for r in best(records)}
    for record in records:
        pruned = record.fate is Fate.PRUNED
        colour = _BEST if record.number in first else _PRUNED if pruned else _FINISHED
        place = _place(parameter, record, name)
        ax.scatter(place, record.score or 0.0, s=18, c=colour, marker="x" if pruned else "o")
    if isinstance(parameter, Choice):
        places = range(len(parameter.options))
        words = [str(o).replace("_", "\n") for o in parameter.options]
        ax.set_xticks(list(places), words, fontsize=7)
        ax.set_xlim(-0.5, len(words) - 0.5)
    else:
        _scale(ax, parameter)


def _place(parameter: Parameter, record: TrialRecord, name: str) -> float:
    """Where the value lies on the axis; equal values are moved apart a little."""
    value = record.values[name]
    aside = _JITTER * ((0.618 * record.number) % 1 - 0.5)
    if isinstance(parameter, Choice):
        return parameter.options.index(value) + aside
    return float(value) + aside * _step(parameter)


def _step(parameter: Range) -> float:
    """Distance between neighbouring values, 0 where any lies between."""
    if parameter.log or not (parameter.step or parameter.whole):
        return 0.0
    return parameter.step or 1.0


def _scale(ax: Axes, parameter: Range) -> None:
    if parameter.log:
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlim(parameter.low / 1.2, parameter.high * 1.2)
        return
    step = _step(parameter)
    margin = max(0.05 * (parameter.high - parameter.low), _JITTER * step)
    ax.set_xlim(parameter.low - margin, parameter.high + margin)
    if step and (parameter.high - parameter.low) / step < _MOST_TICKS:
        ax.set_xticks(np.arange(parameter.low, parameter.high + step / 2, step))


def _finish(figure: Figure, in_silico: bool) -> None:
    if in_silico:
        mark_in_silico(figure)
