"""One digital man from one seed: anatomy, mimics, metastases, and a second time point."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.phantom.anatomy.healthy import (
    Anatomy,
    AnatomyDraw,
    AnatomySettings,
    build_anatomy,
    draw_anatomy,
)
from pelvimets.phantom.anatomy.patient import (
    DigitalPatient,
    Lesion,
    Mimic,
    Tissue,
    UInt8Array,
    UInt16Array,
)
from pelvimets.phantom.disease.burden import draw_volumes
from pelvimets.phantom.disease.follow_up import FollowUpSettings, PlacedLesions, evolve
from pelvimets.phantom.disease.metastases import (
    DiseaseSettings,
    LesionDraw,
    bones_with_lesions,
    describe_lesions,
    draw_lesions,
    place_lesions,
)
from pelvimets.phantom.disease.mimics import MimicSettings, place_mimics


@dataclass(frozen=True)
class PatientSettings:
    """Everything a digital man is drawn from.

    Attributes:
        anatomy: The healthy man.
        disease: Metastases.
        mimics: Benign findings.
        follow_up: The second time point.
        metastases_probability: Share of men with metastases (Table 1 of the paper: about half
            in the lesion model's cohort).
        lesion_volumes_cm3: Fixed volumes in place of a draw; empty for a man without.
        age_years: Fixed age in place of a draw.
    """

    anatomy: AnatomySettings = field(default_factory=AnatomySettings)
    disease: DiseaseSettings = field(default_factory=DiseaseSettings)
    mimics: MimicSettings = field(default_factory=MimicSettings)
    follow_up: FollowUpSettings = field(default_factory=FollowUpSettings)
    metastases_probability: float = 0.5
    lesion_volumes_cm3: tuple[float, ...] | None = None
    age_years: float | None = None


@dataclass(frozen=True, eq=False)
class _Stage:
    """A man with mimics, before metastases."""

    draw: AnatomyDraw
    anatomy: Anatomy
    tissue: UInt8Array
    fat: UInt8Array
    mimics: UInt8Array
    mimic_table: tuple[Mimic, ...]


def build_patient(seed: int, settings: PatientSettings | None = None) -> DigitalPatient:
    """Build one man; the same seed and settings give the same bytes.

    Anatomy, mimics and metastases have their own random streams: without mimics the man
    and his metastases stay as they are, apart from metastases that would have met one.

    Args:
        seed: Any integer from 0.
        settings: What he is drawn from.

    Raises:
        SettingsError: if a setting is outside its range.
    """
    settings = settings or PatientSettings()
    stage = _stage(seed, settings)
    draws, placed = _baseline(seed, settings, stage)
    lesions, table = describe_lesions(placed, stage.anatomy, draws)
    return _patient(seed, stage, lesions, table)


def build_follow_up(seed: int, settings: PatientSettings | None = None) -> DigitalPatient:
    """Build the same man at the second time point.

    Lesions keep neither their number nor their order; ``Lesion.course`` says what became
    of each, and those that vanished are missing.
    """
    settings = settings or PatientSettings()
    stage = _stage(seed, settings)
    draws, placed = _baseline(seed, settings, stage)
    rng = _stream(seed, 4)
    first, occupied = PlacedLesions(placed, draws), stage.mimics > 0
    later, courses = evolve(
        rng, stage.anatomy, first, occupied, settings.disease, settings.follow_up
    )
    lesions, table = describe_lesions(later.numbers, stage.anatomy, later.draws, courses)
    return _patient(seed, stage, lesions, table)


def _stream(seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([purpose, seed])


def _stage(seed: int, settings: PatientSettings) -> _Stage:
    draw = draw_anatomy(_stream(seed, 0), settings.anatomy, settings.age_years)
    anatomy = build_anatomy(draw, settings.anatomy)
    tissue, fat, mimics, table = place_mimics(_stream(seed, 1), anatomy, settings.mimics)
    return _Stage(draw, anatomy, tissue, fat, mimics, table)


def _baseline(
    seed: int, settings: PatientSettings, stage: _Stage
) -> tuple[tuple[LesionDraw, ...], UInt16Array]:
    """Lesions at the first time point: draws and their numbers in the map."""
    rng = _stream(seed, 2)
    volumes = settings.lesion_volumes_cm3
    if volumes is None:
        diseased = rng.random() < settings.metastases_probability
        volumes = draw_volumes(rng, settings.disease.burden) if diseased else ()
    draws = draw_lesions(rng, volumes, settings.disease)
    occupied: npt.NDArray[np.bool_] = stage.mimics > 0
    placed = place_lesions(_stream(seed, 3), stage.anatomy, draws, occupied, settings.disease)
    return draws, placed


def _patient(
    seed: int, stage: _Stage, lesions: UInt16Array, table: tuple[Lesion, ...]
) -> DigitalPatient:
    tissue, fat = stage.tissue.copy(), stage.fat.copy()
    inside = lesions > 0
    kinds = np.array([Tissue.AIR, *(lesion.kind.tissue for lesion in table)], np.uint8)
    tissue[inside] = kinds[lesions[inside]]
    fat[inside] = 0
    return DigitalPatient(
        seed=seed,
        geometry=stage.anatomy.geometry,
        tissue=tissue,
        marrow_fat_percent=fat,
        bones=bones_with_lesions(stage.anatomy, lesions),
        lesions=lesions,
        mimics=np.where(inside, np.uint8(0), stage.mimics),
        lesion_table=table,
        mimic_table=stage.mimic_table,
        landmarks=stage.anatomy.landmarks,
        age_years=stage.anatomy.age_years,
        source=stage.draw.source,
        drawn=_plain(stage.draw),
    )


def _plain(draw: AnatomyDraw) -> dict[str, Any]:
    """The draw as plain data; of the smooth deformation only its largest displacement."""
    data = asdict(draw)
    for name in ("warp", "fine_warp"):
        data["variation"][name] = {"largest_mm": float(np.abs(data["variation"][name]).max())}
    return data
