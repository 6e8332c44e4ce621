from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from pelvimets.core.geometry import Geometry
from pelvimets.errors import InputError
from pelvimets.io.workers import each, fault_of


@pytest.mark.parametrize("kind", ["each", "beside"])
def test_the_workers_end_with_a_killed_parent(kind: str) -> None:
    command = [sys.executable, "-m", "tests.io.waiting_workers", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [psutil.Process(int(parent.stdout.readline())) for _ in range(2)]
        parent.kill()
    assert parent.pid not in {worker.pid for worker in workers}
    _, alive = psutil.wait_procs(workers, timeout=20)
    if alive:
        for worker in alive:
            worker.kill()
        pytest.fail(f"{len(alive)} worker(s) went on after their parent was killed")


def treat(patient: str, began: Path) -> str:
    """One patient's work, and what can go wrong with it."""
    if patient == "refused":
        raise InputError("The study is no study", got=patient)
    if patient == "unexpected":
        Geometry.from_axes((1, 2), ())  # type: ignore[arg-type]
    if patient == "private":
        raise ValueError("no room for SMITH^JOHN in /data/SMITH_JOHN")
    if patient == "greedy":
        os.kill(os.getpid(), signal.SIGKILL)
    with (began / patient).open("a") as file:
        file.write("x")
    time.sleep(0.05)
    return patient.upper()


PATIENTS = ["p1", "refused", "greedy", "p2", "unexpected", "p3", "private", "p4", "p5"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_patient_stops_no_other(jobs: int, tmp_path: Path) -> None:
    patients = [p for p in PATIENTS if jobs > 1 or p != "greedy"]
    found = {o.item: o for o in each(partial(treat, began=tmp_path), patients, jobs)}
    assert set(found) == set(patients)
    healthy = [p for p in patients if p.startswith("p") and p != "private"]
    assert [found[p].result for p in healthy] == [p.upper() for p in healthy]
    assert found["refused"].fault == "The study is no study (got refused)."
    assert "unexpected" in found["unexpected"].fault
    assert "in core/geometry.py, line" in found["unexpected"].fault
    assert "SMITH" not in found["private"].fault and "ValueError" in found["private"].fault
    if jobs > 1:
        assert "worker process died" in found["greedy"].fault
        done = {path.name: len(path.read_text()) for path in tmp_path.iterdir()}
        assert set(done) == set(healthy)
        assert sum(done.values()) <= len(healthy) + jobs - 1  # at most his neighbour began again


def test_all_workers_may_die_and_there_is_an_end(tmp_path: Path) -> None:
    outcomes = list(each(partial(treat, began=tmp_path), ["greedy"] * 3, jobs=2))
    assert ["died" in outcome.fault for outcome in outcomes] == [True] * 3


def test_memory_that_is_not_there_is_named() -> None:
    assert fault_of(MemoryError()).startswith("Not enough memory")
