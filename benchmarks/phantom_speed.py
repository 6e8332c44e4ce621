"""Seconds and peak memory of one digital patient with both sequences and truth.

Run with ``python benchmarks/phantom_speed.py [--seed N] [--scanner NAME]``. The target is 8 s on
one core and 2 GB. CPU seconds are printed beside wall seconds: on a busy machine only the
former tell the cost of the work.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")


class Clock:
    """Wall and CPU seconds of each stage."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float]] = []
        self._name, self._start = "imports", (time.perf_counter(), time.process_time())

    def stage(self, name: str) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.rows.append((self._name, wall - self._start[0], cpu - self._start[1]))
        self._name, self._start = name, (wall, cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--scanner", default="discovery")
    arguments = parser.parse_args()
    clock = Clock()
    from pelvimets.app.phantom import make_phantom
    from pelvimets.requests.phantom import Examined, PhantomOrder

    with tempfile.TemporaryDirectory() as folder:
        order = PhantomOrder(arguments.seed, examined=Examined(scanner=arguments.scanner))
        make_phantom(order, Path(folder) / "patient", clock.stage)
        clock.stage("end")
    print(f"{'stage':<12}{'wall s':>8}{'CPU s':>8}")
    for name, wall, cpu in clock.rows:
        print(f"{name:<12}{wall:>8.2f}{cpu:>8.2f}")
    work = clock.rows[1:]
    print(f"{'patient':<12}{sum(r[1] for r in work):>8.2f}{sum(r[2] for r in work):>8.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
