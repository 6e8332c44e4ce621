"""Figures of detection: ROC, FROC, calibration and decision curves."""

from __future__ import annotations

from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pelvimets.evaluation.figures.style import READING_LOOKS, letter, new_figure
from pelvimets.evaluation.measures.patients import PatientFigures
from pelvimets.evaluation.readings import Reading
from pelvimets.evaluation.results import CohortResults
from pelvimets.evaluation.tables.table import number_interval


def _scored(results: CohortResults) -> dict[Reading, PatientFigures]:
    return {
        reading: result.patients
        for reading, result in results.readings.items()
        if result.patients is not None and result.patients.roc is not None
    }


def roc_figure(results: CohortResults) -> Figure | None:
    """ROC curves of the patient scores with the operating point of the calls."""
    scored = _scored(results)
    if not scored:
        return None
    figure, axes = new_figure(1, size=(4.4, 4.2))
    ax = axes[0]
    ax.plot([0, 1], [0, 1], color="0.7", lw=0.8)
    for reading, figures in scored.items():
        look, curve = READING_LOOKS[reading], figures.roc
        assert curve is not None and figures.auc is not None
        ax.plot(
            curve.false_positive_rate,
            curve.true_positive_rate,
            look.line,
            color=look.colour,
            lw=1.8,
            label=f"{reading.title}: AUC {number_interval(figures.auc)}",
        )
        alarms = 1 - figures.rates["specificity"].estimate
        point = figures.rates["sensitivity"].estimate
        ax.plot(alarms, point, look.marker, color=look.colour, mec="black", ms=8, zorder=4)
    ax.set(xlabel="1 - specificity", ylabel="Sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.set_title("ROC of patients; marker: operating point")
    ax.legend(loc="lower right", fontsize=8)
    return figure


def froc_figure(results: CohortResults) -> Figure | None:
    """Sensitivity per lesion against false positives per patient, with bootstrap intervals."""
    curves = {
        reading: result.lesions.froc
        for reading, result in results.readings.items()
        if result.lesions is not None and result.lesions.froc is not None
    }
    if not curves:
        return None
    figure, axes = new_figure(1, size=(4.8, 3.8))
    ax = axes[0]
    for reading, curve in curves.items():
        look = READING_LOOKS[reading]
        ax.step(
            curve.false_positives_per_patient,
            curve.sensitivity,
            look.line,
            where="post",
            color=look.colour,
            lw=1.6,
            label=f"{reading.title}: mean {curve.mean_sensitivity:.2f}",
        )
        for rate, interval in curve.at.items():
            if rate <= float(curve.false_positives_per_patient[-1]) and interval.defined:
                ax.vlines(rate, interval.low, interval.high, color=look.colour, lw=1)
                ax.plot(rate, interval.estimate, look.marker, color=look.colour, mec="black", ms=4)
    ax.set(xlabel="False positive lesions per patient", ylabel="Sensitivity per lesion")
    ax.set_ylim(-0.02, 1.02)
    rule = results.settings.rule.title(results.settings.smallest_iou)
    ax.set_title(f"FROC of lesions ({rule})")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.16), fontsize=8, ncols=2)
    return figure


def calibration_figure(results: CohortResults) -> Figure | None:
    """Observed share against score, and net benefit against threshold."""
    scored = {r: f for r, f in _scored(results).items() if f.calibration is not None}
    if not scored:
        return None
    figure, axes = new_figure(2, size=(4.2, 3.8))
    for reading, figures in scored.items():
        _calibration(axes[0], reading, figures)
        _benefit(axes[1], reading, figures)
    first = next(iter(scored.values())).decision
    assert first is not None
    axes[0].plot([0, 1], [0, 1], color="0.7", lw=0.8)
    axes[0].set(xlabel="Mean score", ylabel="Share with metastases", ylim=(-0.05, 1.05))
    axes[0].set_title("Calibration")
    axes[0].legend(loc="upper left", bbox_to_anchor=(0, -0.16), fontsize=7, ncols=2)
    axes[1].plot(first.thresholds, first.treat_all, color="0.55", lw=1, label="All positive")
    axes[1].axhline(0, color="0.55", lw=1, ls=":", label="None positive")
    top = max(float(f.decision.net_benefit.max()) for f in scored.values() if f.decision)
    axes[1].set(xlabel="Threshold probability", ylabel="Net benefit", ylim=(-0.1, top * 1.15))
    axes[1].set_title("Decision curve")
    axes[1].legend(loc="upper left", bbox_to_anchor=(0, -0.16), fontsize=7, ncols=2)
    letter(axes)
    return figure


