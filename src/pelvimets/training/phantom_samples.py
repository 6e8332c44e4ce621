"""Training samples from digital patients, drawn in two ways.

*Drawn* samples are cheap: the anatomy is real, the contrast random. *Simulated* ones are whole
examinations by MR physics with all artefacts, twenty times as dear. Drawn ones alone teach
shape, but miss what echo-planar diffusion images look like; so training mixes both. Two of the
four named scanners are never trained on, so that transfer to them can be measured; protocols
drawn from wide ranges stand beside the other two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pelvimets.config import GridSettings, IntensitySettings
from pelvimets.core.intensity import normalise
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.atlas import TRAINING_SOURCES
from pelvimets.phantom.choices import Artefacts, Population
from pelvimets.phantom.cohort.build import PatientSettings, build_patient
from pelvimets.phantom.cohort.population import Enrolment, PatientPlan, draw_cohort
from pelvimets.phantom.physics.imaging import examine
from pelvimets.phantom.physics.placement import Truth
from pelvimets.phantom.physics.protocols import draw_artefacts, draw_scanner
from pelvimets.phantom.physics.scanner import Scanner, scanner_named
from pelvimets.phantom.samples.sampler import (
    FieldSettings,
    SamplerSettings,
    TrainingSample,
    draw_sample,
)
from pelvimets.training.sample import (
    SIMULATED,
    AnnotatedImage,
    Sample,
    prepare_sample,
    sample_from_arrays,
    truth_of,
)

FIELD_MM = (320.0, 304.0, 416.0)
TRAINING_SEEDS = 1_000_000
VALIDATION_SEEDS = 2_000_000
SIMULATED_SEED = 70_001
TRAINED_SCANNERS = ("discovery", "achieva")
EXAMINATIONS = 2
"""Of each simulated man; each gives a sample of both sequences."""

VALIDATION_SAMPLER = SamplerSettings(
    realistic_probability=1.0, field_of_view=FieldSettings(small_probability=0.15)
)


def draw_training_sample(
    seed: int,
    grid: GridSettings,
    intensity: IntensitySettings,
    settings: SamplerSettings | None = None,
) -> Sample:
    """One digital patient with one sequence, prepared as in reading.

    Args:
        seed: The patient; the same seed gives the same sample.
        grid: Its spacing is used.
        intensity: As in reading.
        settings: Ranges of the sampler.
    """
    spacing = grid.spacing_mm or (4.0, 2.0, 2.0)
    z, y, x = (int(np.ceil(f / s)) for f, s in zip(FIELD_MM, spacing, strict=True))
    drawn = draw_sample(np.random.default_rng(seed), (z, y, x), spacing, settings)
    return _prepared(f"{seed}_{drawn.sequence}", drawn, intensity)


def validation_samples(
    per_sequence: int,
    grid: GridSettings,
    intensity: IntensitySettings,
    sources: tuple[str, ...] = TRAINING_SOURCES,
) -> Iterator[Sample]:
    """The first digital patients of the validation seeds, equally many of both sequences."""
    missing = dict.fromkeys(Sequence, per_sequence)
    settings, seed = replace(VALIDATION_SAMPLER, sources=sources), VALIDATION_SEEDS
    while any(missing.values()):
        sample = draw_training_sample(seed, grid, intensity, settings)
        seed += 1
        if missing[sample.sequence]:
            missing[sample.sequence] -= 1
            yield sample


def simulated_plans(patients: int) -> tuple[PatientPlan, ...]:
    """Men for simulated samples: untreated, with everything hard that the benchmark leaves out."""
    return draw_cohort(Population.STRESS, patients, SIMULATED_SEED) if patients else ()


def simulated_name(plan: PatientPlan, examination: int, sequence: Sequence) -> str:
    """Name of a simulated sample."""
    return f"{SIMULATED}{plan.seed}-{examination}_{sequence.value}"


def place_of(plan: PatientPlan, examination: int) -> tuple[Scanner, Artefacts]:
    """Where a man is examined, and how well.

    The first time it is his own scanner, if that may be trained on; else one with protocols
    and artefacts drawn from wide ranges.
    """
    if examination == 0 and plan.scanner in TRAINED_SCANNERS:
        return scanner_named(plan.scanner), Artefacts()
    rng = np.random.default_rng([plan.seed, 404, examination])
    return draw_scanner(rng), draw_artefacts(rng)


def simulate_samples(
    plan: PatientPlan,
    grid: GridSettings,
    intensity: IntensitySettings,
    sources: tuple[str, ...] = TRAINING_SOURCES,
) -> Iterator[Sample]:
    """Examine one digital patient in several places; samples prepared as in reading.

    Args:
        plan: Who, and his own scanner.
        grid: Of the samples.
        intensity: As in reading.
        sources: Anatomies that he is built from.

    Yields:
        A sample of each sequence and examination, T1 of the last one at the end.
    """
    base = PatientSettings()
    base = replace(base, anatomy=replace(base.anatomy, sources=sources))
    patient = build_patient(plan.seed, plan.settings(base, Enrolment(treated=False)))
    for number in range(EXAMINATIONS):
        scanner, artefacts = place_of(plan, number)
        imaged = examine(patient, scanner, artefacts=artefacts, examination_number=number)
        for sequence, (image, truth) in imaged.read.items():
            name = simulated_name(plan, number, sequence)
            yield _simulated(name, sequence, image, truth, grid, intensity)


def _simulated(
    name: str,
    sequence: Sequence,
    image: Volume,
    truth: Truth,
    grid: GridSettings,
    intensity: IntensitySettings,
) -> Sample:
    bones, lesions, mimics = (
        Volume(array, image.geometry) for array in (truth.bones, truth.lesions, truth.mimics)
    )
    given = AnnotatedImage(image, bones, lesions, mimics)
    return prepare_sample(name, sequence, given, grid, intensity)


def field_of(drawn: TrainingSample) -> TrainingSample:
    """The part of a drawn sample inside its field of view, as a scanner would give it."""
    box = tuple(
        slice(int(hits[0]), int(hits[-1]) + 1)
        for hits in (
            np.flatnonzero(drawn.valid.any(axis=tuple(a for a in range(3) if a != axis)))
            for axis in range(3)
        )
    )
    start = [s.start * step for s, step in zip(box, drawn.spacing_mm, strict=True)]
    x, y, z = drawn.origin_lps_mm
    return replace(
        drawn,
        image=drawn.image[box],
        bones=drawn.bones[box],
        lesions=drawn.lesions[box],
        mimics=drawn.mimics[box],
        valid=drawn.valid[box],
        origin_lps_mm=(x + start[2], y + start[1], z + start[0]),
    )


def _prepared(name: str, drawn: TrainingSample, intensity: IntensitySettings) -> Sample:
    cut = field_of(drawn)
    return sample_from_arrays(
        name,
        Sequence(cut.sequence),
        cut.spacing_mm,
        normalise(cut.image, intensity, cut.valid),
        truth_of(cut.bones, cut.lesions > 0, cut.mimics > 0),
    )
