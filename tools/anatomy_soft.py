"""Soft tissue around the bones of the CT, continued below its field. Development only."""

from __future__ import annotations

import numpy as np
from anatomy_bones import CT_BOTTOM_MM, GRID, Ct
from scipy import ndimage

from pelvimets.phantom.anatomy.distances import depth_mm, distance_to_mm
from pelvimets.phantom.anatomy.patient import Tissue
from pelvimets.phantom.anatomy.tissues import Skeleton, sacral_path

SPACING = GRID.spacing
Z, Y, X = (
    np.arange(n) * s + o for n, s, o in zip(GRID.shape, SPACING, GRID.origin[::-1], strict=True)
)
FIRST = int(np.ceil((CT_BOTTOM_MM - Z[0]) / SPACING[0])) + 1
THIGH_RADIUS_MM = 86.0
BLEND_MM = 70.0


def soft_tissue(ct: Ct, skeleton: Skeleton) -> np.ndarray:
    """``Tissue`` of every voxel as if there were no bone (z, y, x)."""
    hu = _beyond_the_field(ct)
    flanks = _rounded_flanks(_body(hu), ct.inside)
    body, soft = _continued(flanks, hu > -35.0, skeleton)
    depth = depth_mm(body, SPACING)
    tissue = _fat_and_muscle(body, soft, depth, ct)
    _compartments(tissue, skeleton)
    _muscle_borders(tissue, ct)
    _organs(tissue, ct, hu, depth)
    _carry_vessels_down(tissue)
    _prostate_and_rectum(tissue, ct)
    return _without_bone(tissue, skeleton)


def _beyond_the_field(ct: Ct) -> np.ndarray:
    """HU in which the flank that the field cuts is the mirrored other flank."""
    mirrored_hu, mirrored_inside = ct.hu[:, :, ::-1], ct.inside[:, :, ::-1]
    side = np.abs(X)[None, None, :] > 150.0
    cut = side & ~_well_inside(ct.inside) & mirrored_inside
    hu = np.where(ct.inside | cut, np.where(cut, mirrored_hu, ct.hu), -1000.0)
    return ndimage.gaussian_filter(hu, 0.4)


def _well_inside(inside: np.ndarray) -> np.ndarray:
    return ndimage.binary_erosion(inside, np.ones((1, 1, 9)), border_value=0)


def _body(hu: np.ndarray) -> np.ndarray:
    opened = ndimage.binary_opening(hu > -300.0, iterations=2)
    labels, _ = ndimage.label(opened)
    body = labels == np.argmax(np.bincount(labels.reshape(-1))[1:]) + 1
    return np.stack([ndimage.binary_fill_holes(plane) for plane in body])