def _calibration(ax: Axes, reading: Reading, figures: PatientFigures) -> None:
    look, found = READING_LOOKS[reading], figures.calibration
    assert found is not None
    x = [group.mean_score for group in found.bins]
    y = [group.observed.estimate for group in found.bins]
    error = [
        [group.observed.estimate - group.observed.low for group in found.bins],
        [group.observed.high - group.observed.estimate for group in found.bins],
    ]
    ax.errorbar(
        x, y, yerr=error, fmt=look.marker, ls=look.line, color=look.colour, mec="black", ms=5,
        lw=1.2, label=f"{reading.title}: Brier {found.brier:.3f}",
    )  # fmt: skip


def _benefit(ax: Axes, reading: Reading, figures: PatientFigures) -> None:
    look, curve = READING_LOOKS[reading], figures.decision
    assert curve is not None
    ax.plot(
        curve.thresholds, curve.net_benefit, look.line, color=look.colour, lw=1.6,
        label=reading.title,
    )  # fmt: skip


_FEWEST_FOR_A_CURVE = 10
"""Groups of fewer patients show no curve: each point would be one or two men."""
_GROUP_TITLES = {"dataset": "Data set", "psa": "PSA"}
_GROUP_STYLES = (("#0072B2", "-", "o"), ("#E69F00", "--", "s"), ("#000000", "-.", "^"),
                 ("#CC79A7", ":", "D"), ("#009E73", "-", "v"))  # fmt: skip


def calibration_groups_figure(results: CohortResults) -> Figure | None:
    """Calibration of the patient scores in groups, one panel per kind of group."""
    reading = next((r for r in (Reading.EITHER, *Reading) if r in results.readings), None)
    if reading is None:
        return None
    drawn = {
        kind: shown
        for kind, groups in results.readings[reading].patient_groups.items()
        if len(shown := {n: f for n, f in groups.items() if _has_curve(f)}) > 1
    }
    if not drawn:
        return None
    figure, axes = new_figure(len(drawn), size=(3.1, 3.4))
    for ax, (kind, groups) in zip(axes, drawn.items(), strict=True):
        ax.plot([0, 1], [0, 1], color="0.7", lw=0.8)
        for style, (name, figures) in zip(cycle(_GROUP_STYLES), groups.items()):
            _group_curve(ax, style, name, figures)
        ax.set(xlabel="Mean score", ylabel="Share with metastases", ylim=(-0.05, 1.05))
        ax.set_title(_GROUP_TITLES.get(kind, kind.capitalize()))
        ax.legend(loc="upper left", bbox_to_anchor=(0, -0.18), fontsize=7)
    letter(axes)
    return figure


def _has_curve(figures: PatientFigures) -> bool:
    return figures.calibration is not None and figures.patients >= _FEWEST_FOR_A_CURVE


def _group_curve(ax: Axes, style: tuple[str, str, str], name: str, figures: PatientFigures) -> None:
    colour, line, marker = style
    assert figures.calibration is not None
    bins = figures.calibration.bins
    low = [group.observed.estimate - group.observed.low for group in bins]
    high = [group.observed.high - group.observed.estimate for group in bins]
    ax.errorbar(
        [group.mean_score for group in bins],
        [group.observed.estimate for group in bins],
        yerr=[low, high],
        fmt=marker,
        ls=line,
        color=colour,
        mec="black",
        ms=4.5,
        lw=1.1,
        label=f"{name}: n = {figures.patients}, Brier {figures.calibration.brier:.3f}",
    )
