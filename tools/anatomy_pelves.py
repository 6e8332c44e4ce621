"""Pelves given as surfaces in correspondence, made whole by a person who lends the rest.

Development only. Hip bones and S1-S3 are the pelvis's own; femora, the sacrum below, L1-L5 and
soft tissue are those of a lender, carried over by the correspondence of both pelves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from anatomy_bones import GRID, register, signed_distance
from anatomy_people import _sound, _spaced, _sphere, _triple
from scipy import ndimage
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from pelvimets.phantom.anatomy.distances import distance_to_mm
from pelvimets.phantom.anatomy.lattice import interpolation_matrix, nodes_over, upsample
from pelvimets.phantom.anatomy.patient import Landmarks
from pelvimets.phantom.anatomy.tissues import Skeleton

POINTS = 5000
BONES = ("left", "right", "sacrum")
JOINT_MM = 2.5
SYMPHYSIS_MM = 3.0
BESIDE_MM = 3.5
PLACES_AT_A_TIME = 256
NODE_MM = 10.0
LARGEST_FEMUR_SCALE = 1.3


@dataclass(frozen=True, eq=False)
class Pelves:
    """People as points in correspondence: left hip, right hip, S1-S3.

    Attributes:
        ids: Number of each person.
        points: LPS mm (people, 15000, 3).
        faces: Triangles by bone, indices within the bone.
        sockets: Vertices of the acetabulum, left and right, within the hip.
    """

    ids: tuple[int, ...]
    points: np.ndarray
    faces: dict[str, np.ndarray]
    sockets: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Donor:
    """A whole person: bones, tissue as if there were no bone, lumbar canal."""

    skeleton: Skeleton
    soft: np.ndarray
    canal: np.ndarray


@dataclass(frozen=True, eq=False)
class Pelvis:
    """One pelvis in the frame of its femoral heads."""

    points: np.ndarray
    landmarks: Landmarks


def read_pelves(path: Path) -> Pelves:
    """The pelves of one file."""
    with np.load(path) as data:
        return Pelves(
            tuple(int(i) for i in data["ids"]),
            data["points_10um"] * 0.01,
            {bone: data[f"faces_{bone}"].astype(int) for bone in BONES},
            (data["acetabulum_left"].astype(int), data["acetabulum_right"].astype(int)),
        )


def placed(points: np.ndarray, pelves: Pelves) -> Pelvis:
    """A pelvis with the midpoint of its femoral heads as origin."""
    left = _socket(points[pelves.sockets[0]])
    right = _socket(points[POINTS + pelves.sockets[1]])
    origin = 0.5 * (left[0] + right[0])
    heads = [_triple(centre - origin) for centre, _ in (left, right)]
    radius = 0.5 * (left[1] + right[1]) - JOINT_MM
    return Pelvis(points - origin, Landmarks(heads[0], heads[1], radius))


def _socket(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Sphere through the vertices of a socket, without its rim and its fossa."""
    kept = np.ones(len(points), bool)
    for _ in range(12):
        centre, radius = _sphere(points[kept])
        residual = np.abs(np.linalg.norm(points - centre, axis=1) - radius)
        kept = residual <= max(1.0, float(np.quantile(residual, 0.7)))
    return centre, radius


def mean_shape(points: np.ndarray) -> np.ndarray:
    """Mean after rigid alignment of all points."""
    return aligned(points).mean(axis=0)


def aligned(points: np.ndarray) -> np.ndarray:
    """All people turned and shifted onto their mean."""
    moved = points - points.mean(axis=1, keepdims=True)
    mean = moved[0]
    for _ in range(4):
        moved = np.stack([p @ _rotation(p, mean) for p in moved])
        mean = moved.mean(axis=0)
    return moved


