"""The eight structures: one rule for every source of anatomy.

Bones arrive as four parts (lumbar spine, sacrum with coccyx, hip bones, femora); where a
voxel lies relative to the femoral heads decides which structure of the hip it belongs to.
The rule works in patient axes (x left, y posterior, z superior), so a mask made from a
mesh, a CT or a deformed patient means the same.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pelvimets.labels import Bone
from pelvimets.phantom.anatomy.patient import Landmarks, UInt8Array

ACETABULUM_RIM_MM = 13.0
HEAD_RIM_MM = 1.5
BULGE_MM = 5.0
BESIDE_NECK = 0.72  # cosine of the angle to the neck's axis
NECK_LATERAL, NECK_INFERIOR = 0.77, 0.64  # a neck-shaft angle of 130 degrees
FEMUR_REACH_MM = 80.0
RAMUS_ABOVE_MM = 25.0
RAMUS_HALF_WIDTH_MM = 35.0
RAMUS_ANTERIOR_MM = 5.0
ISCHIUM_SLOPE = 0.35
ISCHIUM_OFFSET_MM = 2.0


class Part(IntEnum):
    """Bones as the sources deliver them; both sides share a value."""

    NONE = 0
    LUMBAR = 1
    SACRUM = 2
    HIP = 3
    FEMUR = 4


def structures(
    part: UInt8Array,
    x_mm: npt.NDArray[np.floating],
    y_mm: npt.NDArray[np.floating],
    z_mm: npt.NDArray[np.floating],
    landmarks: Landmarks,
) -> UInt8Array:
    """Name the structure of each voxel.

    Args:
        part: ``Part`` values, any shape.
        x_mm: LPS coordinate of each voxel, broadcastable to ``part``.
        y_mm: As ``x_mm``.
        z_mm: As ``x_mm``.
        landmarks: Femoral heads in the same frame.

    Returns:
        ``Bone`` values in the shape of ``part``; the femoral shaft is background.
    """
    flat = np.flatnonzero(part)
    coordinates = [
        np.broadcast_to(axis, part.shape).reshape(-1)[flat] for axis in (x_mm, y_mm, z_mm)
    ]
    found = _structures_at(part.reshape(-1)[flat], np.stack(coordinates), landmarks)
    out = np.zeros(part.size, np.uint8)
    out[flat] = found
    return out.reshape(part.shape)


def _structures_at(
    part: UInt8Array, xyz: npt.NDArray[np.floating], landmarks: Landmarks
) -> UInt8Array:
    x, y, z = xyz
    left = np.array(landmarks.left_head_mm)
    right = np.array(landmarks.right_head_mm)
    head = np.where(x > landmarks.midline_x_mm, left[:, None], right[:, None])
    distance = np.sqrt(((xyz - head) ** 2).sum(axis=0))
    hip = _hip(x - landmarks.midline_x_mm, y - head[1], z - head[2])
    hip[distance < landmarks.head_radius_mm + ACETABULUM_RIM_MM] = Bone.ACETABULUM
    femur = np.where(distance < FEMUR_REACH_MM, Bone.FEMORAL_NECK, 0)
    lateral = (x - head[0]) * np.sign(head[0] - landmarks.midline_x_mm)
    towards_neck = NECK_LATERAL * lateral - NECK_INFERIOR * (z - head[2])
    in_sphere = distance < landmarks.head_radius_mm + HEAD_RIM_MM
    # A head is no perfect ball: what bulges beyond it beside the neck is no neck.
    bulge = distance < landmarks.head_radius_mm + BULGE_MM
    bulge &= towards_neck < BESIDE_NECK * distance
    away = towards_neck < landmarks.head_radius_mm / 2
    femur[in_sphere | bulge | away] = Bone.FEMORAL_HEAD
    choices = [np.full(part.shape, Bone.LUMBAR_VERTEBRA), np.full(part.shape, Bone.SACROCOCCYX)]
    named = np.select([part == p for p in (1, 2, 3, 4)], [*choices, hip, femur], default=0)
    return named.astype(np.uint8)


def _hip(
    from_midline: npt.NDArray[np.floating],
    y: npt.NDArray[np.floating],
    z: npt.NDArray[np.floating],
) -> npt.NDArray[np.int64]:
    """Ilium, ischium or pubis from the position relative to the femoral head."""
    posterior = y > ISCHIUM_SLOPE * -z - ISCHIUM_OFFSET_MM
    below = np.where(posterior, Bone.ISCHIUM, Bone.PUBIS)
    ramus = (y < -RAMUS_ANTERIOR_MM) & (z < RAMUS_ABOVE_MM)
    ramus &= np.abs(from_midline) < RAMUS_HALF_WIDTH_MM
    above = np.where(ramus, Bone.PUBIS, Bone.ILIUM)
    return np.where(z > 0, above, below)
