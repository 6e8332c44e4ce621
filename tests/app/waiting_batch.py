"""Two workers of a batch that wait; prints their numbers, then waits to be killed.

python -m tests.app.waiting_batch
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from pelvimets.app.batch import end_with_parent


def number() -> int:
    time.sleep(0.5)  # so that each worker takes one
    return os.getpid()


def main() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, initializer=end_with_parent) as pool:
        found = {future.result() for future in [pool.submit(number) for _ in range(2)]}
        for _ in found:
            pool.submit(time.sleep, 600)
        sys.stdout.write(" ".join(map(str, found)) + "\n")
        sys.stdout.flush()
        time.sleep(600)


if __name__ == "__main__":
    main()
