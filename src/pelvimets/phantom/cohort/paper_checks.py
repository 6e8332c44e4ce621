"""Disease of a cohort, as it lies in the masks, against the paper's tables.

The paper's figures are those of one sample. What is expected here is the range that 99.8 % of
samples of this size from such a population would meet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pelvimets.errors import CohortError
from pelvimets.labels import Split
from pelvimets.phantom.anatomy.patient import MimicKind
from pelvimets.phantom.choices import Population
from pelvimets.phantom.cohort.checks import CheckRow, Reference
from pelvimets.phantom.cohort.population import DATASETS, ENROLMENT, FIGURES
from pelvimets.phantom.disease.burden import BurdenSettings, total_volume_cm3

_LEVEL = 0.998
_BINS = {"1": (1, 1), "2-3": (2, 3), "4-5": (4, 5), "> 5": (6, 10**6)}
_QUARTILES = {"lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75}


@dataclass(frozen=True)
class ManDrawn:
    """What the masks of one man hold.

    Attributes:
        part: Of the cohort.
        lesions: Metastases drawn on at least one sequence; 0 is M0.
        volume_cm3: Of all of them, on the sequence that shows more.
        smallest_cm3: Of the lesions drawn, on the sequence that shows more; None without.
        lowest_cnr: Of the lesions drawn, on any sequence where they are.
        benign: Benign findings he has.
    """

    part: Split
    lesions: int
    volume_cm3: float
    smallest_cm3: float | None
    lowest_cnr: float | None
    benign: frozenset[MimicKind]


def paper_table(men: Sequence[ManDrawn], population: Population) -> tuple[CheckRow, ...]:
    """The paper's figures beside those of a cohort; of several parts the largest is taken.

    Raises:
        CohortError: if nobody has metastases, or the population follows no paper.
    """
    if population not in (Population.LESIONS, Population.EXTERNAL):
        raise CohortError(
            "Only the lesion cohorts follow the paper's tables",
            got=population.value,
            remedy="Make one with --like external or --like lesions",
        )
    part = Counter(man.part for man in men).most_common(1)[0][0]
    chosen = [man for man in men if man.part is part]
    sick = [man for man in chosen if man.lesions]
    if not sick:
        raise CohortError("Nobody in the cohort has metastases", got=f"{len(chosen)} patients")
    burden = FIGURES[population, part].burden
    rows = [_m1_row(chosen, population), *_count_rows(sick, burden), *_volume_rows(sick, burden)]
    return (*rows, *_reader_rows(chosen, sick, population))


def _row(title: str, value: float, low: float, high: float, men: int, source: str) -> CheckRow:
    return CheckRow(Reference(title, title, low, high, source), value, men)


def _share(title: str, hits: int, men: int, expected: float, source: str) -> CheckRow:
    low, high = stats.binom.interval(_LEVEL, men, expected)
    return _row(title, hits / men, low / men, high / men, men, source)


def _m1_row(men: Sequence[ManDrawn], population: Population) -> CheckRow:
    rows = DATASETS[population]
    expected = sum(count for _, count, sick in rows if sick) / sum(count for _, count, _ in rows)
    hits = sum(man.lesions > 0 for man in men)
    return _share("Share with metastases", hits, len(men), expected, "Table 2")


def _count_rows(sick: Sequence[ManDrawn], burden: BurdenSettings) -> list[CheckRow]:
    total = sum(burden.bins)
    return [
        _share(
            f"Share of M1 with {name} metastases",
            sum(low <= man.lesions <= high for man in sick),
            len(sick),
            printed / total,
            "Table 3",
        )
        for (name, (low, high)), printed in zip(_BINS.items(), burden.bins, strict=True)
    ]


def _volume_rows(sick: Sequence[ManDrawn], burden: BurdenSettings) -> list[CheckRow]:
    volumes, n = np.array([man.volume_cm3 for man in sick]), len(sick)
    rows = []
    for name, share in _QUARTILES.items():
        order = share * (n + 1)
        around = stats.beta.interval(_LEVEL, order, n + 1 - order)
        low, high = (total_volume_cm3(float(p), burden) for p in around)
        title = f"Volume per M1 patient, {name}, cm3"
        value = float(np.quantile(volumes, share))
        rows.append(_row(title, value, low, high, n, "Table 3"))
    model = np.array([total_volume_cm3(p, burden) for p in np.linspace(0.0005, 0.9995, 1000)])
    reach = stats.norm.ppf((1 + _LEVEL) / 2) * model.std() / np.sqrt(n)
    mean = float(model.mean())
    title = "Volume per M1 patient, mean, cm3"
    source = "15.4 and 15.7 in the paper's text"
    rows.append(_row(title, float(volumes.mean()), mean - reach, mean + reach, n, source))
    largest = burden.volume_range_cm3[1]
    title = "Volume per M1 patient, largest, cm3"
    rows.append(_row(title, float(volumes.max()), 0.0, 1.05 * largest, n, "Figure 6"))
    return rows


def _reader_rows(
    men: Sequence[ManDrawn], sick: Sequence[ManDrawn], population: Population
) -> list[CheckRow]:
    enrolment, far = ENROLMENT[population], float("inf")
    assert enrolment.reader is not None
    smallest = min(man.smallest_cm3 for man in sick if man.smallest_cm3 is not None)
    lowest = min(man.lowest_cnr for man in sick if man.lowest_cnr is not None)
    benign = sum(bool(man.benign & set(enrolment.left_out)) for man in men) / len(men)
    n = len(sick)
    return [
        _row("Smallest metastasis, cm3", smallest, enrolment.reader.smallest_cm3, far, n, "text"),
        _row("Lowest CNR", lowest, enrolment.reader.smallest_cnr, far, n, "what readers draw"),
        _row("Share with an excluding benign finding", benign, 0.0, 0.0, len(men), "exclusions"),
    ]
