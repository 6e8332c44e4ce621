"""The second time point: lesions grow, shrink, respond to treatment, appear."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.phantom.anatomy.distances import depth_mm, distance_to_mm
from pelvimets.phantom.anatomy.healthy import Anatomy
from pelvimets.phantom.anatomy.patient import LesionCourse, LesionKind, UInt16Array
from pelvimets.phantom.disease.blobs import Box
from pelvimets.phantom.disease.metastases import (
    DiseaseSettings,
    LesionDraw,
    block_around,
    draw_adc,
    draw_lesions,
    place_lesions,
)

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FollowUpSettings:
    """What becomes of lesions.

    Attributes:
        courses: Share of each course.
        growth: Factor on the volume of growing lesions.
        shrinkage: Factor on the volume of shrinking ones.
        response_shrinkage: Factor on the volume of lesions that respond; their ADC rises.
        new_lesions: Mean number of new lesions in a man who has metastases.
        new_volume_cm3: Volume of a new lesion.
        gone_below_cm3: A lesion that shrinks below vanishes.
    """

    courses: tuple[tuple[LesionCourse, float], ...] = (
        (LesionCourse.STABLE, 0.3),
        (LesionCourse.GROWN, 0.25),
        (LesionCourse.SHRUNK, 0.15),
        (LesionCourse.RESPONDED, 0.3),
    )
    growth: tuple[float, float] = (1.3, 3.0)
    shrinkage: tuple[float, float] = (0.2, 0.75)
    response_shrinkage: tuple[float, float] = (0.6, 1.0)
    new_lesions: float = 1.0
    new_volume_cm3: tuple[float, float] = (0.25, 2.5)
    gone_below_cm3: float = 0.2


@dataclass(frozen=True, eq=False)
class PlacedLesions:
    """The lesions of a man at one time point.

    Attributes:
        numbers: Where each lies (z, y, x), from 1.
        draws: By number.
    """

    numbers: UInt16Array
    draws: tuple[LesionDraw, ...]


def evolve(
    rng: np.random.Generator,
    anatomy: Anatomy,
    first: PlacedLesions,
    occupied: BoolArray,
    disease: DiseaseSettings,
    settings: FollowUpSettings,
) -> tuple[PlacedLesions, tuple[LesionCourse, ...]]:
    """Lesions at the second time point.

    Args:
        rng: Source of randomness.
        anatomy: The man.
        first: His lesions at the first time point.
        occupied: Where no lesion may lie: mimics.
        disease: How new lesions look.
        settings: What becomes of old ones.

    Returns:
        Lesions and their courses by number; new ones come last.
    """
    lesions, draws = first.numbers, first.draws
    later = np.zeros_like(lesions)
    taken = occupied.copy()
    evolved: list[LesionDraw] = []
    courses: list[LesionCourse] = []
    boxes = ndimage.find_objects(lesions.astype(np.int32), max_label=len(draws))
    for number, (draw, box) in enumerate(zip(draws, boxes, strict=True), start=1):
        course, factor = _draw_course(rng, settings)
        evolved.append(_changed(rng, draw, course))
        courses.append(course)
        if box is not None:
            blocked = taken | ((lesions > 0) & (lesions != number))
            wide = _widened(box, lesions.shape)
            old = lesions[wide] == number
            mask = _regrown(old, factor, anatomy, wide, blocked[wide], settings)
            if mask is not None:
                later[wide][mask] = number
    new = _new_lesions(rng, bool(lesions.any()), disease, settings)
    blocked = taken
    for number, box in enumerate(ndimage.find_objects(lesions.astype(np.int32)), start=1):
        if box is not None:
            block_around(blocked, box, lesions[box] == number, disease.gap_mm, anatomy.geometry)
    blocked |= later > 0
    added = place_lesions(rng, anatomy, new, blocked, disease)
    later[added > 0] = added[added > 0] + len(draws)
    courses += [LesionCourse.NEW] * len(new)
    return PlacedLesions(later, (*evolved, *new)), tuple(courses)


def _draw_course(
    rng: np.random.Generator, settings: FollowUpSettings
) -> tuple[LesionCourse, float]:
    courses, shares = zip(*settings.courses, strict=True)
    course = courses[rng.choice(len(courses), p=np.array(shares) / np.sum(shares))]
    spans = {
        LesionCourse.GROWN: settings.growth,
        LesionCourse.SHRUNK: settings.shrinkage,
        LesionCourse.RESPONDED: settings.response_shrinkage,
    }
    return course, float(rng.uniform(*spans.get(course, (1.0, 1.0))))


def _changed(rng: np.random.Generator, draw: LesionDraw, course: LesionCourse) -> LesionDraw:
    if course is not LesionCourse.RESPONDED:
        return draw
    treated = max(draw_adc(rng, LesionKind.TREATED), draw.adc_um2_per_s + 150.0)
    return replace(draw, kind=LesionKind.TREATED, adc_um2_per_s=treated)


def _new_lesions(
    rng: np.random.Generator, diseased: bool, disease: DiseaseSettings, settings: FollowUpSettings
) -> tuple[LesionDraw, ...]:
    number = int(rng.poisson(settings.new_lesions)) if diseased else 0
    low, high = np.log(settings.new_volume_cm3)
    volumes = tuple(float(v) for v in np.exp(rng.uniform(low, high, number)))
    return draw_lesions(rng, volumes, disease)


def _widened(box: Box, shape: tuple[int, ...], reach: int = 16) -> Box:
    """A box with room around it, in voxels."""
    z, y, x = (
        slice(max(s.start - reach, 0), min(s.stop + reach, n))
        for s, n in zip(box, shape, strict=True)
    )
    return z, y, x


def _regrown(
    old: BoolArray,
    factor: float,
    anatomy: Anatomy,
    box: Box,
    blocked: BoolArray,
    settings: FollowUpSettings,
) -> BoolArray | None:
    """A lesion, its border moved until its volume has changed by a factor; None if it is gone."""
    voxel_cm3 = anatomy.geometry.voxel_volume_mm3 / 1000.0
    wanted = round(old.sum() * factor)
    if wanted * voxel_cm3 < settings.gone_below_cm3:
        return None
    mask = _moved_border(old, anatomy, box, blocked, wanted)
    return mask if mask.sum() * voxel_cm3 >= settings.gone_below_cm3 else None


def _moved_border(
    old: BoolArray, anatomy: Anatomy, box: tuple[slice, ...], blocked: BoolArray, wanted: int
) -> BoolArray:
    """The wanted number of voxels, deepest in the old lesion or nearest to it in its bone."""
    spacing = anatomy.geometry.spacing
    depth = depth_mm(old, spacing)
    depth -= distance_to_mm(old, spacing)
    # Of voxels at the same depth those nearest to the centre stay: no ties, round shapes.
    centre = np.argwhere(old).mean(axis=0)
    offsets = np.indices(old.shape).reshape(3, -1).T - centre
    depth -= 1e-3 * np.linalg.norm(offsets * spacing, axis=1).reshape(old.shape)
    own = np.bincount(anatomy.part[box][old]).argmax()
    room = old | ((anatomy.part[box] == own) & (anatomy.bones[box] > 0) & ~blocked)
    level = np.sort(depth[room])[::-1][min(wanted, int(room.sum())) - 1]
    mask: BoolArray = room & (depth >= level)
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if count <= 1:
        return mask
    return np.asarray(labels == np.bincount(labels.reshape(-1))[1:].argmax() + 1)