def _rotation(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Rotation (right factor) of centred points onto centred targets."""
    u, _, vt = np.linalg.svd(points.T @ target)
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    return u @ vt


def surface_mask(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Voxels inside a surface that may have small holes and folds.

    Beside the surface the side of a voxel is that of the nearest place on it, by its normal;
    farther away the surface winds around it or not.
    """
    samples, normals = _samples(points, faces)
    low = np.maximum(np.floor(GRID.to_index(points.min(axis=0))).astype(int) - 4, 0)
    high = np.minimum(np.ceil(GRID.to_index(points.max(axis=0))).astype(int) + 5, GRID.shape)
    index = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    voxels = GRID.to_lps(index.reshape(-1, 3))
    distance, nearest = cKDTree(samples).query(voxels, distance_upper_bound=BESIDE_MM)
    near = np.isfinite(distance)
    offset = voxels[near] - samples[nearest[near]]
    inside = np.zeros(len(voxels), bool)
    inside[near] = np.einsum("nc,nc->n", offset, normals[nearest[near]]) < 0
    shape = index.shape[:-1]
    wound = _wound(points, faces, voxels.reshape(*shape, 3)[::2, ::2, ::2])
    for axis in range(3):
        wound = np.repeat(wound, 2, axis=axis)
    wound = wound[tuple(slice(n) for n in shape)]
    out = np.zeros(GRID.shape, bool)
    out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = np.where(
        near.reshape(shape), inside.reshape(shape), wound
    )
    return out


def _wound(points: np.ndarray, faces: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Whether a surface winds around places some way off it; faces count as dipoles."""
    corners = points[faces]
    centres = corners.mean(axis=1).astype(np.float32)
    across = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    across = across.astype(np.float32)
    places = at.reshape(-1, 3).astype(np.float32)
    winding = np.zeros(len(places), np.float32)
    for start in range(0, len(places), PLACES_AT_A_TIME):
        part = places[start : start + PLACES_AT_A_TIME]
        square = (part**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None]
        square -= 2.0 * part @ centres.T
        flux = (across * centres).sum(axis=1)[None] - part @ across.T
        cube = np.maximum(square, 1.0)
        winding[start : start + PLACES_AT_A_TIME] = (flux / (cube * np.sqrt(cube))).sum(axis=1)
    return np.abs(winding.reshape(at.shape[:-1])) > 2.0 * np.pi


def _samples(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places on a surface and outward normals: faces, middles of edges, vertices.

    Edges and vertices take the mean of the faces that meet there, so that the side is right
    beside sharp edges, too (Baerentzen JA, Aanaes H, IEEE Trans Vis Comput Graph 2005;11:243).
    """
    corners = points[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    centres = corners.mean(axis=1)
    if np.einsum("ij,ij->", centres, across) < 0:
        across = -across
    unit = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    at_vertices = np.zeros_like(points)
    at_edges: dict[tuple[int, int], np.ndarray] = {}
    for face, normal in zip(faces.tolist(), unit, strict=True):
        for first, second in zip(face, face[1:] + face[:1], strict=True):
            at_vertices[first] += normal
            edge = (min(first, second), max(first, second))
            at_edges[edge] = at_edges.get(edge, 0.0) + normal
    edges = np.array(list(at_edges))
    inner = [0.6 * corners[:, i] + 0.4 * centres for i in range(3)]
    places = [points, points[edges].mean(axis=1), centres, *inner]
    normals = [at_vertices, np.array(list(at_edges.values())), unit, unit, unit, unit]
    return np.concatenate(places), np.concatenate(normals)


def pelvis_masks(pelvis: Pelvis, pelves: Pelves) -> tuple[np.ndarray, np.ndarray]:
    """Hip bones and S1-S3."""
    masks = [
        surface_mask(pelvis.points[n * POINTS : (n + 1) * POINTS], pelves.faces[bone])
        for n, bone in enumerate(BONES)
    ]
    left, right, sacrum = (_sound(mask, 1) for mask in masks)
    apart = [
        hip & (distance_to_mm(other, GRID.spacing) > SYMPHYSIS_MM)
        for hip, other in ((left, right), (right, left))
    ]
    return apart[0] | apart[1], sacrum


def onto_donor(mean: Pelvis, pelves: Pelves, donor: Skeleton) -> sitk.Transform:
    """Transform from the mean pelvis to the donor's, by their bones."""
    hip, sacrum = pelvis_masks(mean, pelves)
    z, y, x = donor.coordinates
    lowest = float(z[:, 0, 0][sacrum.any(axis=(1, 2))].min())
    tail = (z < lowest + 6.0) & (np.abs(x) < 45.0) & (y > 15.0)
    valid = np.broadcast_to(~tail, GRID.shape)
    return register(hip | sacrum, donor.hip | donor.sacrum, valid.copy(), 40.0, shrink=3)


def donor_points(mean: Pelvis, transform: sitk.Transform, donor: Skeleton) -> np.ndarray:
    """Where each vertex of the mean lies on the donor's bones."""
    moved = np.array([transform.TransformPoint(p.tolist()) for p in mean.points])
    for mask, part in ((donor.hip, slice(0, 2 * POINTS)), (donor.sacrum, slice(2 * POINTS, None))):
        distance = ndimage.gaussian_filter(signed_distance(mask, 12.0), 1.0)
        gradient = np.stack(np.gradient(distance, *GRID.spacing))
        for _ in range(3):
            at = GRID.to_index(moved[part]).T
            depth = ndimage.map_coordinates(distance, at, order=1)
            slope = np.stack([ndimage.map_coordinates(g, at, order=1) for g in gradient[::-1]], 1)
            step = depth[:, None] * slope / np.maximum((slope**2).sum(axis=1, keepdims=True), 0.3)
            length = np.linalg.norm(step, axis=1, keepdims=True)
            moved[part] -= step * np.minimum(1.0, 3.0 / np.maximum(length, 1e-6))
    return moved


class Carrier:
    """The smooth map from one pelvis to its donor, worked out on a coarse lattice."""

    def __init__(self, pelvis: Pelvis, on_donor: np.ndarray, donor: Donor) -> None:
        here, there = self._pairs(pelvis, on_donor, donor)
        spline = RBFInterpolator(here, there - here, kernel="linear", smoothing=2.0, degree=1)
        axes = [
            o + np.arange(n) * s
            for n, s, o in zip(GRID.shape, GRID.spacing, GRID.origin[::-1], strict=True)
        ]
        nodes = [nodes_over(a[0], a[-1], NODE_MM) for a in axes]
        z, y, x = np.meshgrid(*nodes, indexing="ij")
        points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
        index = GRID.to_index(points + spline(points)).T.reshape(3, *z.shape)
        matrices = tuple(interpolation_matrix(a, n) for a, n in zip(axes, nodes, strict=True))
        self.index = np.stack([upsample(i.astype(np.float32), matrices) for i in index])

    @staticmethod
    def _pairs(pelvis: Pelvis, on_donor: np.ndarray, donor: Donor) -> tuple[np.ndarray, np.ndarray]:
        """Corresponding points: pelvis, femora, lumbar spine, skin."""
        rng = np.random.default_rng(0)
        chosen = rng.choice(len(on_donor), 700, replace=False)
        here, there = [pelvis.points[chosen]], [on_donor[chosen]]
        for side in (1.0, -1.0):
            femur = _surface(donor.skeleton.femur, rng, 120, side)
            here.append(_femur_here(femur, pelvis.landmarks, donor.skeleton.landmarks, side))
            there.append(femur)
        sacrum = slice(2 * POINTS, None)
        spine = _surface(np.any(donor.skeleton.lumbar, axis=0), rng, 150)
        here.append(_similar(on_donor[sacrum], pelvis.points[sacrum])(spine))
        there.append(spine)
        skin = _surface(donor.soft > 0, rng, 150)
        here.append(_similar(on_donor, pelvis.points)(skin))
        there.append(skin)
        return np.concatenate(here), np.concatenate(there)

    def smooth(self, mask: np.ndarray) -> np.ndarray:
        """A mask of the donor, carried over by its distance map."""
        return ndimage.map_coordinates(signed_distance(mask, 12.0), self.index, order=1) > 0

    def nearest(self, values: np.ndarray) -> np.ndarray:
        """Values of the donor; its edges go on outwards."""
        flat = np.zeros(GRID.shape, np.int64)
        for position, size in zip(self.index, values.shape, strict=True):
            flat = flat * size + np.clip(np.rint(position), 0, size - 1).astype(np.int64)
        return values.reshape(-1)[flat]


def _surface(
    mask: np.ndarray, rng: np.random.Generator, count: int, side: float | None = None
) -> np.ndarray:
    """Random points of a mask's surface, of one side of the midline if asked."""
    points = GRID.to_lps(np.argwhere(mask & ~ndimage.binary_erosion(mask, border_value=1)))
    if side is not None:
        points = points[side * points[:, 0] > 0]
    return points[rng.choice(len(points), min(count, len(points)), replace=False)]


def _head(landmarks: Landmarks, side: float) -> np.ndarray:
    return np.array(landmarks.left_head_mm if side > 0 else landmarks.right_head_mm)


def femur_scale(pelvis: Landmarks, donor: Landmarks) -> float:
    """Size of the femur, by its head."""
    scale = pelvis.head_radius_mm / donor.head_radius_mm
    return float(np.clip(scale, 1.0 / LARGEST_FEMUR_SCALE, LARGEST_FEMUR_SCALE))


def _femur_here(points: np.ndarray, pelvis: Landmarks, donor: Landmarks, side: float) -> np.ndarray:
    scale = femur_scale(pelvis, donor)
    return (points - _head(donor, side)) * scale + _head(pelvis, side)


def _similar(source: np.ndarray, target: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The similarity that brings points onto others."""
    a, b = source.mean(axis=0), target.mean(axis=0)
    rotation = _rotation(source - a, target - b)
    scale = float(((source - a) @ rotation * (target - b)).sum() / ((source - a) ** 2).sum())
    return lambda points: (points - a) @ rotation * scale + b


def pelvis_skeleton(
    pelvis: Pelvis, pelves: Pelves, carrier: Carrier, donor: Donor
) -> tuple[Skeleton, float]:
    """All bones, and the volume in cm3 that femora and hips would share."""
    hip, sacrum = pelvis_masks(pelvis, pelves)
    femur = _femora(pelvis.landmarks, donor.skeleton)
    shared = float((hip & femur).sum()) * GRID.voxel_volume_mm3 / 1000.0
    sacrum = _sound(sacrum | _tail(sacrum, carrier.smooth(donor.skeleton.sacrum)), 2) & ~hip
    taken = hip | sacrum | femur
    lumbar = [carrier.smooth(mask) & ~taken for mask in donor.skeleton.lumbar]
    bones = Skeleton(GRID, _spaced(lumbar, sacrum), sacrum, hip & ~femur, femur, pelvis.landmarks)
    return bones, shared


def _tail(own: np.ndarray, lent: np.ndarray) -> np.ndarray:
    """What the lent sacrum has below S3: beyond the tip of the own one, along its axis."""
    middle = np.argwhere(own)[:, :2].mean(axis=0)
    lent_points = np.argwhere(lent)[:, :2] - middle
    own_points = np.argwhere(own)[:, :2] - middle
    down = lent_points[lent_points[:, 0] < own_points[:, 0].min()].mean(axis=0)
    down /= np.linalg.norm(down)
    tip = float(np.quantile(own_points @ down, 0.95))
    rows = np.stack(np.meshgrid(*map(np.arange, own.shape[:2]), indexing="ij"), axis=-1) - middle
    return lent & (rows @ down > tip - 2.0)[:, :, None]


def _femora(landmarks: Landmarks, donor: Skeleton) -> np.ndarray:
    """The donor's femora, sized by the heads and hung into the sockets."""
    distance = signed_distance(donor.femur, 12.0)
    z, y, x = np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij")
    points = GRID.to_lps(np.stack([z, y, x], axis=-1).reshape(-1, 3))
    scale = femur_scale(landmarks, donor.landmarks)
    out = np.zeros(GRID.shape, bool)
    for side in (1.0, -1.0):
        at = (points - _head(landmarks, side)) / scale + _head(donor.landmarks, side)
        index = GRID.to_index(at).T
        inside = ndimage.map_coordinates(distance, index, order=1, mode="nearest") > 0
        half = side * points[:, 0] > 0
        out |= (inside & half).reshape(GRID.shape)
    return out
