from __future__ import annotations

import subprocess
import sys

import psutil
import pytest


def test_the_workers_end_with_a_killed_parent() -> None:
    command = [sys.executable, "-m", "tests.app.waiting_batch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [psutil.Process(int(n)) for n in parent.stdout.readline().split()]
        parent.kill()
    assert workers
    _, alive = psutil.wait_procs(workers, timeout=20)
    if alive:
        for worker in alive:
            worker.kill()
        pytest.fail(f"{len(alive)} worker(s) went on after their parent was killed")
