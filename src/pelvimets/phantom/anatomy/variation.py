"""How men differ: drawn in one place (``draw_variation``), applied in another (``to_atlas``).

The map runs from the patient to the atlas, so that any grid in the patient looks up its
tissue directly. Every piece is smooth and invertible; ``largest_safe`` amplitudes keep the
Jacobian positive, which ``jacobian`` measures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.phantom.anatomy.patient import Landmarks

FloatArray = npt.NDArray[np.float64]

FIELD_LOW_MM = (-300.0, -260.0, -230.0)
FIELD_HIGH_MM = (300.0, 260.0, 390.0)
HUMAN_HEAD_RADIUS_MM = (19.0, 27.5)
BODY_AXES_MM = (140.0, 92.0)
BODY_CENTRE_Y_MM = 0.0


@dataclass(frozen=True)
class VariationSettings:
    """Ranges; a pair is (low, high) of a uniform draw, one number a standard deviation.

    Attributes:
        size: Overall scale.
        width: Extra scale along x.
        depth: Extra scale along y.
        height: Extra scale along z.
        tilt_deg: Pelvic tilt about the line of the heads.
        roll_deg: Obliquity in the coronal and axial planes.
        lordosis_mm: Shift of the spine 100 mm above the sacral base, along y.
        scoliosis_mm: The same along x.
        femur_version_deg: Rotation of the femora about z.
        femur_abduction_deg: Rotation of the femora about y.
        soft_scale: Thickness of what lies outside the bony ring, muscle and fat.
        warp_mm: Largest displacement of smooth deformation, coarse cells.
        warp_cell_mm: Size of the coarse cells.
        fine_warp_mm: The same, fine cells.
        fine_warp_cell_mm: Size of the fine cells.
        mirror_probability: Left-right mirrored men.
    """

    size: tuple[float, float] = (0.90, 1.12)
    width: tuple[float, float] = (0.93, 1.07)
    depth: tuple[float, float] = (0.92, 1.08)
    height: tuple[float, float] = (0.93, 1.07)
    tilt_deg: tuple[float, float] = (-14.0, 14.0)
    roll_deg: float = 2.5
    lordosis_mm: tuple[float, float] = (-18.0, 18.0)
    scoliosis_mm: float = 4.0
    femur_version_deg: tuple[float, float] = (-14.0, 14.0)
    femur_abduction_deg: tuple[float, float] = (-6.0, 6.0)
    soft_scale: tuple[float, float] = (0.65, 1.5)
    warp_mm: tuple[float, float] = (0.0, 9.0)
    warp_cell_mm: float = 80.0
    fine_warp_mm: tuple[float, float] = (0.0, 3.0)
    fine_warp_cell_mm: float = 36.0
    mirror_probability: float = 0.5


@dataclass(frozen=True, eq=False)
class Variation:
    """One man's draw; every value is in the patient-to-atlas direction's parameters."""

    scale: tuple[float, float, float]
    tilt_deg: float
    roll_deg: tuple[float, float]
    lordosis_mm: float
    scoliosis_mm: float
    femur_deg: tuple[tuple[float, float], tuple[float, float]]
    soft_scale: float
    warp: FloatArray
    fine_warp: FloatArray
    mirrored: bool


def draw_variation(
    rng: np.random.Generator, settings: VariationSettings, head_radius_mm: float
) -> Variation:
    """Draw one man.

    Args:
        rng: Source of randomness.
        settings: Ranges.
        head_radius_mm: Femoral heads of the anatomy; the largest grow and the smallest shrink
            no further than people do.
    """
    smallest, largest = np.array(HUMAN_HEAD_RADIUS_MM) / head_radius_mm
    low, high = settings.size
    size = rng.uniform(min(max(low, smallest), high), max(min(high, largest), low))
    stretch = [rng.uniform(*span) for span in (settings.width, settings.depth, settings.height)]
    femora = [
        (rng.uniform(*settings.femur_version_deg), rng.uniform(*settings.femur_abduction_deg))
        for _ in range(2)
    ]
    rolls = rng.normal(0.0, settings.roll_deg, 2)
    return Variation(
        scale=(size * stretch[0], size * stretch[1], size * stretch[2]),
        tilt_deg=float(rng.uniform(*settings.tilt_deg)),
        roll_deg=(float(rolls[0]), float(rolls[1])),
        lordosis_mm=float(rng.uniform(*settings.lordosis_mm)),
        scoliosis_mm=float(rng.normal(0.0, settings.scoliosis_mm)),
        femur_deg=(femora[0], femora[1]),
        soft_scale=float(np.exp(rng.uniform(*np.log(settings.soft_scale)))),
        warp=_draw_warp(rng, settings.warp_mm, settings.warp_cell_mm),
        fine_warp=_draw_warp(rng, settings.fine_warp_mm, settings.fine_warp_cell_mm),
        mirrored=bool(rng.random() < settings.mirror_probability),
    )


def _draw_warp(
    rng: np.random.Generator, largest_mm: tuple[float, float], cell_mm: float
) -> FloatArray:
    """Cubic B-spline coefficients (3, nx, ny, nz) of a displacement in mm."""
    extent = np.subtract(FIELD_HIGH_MM, FIELD_LOW_MM)
    counts = np.ceil(extent / cell_mm).astype(int) + 3
    largest = rng.uniform(*largest_mm)
    return rng.uniform(-largest, largest, (3, *counts))


def to_atlas(variation: Variation, points: FloatArray, landmarks: Landmarks) -> FloatArray:
    """Map patient points (n, 3), LPS mm, to the atlas.

    Args:
        variation: The draw.
        points: LPS mm, origin between the heads.
        landmarks: Of the atlas; the femora turn about these.
    """
    p = points + _bspline(variation.warp, points)
    p = p + _bspline(variation.fine_warp, p)
    if variation.mirrored:
        p = p * np.array([-1.0, 1.0, 1.0])
    p = p @ _rotation(variation).T / np.array(variation.scale)
    p = _thin(p, variation.soft_scale)
    p = _bend(p, variation)
    return _turn_femora(p, variation, landmarks)


def _rotation(variation: Variation) -> FloatArray:
    tilt, coronal, axial = np.deg2rad([variation.tilt_deg, *variation.roll_deg])
    rx = _plane_rotation(tilt, 1, 2)
    ry = _plane_rotation(coronal, 0, 2)
    return _plane_rotation(axial, 0, 1) @ ry @ rx


def _plane_rotation(angle: float, a: int, b: int) -> FloatArray:
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix


def _thin(p: FloatArray, soft_scale: float) -> FloatArray:
    """Shrink or stretch what lies outside an ellipse around the bony ring."""
    offset = (p[:, :2] - [0.0, BODY_CENTRE_Y_MM]) / BODY_AXES_MM
    radius = np.sqrt((offset**2).sum(axis=1)) + 1e-9
    softness = 0.06
    beyond = softness * np.logaddexp(0.0, (radius - 1.0) / softness)
    ratio = (radius + beyond * (1.0 / soft_scale - 1.0)) / radius
    out = p.copy()
    out[:, :2] = offset * ratio[:, None] * BODY_AXES_MM + [0.0, BODY_CENTRE_Y_MM]
    return out


def _bend(p: FloatArray, variation: Variation) -> FloatArray:
    """Curve the spine above the sacral base; a shear along z, so always invertible."""
    above = np.clip((p[:, 2] - 90.0) / 100.0, 0.0, 2.0)
    out = p.copy()
    out[:, 0] += variation.scoliosis_mm * above**2
    out[:, 1] += variation.lordosis_mm * above**2
    return out


def _turn_femora(p: FloatArray, variation: Variation, landmarks: Landmarks) -> FloatArray:
    out = p.copy()
    heads = (landmarks.left_head_mm, landmarks.right_head_mm)
    for side, head, (version, abduction) in zip((1, -1), heads, variation.femur_deg, strict=True):
        offset = p - np.array(head)
        lateral = _smoothstep((side * offset[:, 0] + 10.0) / 45.0)
        near = _smoothstep((130.0 - np.hypot(offset[:, 0], offset[:, 1])) / 90.0)
        weight = lateral * near * _smoothstep((70.0 - offset[:, 2]) / 80.0)
        turned = np.deg2rad(np.stack([weight * version * side, weight * abduction * side]))
        out += _turn(offset, turned) - offset
    return out


def _turn(offset: FloatArray, angles: FloatArray) -> FloatArray:
    """Rotate about z by the first angle, about y by the second, per point."""
    x, y, z = offset.T
    cos, sin = np.cos(angles), np.sin(angles)
    x, y = cos[0] * x - sin[0] * y, sin[0] * x + cos[0] * y
    x, z = cos[1] * x + sin[1] * z, -sin[1] * x + cos[1] * z
    return np.stack([x, y, z], axis=1)


def _smoothstep(t: FloatArray) -> FloatArray:
    inside: FloatArray = np.clip(t, 0.0, 1.0)
    return np.asarray(inside * inside * (3.0 - 2.0 * inside))


def _bspline(coefficients: FloatArray, points: FloatArray) -> FloatArray:
    """Cubic B-spline displacement (n, 3) at points (n, 3)."""
    counts = np.array(coefficients.shape[1:])
    low, high = np.array(FIELD_LOW_MM), np.array(FIELD_HIGH_MM)
    index = np.clip((points - low) / (high - low), 0.0, 1.0) * (counts - 3) + 1.0
    return np.stack(
        [ndimage.map_coordinates(c, index.T, order=3, prefilter=False) for c in coefficients],
        axis=1,
    )


def to_patient(variation: Variation, target: FloatArray, landmarks: Landmarks) -> FloatArray:
    """Invert ``to_atlas`` at points (n, 3) by Newton steps.

    Used for landmarks; converges where the map is invertible.
    """
    mirror = np.array([-1.0, 1.0, 1.0]) if variation.mirrored else np.ones(3)
    p = (target * np.array(variation.scale)) @ _rotation(variation) * mirror
    for _ in range(25):
        residual = to_atlas(variation, p, landmarks) - target
        if np.abs(residual).max() < 1e-3:
            break
        p = p - np.linalg.solve(jacobian(variation, p, landmarks), residual[..., None])[..., 0]
    return np.asarray(p, dtype=np.float64)


def jacobian(variation: Variation, points: FloatArray, landmarks: Landmarks) -> FloatArray:
    """Derivative (n, 3, 3) of ``to_atlas`` at points, by central differences of 0.5 mm."""
    columns = []
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 0.5
        ahead = to_atlas(variation, points + step, landmarks)
        columns.append(ahead - to_atlas(variation, points - step, landmarks))
    return np.stack(columns, axis=-1)


def patient_landmarks(variation: Variation, landmarks: Landmarks) -> Landmarks:
    """Femoral heads of the varied man, sides by where they lie."""
    heads = np.array([landmarks.left_head_mm, landmarks.right_head_mm])
    placed = to_patient(variation, heads, landmarks)
    local = np.linalg.det(jacobian(variation, placed, landmarks))
    radius = landmarks.head_radius_mm * float(np.mean(np.abs(local)) ** (-1.0 / 3.0))
    left, right = sorted(placed.tolist(), key=lambda c: -c[0])
    return Landmarks((left[0], left[1], left[2]), (right[0], right[1], right[2]), radius)
