"""The pool of digital patients that a run learns from: how many, and how it fills."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pelvimets.config import GridSettings, IntensitySettings
from pelvimets.core.progress import Progress
from pelvimets.errors import SettingsError
from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.atlas import TRAINING_SOURCES, UNSEEN_SOURCES
from pelvimets.phantom.cohort.population import PatientPlan
from pelvimets.phantom.samples.sampler import SamplerSettings
from pelvimets.training.phantom_samples import (
    EXAMINATIONS,
    TRAINING_SEEDS,
    draw_training_sample,
    simulate_samples,
    simulated_name,
    simulated_plans,
    validation_samples,
)
from pelvimets.training.store import SampleStore


@dataclass(frozen=True)
class PhantomPool:
    """How many digital patients to draw and to simulate.

    Attributes:
        patients: Drawn samples for training, made in the background while training runs.
        simulated: Men who are examined by full simulation, on two scanners each; spread among
            the drawn ones.
        validation_per_sequence: Drawn samples of each sequence set aside.
        start_with: Training begins when so many are drawn.
        sources: Anatomies to build from; leave one out to measure transfer to it.

    Raises:
        SettingsError: if one of the sources is kept for measuring alone.
    """

    patients: int = 1000
    simulated: int = 150
    validation_per_sequence: int = 12
    start_with: int = 40
    sources: tuple[str, ...] = TRAINING_SOURCES

    def __post_init__(self) -> None:
        unseen = [name for name in self.sources if name in UNSEEN_SOURCES]
        if unseen:
            raise SettingsError(
                "Nothing is trained on the anatomies kept for measuring",
                got=", ".join(unseen),
                remedy=f"Choose from {', '.join(TRAINING_SOURCES)}",
            )

    @property
    def words(self) -> str:
        """What a run on it learns from."""
        whole = self.sources == TRAINING_SOURCES
        anatomy = "" if whole else f", anatomy {', '.join(self.sources)} alone"
        return f"digital patients, {self.patients} drawn and {self.simulated} simulated{anatomy}"


def draw_validation(
    store: SampleStore,
    grid: GridSettings,
    intensity: IntensitySettings,
    pool: PhantomPool,
    progress: Progress,
) -> None:
    """Draw the samples set aside, if they are not there."""
    wanted = 2 * pool.validation_per_sequence
    if len(store.names()) < wanted:
        drawn = validation_samples(pool.validation_per_sequence, grid, intensity, pool.sources)
        for number, sample in enumerate(drawn):
            progress("Drawing for validation", number, wanted)
            store.write(sample)


def draw_first(
    store: SampleStore,
    grid: GridSettings,
    intensity: IntensitySettings,
    pool: PhantomPool,
    progress: Progress,
) -> None:
    """Draw the samples with which training begins."""
    for number in range(pool.start_with):
        progress("Drawing for training", number, pool.start_with)
        fill(store, grid, intensity, replace(pool, patients=number + 1, simulated=0))


def fill(
    store: SampleStore, grid: GridSettings, intensity: IntensitySettings, pool: PhantomPool
) -> None:
    """Draw and simulate digital patients until the pool is full; others may draw, too."""
    drawing = replace(SamplerSettings(), sources=pool.sources)
    plans = simulated_plans(pool.simulated)
    for number in range(max(pool.patients, len(plans))):
        seed, there = TRAINING_SEEDS + number, store.names()
        if number < pool.patients and seed not in _seeds(there):
            store.write(draw_training_sample(seed, grid, intensity, drawing))
        for plan in _due(plans, number, pool):
            last = simulated_name(plan, EXAMINATIONS - 1, Sequence.T1)  # written last
            if last not in there:
                for sample in simulate_samples(plan, grid, intensity, pool.sources):
                    store.write(sample)


def _due(plans: tuple[PatientPlan, ...], number: int, pool: PhantomPool) -> tuple[PatientPlan, ...]:
    """Simulations that stand beside the drawn sample of this number, spread evenly."""
    total = max(pool.patients, len(plans))
    return plans[number * len(plans) // total : (number + 1) * len(plans) // total]


def _seeds(names: tuple[str, ...]) -> set[int]:
    first = (name.split("_")[0] for name in names)
    return {int(number) for number in first if number.isdecimal()}
