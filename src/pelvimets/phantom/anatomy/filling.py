"""What fills a man differently from day to day and year to year: bladder, rectum, muscle fat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.core.geometry import Geometry
from pelvimets.phantom.anatomy.distances import depth_mm
from pelvimets.phantom.anatomy.lattice import smooth_noise
from pelvimets.phantom.anatomy.patient import Landmarks, Tissue, UInt8Array

Box = tuple[slice, slice, slice]


def resize_bladder(
    rng: np.random.Generator,
    tissue: UInt8Array,
    spacing_mm: tuple[float, float, float],
    scale: float,
) -> None:
    """Scale the bladder about its neck, in place; bowel and fat take the room.

    Args:
        rng: Source of randomness, for the bowel loops.
        tissue: ``Tissue`` values (z, y, x).
        spacing_mm: (z, y, x).
        scale: Diameter relative to what is there, up to 1.
    """
    bladder = (tissue == Tissue.URINE) | (tissue == Tissue.BLADDER_WALL)
    found = ndimage.find_objects(bladder.astype(np.uint8))
    if not found or scale >= 1.0:
        return
    box: Box = found[0]
    old = bladder[box]
    small = _scaled(old, scale)
    view = tissue[box]
    view[old & ~small] = _loops(rng, old.shape, spacing_mm)[old & ~small]
    inner = depth_mm(small, spacing_mm) > 3.0
    view[small & old] = Tissue.BLADDER_WALL
    view[inner & old] = Tissue.URINE


def _scaled(mask: npt.NDArray[np.bool_], scale: float) -> npt.NDArray[np.bool_]:
    """The mask shrunk about the centre of its lowest slices."""
    lowest = np.argwhere(mask[: max(2, len(mask) // 10)])
    neck = np.array([0.0, *lowest[:, 1:].mean(axis=0)])
    axes = [
        np.clip(np.rint(n + (np.arange(size) - n) / scale), -1, size).astype(int)
        for n, size in zip(neck, mask.shape, strict=True)
    ]
    padded = np.pad(mask, 1)
    return padded[np.ix_(*(axis + 1 for axis in axes))]


def _loops(
    rng: np.random.Generator, shape: tuple[int, ...], spacing_mm: tuple[float, float, float]
) -> UInt8Array:
    """Loops of small bowel in visceral fat."""
    cell = tuple(14.0 / s for s in spacing_mm)
    level = smooth_noise(rng, _three(shape), (cell[0], cell[1], cell[2]))
    out = np.full(shape, Tissue.VISCERAL_FAT, np.uint8)
    out[level > 0.05] = Tissue.BOWEL_WALL
    out[level > 0.35] = Tissue.BOWEL_FLUID
    return out


def add_rectal_gas(
    tissue: UInt8Array, geometry: Geometry, landmarks: Landmarks, share: float
) -> None:
    """Let gas gather in the front of the rectum of a man on his back, in place.

    Args:
        tissue: ``Tissue`` values (z, y, x).
        geometry: Grid.
        landmarks: Femoral heads; the rectum lies behind and between them.
        share: Split of the content that is gas, 0 to 1.
    """
    if share <= 0.0:
        return
    content = np.isin(tissue, (Tissue.STOOL, Tissue.BOWEL_FLUID))
    index = np.argwhere(content)
    x, y, z = geometry.to_lps(index).T
    heads = np.mean([landmarks.left_head_mm, landmarks.right_head_mm], axis=0)
    near = (np.abs(x - heads[0]) < 35.0) & (y - heads[1] > 10.0)
    near &= (z - heads[2] > -50.0) & (z - heads[2] < 70.0)
    if not near.any():
        return
    index, y = index[near], y[near]
    front = index[y <= np.quantile(y, share)]
    tissue[tuple(front.T)] = Tissue.GAS


def marble_muscle(
    rng: np.random.Generator,
    tissue: UInt8Array,
    spacing_mm: tuple[float, float, float],
    amount: float,
) -> None:
    """Strands of fat inside the muscles, in place.

    Args:
        rng: Source of randomness.
        tissue: ``Tissue`` values (z, y, x).
        spacing_mm: (z, y, x).
        amount: 0 for lean muscle, 1 for heavily infiltrated.
    """
    z, y, x = spacing_mm
    strands = smooth_noise(rng, _three(tissue.shape), (36.0 / z, 11.0 / y, 11.0 / x))
    patches = smooth_noise(rng, _three(tissue.shape), (60.0 / z, 45.0 / y, 45.0 / x))
    fat = (np.abs(strands) < 0.09 * amount) & (patches > 0.4 - 1.2 * amount)
    tissue[fat & (tissue == Tissue.MUSCLE)] = Tissue.INTERMUSCULAR_FAT


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return shape[0], shape[1], shape[2]
