"""A cohort's disease against the paper's tables: what passes, and what is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pelvimets.errors import CohortError
from pelvimets.phantom.anatomy.patient import MimicKind
from pelvimets.phantom.choices import Population
from pelvimets.phantom.cohort.paper_checks import ManDrawn, paper_table
from pelvimets.phantom.cohort.population import draw_cohort


def men_of(population, patients=400, seed=6):
    """Men whose masks hold just what was planned."""
    plans = draw_cohort(population, patients, seed)
    return [
        ManDrawn(
            part=plan.part,
            lesions=len(plan.lesion_volumes_cm3),
            volume_cm3=sum(plan.lesion_volumes_cm3),
            smallest_cm3=min(plan.lesion_volumes_cm3, default=None),
            lowest_cnr=2.0 if plan.lesion_volumes_cm3 else None,
            benign=frozenset({MimicKind.END_PLATE}),
        )
        for plan in plans
    ]


def off(men, population=Population.EXTERNAL):
    return {row.reference.title for row in paper_table(men, population) if row.state != "ok"}


@pytest.mark.parametrize("population", [Population.EXTERNAL, Population.LESIONS])
def test_what_is_planned_follows_the_paper(population):
    assert off(men_of(population, 300), population) == set()


def test_the_external_mean_and_largest_burden_are_the_papers():
    volumes = [man.volume_cm3 for man in men_of(Population.EXTERNAL, 4000) if man.lesions]
    assert 15.0 < np.mean(volumes) < 16.2  # 15.35 on DWI, 15.68 on T1
    assert max(volumes) <= 58.0
    assert min(min(v.lesion_volumes_cm3) for v in draw_cohort(Population.EXTERNAL, 400, 6)
               if v.lesion_volumes_cm3) >= 0.356  # fmt: skip


def test_a_heavier_burden_is_off():
    men = [replace(man, volume_cm3=2.5 * man.volume_cm3) for man in men_of(Population.EXTERNAL)]
    found = off(men)
    assert "Volume per M1 patient, mean, cm3" in found
    assert "Volume per M1 patient, largest, cm3" in found
    assert "Volume per M1 patient, upper quartile, cm3" in found


def test_what_no_reader_draws_and_who_was_excluded_are_off():
    men = men_of(Population.EXTERNAL)
    sick = next(n for n, man in enumerate(men) if man.lesions)
    men[sick] = replace(
        men[sick], smallest_cm3=0.2, lowest_cnr=1.0, benign=frozenset({MimicKind.HAEMANGIOMA})
    )
    assert off(men) == {
        "Smallest metastasis, cm3", "Lowest CNR", "Share with an excluding benign finding",
    }  # fmt: skip


def test_cohorts_that_follow_no_table_are_refused():
    with pytest.raises(CohortError, match="follow the paper"):
        paper_table(men_of(Population.STRESS, 20), Population.STRESS)
    healthy = [man for man in men_of(Population.EXTERNAL, 20) if not man.lesions]
    with pytest.raises(CohortError, match="Nobody"):
        paper_table(healthy, Population.EXTERNAL)
