"""Workers that wait; prints their numbers, then waits to be killed.

python -m tests.io.waiting_workers each|beside
"""

from __future__ import annotations

import os
import sys
import time

from pelvimets.io.workers import beside, each


def wait_long(number: int) -> None:
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    time.sleep(600)


def main(kind: str) -> None:
    if kind == "each":
        list(each(wait_long, [1, 2], jobs=2))
    else:
        workers = [beside(wait_long, number) for number in (1, 2)]
        workers[0].join()


if __name__ == "__main__":
    main(sys.argv[1])
