"""Parts of a cohort that are alike."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.core.splits import fold_splits, random_splits
from pelvimets.core.strata import Member, drawn_folds
from pelvimets.errors import CohortError

SCANNERS = ("discovery", "achieva", "intera")


def thirty() -> list[Member]:
    """Thirty patients: 9 with metastases, three scanners, the last two of one man."""
    stages = ["M1" if n % 10 < 3 else "M0" for n in range(30)]
    people = [f"p{n}" for n in range(29)] + ["p28"]
    return [Member(f"p{n}", people[n], stages[n], SCANNERS[n % 7 % 3]) for n in range(30)]


@given(st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_folds_are_alike(seed: int) -> None:
    members = thirty()
    fold_of = drawn_folds(members, 5, seed)
    sizes = Counter(fold_of.values())
    sick = Counter(fold_of[m.key] for m in members if m.m_stage == "M1")
    assert sorted(sizes) == [1, 2, 3, 4, 5] and max(sizes.values()) - min(sizes.values()) <= 2
    assert min(sick[n] for n in range(1, 6)) >= 1 and max(sick.values()) <= 3
    assert fold_of["p28"] == fold_of["p29"]
    assert fold_of == drawn_folds(members[::-1], 5, seed)


@given(st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_the_plain_split_shows_metastases_to_measure_on(seed: int) -> None:
    members = thirty()
    splits = random_splits(members, seed)
    stage = {m.key: m.m_stage for m in members}
    for part in (splits.validation, splits.test):
        assert len(part) in (3, 4) and any(stage[key] == "M1" for key in part)
    assert splits.of_patient["p28"] == splits.of_patient["p29"]


def test_more_folds_than_persons_are_refused() -> None:
    with pytest.raises(CohortError, match="31 folds, 29 persons"):
        drawn_folds(thirty(), 31, 0)


def test_a_fold_leaves_test_patients_aside() -> None:
    splits = fold_splits({"a": 1, "b": 2}, 2, ["t"])
    assert (splits.train, splits.validation, splits.test) == (("a",), ("b",), ("t",))


@pytest.mark.parametrize(
    ("persons", "sick", "folds"), [(8, 4, 4), (30, 15, 5), (12, 4, 2), (30, 10, 3)]
)
def test_every_fold_has_its_share_of_the_sick(persons: int, sick: int, folds: int) -> None:
    people = [Member(str(n), str(n), "M1" if n < sick else "M0") for n in range(persons)]
    for seed in range(20):
        found = drawn_folds(people, folds, seed)
        sizes = [list(found.values()).count(fold) for fold in range(1, folds + 1)]
        shares = [sum(found[str(n)] == fold for n in range(sick)) for fold in range(1, folds + 1)]
        assert max(sizes) - min(sizes) <= 1 and max(shares) - min(shares) <= 1, (seed, shares)
