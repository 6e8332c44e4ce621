from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelvimets.core.splits import Splits, check_splits, completed_splits, random_splits
from pelvimets.errors import CohortError

NAMES = st.sets(st.text("abcdefgh", min_size=1, max_size=4), min_size=3, max_size=60)


@given(NAMES, st.integers(0, 2**31))
def test_random_splits_hold_everybody_once_and_in_proportion(names: set[str], seed: int) -> None:
    splits = random_splits(names, seed)
    parts = (splits.train, splits.validation, splits.test)
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert len(splits.validation) == len(splits.test) == max(1, round(len(names) / 10))
    assert splits == random_splits(sorted(names, reverse=True), seed)


def test_another_seed_draws_others() -> None:
    names = [f"p{n}" for n in range(100)]
    first, second = random_splits(names, 1), random_splits(names, 2)
    assert (len(first.train), len(first.validation), len(first.test)) == (80, 10, 10)
    assert first.test != second.test


def test_two_patients_cannot_be_parted() -> None:
    with pytest.raises(CohortError, match="Too few"):
        random_splits(["a", "b"], 0)


def test_the_table_comes_first_then_the_other_run_then_chance() -> None:
    table = {"a": "test", "b": "train", "c": "validation"}
    assert completed_splits(table, Splits(train=("a",)), 0).of_patient == table
    names = dict.fromkeys("abcdef")
    before = Splits(train=("a", "z"), test=("b",))
    splits = completed_splits(names, before, 0)
    assert splits.of_patient["a"] == "train" and splits.of_patient["b"] == "test"
    assert sorted(splits.of_patient) == list("abcdef")
    with pytest.raises(CohortError, match=r"some have none.*b"):
        completed_splits({"a": "train", "b": None}, None, 0)


def test_a_patient_of_two_splits_is_named_with_both() -> None:
    bones = Splits(train=("p1", "p2"), test=("p3",))
    lesions = Splits(train=("p2", "p3"), validation=("p4",))
    check_splits({"run bones": bones, "run other": Splits(validation=("p9",))})
    with pytest.raises(CohortError, match=r"p3: train of run lesions, test of run bones") as found:
        check_splits({"run lesions": lesions, "run bones": bones})
    assert "p2" not in str(found.value)
    with pytest.raises(CohortError, match="p1: train of this run, test of this run"):
        check_splits({"this run": Splits(train=("p1",), test=("p1",))})
