from __future__ import annotations

import threading

import pytest

from pelvimets.core import lanes
from pelvimets.core.lanes import side_by_side


def test_results_come_in_the_order_of_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_cores", lambda: 2)
    both = threading.Barrier(2, timeout=20)  # each waits for the other: one after the other hangs

    def work(n: int) -> int:
        both.wait()
        return n * n

    assert side_by_side(work, [3, 1]) == [9, 1]


def test_one_core_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_cores", lambda: 1)
    names = side_by_side(lambda _: threading.current_thread().name, range(3))
    assert names == [threading.current_thread().name] * 3
    assert side_by_side(str, []) == []


def test_the_first_failure_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_cores", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda n: 1 // n, [1, 0, 2])
