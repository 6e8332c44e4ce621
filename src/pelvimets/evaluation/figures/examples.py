"""Which cases stand for a cohort: best, median and worst by DSC."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

from pelvimets.evaluation.measures.case import LESIONS
from pelvimets.evaluation.measures.voxel import summarise
from pelvimets.evaluation.results import VoxelRow
from pelvimets.labels import Sequence


def case_scores(rows: Ordered[VoxelRow], sequence: Sequence, kind: str) -> dict[str, float]:
    """DSC of each patient: of his lesions, or the mean of his bones."""
    values: dict[str, list[float]] = {}
    for row in rows:
        lesions = row.structure == LESIONS
        if row.sequence is not sequence or lesions != (kind == LESIONS):
            continue
        if lesions and row.measures.reference_empty:
            continue
        values.setdefault(row.patient, []).append(row.measures.dsc)
    means = {patient: summarise(own).mean for patient, own in values.items()}
    return {patient: mean for patient, mean in means.items() if mean == mean}
