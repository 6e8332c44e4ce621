"""From bone surfaces to voxels: the assembly of the meshes and their filling.

The meshes come from MyoSuite's ``myo_sim`` (OpenSim models, Apache-2.0): x anterior,
y superior, z to the right, metres; one file per bone, each in its own frame.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry

FloatArray = npt.NDArray[np.float64]

FEMUR_ORIGIN_M = {
    "r_femur": (-0.056276, -0.07849, 0.07726),
    "l_femur": (-0.056276, -0.07849, -0.07726),
}
# Each vertebra relative to the one below: translation (m), then rotation about z (rad).
LUMBAR_CHAIN_M = (
    ("lumbar5", (-0.108, 0.061, 0.0), -0.3),
    ("lumbar4", (0.0, 0.0301, 0.0), 0.2),
    ("lumbar3", (0.0006, 0.0312, 0.0), 0.2),
    ("lumbar2", (-0.0047, 0.0331, 0.0), 0.0),
    ("lumbar1", (-0.0044, 0.0288, 0.0), 0.2),
)
HIP_MESHES = ("l_pelvis", "r_pelvis")
FEMUR_MESHES = ("l_femur", "r_femur")
LUMBAR_MESHES = tuple(name for name, _, _ in LUMBAR_CHAIN_M)
SACRUM_MESHES = ("sacrum",)
HEAD_RADIUS_MM = 24.0


def mesh_poses() -> dict[str, FloatArray]:
    """Pose of each mesh in the common frame, 4 x 4, metres.

    >>> mesh_poses()["r_femur"][:3, 3].tolist()
    [-0.056276, -0.07849, 0.07726]
    """
    poses = {name: np.eye(4) for name in (*HIP_MESHES, *SACRUM_MESHES)}
    for name, origin in FEMUR_ORIGIN_M.items():
        poses[name] = _pose(origin, 0.0)
    pose = np.eye(4)
    for name, translation, angle in LUMBAR_CHAIN_M:
        pose = pose @ _pose(translation, angle)
        poses[name] = pose
    return poses


def _pose(translation: tuple[float, float, float], angle: float) -> FloatArray:
    pose = np.eye(4)
    cos, sin = np.cos(angle), np.sin(angle)
    pose[:2, :2] = [[cos, -sin], [sin, cos]]
    pose[:3, 3] = translation
    return pose


def mesh_to_lps_mm(points_m: FloatArray) -> FloatArray:
    """Common mesh frame (x anterior, y superior, z right; m) to LPS mm.

    The origin moves to the midpoint of the femoral heads.
    """
    origin = np.array([*FEMUR_ORIGIN_M["r_femur"][:2], 0.0])
    anterior, superior, right = 1000.0 * (np.asarray(points_m) - origin).T
    return np.stack([-right, -anterior, superior], axis=-1)


def posed_triangles(triangles_m: FloatArray, pose: FloatArray) -> FloatArray:
    """Triangles (n, 3, 3) of one mesh, in its own frame, to LPS mm."""
    placed = triangles_m @ pose[:3, :3].T + pose[:3, 3]
    return mesh_to_lps_mm(placed.reshape(-1, 3)).reshape(-1, 3, 3)


def winding_number(triangles: FloatArray, points: FloatArray, chunk: int = 20000) -> FloatArray:
    """How often a surface winds around each point: 1 inside, 0 outside.

    Sum of signed solid angles, so a surface with small holes still has an inside (Jacobson
    et al., ACM Trans Graph 2013;32:33). The sign of the orientation is taken out.

    Args:
        triangles: (n, 3, 3), consistently oriented.
        points: (m, 3).
        chunk: Points at a time.

    Returns:
        (m,) absolute winding numbers.
    """
    parts = [
        _solid_angles(triangles, points[start : start + chunk])
        for start in range(0, len(points), chunk)
    ]
    return np.abs(np.concatenate(parts)) / (4.0 * np.pi)


def _solid_angles(triangles: FloatArray, points: FloatArray) -> FloatArray:
    """Signed solid angle of all triangles together, per point (van Oosterom 1983)."""
    total = np.zeros(len(points))
    for triangle in triangles:
        a, b, c = (corner - points for corner in triangle)
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        numerator = np.einsum("ij,ij->i", a, np.cross(b, c))
        denominator = la * lb * lc
        denominator += np.einsum("ij,ij->i", a, b) * lc
        denominator += np.einsum("ij,ij->i", b, c) * la
        denominator += np.einsum("ij,ij->i", c, a) * lb
        total += 2.0 * np.arctan2(numerator, denominator)
    return total


def fill_surface(triangles: FloatArray, geometry: Geometry) -> FloatArray:
    """Winding numbers on the part of a grid that a surface reaches, 0 elsewhere (z, y, x)."""
    corners = geometry.to_index(triangles.reshape(-1, 3))
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, geometry.shape)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2, 0, geometry.shape)
    out = np.zeros(geometry.shape)
    if (high <= low).any():
        return out
    index = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    values = winding_number(triangles, geometry.to_lps(index.reshape(-1, 3)))
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    out[box] = values.reshape(index.shape[:-1])
    return out
