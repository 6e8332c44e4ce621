"""Parts of a cohort that are alike: by person, with M stages and scanners spread evenly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pelvimets.errors import CohortError


@dataclass(frozen=True)
class Member:
    """A patient of a cohort as far as parting it is concerned.

    Attributes:
        key: Name of the patient.
        person: Whose images they are; one person stays in one part.
        m_stage: ``M0``, ``M1`` or empty.
        scanner: Empty if unknown.
    """

    key: str
    person: str
    m_stage: str = ""
    scanner: str = ""


def spread_persons(members: Iterable[Member], rng: np.random.Generator) -> list[str]:
    """Persons in random order such that each stretch holds M stages and scanners in proportion.

    A person with any M1 is M1; the scanner is that of the first of his patients.

    Args:
        members: All patients.
        rng: Source of randomness.
    """
    kinds: dict[str, tuple[str, str]] = {}
    for member in sorted(members, key=lambda m: m.key):
        stage, scanner = kinds.get(member.person, ("", member.scanner))
        kinds[member.person] = (max(stage, member.m_stage), scanner)
    names = sorted(kinds)
    shuffled = [names[n] for n in rng.permutation(len(names))]
    stages = {
        stage: _interleaved(shuffled, {p: kinds[p][1] for p in shuffled if kinds[p][0] == stage})
        for stage in sorted({stage for stage, _ in kinds.values()})
    }
    of_stage = {person: stage for stage, persons in stages.items() for person in persons}
    return _interleaved([p for persons in stages.values() for p in persons], of_stage)


def _interleaved(order: list[str], kind_of: Mapping[str, str]) -> list[str]:
    """Those that have a kind, each kind spread evenly, in the order given within a kind."""
    groups: dict[str, list[str]] = {}
    for name in order:
        if name in kind_of:
            groups.setdefault(kind_of[name], []).append(name)
    place = {
        name: (number + 0.5) / len(group)
        for group in groups.values()
        for number, name in enumerate(group)
    }
    return sorted(place, key=place.__getitem__)


def drawn_folds(members: Iterable[Member], folds: int, seed: int) -> dict[str, int]:
    """Fold (from 1) of each patient: equal parts, stratified, a person in one of them.

    The same patients and seed give the same folds.

    Raises:
        CohortError: if there are fewer persons than folds.

    >>> people = [Member(str(n), str(n), "M1" if n < 4 else "M0") for n in range(8)]
    >>> found = drawn_folds(people, 4, 0)
    >>> sorted(found[str(n)] for n in range(4))
    [1, 2, 3, 4]
    """
    members = list(members)
    persons = spread_persons(members, np.random.default_rng([seed, folds]))
    if not 2 <= folds <= len(persons):
        raise CohortError(
            "A cohort cannot be parted into so many folds",
            got=f"{folds} folds, {len(persons)} persons",
            remedy="Take from 2 folds to as many as there are persons",
        )
    # By stretches: in turn, kinds that alternate would each fall into every second fold.
    fold = {person: number * folds // len(persons) + 1 for number, person in enumerate(persons)}
    return {member.key: fold[member.person] for member in members}


def torn(places: Iterable[tuple[str, object]]) -> list[str]:
    """Persons who stand in two parts, sorted.

    Args:
        places: A person and the part of one of the images, for each image.

    >>> torn([("a", 1), ("b", 2), ("a", 1), ("b", 1)])
    ['b']
    """
    first: dict[str, object] = {}
    return sorted({person for person, part in places if first.setdefault(person, part) != part})
