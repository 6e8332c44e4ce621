"""Soft tissue of the label-map people: own muscles and organs, the rest borrowed.

Development only. The sources name muscles and organs but not fat: fat is what is left.
"""

from __future__ import annotations

import numpy as np
from anatomy_bones import GRID
from anatomy_people import Loan, Masks, Person
from anatomy_soft import SPACING, X, Y, Z, _ellipsoid, _without_bone
from scipy import ndimage

from pelvimets.phantom.anatomy.distances import depth_mm, distance_to_mm
from pelvimets.phantom.anatomy.patient import Tissue
from pelvimets.phantom.anatomy.tissues import Skeleton

HULL_MM = 22.0
SKIN_MM = 2.5
LEAST_FAT_MM = 7.0
BOWEL = ("colon", "small_bowel", "duodenum")
ARTERIES = ("iliac_artery_left", "iliac_artery_right", "aorta")
VEINS = ("iliac_vena_left", "iliac_vena_right", "inferior_vena_cava")
KIDNEYS = ("kidney_left", "kidney_right")
MUSCLES = ("gluteus", "iliopsoas", "autochthon", "muscle")
# Of the reference people: gluteus maximus, medius, minimus, iliacus, psoas, erector spinae.
NAMED_BY_BOTH = tuple(f"muscle_{n}" for n in (5, 6, 7, 8, 13, 24))


def body_of(person: Person, borrowed: Loan, skeleton: Skeleton) -> np.ndarray:
    """Own skin, else the lender's, smoothed and wide enough for muscles and bones."""
    own = person.soft.get("body")
    body = borrowed.soft["body"] if own is None else own
    smooth = ndimage.gaussian_filter(body.astype(np.float32), 1.0 if own is not None else 4.0)
    inner = muscles_of(person.soft) | (skeleton.part > 0)
    body = (smooth > 0.5) | (distance_to_mm(inner, SPACING) < LEAST_FAT_MM)
    return np.stack([ndimage.binary_fill_holes(plane) for plane in body])


def muscles_of(soft: Masks) -> np.ndarray:
    """All muscles together."""
    out = np.zeros(GRID.shape, bool)
    for name, mask in soft.items():
        if name.startswith(MUSCLES):
            out |= mask
    return out


def muscle_maps(person: Person, borrowed: Loan, where_own: np.ndarray) -> Masks:
    """Muscles of the person, and of the lender where the person has no field or no such muscle.

    A person of the TotalSegmentator set names seven muscles; the lender's others fill in.
    """
    own = {n: m for n, m in person.soft.items() if n.startswith(MUSCLES)}
    lent = {n: m for n, m in borrowed.soft.items() if n.startswith(MUSCLES)}
    if not any(name.startswith("muscle_") for name in own):
        free = ~muscles_of(own) | ~where_own
        kept = {n: m & (~where_own if n in NAMED_BY_BOTH else free) for n, m in lent.items()}
        return {n: m & where_own for n, m in own.items()} | kept
    return own


def soft_of(person: Person, borrowed: Loan, skeleton: Skeleton, *, woman: bool) -> np.ndarray:
    """``Tissue`` of every voxel as if there were no bone (z, y, x)."""
    where_own = np.broadcast_to((person.bottom_mm + 2.0 < Z)[:, None, None], GRID.shape)
    organs = person.soft if "urinary_bladder" in person.soft else borrowed.soft
    muscles = muscle_maps(person, borrowed, where_own)
    body = body_of(person, borrowed, skeleton)
    tissue = _layers(body, muscles, skeleton)
    flesh = muscles_of(muscles)
    _fat_between(tissue, muscles)
    _organs(tissue, organs, flesh)
    _floor(tissue, organs, woman=woman)
    return _without_bone(tissue, skeleton)


