"""One row for each patient."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

from pelvimets.evaluation.measures.case import LESIONS
from pelvimets.evaluation.measures.voxel import summarise
from pelvimets.evaluation.readings import LesionTally, PatientCall
from pelvimets.evaluation.results import CohortResults, VoxelRow
from pelvimets.evaluation.tables.detection import (
    RULES,
)
from pelvimets.evaluation.tables.table import (
    DASH,
    Table,
    number,
)
from pelvimets.labels import Sequence


def case_table(results: CohortResults) -> Table:
    """One row per patient and sequence."""
    calls = {
        (reading.value, call.patient): call
        for reading, result in results.readings.items()
        for call in result.calls
    }
    tallies = {
        (reading.value, tally.patient, rule): tally
        for reading, result in results.readings.items()
        for rule, own in result.tallies_by_rule.items()
        for tally in own
    }
    rows = []
    for fact in results.facts:
        for sequence in Sequence:
            own = [r for r in results.voxel if (r.patient, r.sequence) == (fact.patient, sequence)]
            if not own:
                continue
            key = (sequence.value, fact.patient)
            rows.append(
                (
                    fact.patient,
                    sequence.title,
                    fact.scanner or DASH,
                    fact.m_stage or DASH,
                    *_call_cells(calls.get(key)),
                    *_measure_cells(own),
                    *(cell for r in RULES for cell in _tally_cells(tallies.get((*key, r)))),
                )
            )
    columns = (
        "Patient", "Sequence", "Scanner", "M stage", "Called", "Score", "Bones, mean DSC",
        "Lesion DSC", "Lesion HD (mm)", "Reference (cm3)", "Predicted (cm3)",
        "Found, any overlap", "False, any overlap", "Found, one to one", "False, one to one",
    )  # fmt: skip
    notes = (f"One to one: at IoU >= {results.settings.smallest_iou:g}.",)
    return Table("cases", "Patients", columns, tuple(rows), notes)


def _call_cells(call: PatientCall | None) -> tuple[str, str]:
    if call is None:
        return DASH, DASH
    word = {True: "M1", False: "M0", None: "no statement"}[call.called]
    return word, DASH if call.score is None else number(call.score, 3)


def _measure_cells(rows: Ordered[VoxelRow]) -> tuple[str, ...]:
    bones = summarise([row.measures.dsc for row in rows if row.structure != LESIONS])
    lesions = next((row.measures for row in rows if row.structure == LESIONS), None)
    if lesions is None:
        return (number(bones.mean, 3), DASH, DASH, DASH, DASH)
    return (
        number(bones.mean, 3),
        number(lesions.dsc, 3),
        number(lesions.hd_mm, 1),
        number(lesions.reference_cm3),
        number(lesions.prediction_cm3),
    )


def _tally_cells(tally: LesionTally | None) -> tuple[str, str]:
    if tally is None:
        return DASH, DASH
    return f"{tally.n_found}/{len(tally.reference)}", str(len(tally.false))
