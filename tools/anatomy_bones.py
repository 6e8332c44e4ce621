"""Bones of the two sources on the atlas grid, each side completed where the source ends.

Development only: reads the raw sources, registers with SimpleITK.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import trimesh
from scipy import ndimage

from pelvimets.core.geometry import Geometry
from pelvimets.phantom.anatomy.assembly import (
    FEMUR_MESHES,
    FEMUR_ORIGIN_M,
    HEAD_RADIUS_MM,
    HIP_MESHES,
    LUMBAR_MESHES,
    fill_surface,
    mesh_poses,
    posed_triangles,
)
from pelvimets.phantom.anatomy.distances import depth_mm, distance_to_mm
from pelvimets.phantom.anatomy.lattice import interpolation_matrix, upsample
from pelvimets.phantom.anatomy.patient import Landmarks
from pelvimets.phantom.anatomy.tissues import Skeleton

GRID = Geometry.from_axes((210, 160, 220), (2.0, 2.0, 2.0), (-219.0, -169.0, -130.0))

# Femoral heads of the CT as array indices (z, y, x), head-up; found by a sphere of 24 mm
# radius that touches most of the surface of the femoral head.
CT_LEFT_HEAD = np.array([9.4, 54.7, 90.0])
CT_RIGHT_HEAD = np.array([8.1, 55.1, 33.15])
CT_ORIGIN = 0.5 * (CT_LEFT_HEAD + CT_RIGHT_HEAD)
CT_SPACING_MM = 3.0
THICKER_BELOW = 0.12  # of the smoothed filling: 1.6 mm beyond the faces
CT_BOTTOM_MM = -CT_ORIGIN[0] * CT_SPACING_MM


@dataclass(frozen=True)
class Ct:
    """The CT on the atlas grid.

    Attributes:
        hu: Hounsfield units.
        labels: Smoothed masks by name of the label map.
        inside: Within the field of the CT.
    """

    hu: np.ndarray
    labels: dict[str, np.ndarray]
    inside: np.ndarray


def read_mesh_windings(folder: Path) -> dict[str, np.ndarray]:
    """Winding numbers of every mesh on the atlas grid."""
    windings = {}
    for name, pose in mesh_poses().items():
        triangles = np.asarray(trimesh.load(folder / f"{name}.stl").triangles, float)
        windings[name] = fill_surface(posed_triangles(triangles, pose), GRID).astype(np.float32)
    return windings


def mesh_skeleton(windings: dict[str, np.ndarray]) -> Skeleton:
    """Bones of the meshes."""

    def bone(names: tuple[str, ...]) -> np.ndarray:
        return np.max([ndimage.gaussian_filter(windings[n], 0.7) for n in names], axis=0) > 0.5

    femur = bone(FEMUR_MESHES)
    offset = 1000.0 * FEMUR_ORIGIN_M["r_femur"][2]
    heads = Landmarks((offset, 0.0, 0.0), (-offset, 0.0, 0.0), HEAD_RADIUS_MM)
    lumbar = tuple(bone((name,)) for name in reversed(LUMBAR_MESHES))
    hip = parted(_hips(windings)) & ~femur
    return Skeleton(GRID, lumbar, bone(("sacrum",)), hip, femur, heads)


def _hips(windings: dict[str, np.ndarray]) -> np.ndarray:
    """Hip bones; below the heads, where their few faces cut through the bone, a little thicker."""
    z = np.arange(GRID.shape[0]) * GRID.spacing[0] + GRID.origin[2]
    below = np.clip((-z - 5.0) / 20.0, 0.0, 1.0)
    threshold = 0.5 - (0.5 - THICKER_BELOW) * below
    smooth = np.max([ndimage.gaussian_filter(windings[n], 0.7) for n in HIP_MESHES], axis=0)
    return smooth > threshold[:, None, None]


def parted(hip: np.ndarray) -> np.ndarray:
    """Hip bones with the width of a symphysis between them."""
    middle = symphysis(hip)
    out = hip.copy()
    out[:, :, middle - 1 : middle + 1] = False
    return out


def symphysis(hip: np.ndarray) -> int:
    """Column to the left of the gap between the hip bones: where fewest voxels lie."""
    x = np.arange(GRID.shape[2]) * GRID.spacing[2] + GRID.origin[0]
    near = np.flatnonzero(np.abs(x) < 8.0)
    counts = hip.sum(axis=(0, 1))
    return int(min(near, key=lambda n: (counts[n - 1] + counts[n], abs(x[n] - 1.0))))


def read_ct(folder: Path) -> Ct:
    """The CT and its label map on the atlas grid."""
    image = _head_up(folder / "ct.nii.gz").astype(np.float32)
    label_map = _head_up(folder / "labels.nii.gz")
    names = json.loads((folder / "labels.json").read_text())
    labels = {
        name: _sample(ndimage.gaussian_filter((label_map == int(value)).astype(np.float32), 0.55))
        > 0.5
        for value, name in names.items()
    }
    z, y, x = (
        (index >= 0) & (index <= n - 1) for index, n in zip(_ct_index(), image.shape, strict=True)
    )
    inside = z[:, None, None] & y[None, :, None] & x[None, None, :]
    return Ct(_sample(ndimage.median_filter(image, 3)), labels, inside)


def _head_up(path: Path) -> np.ndarray:
    """Voxels (z superior, y posterior, x left)."""
    image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    return sitk.GetArrayFromImage(image)


def _ct_index() -> list[np.ndarray]:
    """CT array index along (z, y, x) of the atlas grid."""
    step = GRID.spacing[0] / CT_SPACING_MM
    return [
        np.arange(n) * step + o / CT_SPACING_MM + c
        for n, o, c in zip(GRID.shape, GRID.origin[::-1], CT_ORIGIN, strict=True)
    ]


def _sample(volume: np.ndarray) -> np.ndarray:
    """Linear interpolation on the atlas grid; the border goes on beyond the field."""
    matrices = tuple(
        interpolation_matrix(np.clip(index, 0, n - 1), np.arange(n, dtype=float))
        for index, n in zip(_ct_index(), volume.shape, strict=True)
    )
    return upsample(volume.astype(np.float32), matrices)


def ct_skeleton(ct: Ct, mesh: Skeleton) -> Skeleton:
    """Bones of the CT; below its field those of the meshes, registered to it.

    The left femur of the CT holds an implant: the right one stands in for it, mirrored.
    """
    level = np.arange(GRID.shape[0]) * GRID.spacing[0] + GRID.origin[2]
    valid = np.zeros(GRID.shape, bool)
    valid[level >= CT_BOTTOM_MM + 2.0] = True
    lumbar = tuple(ct.labels[f"vertebrae_L{n}"] & valid for n in range(1, 6))
    sacrum = ct.labels["sacrum"] & valid
    hip = ndimage.binary_closing(
        (ct.labels["hip_left"] | ct.labels["hip_right"]) & valid, iterations=2
    )
    right = ct.labels["femur_right"] & valid
    every_mesh = np.any(mesh.lumbar, axis=0) | mesh.sacrum | mesh.hip
    transform = register(np.any(lumbar, axis=0) | sacrum | hip, every_mesh, valid)
    hip = np.where(valid, hip, warp(signed_distance(mesh.hip), transform) > 0)
    right_half = (np.arange(GRID.shape[2]) < GRID.shape[2] // 2)[None, None, :]
    affine = register(right, mesh.femur & right_half, valid, spline_mm=None)
    right = np.where(valid, right, warp(signed_distance(mesh.femur & right_half), affine) > 0)
    heads = [(h - CT_ORIGIN)[::-1] * CT_SPACING_MM for h in (CT_LEFT_HEAD, CT_RIGHT_HEAD)]
    left = _mirrored(right, heads[1], heads[0]) & ~hip
    return Skeleton(
        GRID,
        lumbar,
        sacrum,
        parted(hip & ~right & ~left),
        right | left,
        Landmarks(tuple(heads[0]), tuple(heads[1]), HEAD_RADIUS_MM),
    )


def _mirrored(mask: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A mask reflected along x, its point ``source`` (x, y, z) brought to ``target``."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij")
    points = GRID.to_lps(np.stack([z, y, x], axis=-1)) - target
    index = GRID.to_index(points * np.array([-1.0, 1.0, 1.0]) + source)
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), 0.5)
    return ndimage.map_coordinates(smooth, np.moveaxis(index, -1, 0), order=1) > 0.5


def signed_distance(mask: np.ndarray, limit_mm: float = 30.0) -> np.ndarray:
    """Distance to the surface in mm, positive inside."""
    spacing = GRID.spacing
    distance = depth_mm(mask, spacing)
    distance -= distance_to_mm(mask, spacing)
    return np.clip(distance, -limit_mm, limit_mm).astype(np.float32)


def _image(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array.astype(np.float32))
    image.SetSpacing(GRID.spacing[::-1])
    image.SetOrigin(GRID.origin)
    return image


def register(
    fixed: np.ndarray,
    moving: np.ndarray,
    valid: np.ndarray,
    spline_mm: float | None = 50.0,
    shrink: int = 2,
) -> sitk.Transform:
    """Affine, then B-spline registration of two masks by their distance maps.

    Only voxels within 40 mm of the fixed mask and inside ``valid`` count.
    """
    near = distance_to_mm(fixed, GRID.spacing) < 40.0
    images = [sitk.Shrink(_image(signed_distance(m)), [shrink] * 3) for m in (fixed, moving)]
    where = sitk.Cast(
        sitk.Shrink(_image((valid & near).astype(np.float32)), [shrink] * 3) > 0.5, sitk.sitkUInt8
    )
    affine = sitk.AffineTransform(3)
    method = _method(where)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 150)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(affine)
    method.Execute(*images)
    if spline_mm is None:
        return affine
    method = _method(where)
    cells = [
        int(n * s / spline_mm)
        for n, s in zip(images[0].GetSize(), images[0].GetSpacing(), strict=True)
    ]
    spline = sitk.BSplineTransformInitializer(images[0], cells, order=3)
    method.SetMovingInitialTransform(affine)
    method.SetInitialTransform(spline, True)
    method.SetOptimizerAsLBFGSB(gradientConvergenceTolerance=1e-4, numberOfIterations=40)
    method.Execute(*images)
    return sitk.CompositeTransform([affine, spline])


def _method(where: sitk.Image) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMetricFixedMask(where)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.15, seed=1)
    return method


def warp(array: np.ndarray, transform: sitk.Transform, nearest: bool = False) -> np.ndarray:
    """An array resampled through a transform onto the atlas grid."""
    how = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    image = _image(array)
    return sitk.GetArrayFromImage(sitk.Resample(image, image, transform, how, float(array.min())))