def _layers(body: np.ndarray, muscles: Masks, skeleton: Skeleton) -> np.ndarray:
    """Skin, fat under it, fat between muscles, muscles, fat of the cavity."""
    flesh = muscles_of(muscles)
    hull = _hull(flesh | (skeleton.part > 0))
    depth = depth_mm(body, SPACING)
    tissue = np.zeros(GRID.shape, np.uint8)
    tissue[body] = Tissue.SUBCUTANEOUS_FAT
    tissue[body & hull] = Tissue.INTERMUSCULAR_FAT
    tissue[_cavity(hull & ~flesh & ~(skeleton.part > 0)) & body] = Tissue.VISCERAL_FAT
    tissue[flesh & body] = Tissue.MUSCLE
    tissue[body & (depth < SKIN_MM)] = Tissue.SKIN
    return tissue


def _hull(inner: np.ndarray) -> np.ndarray:
    """Muscles and bones with what they enclose, slice by slice."""
    planes = []
    for plane in inner:
        grown = distance_to_mm(np.pad(plane, 16), SPACING[1:]) < HULL_MM
        closed = depth_mm(ndimage.binary_fill_holes(grown), SPACING[1:]) > HULL_MM
        planes.append(closed[16:-16, 16:-16] | plane)
    return np.stack(planes)


def _cavity(spaces: np.ndarray) -> np.ndarray:
    """Spaces wider than those between muscles: abdomen and pelvis."""
    core = depth_mm(spaces, SPACING) > 7.0
    core[Z < -45.0] = False
    labels, _ = ndimage.label(core)
    sizes = np.bincount(labels.reshape(-1))
    sizes[0] = 0
    largest = labels == int(sizes.argmax())
    return (distance_to_mm(largest, SPACING) < 9.0) & spaces


def _fat_between(tissue: np.ndarray, muscles: Masks) -> None:
    """Thin fat between neighbouring muscles, with gaps, in place."""
    gaps = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=GRID.shape), 3.0)
    there = (gaps > -0.5 * gaps.std()) & (tissue == Tissue.MUSCLE)
    for mask in muscles.values():
        if not mask.any():
            continue
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        inside = mask[box]
        rim = inside & ~ndimage.binary_erosion(inside)
        view = tissue[box]
        view[rim & there[box]] = Tissue.INTERMUSCULAR_FAT


def _organs(tissue: np.ndarray, organs: Masks, flesh: np.ndarray) -> None:
    """Bladder, bowel, vessels and kidneys, in place; labelled muscle stays."""
    free = (tissue > Tissue.SKIN) & ~flesh

    def union(names: tuple[str, ...]) -> np.ndarray:
        masks = [organs[n] for n in names if n in organs]
        return np.any(masks, axis=0) & free if masks else np.zeros(GRID.shape, bool)

    bladder, bowel = union(("urinary_bladder",)), union(BOWEL)
    tissue[union(KIDNEYS)] = Tissue.BOWEL_WALL
    tissue[bladder] = Tissue.BLADDER_WALL
    tissue[ndimage.binary_erosion(bladder, iterations=2)] = Tissue.URINE
    tissue[bowel] = Tissue.BOWEL_WALL
    content = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=GRID.shape), 5.0)
    inner = ndimage.binary_erosion(bowel)
    tissue[inner] = np.where(content[inner] > 0, Tissue.STOOL, Tissue.BOWEL_FLUID)
    tissue[inner & (content > 1.4 * content.std())] = Tissue.GAS
    tissue[union(ARTERIES)] = Tissue.ARTERY
    tissue[union(VEINS)] = Tissue.VEIN
    _femoral_vessels(tissue, organs)


def _femoral_vessels(tissue: np.ndarray, organs: Masks) -> None:
    """The outer iliac vessels go on into the thigh, in front of the head, in place."""
    flesh = (Tissue.MUSCLE, Tissue.INTERMUSCULAR_FAT, Tissue.SUBCUTANEOUS_FAT)
    for names, value in ((ARTERIES, Tissue.ARTERY), (VEINS, Tissue.VEIN)):
        for name in (n for n in names if n in organs and n.startswith("iliac")):
            side = 1.0 if name.endswith("left") else -1.0
            low = np.argwhere(organs[name])
            if not low.size:
                continue
            k = int(low[:, 0].min())
            _, row, column = low[low[:, 0] <= k + 1].mean(axis=0)
            y, x = Y[0] + row * SPACING[1], X[0] + column * SPACING[2]
            for level in range(k + 1):
                down = (k - level) * SPACING[0]
                dx, dy = x + side * 0.02 * down, y - 0.02 * down
                disc = np.hypot(Y[:, None] - dy, X[None, :] - dx) < 4.5
                view = tissue[level]
                view[disc & np.isin(view, flesh)] = value


