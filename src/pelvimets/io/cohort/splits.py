"""The split of each patient of a cohort to be: as the source says, or drawn by man."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered

import numpy as np

from pelvimets.core.strata import Member, spread_persons, torn
from pelvimets.errors import CohortError, listed
from pelvimets.io.cohort.folder import CohortPatient
from pelvimets.io.cohort.plan import PlannedPatient
from pelvimets.labels import Split


def with_splits(
    patients: Ordered[PlannedPatient],
    table: Mapping[str, CohortPatient],
    rng: np.random.Generator,
) -> dict[str, Split]:
    """The split of each key: from the table, else from the source, else drawn 8:1:1 by man.

    Men who are in the test split by the source stay there; then the others are drawn 8:1.

    Raises:
        CohortError: if a man is in two splits, or only some have one.
    """
    rows = {p.key: table.get(p.key) or table.get(p.man) for p in patients}
    said = {key: row.split if row else None for key, row in rows.items()}
    own = {p.key: said[p.key] or p.split for p in patients}
    held_out = {p.man for p in patients if own[p.key] is Split.TEST}
    rest = [p for p in patients if own[p.key] is not Split.TEST]
    undecided = [p.key for p in rest if own[p.key] is None]
    if undecided and len(undecided) < len(rest):
        raise CohortError(
            "Some patients have a split and some have none",
            got=listed(undecided),
            remedy="Give each of them one, or none of them",
        )
    drawn: dict[str, Split] = {}
    if undecided:
        members = [_member(p, rows[p.key]) for p in rest if p.man not in held_out]
        drawn = drawn_splits(members, rng, test=not held_out)
    splits = {p.key: own[p.key] or drawn.get(p.man, Split.TEST) for p in patients}
    _check_one_split(patients, splits)
    return splits


def _check_one_split(patients: Ordered[PlannedPatient], splits: Mapping[str, Split]) -> None:
    in_two = torn((p.man, splits[p.key]) for p in patients)
    if in_two:
        raise CohortError(
            "Images of one man stand in two splits",
            got=listed(in_two),
            remedy="Give all of his images one split",
        )


def _member(patient: PlannedPatient, row: CohortPatient | None) -> Member:
    known = (row.m_stage or "", row.scanner or "") if row else ("", "")
    return Member(patient.key, patient.man, *known)


def drawn_splits(
    members: Ordered[Member], rng: np.random.Generator, *, test: bool = True
) -> dict[str, Split]:
    """Draw 8:1:1 (8:1 without ``test``) by man, M stages and scanners spread evenly.

    Validation and test get one man each if there are three.

    >>> men = [Member(name, name) for name in "abc"]
    >>> list(drawn_splits(men, np.random.default_rng(0)).values()).count("train")
    1
    """
    men = spread_persons(members, rng)
    small = max(round(len(men) / (10 if test else 9)), 1)
    validation = small if len(men) > 1 else 0
    tested = small if test and len(men) > 2 else 0
    return {
        man: Split.VALIDATION
        if n < validation
        else Split.TEST
        if n < validation + tested
        else Split.TRAIN
        for n, man in enumerate(men)
    }
