"""The paper's printed figures as data, and what a recomputation says of one.

Liu X. et al., Front Oncol 2021;11:773299; ``studies/liu2021/facts.yaml``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

SEQUENCES = ("DWI", "T1 in phase")


TEST_M1, TEST_M0 = 16, 18


PATIENT_COUNTS = {  # of the test set, from the printed shares of 16 M1 and 18 M0 patients
    "sensitivity": ((14, 16), (13, 16)),
    "specificity": ((15, 18), (14, 18)),
    "accuracy": ((29, 34), (27, 34)),
    "ppv": ((14, 17), (13, 17)),
    "npv": ((15, 17), (14, 17)),
}


class Verdict(StrEnum):
    """What the recomputation says of a printed figure."""

    REPRODUCED = "reproduced"
    LAST_DIGIT = "last digit differs"
    DIFFERS = "differs"
    CONTRADICTS = "contradicts"
    UNTESTABLE = "cannot be tested"
    BY_READING = "contradicts by reading"


@dataclass(frozen=True)
class Finding:
    """One printed figure and what it should be.

    Attributes:
        where: Table and cell.
        printed, recomputed: As text.
        method: That gives the recomputed figure.
        verdict: How both agree.
        remark: What follows from it.
    """

    where: str
    printed: str
    recomputed: str
    method: str
    verdict: Verdict
    remark: str = ""


def paper_facts() -> dict[str, Any]:
    """The paper's figures as plain data."""
    path = Path(__file__).with_name("facts.yaml")
    facts: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return facts


def verdict_of(printed: Sequence[float], computed: Sequence[float], digits: int) -> Verdict:
    """Equal after rounding, one off in the last digit, or different."""
    step = 10.0**-digits
    gap = max(abs(p - c) for p, c in zip(printed, computed, strict=True)) - 1e-9
    if gap <= step / 2:
        return Verdict.REPRODUCED
    return Verdict.LAST_DIGIT if gap <= 1.5 * step else Verdict.DIFFERS


def sum_verdict(where: str, printed: int, summed: int, remark: str = "") -> Finding:
    """A printed number against the sum that should give it; the remark only if it does not."""
    holds = printed == summed
    verdict = Verdict.REPRODUCED if holds else Verdict.CONTRADICTS
    return Finding(where, str(printed), str(summed), "sum", verdict, "" if holds else remark)


def fraction_of(text: str) -> tuple[int, int]:
    """Counts of a printed fraction.

    >>> fraction_of("14/16")
    (14, 16)
    """
    above, below = text.split("/")
    return int(above), int(below)