def _floor(tissue: np.ndarray, organs: Masks, *, woman: bool) -> None:
    """What lies under and behind the bladder: prostate and vesicles, or womb; anal canal."""
    urine = np.argwhere(tissue == Tissue.URINE)
    low = int(urine[:, 0].min())
    _, row, column = urine[urine[:, 0] <= low + 2].mean(axis=0)
    z, y, x = Z[low], Y[0] + row * SPACING[1], X[0] + column * SPACING[2]
    soft = (Tissue.VISCERAL_FAT, Tissue.INTERMUSCULAR_FAT, Tissue.SUBCUTANEOUS_FAT)
    free = np.isin(tissue, soft)
    colon = np.argwhere(organs["colon"])
    bottom = int(colon[:, 0].min())
    _, row, column = colon[colon[:, 0] <= bottom + 2].mean(axis=0)
    _anal_canal(tissue, (Z[bottom], Y[0] + row * SPACING[1], X[0] + column * SPACING[2]), free)
    free = np.isin(tissue, soft)
    if woman:
        _womb(tissue, (z, y, x), free)
        return
    gland = organs.get("prostate")
    if gland is None or not gland.any():
        gland = _ellipsoid((z - 16.0, y + 8.0, x), (20.0, 16.0, 25.0))
    gland = gland & (free | np.isin(tissue, (Tissue.MUSCLE, Tissue.BLADDER_WALL)))
    tissue[gland] = Tissue.PROSTATE_PERIPHERAL
    k, j, i = np.argwhere(gland).mean(axis=0)
    at = (Z[0] + k * 2.0 + 3.0, Y[0] + j * 2.0 - 4.0, X[0] + i * 2.0)
    tissue[_ellipsoid(at, (14.0, 11.0, 15.0)) & gland] = Tissue.PROSTATE_CENTRAL
    for side in (1.0, -1.0):
        vesicle = _ellipsoid((at[0] + 24.0, at[1] + 16.0, at[2] + side * 16.0), (7.0, 6.0, 14.0))
        tissue[vesicle & free] = Tissue.SEMINAL_VESICLE


def _womb(tissue: np.ndarray, neck: tuple[float, float, float], free: np.ndarray) -> None:
    """Vagina and womb between bladder and rectum, in place; made of muscle and mucosa."""
    z, y, x = neck
    room = free | (tissue == Tissue.BOWEL_WALL)
    tissue[_ellipsoid((z - 10.0, y + 18.0, x), (28.0, 7.0, 15.0)) & free] = Tissue.MUSCLE
    centre = (z + 46.0, y + 26.0, x)
    tissue[_ellipsoid(centre, (32.0, 20.0, 24.0)) & room] = Tissue.MUSCLE
    tissue[_ellipsoid(centre, (18.0, 4.0, 10.0)) & room] = Tissue.BOWEL_WALL


def _anal_canal(tissue: np.ndarray, end: tuple[float, float, float], free: np.ndarray) -> None:
    z, y, x = np.meshgrid(Z, Y, X, indexing="ij", sparse=True)
    row = end[1] + 0.25 * (end[0] - z)
    radius2 = (y - row) ** 2 + (x - end[2]) ** 2
    length = (z < end[0] + 4.0) & (z > end[0] - 35.0)
    tissue[(radius2 < 13.0**2) & length & free] = Tissue.BOWEL_WALL
    tissue[(radius2 < 6.0**2) & length & free] = Tissue.STOOL
