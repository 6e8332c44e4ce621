"""Bones of both sequences together: what one shows clearly helps where the other does not.

Each network reads its own sequence, as in the paper. Cortex and marrow stand out on T1, while
diffusion images are coarse, noisy and displaced along the phase encoding direction. So the
probabilities of the other network may take part in those of a sequence, laid where both agree
best; how much is measured by ``calibration.bones``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import fft

from pelvimets.config import BoneSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.joint import covered, other_of
from pelvimets.core.lanes import side_by_side
from pelvimets.core.resample import interpolate_probability
from pelvimets.labels import Sequence

FloatArray = npt.NDArray[np.float32]

_LEAST_AGREEMENT = 0.5  # DSC of any bone, below which the sequences do not show the same
_CELL_MM = 4.0  # as fine as the thickest voxels of a grid: where both agree best needs no more
_FARTHEST_MM = 8.0  # along each axis, that one sequence is moved to lie on the other


@dataclass(frozen=True, eq=False)
class BoneAnswer:
    """What the bone network says of one image.

    Attributes:
        probabilities: Of each class (9, z, y, x), float32; channel 0 is background.
        grid: Where these voxels lie.
        field: Grid of the image as acquired; outside of it nothing is known.
    """

    probabilities: FloatArray
    grid: Geometry
    field: Geometry

    @property
    def bone(self) -> FloatArray:
        """Probability of any bone (z, y, x)."""
        return np.asarray(1 - self.probabilities[0], dtype=np.float32)

    def moved(self, by_mm: npt.NDArray[np.float64]) -> BoneAnswer:
        """The same elsewhere; ``by_mm`` is LPS (x, y, z)."""
        return replace(self, grid=_moved(self.grid, by_mm), field=_moved(self.field, by_mm))


def bones_together(
    own: Mapping[Sequence, BoneAnswer], settings: BoneSettings
) -> dict[Sequence, BoneAnswer]:
    """Probabilities on each sequence from all that were read; its own where they disagree.

    Args:
        own: What the network of each sequence says.
        settings: With the share of the other sequence in each.
    """
    joined = side_by_side(lambda s: _joined(s, own, settings), own)
    return dict(zip(own, joined, strict=True))


def _joined(
    sequence: Sequence, own: Mapping[Sequence, BoneAnswer], settings: BoneSettings
) -> BoneAnswer:
    here, other = own[sequence], other_of(sequence, own)
    share = settings.other_in_dwi if sequence is Sequence.DWI else settings.other_in_t1
    if not share or other is None:
        return here
    placed = laid_on(other, here)
    return here if placed is None else mixed(here, placed, share)


def laid_on(other: BoneAnswer, here: BoneAnswer) -> BoneAnswer | None:
    """What the other network says, moved to where both agree best.

    Returns:
        None if even there both do not show the same bones, as after the patient has moved.
    """
    placed = other.moved(best_shift_mm(here, other))
    there = interpolate_probability(placed.bone, placed.grid, here.grid)
    known = covered(placed.field, here.grid)
    return placed if agreement(here.bone * known, there * known) >= _LEAST_AGREEMENT else None


def mixed(here: BoneAnswer, placed: BoneAnswer, share: float) -> BoneAnswer:
    """A share of what the other says, in its field; class by class, as each takes much memory.

    Args:
        here: Of the sequence that is read.
        placed: Of the other one, from ``laid_on``.
        share: Of the other, 0-1.
    """
    weight = np.where(covered(placed.field, here.grid), share, 0).astype(np.float32)
    result = np.empty_like(here.probabilities)
    background = np.ones_like(weight)
    for value in range(1, len(result)):
        there = interpolate_probability(placed.probabilities[value], placed.grid, here.grid)
        result[value] = here.probabilities[value] + weight * (there - here.probabilities[value])
        background -= there
    np.clip(background, 0, 1, out=background)
    result[0] = here.probabilities[0] + weight * (background - here.probabilities[0])
    return replace(here, probabilities=result)


def agreement(one: FloatArray, other: FloatArray) -> float:
    """Dice similarity coefficient of two probabilities of bone; 0 where neither shows any."""
    a, b = one > 0.5, other > 0.5
    both = float(a.sum() + b.sum())
    return 2 * float((a & b).sum()) / both if both else 0.0


def best_shift_mm(
    here: BoneAnswer, other: BoneAnswer, farthest_mm: float = _FARTHEST_MM
) -> npt.NDArray[np.float64]:
    """How to move the other so that both agree best; LPS (x, y, z).

    From the soft Dice coefficient of any bone in the part of the field that both show, over
    cells of about 4 mm of the grid of ``here``, and a parabola through its highest value.
    """
    strides = [max(int(_CELL_MM / step), 1) for step in here.grid.spacing]
    cells = tuple(slice(None, None, stride) for stride in strides)
    bone = here.bone[cells]
    grid = _strided(here.grid, strides, bone.shape)
    there = interpolate_probability(other.bone, other.grid, grid)
    fields = [covered(own.field, grid).astype(np.float32) for own in (here, other)]
    reach = [int(farthest_mm / step) + 1 for step in grid.spacing]
    agreed = _agreement_by_shift((bone * fields[0], fields[0]), (there, fields[1]), reach)
    best = tuple(int(at) for at in np.unravel_index(int(agreed.argmax()), agreed.shape))
    steps = [
        at - far + _peak(agreed, best, n)
        for n, (at, far) in enumerate(zip(best, reach, strict=True))
    ]
    farthest = farthest_mm / np.asarray(grid.spacing)
    return np.asarray(grid.matrix[:3, :3] @ np.clip(steps, -farthest, farthest))


def _strided(grid: Geometry, strides: list[int], shape: tuple[int, ...]) -> Geometry:
    matrix = grid.matrix.copy()
    matrix[:3, :3] *= strides
    return Geometry((shape[0], shape[1], shape[2]), matrix)


def _agreement_by_shift(
    here: tuple[FloatArray, FloatArray], there: tuple[FloatArray, FloatArray], reach: list[int]
) -> FloatArray:
    """Soft Dice coefficient for each shift of ``there`` by -reach to +reach voxels.

    Args:
        here, there: Bone and field, each (z, y, x) and 0 where nothing is known.
        reach: Voxels along each axis.
    """
    shape = [
        fft.next_fast_len(n + far, real=True) for n, far in zip(here[0].shape, reach, strict=True)
    ]
    bone, field = (fft.rfftn(array, shape) for array in here)
    other_bone, other_field = (np.conj(fft.rfftn(array, shape)) for array in there)
    at = np.ix_(*(np.arange(-far, far + 1) for far in reach))
    both = fft.irfftn(bone * other_bone, shape)[at]
    sizes = fft.irfftn(bone * other_field + field * other_bone, shape)[at]
    return np.asarray(2 * both / np.maximum(sizes, 1.0), dtype=np.float32)


def _peak(agreed: FloatArray, best: tuple[int, ...], axis: int) -> float:
    """Where between its neighbours the highest value lies, -0.5 to 0.5; 0 at the border."""
    across = tuple(at for n, at in enumerate(best) if n != axis)
    line, at = np.moveaxis(agreed, axis, -1)[across], best[axis]
    if not 0 < at < len(line) - 1:
        return 0.0
    low, middle, high = map(float, line[at - 1 : at + 2])
    bend = low - 2 * middle + high
    return 0.5 * (low - high) / bend if bend < 0 else 0.0


def _moved(grid: Geometry, by_mm: npt.NDArray[np.float64]) -> Geometry:
    matrix = grid.matrix.copy()
    matrix[:3, 3] += by_mm
    return Geometry(grid.shape, matrix)
