"""The paper's value beside the value found on another cohort."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from typing import Any

from pelvimets.evaluation.measures.case import LESIONS
from pelvimets.evaluation.measures.voxel import MEASURE_TITLES
from pelvimets.evaluation.readings import Reading
from pelvimets.evaluation.results import CohortResults, VoxelSummary
from pelvimets.evaluation.settings import MatchRule
from pelvimets.evaluation.tables.detection import patient_rate_cell
from pelvimets.evaluation.tables.table import (
    DASH,
    Table,
    mean_sd,
    number_interval,
    percent,
    percent_interval,
)
from pelvimets.labels import Bone, Sequence

_COLUMNS = ("Level", "Measure", "DWI, paper", "DWI, here", "T1, paper", "T1, here")
_SHOWN = ("dsc", "vs", "hd_mm")
_LESION_RATES = ("recall", "precision", "f1")
_NOTE = (
    "Paper: men, one centre (Liu et al., Front Oncol 2021;11:773299). Here: in-silico, digital "
    "patients. The two are not the same population; they stand side by side, not in competition."
)
_SEQUENCES = tuple(Sequence)


def bones_beside_paper(results: CohortResults, facts: Mapping[str, Any]) -> Table:
    """Table 4 of the paper beside the bones of this cohort."""
    rows = [
        row
        for bone in Bone
        for row in _voxel_rows(results, bone.key, facts["table4_bones"][bone.key])
    ]
    title = "Bones: the paper's Table 4 beside this cohort"
    return Table("beside_paper_bones", title, _COLUMNS, tuple(rows), (_NOTE,))


def lesions_beside_paper(results: CohortResults, facts: Mapping[str, Any], cohort: str) -> Table:
    """Table 5, or the external evaluation, and lesion segmentation beside this cohort.

    Args:
        results: Of this cohort.
        facts: The paper's figures.
        cohort: ``test`` or ``external``.
    """
    rows = _test_rows(results, facts) if cohort == "test" else _external_rows(results, facts)
    rows += _voxel_rows(results, LESIONS, facts["lesion_segmentation"][cohort])
    title = f"Metastases: the paper's {cohort} set beside this cohort"
    return Table(f"beside_paper_{cohort}", title, _COLUMNS, tuple(rows), (_NOTE,))


def _voxel_rows(
    results: CohortResults, structure: str, printed: Mapping[str, Any]
) -> list[tuple[str, ...]]:
    own = {s.sequence: s for s in results.summaries if s.structure == structure}
    rows = []
    for measure in _SHOWN:
        cells: list[str] = []
        for n, sequence in enumerate(_SEQUENCES):
            mean, sd = printed[measure][n]
            cells += [f"{mean:.2f} ± {sd:.2f}", _own(own.get(sequence), measure)]
        rows.append((structure.replace("_", " "), MEASURE_TITLES[measure], *cells))
    return rows


def _own(summary: VoxelSummary | None, measure: str) -> str:
    return DASH if summary is None else mean_sd(summary.by_measure[measure])


def _test_rows(results: CohortResults, facts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    printed = facts["table5_detection"]
    rows = []
    for name in ("sensitivity", "specificity", "accuracy", "ppv", "npv"):
        texts = ["{:.1f} ({:.1f}-{:.1f})".format(*printed["patient"][name][n]) for n in (0, 1)]
        rows.append(_pair_row("patient", f"{name} (%)", texts, _rates(results, name)))
    rows.append(_withheld_row(results))
    areas = ["{:.2f} ({:.2f} to {:.2f})".format(*printed["patient"]["auc"][n]) for n in (0, 1)]
    rows.append(_pair_row("patient", "AUC of calls", areas, _areas(results, "auc_of_calls")))
    rows.append(_pair_row("patient", "AUC of scores", [DASH, DASH], _areas(results, "auc")))
    own = {
        **{n: [_with_percent(text) for text in printed["lesion"][n]] for n in _LESION_RATES[:2]},
        "f1": [f"{value:.1f}" for value in printed["lesion"]["f1"]],
    }
    for rule in (MatchRule.ANY_OVERLAP, MatchRule.ONE_TO_ONE):
        for name in _LESION_RATES:
            texts = own[name] if rule is MatchRule.ANY_OVERLAP else [DASH, DASH]
            title = f"{name}, {rule.title(results.settings.smallest_iou)} (%)"
            rows.append(_pair_row("lesion", title, texts, _lesion(results, name, rule)))
    return rows


def _external_rows(results: CohortResults, facts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    printed = facts["m_staging_external"]
    rows = []
    for name in ("sensitivity", "specificity"):
        texts = [_with_percent(printed[name][n]) for n in (0, 1)]
        rows.append(_pair_row("patient", f"{name} (%)", texts, _rates(results, name)))
    rows.append(_withheld_row(results))
    areas = [f"{printed['auc'][n]:.2f}" for n in (0, 1)]
    rows.append(_pair_row("patient", "AUC of calls", areas, _areas(results, "auc_of_calls")))
    rows.append(_pair_row("patient", "AUC of scores", [DASH, DASH], _areas(results, "auc")))
    return rows


def _withheld_row(results: CohortResults) -> tuple[str, ...]:
    """Patients on whom no statement was made; the rates are those of the others."""
    cells = []
    for sequence in _SEQUENCES:
        reading = results.readings.get(Reading(sequence.value))
        figures = None if reading is None else reading.patients
        cells.append(DASH if figures is None else patient_rate_cell(figures.withheld.share))
    return _pair_row("patient", "no statement (%), not in the rates", [DASH, DASH], cells)


def _with_percent(fraction: str) -> str:
    above, below = (int(part) for part in fraction.split("/"))
    return f"{percent(above / below)}, {fraction}"


def _pair_row(level: str, name: str, printed: Ordered[str], own: Ordered[str]) -> tuple[str, ...]:
    return level, name, printed[0], own[0], printed[1], own[1]


def _rates(results: CohortResults, name: str) -> list[str]:
    cells = []
    for sequence in _SEQUENCES:
        reading = results.readings.get(Reading(sequence.value))
        if reading is None or reading.patients is None:
            cells.append(DASH)
            continue
        rate = reading.patients.rates[name]
        counts = f"{rate.numerator}/{rate.denominator}"
        cells.append(f"{percent_interval(rate.clopper_pearson)}, {counts}")
    return cells


def _areas(results: CohortResults, name: str) -> list[str]:
    cells = []
    for sequence in _SEQUENCES:
        reading = results.readings.get(Reading(sequence.value))
        found = None if reading is None else getattr(reading.patients, name, None)
        cells.append(DASH if found is None else number_interval(found))
    return cells


def _lesion(results: CohortResults, name: str, rule: MatchRule) -> list[str]:
    cells = []
    for sequence in _SEQUENCES:
        reading = results.readings.get(Reading(sequence.value))
        found = None if reading is None else reading.by_rule.get(rule)
        cells.append(DASH if found is None else percent_interval(getattr(found, name).bootstrap))
    return cells
