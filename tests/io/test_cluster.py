"""Work on a cluster: a real scheduler and three worker processes, one of which is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pelvimets.errors import InputError, ResourceError
from pelvimets.io.workers import Cluster, each
from tests.dask_cluster import local_cluster

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        cluster.with_workers(3)
        yield cluster.address


def treat(patient: str, notes: Path) -> str:
    """One patient's work; one of them kills his worker at the first try."""
    with (notes / patient).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if patient == "killer" and len((notes / patient).read_text().split()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if patient == "refused":
        raise InputError("The study is no study", got=patient)
    if patient == "private":
        raise ValueError("no room for SMITH^JOHN")
    time.sleep(0.3)
    return patient.upper()


PATIENTS = ["p1", "killer", "refused", "private", *(f"p{n}" for n in range(2, 9))]


@pytest.mark.slow
def test_a_worker_that_dies_costs_one_patients_time(address: str, tmp_path: Path) -> None:
    ended = list(each(partial(treat, notes=tmp_path), PATIENTS, Cluster(address)))
    found = {o.item: o for o in ended}
    assert len(ended) == len(PATIENTS) and set(found) == set(PATIENTS)
    failed = {"refused", "private"}
    faults = {p: found[p].fault for p in PATIENTS if p not in failed}
    assert not any(faults.values()), faults
    assert all(found[p].result == p.upper() for p in faults)
    assert found["refused"].fault == "The study is no study (got refused)."
    assert "SMITH" not in found["private"].fault and "ValueError" in found["private"].fault
    tries = {path.name: path.read_text().split() for path in tmp_path.iterdir()}
    assert len(tries["killer"]) == 2 and len(set(tries["killer"])) == 2
    assert all(len(own) == 1 for name, own in tries.items() if name != "killer")
    assert len({pid for own in tries.values() for pid in own}) == 3
    assert str(os.getpid()) not in {pid for own in tries.values() for pid in own}


@pytest.mark.slow
def test_the_same_outcomes_as_on_this_machine(address: str, tmp_path: Path) -> None:
    patients = [p for p in PATIENTS if p != "killer"]
    outcomes = []
    for number, jobs in enumerate((1, Cluster(address))):
        notes = tmp_path / str(number)
        notes.mkdir()
        outcomes.append({o.item: o for o in each(partial(treat, notes=notes), patients, jobs)})
    assert outcomes[0] == outcomes[1]


def test_no_scheduler_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pelvimets.io.cluster._CONNECT_SECONDS", 1)
    with pytest.raises(ResourceError, match=r"scheduler cannot be reached.*tcp://127.0.0.1:1:"):
        list(each(str.upper, ["a"], Cluster("tcp://127.0.0.1:1")))


@pytest.mark.slow
def test_workers_that_do_not_see_the_folder_are_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pelvimets.io.cluster._here", lambda: str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="does not see the folder"):
        list(each(str.upper, ["a"], Cluster(address)))
