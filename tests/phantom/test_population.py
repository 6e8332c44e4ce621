"""Populations: 200 men match the paper's Tables 2 and 3 within the error of sampling."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from pelvimets.errors import SettingsError
from pelvimets.labels import Split
from pelvimets.phantom.anatomy.patient import LesionKind, MimicKind
from pelvimets.phantom.choices import Population
from pelvimets.phantom.cohort.build import PatientSettings
from pelvimets.phantom.cohort.population import (
    FIGURES,
    draw_cohort,
    draw_plan,
    enrolment_flow,
    patient_seed,
)

SMALLEST_P = 0.001  # with some thirty tests, hardly ever met by chance; the seeds are fixed


@pytest.fixture(scope="module")
def men():
    """200 men of the lesion model's training set."""
    seeds = [patient_seed(2021, n) for n in range(200)]
    return [draw_plan(seed, Population.LESIONS, Split.TRAIN) for seed in seeds]


def quartile_p(values, quartiles):
    """Chi-square over the four quarters that the printed quartiles cut."""
    counts = np.bincount(np.searchsorted(quartiles, values), minlength=4)
    return stats.chisquare(counts).pvalue


def test_lesion_counts_match_table_3(men):
    numbers = [len(man.lesion_volumes_cm3) for man in men if man.lesion_volumes_cm3]
    counts = [sum(low <= n <= high for n in numbers) for low, high in BINS]
    printed = np.array([30, 36, 24, 44])
    assert sum(counts) == len(numbers)
    assert stats.chisquare(counts, printed / printed.sum() * len(numbers)).pvalue > SMALLEST_P
    error = np.std(numbers) / np.sqrt(len(numbers))
    assert abs(np.mean(numbers) - 664 / 134) < 3.3 * error


BINS = ((1, 1), (2, 3), (4, 5), (6, 999))


def test_lesion_volume_per_patient_matches_table_3(men):
    volumes = [sum(man.lesion_volumes_cm3) for man in men if man.lesion_volumes_cm3]
    assert quartile_p(volumes, (5.47, 7.50, 31.60)) > SMALLEST_P
    assert min(min(man.lesion_volumes_cm3, default=1.0) for man in men) >= 0.19


def test_m_stage_age_psa_and_scanners_match(men):
    metastatic = sum(man.m_stage == "M1" for man in men)
    assert stats.binomtest(metastatic, len(men), 168 / 334).pvalue > SMALLEST_P
    ages = [man.age_years for man in men]
    assert stats.ttest_1samp(ages, 69.6).pvalue > SMALLEST_P
    assert 8.4 < np.std(ages) < 12.0
    assert quartile_p([man.psa_ng_per_ml for man in men], (9.10, 13.04, 20.1)) > SMALLEST_P
    free = [man.free_psa_ng_per_ml for man in men]
    assert quartile_p(free, (1.01, 1.29, 5.41)) > SMALLEST_P
    counts = Counter(man.scanner for man in men)
    expected = np.array([172, 71, 23]) / 266 * len(men)
    found = [counts[name] for name in ("discovery", "achieva", "intera")]
    assert stats.chisquare(found, expected).pvalue > SMALLEST_P


def test_psa_is_higher_with_metastases_and_free_is_less_than_total(men):
    groups = {stage: [m.psa_ng_per_ml for m in men if m.m_stage == stage] for stage in ("M0", "M1")}
    assert np.median(groups["M1"]) > np.median(groups["M0"])
    assert all(man.free_psa_ng_per_ml < man.psa_ng_per_ml for man in men)


@pytest.mark.parametrize("population,part", FIGURES)
def test_every_column_of_the_tables_can_be_drawn(population, part):
    figures = FIGURES[population, part]
    men = [draw_plan(seed, population, part) for seed in range(120)]
    assert stats.ttest_1samp([m.age_years for m in men], figures.age_years[0]).pvalue > SMALLEST_P
    assert quartile_p([m.psa_ng_per_ml for m in men], figures.psa_ng_per_ml) > SMALLEST_P
    assert {m.scanner for m in men} <= {"discovery", "achieva", "intera"}


def test_split_is_8_1_1_and_the_later_cohort_is_test_only():
    parts = Counter(man.part for man in draw_cohort(Population.BONES, 100, 5))
    assert parts == {Split.TRAIN: 80, Split.VALIDATION: 10, Split.TEST: 10}
    assert {m.part for m in draw_cohort(Population.EXTERNAL, 10, 5)} == {Split.TEST}
    with pytest.raises(SettingsError, match="no such part"):
        draw_plan(1, Population.EXTERNAL, Split.TRAIN)
    with pytest.raises(SettingsError, match="at least one"):
        draw_cohort(Population.BONES, 0, 5)


def test_a_man_is_drawn_alone_as_in_his_cohort():
    cohort = draw_cohort(Population.LESIONS, 30, 9)
    assert len({man.seed for man in cohort}) == 30
    man = cohort[17]
    assert draw_plan(man.seed, man.population, man.part) == man
    assert draw_cohort(Population.LESIONS, 30, 10) != cohort


def test_the_treated_are_enrolled_for_the_bone_model_only():
    kinds = {}
    for population in Population:
        plan = draw_plan(3, population, Split.TEST)
        settings = plan.settings(PatientSettings())
        kinds[population] = {kind for kind, _ in settings.disease.kinds}
        assert settings.lesion_volumes_cm3 == plan.lesion_volumes_cm3
    assert LesionKind.TREATED in kinds[Population.BONES]
    assert LesionKind.TREATED not in kinds[Population.LESIONS] | kinds[Population.EXTERNAL]


def test_benign_findings_exclude_as_in_the_paper_and_the_stress_cohort_keeps_all():
    def mimics(population):
        return set(draw_plan(3, population, Split.TEST).settings().mimics.kinds)

    assert mimics(Population.STRESS) == set(MimicKind)
    assert set(MimicKind) - mimics(Population.BONES) == {MimicKind.FRACTURE_OEDEMA}
    definite = {MimicKind.HAEMANGIOMA, MimicKind.BONE_ISLAND, MimicKind.CYST}
    for population in (Population.LESIONS, Population.EXTERNAL):
        assert set(MimicKind) - mimics(population) == definite | {MimicKind.FRACTURE_OEDEMA}


def test_the_stress_cohort_has_what_no_reader_draws():
    men = draw_cohort(Population.STRESS, 400, 1)
    volumes = [volume for man in men for volume in man.lesion_volumes_cm3]
    assert min(volumes) < 0.25 and max(sum(man.lesion_volumes_cm3) for man in men) > 100
    assert enrolment_flow(Population.STRESS, 12, 1)[-1].patients == 12


@pytest.mark.parametrize(
    "population,patients", [("bones", 859), ("lesions", 334), ("external", 63)]
)
def test_flow_adds_up_and_resembles_figure_1(population, patients):
    rows = enrolment_flow(Population(population), patients, seed=1)
    assert rows[0].step == "screened" and rows[-1].patients == patients
    excluded = sum(row.patients for row in rows if row.step == "excluded")
    assert rows[0].patients - excluded == patients
    printed = {"bones": 955, "lesions": 955, "external": 77}[population]
    assert 0.8 * printed < rows[0].patients < 1.25 * printed
