"""Study populations as in the paper: who is scanned where, at what age, with how much disease.

Figures are those of Tables 2 and 3 of Liu X. et al., Front Oncol 2021;11:773299. Where they
contradict each other (scanner rows that do not add up) the proportions are kept. Each man is
drawn from his own seed, so that he can be made again alone.

``bones``, ``lesions`` and ``external`` are the paper's cohorts, with who was excluded there, and
lesions as its readers could draw them. ``stress`` keeps everything hard: small and faint
metastases, treated ones, a burden without bound, every mimic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from pelvimets.errors import SettingsError
from pelvimets.labels import Split
from pelvimets.phantom.anatomy.patient import LesionKind, MimicKind
from pelvimets.phantom.choices import Population
from pelvimets.phantom.cohort.build import PatientSettings
from pelvimets.phantom.disease.burden import BurdenSettings, draw_volumes
from pelvimets.phantom.disease.metastases import DiseaseSettings
from pelvimets.phantom.physics.visibility import ReaderSettings


@dataclass(frozen=True)
class Enrolment:
    """Who and what is taken into a population.

    Attributes:
        treated: Whether treated metastases are (the paper's lesion model left out the treated).
        left_out: Benign findings that exclude a man, so that nobody has them.
        reader: Which lesions are drawn; None: all that lie in the image.
        placement_z_mm: Span above the femoral heads in which lesions start.
    """

    treated: bool = True
    left_out: tuple[MimicKind, ...] = ()
    reader: ReaderSettings | None = None
    placement_z_mm: tuple[float, float] = DiseaseSettings().placement_z_mm

    def settings(self, base: PatientSettings) -> PatientSettings:
        """What the men of this population are drawn from."""
        kinds = base.disease.kinds
        if not self.treated:
            kinds = tuple(k for k in kinds if k[0] is not LesionKind.TREATED)
        disease = replace(base.disease, kinds=kinds, placement_z_mm=self.placement_z_mm)
        mimics = tuple(kind for kind in base.mimics.kinds if kind not in self.left_out)
        return replace(base, disease=disease, mimics=replace(base.mimics, kinds=mimics))


_FRACTURED = (MimicKind.FRACTURE_OEDEMA,)  # "history of pelvic fracture", both models
_BENIGN = (*_FRACTURED, MimicKind.HAEMANGIOMA, MimicKind.BONE_ISLAND, MimicKind.CYST)
_AS_IN_THE_PAPER = Enrolment(
    treated=False, left_out=_BENIGN, reader=ReaderSettings(), placement_z_mm=(-62.0, 125.0)
)
ENROLMENT: dict[Population, Enrolment] = {
    Population.BONES: Enrolment(left_out=_FRACTURED),
    Population.LESIONS: _AS_IN_THE_PAPER,
    Population.EXTERNAL: _AS_IN_THE_PAPER,
    Population.STRESS: Enrolment(),
}


@dataclass(frozen=True)
class PartFigures:
    """One column of the tables.

    Attributes:
        age_years: Mean and standard deviation.
        psa_ng_per_ml: Quartiles of total PSA.
        free_psa_ng_per_ml: Quartiles of free PSA.
        scanners: Patients per scanner.
        burden: Number and volume of metastases.
    """

    age_years: tuple[float, float]
    psa_ng_per_ml: tuple[float, float, float]
    free_psa_ng_per_ml: tuple[float, float, float]
    scanners: tuple[tuple[str, int], ...]
    burden: BurdenSettings


_SMALLEST_CM3 = 0.356  # the smallest lesion that the paper's readers drew
_LARGEST_CM3 = 58.0  # of one man; with it the mean is the paper's (15.4 cm3), and Figure 6 ends
_DRAWN = BurdenSettings(
    volume_range_cm3=(_SMALLEST_CM3, _LARGEST_CM3),
    smallest_cm3=1.1 * _SMALLEST_CM3,  # a thin edge fills no voxel
    correlation=0.85,  # a quarter of the M1 patients have less than 1.23 cm3: few lesions
)
_TRAIN = _DRAWN
_VALIDATION = replace(
    _DRAWN, bins=(4, 6, 4, 4), total_lesions=86, volume_quartiles_cm3=(2.72, 7.98, 31.75)
)
_TEST = replace(
    _DRAWN, bins=(2, 5, 4, 5), total_lesions=89, volume_quartiles_cm3=(2.98, 8.05, 31.03)
)
_EXTERNAL = replace(
    _DRAWN, bins=(5, 6, 8, 12), total_lesions=144, volume_quartiles_cm3=(1.23, 7.39, 28.23)
)


def _mix(discovery: int, achieva: int, intera: int) -> tuple[tuple[str, int], ...]:
    return ("discovery", discovery), ("achieva", achieva), ("intera", intera)


FIGURES: dict[tuple[Population, Split], PartFigures] = {
    (Population.BONES, Split.TRAIN): PartFigures(
        (68.3, 10.5), (7.11, 10.49, 15.99), (1.04, 1.95, 6.71), _mix(417, 133, 134), _TRAIN
    ),
    (Population.BONES, Split.VALIDATION): PartFigures(
        (67.6, 10.9), (8.46, 9.73, 12.68), (1.08, 2.07, 5.78), _mix(56, 17, 15), _VALIDATION
    ),
    (Population.BONES, Split.TEST): PartFigures(
        (67.8, 11.7), (7.44, 11.19, 15.75), (1.02, 2.19, 5.46), _mix(57, 15, 16), _TEST
    ),
    (Population.LESIONS, Split.TRAIN): PartFigures(
        (69.6, 10.4), (9.10, 13.04, 20.1), (1.01, 1.29, 5.41), _mix(172, 71, 23), _TRAIN
    ),
    (Population.LESIONS, Split.VALIDATION): PartFigures(
        (65.9, 11.2), (10.13, 12.65, 18.50), (1.08, 1.36, 4.38), _mix(17, 10, 7), _VALIDATION
    ),
    (Population.LESIONS, Split.TEST): PartFigures(
        (68.7, 8.9), (12.95, 13.95, 23.5), (1.07, 1.48, 4.73), _mix(20, 8, 6), _TEST
    ),
    (Population.EXTERNAL, Split.TEST): PartFigures(
        (70.7, 8.1), (8.89, 12.25, 26.92), (1.05, 1.65, 5.26), _mix(31, 13, 24), _EXTERNAL
    ),
}

_HARD = BurdenSettings()
FIGURES |= {
    (Population.STRESS, part): replace(
        FIGURES[Population.LESIONS, part],
        burden=replace(
            FIGURES[Population.LESIONS, part].burden,
            volume_range_cm3=_HARD.volume_range_cm3,
            smallest_cm3=_HARD.smallest_cm3,
            correlation=_HARD.correlation,
        ),
    )
    for part in Split
}

# Patients of each dataset of the paper, with and without metastases:
# 1 benign, 2 cancer without, 3 cancer with metastases; 4 and 5 the later ones.
DATASETS: dict[Population, tuple[tuple[int, int, bool], ...]] = {
    Population.BONES: ((1, 349, False), (2, 280, False), (3, 230, True)),
    Population.LESIONS: ((2, 166, False), (3, 168, True)),
    Population.STRESS: ((2, 166, False), (3, 168, True)),
    Population.EXTERNAL: ((4, 31, True), (5, 32, False)),
}
_AGE_RANGE_YEARS = (40.0, 92.0)
_PSA_M1_CORRELATION = 0.3


@dataclass(frozen=True)
class PatientPlan:
    """What is decided of a man before he is built.

    Attributes:
        seed: His seed; with ``population`` and ``part`` it decides the rest.
        population, part: Where he belongs.
        dataset: Number of the paper's dataset.
        scanner: Where he is scanned.
        age_years, psa_ng_per_ml, free_psa_ng_per_ml: Age and PSA.
        lesion_volumes_cm3: Volume of each metastasis, largest first; empty for M0.
    """

    seed: int
    population: Population
    part: Split
    dataset: int
    scanner: str
    age_years: float
    psa_ng_per_ml: float
    free_psa_ng_per_ml: float
    lesion_volumes_cm3: tuple[float, ...]

    @property
    def m_stage(self) -> str:
        """``M1`` with metastases, ``M0`` without."""
        return "M1" if self.lesion_volumes_cm3 else "M0"

    def settings(
        self, base: PatientSettings | None = None, enrolment: Enrolment | None = None
    ) -> PatientSettings:
        """Settings to build him; enrolment is that of his population, unless given."""
        enrolled = (enrolment or ENROLMENT[self.population]).settings(base or PatientSettings())
        return replace(
            enrolled, age_years=self.age_years, lesion_volumes_cm3=self.lesion_volumes_cm3
        )


def draw_plan(seed: int, population: Population, part: Split) -> PatientPlan:
    """Draw one man of a population from his seed.

    Raises:
        SettingsError: if the population has no such part.
    """
    if (population, part) not in FIGURES:
        raise SettingsError(f"The {population} cohort has no such part", got=part.value)
    figures = FIGURES[population, part]
    rng = np.random.default_rng([seed, 101])
    dataset, metastatic = _draw_dataset(rng, population)
    z, noise = rng.standard_normal(2)
    psa = _with_quartiles(_shifted(z, metastatic, population), figures.psa_ng_per_ml)
    free = _with_quartiles(0.6 * z + 0.8 * noise, figures.free_psa_ng_per_ml)
    mean, spread = figures.age_years
    names, counts = zip(*figures.scanners, strict=True)
    weights = np.array(counts) / sum(counts)
    return PatientPlan(
        seed=seed,
        population=population,
        part=part,
        dataset=dataset,
        scanner=str(rng.choice(names, p=weights)),
        age_years=round(float(np.clip(rng.normal(mean, spread), *_AGE_RANGE_YEARS)), 1),
        psa_ng_per_ml=round(psa, 2),
        free_psa_ng_per_ml=round(min(free, 0.9 * psa), 2),
        lesion_volumes_cm3=draw_volumes(rng, figures.burden) if metastatic else (),
    )


def draw_cohort(population: Population, patients: int, seed: int) -> tuple[PatientPlan, ...]:
    """Draw a cohort; split 8:1:1 by patient, but for the later cohort, which is test only.

    Raises:
        SettingsError: if there is no patient.
    """
    if patients < 1:
        raise SettingsError("A cohort needs at least one patient", got=patients)
    parts = split_parts(population, patients, seed)
    return tuple(
        draw_plan(patient_seed(seed, index), population, part) for index, part in enumerate(parts)
    )


def patient_seed(cohort_seed: int, index: int) -> int:
    """Seed of one patient of a cohort.

    >>> patient_seed(1, 0) == patient_seed(1, 0) != patient_seed(1, 1)
    True
    """
    return int(np.random.SeedSequence([cohort_seed, index]).generate_state(1)[0])


def split_parts(population: Population, patients: int, seed: int) -> tuple[Split, ...]:
    """Split of each patient; validation and test get a tenth each, rounded."""
    if population is Population.EXTERNAL:
        return (Split.TEST,) * patients
    tenth = round(patients / 10)
    parts = [Split.VALIDATION] * tenth + [Split.TEST] * tenth
    parts += [Split.TRAIN] * (patients - len(parts))
    order = np.random.default_rng([seed, 202]).permutation(patients)
    return tuple(parts[n] for n in order)


def _draw_dataset(rng: np.random.Generator, population: Population) -> tuple[int, bool]:
    rows = DATASETS[population]
    weights = np.array([count for _, count, _ in rows], dtype=float)
    number, _, metastatic = rows[int(rng.choice(len(rows), p=weights / weights.sum()))]
    return number, metastatic


def _shifted(z: float, metastatic: bool, population: Population) -> float:
    """Higher PSA with metastases, with mean and spread over the population kept."""
    rows = DATASETS[population]
    share = sum(c for _, c, m in rows if m) / sum(c for _, c, _ in rows)
    standardised = (metastatic - share) / np.sqrt(share * (1 - share))
    rest = np.sqrt(1 - _PSA_M1_CORRELATION**2)
    return float(_PSA_M1_CORRELATION * standardised + rest * z)


def _with_quartiles(z: float, quartiles: tuple[float, float, float]) -> float:
    """Value at a normal score: log-normal on either side of the median, quartiles met."""
    low, median, high = np.log(quartiles)
    quarter = stats.norm.ppf(0.75)
    spread = (high - median) if z > 0 else (median - low)
    return float(np.exp(median + z / quarter * spread))


@dataclass(frozen=True)
class FlowRow:
    """One line of the enrolment flow."""

    step: str
    reason: str
    patients: int


_ENROLMENT = {
    # screened, included at first; then excluded for the lesion model
    Population.BONES: (955, 859),
    Population.LESIONS: (955, 859),
    Population.EXTERNAL: (77, 63),
}
_EXCLUSIONS = (
    "poor image quality",
    "incomplete image set",
    "obvious destruction of bone structure",
    "history of pelvic fracture or surgery",
)
_LESION_EXCLUSIONS = (("primary bone tumour or definite benign finding", 27), ("treated", 149))


def enrolment_flow(population: Population, patients: int, seed: int) -> tuple[FlowRow, ...]:
    """How many men were screened and excluded until the cohort was full, as in Figure 1.

    The paper gives the sum of the first exclusions, not the number per reason: the reasons
    are drawn with equal chance.

    Args:
        population: Which cohort.
        patients: Men included in the end.
        seed: Seed of the cohort.
    """
    if population is Population.STRESS:  # takes everybody
        return FlowRow("screened", "", patients), FlowRow("included", "", patients)
    rng = np.random.default_rng([seed, 303])
    screened, included = _ENROLMENT[population]
    rows: list[FlowRow] = []
    entered = patients
    if population is Population.LESIONS:
        entered, rows = _lesion_flow(rng, patients)
    excluded = int(rng.negative_binomial(entered, included / screened))
    reasons = Counter(rng.choice(_EXCLUSIONS, excluded).tolist())
    return (
        FlowRow("screened", "", entered + excluded),
        *(FlowRow("excluded", reason, reasons[reason]) for reason in _EXCLUSIONS),
        FlowRow("included", "bone model" if rows else "", entered),
        *rows,
    )


def _lesion_flow(rng: np.random.Generator, patients: int) -> tuple[int, list[FlowRow]]:
    """From the bone model's men to those with cancer, untreated and without benign finding."""
    counts = dict(_LESION_EXCLUSIONS)
    eligible = 280 + 230
    kept = eligible - sum(counts.values())
    left_out = int(rng.negative_binomial(patients, kept / eligible))
    benign = int(rng.binomial(left_out, counts[_LESION_EXCLUSIONS[0][0]] / sum(counts.values())))
    without_cancer = int(rng.negative_binomial(patients + left_out, eligible / 859))
    rows = [
        FlowRow("excluded", "benign or PI-RADS 1-2", without_cancer),
        FlowRow("excluded", _LESION_EXCLUSIONS[0][0], benign),
        FlowRow("excluded", _LESION_EXCLUSIONS[1][0], left_out - benign),
        FlowRow("included", "lesion model", patients),
    ]
    return patients + left_out + without_cancer, rows


def counts_by(plans: Iterable[PatientPlan], attribute: str) -> dict[str, int]:
    """Number of patients for each value of an attribute, for summaries.

    >>> counts_by(draw_cohort(Population.EXTERNAL, 3, 0), "part")
    {'test': 3}
    """
    return dict(Counter(str(getattr(plan, attribute)) for plan in plans))
