"""The campaign: damaged inputs against everything that reads; each ends well or with a message.

    python -m tests.fuzz.campaign [--count 1000] [--seed 0] [--kind nifti] [--keep FOLDER]

Prints a table: how many were tried, read in spite of the damage, refused with a message, and what
came otherwise. Exits with 1 if anything came otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pelvimets.errors import PelvimetsError
from tests.fuzz.targets import TARGETS, Target

LONGEST_S = 60.0


@dataclass
class Tally:
    """What became of the inputs of one kind."""

    kind: str
    tried: int = 0
    read: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    surprises: list[str] = field(default_factory=list)


def run(kind: str, count: int, seed: int, keep: Path | None = None) -> Tally:
    """Try so many damaged inputs of a kind."""
    tally = Tally(kind)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target = TARGETS[kind](Path(name))
        for number in range(count):
            _try(target, np.random.default_rng((seed, number)), f"{seed}/{number}", tally, keep)
    return tally


def _try(
    target: Target, rng: np.random.Generator, number: str, tally: Tally, keep: Path | None
) -> None:
    path = target.damaged(rng)
    began = time.monotonic()
    tally.tried += 1
    try:
        target.read(path)
        tally.read += 1
    except PelvimetsError as error:
        tally.refused += 1
        if "SURNAME" in str(error) or not str(error).strip():
            tally.surprises.append(f"{number}: says {error}")
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        own = [f for f in where if "pelvimets" in f.filename][-1:] or where[-1:]
        at = f"{Path(own[0].filename).name}:{own[0].lineno}"
        tally.surprises.append(f"{number}: {type(error).__name__} at {at}: {str(error)[:100]}")
        if keep is not None:
            path.rename(keep / f"{tally.kind}-{number.replace('/', '-')}")
    took = time.monotonic() - began
    tally.slowest_s = max(tally.slowest_s, took)
    if took > LONGEST_S:
        tally.surprises.append(f"{number}: took {took:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(TARGETS), action="append")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    print(f"{'kind':<10}{'tried':>7}{'read':>7}{'refused':>9}{'other':>7}{'slowest s':>11}")
    failed = False
    for kind in options.kind or sorted(TARGETS):
        tally = run(kind, options.count, options.seed, options.keep)
        row = f"{tally.tried:>7}{tally.read:>7}{tally.refused:>9}{len(tally.surprises):>7}"
        print(f"{kind:<10}{row}{tally.slowest_s:>11.1f}", flush=True)
        for surprise in tally.surprises[:20]:
            print(f"    {surprise}", flush=True)
        failed |= bool(tally.surprises)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