def _rounded_flanks(body: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Where the field cuts a flank, a flat cap of fat goes on beyond it."""
    out = body.copy()
    columns = np.flatnonzero(inside.any(axis=(0, 1)))
    for k in range(FIRST, len(body)):
        for edge, step in ((columns[0] + 2, -1), (columns[-1] - 2, 1)):
            rows = np.flatnonzero(body[k, :, edge])
            if rows.size < 6:
                continue
            middle, half = rows.mean(), 0.5 * (np.ptp(rows) + 1.0)
            height = 0.22 * half
            for beyond in range(1, int(height) + 1):
                reach = half * np.sqrt(1.0 - (beyond / height) ** 2)
                column = edge + step * beyond
                if 0 < column < body.shape[2] - 1:
                    out[k, int(middle - reach) : int(middle + reach) + 1, column] = True
    return out


def _distance(mask: np.ndarray) -> np.ndarray:
    distance = depth_mm(mask, SPACING[1:])
    return distance - distance_to_mm(mask, SPACING[1:])


def _continued(
    body: np.ndarray, soft: np.ndarray, skeleton: Skeleton
) -> tuple[np.ndarray, np.ndarray]:
    """Below the CT the trunk turns into two thighs around the femora."""
    body, soft = body.copy(), soft.copy()
    trunk = _distance(body[FIRST])
    flesh = _distance(ndimage.binary_opening(soft[FIRST] & body[FIRST], iterations=2))
    for k in range(FIRST):
        share = np.clip((FIRST - k) * SPACING[0] / BLEND_MM, 0.0, 1.0)
        share = share * share * (3.0 - 2.0 * share)
        thighs = np.maximum(*(_thigh(skeleton, k, side) for side in (1.0, -1.0)))
        body[k] = (1.0 - share) * trunk + share * thighs > 0
        soft[k] = (1.0 - share) * flesh + share * (thighs - 12.0) > 0
    return body, soft


def _shaft(skeleton: Skeleton, k: int, side: float) -> tuple[float, float]:
    """Centre (y, x) of a thigh: behind and medial to the femoral shaft."""
    mask = skeleton.femur[max(k, 12)] & (side * X > 0)[None, :]
    rows, columns = np.nonzero(mask)
    return float(Y[rows].mean() + 8.0), float(X[columns].mean() - side * 20.0)


def _thigh(skeleton: Skeleton, k: int, side: float) -> np.ndarray:
    y, x = _shaft(skeleton, k, side)
    return THIGH_RADIUS_MM - np.hypot((Y[:, None] - y) / 1.02, X[None, :] - x)


def _fat_and_muscle(body: np.ndarray, soft: np.ndarray, depth: np.ndarray, ct: Ct) -> np.ndarray:
    fat = body & ~soft
    core = np.any([ct.labels[n] for n in _CAVITY], axis=0)
    core[:FIRST] = False
    cavity = distance_to_mm(core, SPACING) < 18.0
    opened = ndimage.binary_erosion(fat | (body & (depth < 5.0)), iterations=2)
    labels, _ = ndimage.label(opened)
    outer = np.unique(labels[(depth < 8.0) & opened])
    outer_fat = ndimage.binary_dilation(np.isin(labels, outer[outer > 0]), iterations=3) & fat
    tissue = np.zeros(GRID.shape, np.uint8)
    tissue[body] = Tissue.MUSCLE
    tissue[fat] = Tissue.INTERMUSCULAR_FAT
    tissue[fat & cavity] = Tissue.VISCERAL_FAT
    tissue[(outer_fat & ~cavity) | (fat & (depth < 14.0))] = Tissue.SUBCUTANEOUS_FAT
    tissue[body & (depth < 2.5)] = Tissue.SKIN
    return tissue


def _compartments(tissue: np.ndarray, skeleton: Skeleton) -> None:
    """Fat planes between the muscles of the thigh, in place."""
    for k in range(FIRST + 2):
        for side in (1.0, -1.0):
            y, x = _shaft(skeleton, k, side)
            dy, dx = Y[:, None] - y, (X[None, :] - x) * side
            radius, angle = np.hypot(dy, dx), np.arctan2(dy, dx)
            for start in (-2.2, -0.5, 0.9, 2.2, 2.9):
                turn = np.angle(np.exp(1j * (angle - start - 0.012 * radius)))
                plane = (np.abs(turn) * radius < 1.6) & (radius > 18.0)
                plane &= (tissue[k] == Tissue.MUSCLE) & (side * X > 0)[None, :]
                tissue[k][plane] = Tissue.INTERMUSCULAR_FAT


def _muscle_borders(tissue: np.ndarray, ct: Ct) -> None:
    """Thin fat between the labelled muscles and their neighbours, with gaps, in place."""
    gaps = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=GRID.shape), 3.0)
    there = (gaps > -0.5 * gaps.std()) & (tissue == Tissue.MUSCLE)
    there[:FIRST] = False
    for name, mask in ct.labels.items():
        if name.startswith(("gluteus", "iliopsoas", "autochthon")):
            rim = mask & ~ndimage.binary_erosion(mask)
            tissue[rim & there] = Tissue.INTERMUSCULAR_FAT


_BOWEL = ("colon", "small_bowel", "duodenum")
_ARTERIES = ("iliac_artery_left", "iliac_artery_right", "aorta")
_VEINS = ("iliac_vena_left", "iliac_vena_right", "inferior_vena_cava")
_CAVITY = ("urinary_bladder", *_BOWEL, *_ARTERIES, *_VEINS)


def _organs(tissue: np.ndarray, ct: Ct, hu: np.ndarray, depth: np.ndarray) -> None:
    def union(names: tuple[str, ...]) -> np.ndarray:
        mask = np.any([ct.labels[n] for n in names], axis=0)
        mask[:FIRST] = False
        return mask

    bladder, bowel = union(("urinary_bladder",)), union(_BOWEL)
    tissue[bladder] = Tissue.BLADDER_WALL
    tissue[ndimage.binary_erosion(bladder, iterations=2)] = Tissue.URINE
    tissue[bowel] = Tissue.BOWEL_WALL
    content = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=GRID.shape), 5.0)
    inner = ndimage.binary_erosion(bowel)
    tissue[inner] = np.where(content[inner] > 0, Tissue.STOOL, Tissue.BOWEL_FLUID)
    gas = (hu < -300.0) & (depth > 10.0) & (tissue != Tissue.AIR)
    gas[:FIRST] = False
    tissue[gas | (bowel & (hu < -250.0))] = Tissue.GAS
    tissue[union(_ARTERIES)] = Tissue.ARTERY
    tissue[union(_VEINS)] = Tissue.VEIN


def _carry_vessels_down(tissue: np.ndarray) -> None:
    flesh = (Tissue.MUSCLE, Tissue.INTERMUSCULAR_FAT, Tissue.SUBCUTANEOUS_FAT)
    for k in range(FIRST - 1, -1, -1):
        for vessel in (Tissue.ARTERY, Tissue.VEIN):
            tissue[k][(tissue[k + 1] == vessel) & np.isin(tissue[k], flesh)] = vessel


def _ellipsoid(centre: tuple[float, ...], axes: tuple[float, ...]) -> np.ndarray:
    """Voxels in an ellipsoid given by centre and half axes (z, y, x) in mm."""
    z, y, x = np.meshgrid(Z, Y, X, indexing="ij", sparse=True)
    terms = (((a - c) / r) ** 2 for a, c, r in zip((z, y, x), centre, axes, strict=True))
    return sum(terms) < 1.0


def _prostate_and_rectum(tissue: np.ndarray, ct: Ct) -> None:
    """Prostate and seminal vesicles below the bladder; rectum and anal canal go on downwards."""
    urine = tissue == Tissue.URINE
    low = int(urine.any(axis=(1, 2)).argmax())
    rows, columns = np.nonzero(urine[low + 2])
    z, y, x = Z[low] - 16.0, Y[int(rows.mean())] + 8.0, X[int(columns.mean())]
    free = ~np.isin(tissue, (Tissue.ARTERY, Tissue.AIR, Tissue.SKIN, Tissue.BOWEL_WALL))
    gland = _ellipsoid((z, y, x), (20.0, 16.0, 25.0)) & free
    tissue[gland] = Tissue.PROSTATE_PERIPHERAL
    tissue[_ellipsoid((z + 4.0, y - 3.0, x), (14.0, 11.0, 16.0)) & gland] = Tissue.PROSTATE_CENTRAL
    bladder = np.isin(tissue, (Tissue.URINE, Tissue.BLADDER_WALL))
    for side in (1.0, -1.0):
        vesicle = _ellipsoid((z + 24.0, y + 14.0, x + side * 16.0), (6.0, 6.0, 14.0))
        tissue[vesicle & free & ~bladder] = Tissue.SEMINAL_VESICLE
    rows, columns = np.nonzero(ct.labels["colon"][FIRST + 4])
    centre = (float(Y[rows].mean()), float(X[columns].mean()))
    for radius, content in ((13.0, Tissue.BOWEL_WALL), (6.0, Tissue.STOOL)):
        tissue[_anal_canal(centre, radius) & free & ~gland] = content


def _anal_canal(centre: tuple[float, float], radius_mm: float) -> np.ndarray:
    z, y, x = np.meshgrid(Z, Y, X, indexing="ij", sparse=True)
    bottom = Z[FIRST]
    row = centre[0] + 4.0 + 0.15 * (bottom - z)
    inside = (y - row) ** 2 + (x - centre[1]) ** 2 < radius_mm**2
    return inside & (z < bottom + 10.0) & (z > bottom - 35.0)


def _without_bone(tissue: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Fill the bones with what lies nearest, so that other bones can stand there."""
    bone = skeleton.part > 0
    nearest = ndimage.distance_transform_edt(bone, return_distances=False, return_indices=True)
    out = tissue.copy()
    out[bone] = tissue[tuple(nearest)][bone]
    return out


def lumbar_canal(skeleton: Skeleton) -> np.ndarray:
    """Dural sac of the lumbar spine: a tube through the holes of the vertebrae."""
    lumbar = np.any(skeleton.lumbar, axis=0)
    z, y = sacral_path(skeleton)[-1]
    rows = [tuple(GRID.to_index([skeleton.landmarks.midline_x_mm, y, z]))]
    for k in np.flatnonzero(lumbar.any(axis=(1, 2))).tolist():
        hole = _hole(lumbar[k])
        if hole is not None and k > rows[0][0] + 4:
            rows.append((float(k), *hole))
    path = np.array(rows)
    sac = np.zeros(GRID.shape, bool)
    grid_y, grid_x = np.mgrid[: GRID.shape[1], : GRID.shape[2]]
    smooth = ndimage.gaussian_filter1d(path[:, 1:], 4.0, axis=0)
    for k in range(int(path[0, 0]), GRID.shape[0]):
        y, x = (np.interp(k, path[:, 0], smooth[:, i]) for i in (0, 1))
        sac[k] = ((grid_y - y) / 4.2) ** 2 + ((grid_x - x) / 5.2) ** 2 < 1.0
    return sac


def _hole(plane: np.ndarray) -> tuple[float, float] | None:
    """Centre of the largest hole of a vertebra in one slice, none below 48 mm2."""
    closed = ndimage.binary_closing(np.pad(plane, 10), iterations=5)[10:-10, 10:-10]
    hole = ndimage.binary_opening(ndimage.binary_fill_holes(closed) & ~plane, iterations=2)
    labels, count = ndimage.label(hole)
    if count == 0:
        return None
    sizes = np.bincount(labels.reshape(-1))[1:]
    if sizes.max() <= 12:
        return None
    rows, columns = np.nonzero(labels == int(sizes.argmax()) + 1)
    return float(rows.mean()), float(columns.mean())
