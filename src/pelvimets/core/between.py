"""Where a place of one examination lies in another: a rigid motion from the same bones in both."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pelvimets.core.bones import midline_plane, sided_parts
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence

FloatArray = npt.NDArray[np.float64]

_MOST_UNLIKE = 1.4  # a structure that is cut off in one of them has its centre elsewhere
_FEWEST_FOR_A_TURN = 4


def motion_between(here: Mapping[Sequence, Volume], there: Mapping[Sequence, Volume]) -> FloatArray:
    """The rigid motion that brings the bones of one examination onto those of another.

    It rests on the centres of the structures on each side that both show whole (Kabsch, Acta
    Cryst 1976;A32:922), which is enough to look at both side by side; it is no registration to
    measure by. T1 is taken where both have it, as diffusion images are displaced.

    Args:
        here, there: Bone label maps per sequence.

    Returns:
        4 x 4; LPS mm here to LPS mm there. The identity where they share no structure.
    """
    shared = [s for s in (Sequence.T1, Sequence.DWI) if s in here and s in there]
    if not shared:
        return np.eye(4)
    first, second = _centres(here[shared[0]]), _centres(there[shared[0]])
    alike = [
        part
        for part in first.keys() & second.keys()
        if 1 / _MOST_UNLIKE <= first[part][1] / second[part][1] <= _MOST_UNLIKE
    ]
    if not alike:
        return np.eye(4)
    source = np.array([first[part][0] for part in alike])
    target = np.array([second[part][0] for part in alike])
    return _kabsch(source, target)


def _centres(bones: Volume) -> dict[int, tuple[FloatArray, float]]:
    """Centre (LPS mm) and volume (mm3) of each structure and side."""
    if not bones.array.any():
        return {}
    parts = sided_parts(bones, midline_plane(bones))
    found = {}
    for value in np.unique(parts.array[parts.array > 0]):
        index = np.argwhere(parts.array == value)
        centre = parts.geometry.to_lps(index.mean(axis=0))
        found[int(value)] = (centre, len(index) * parts.geometry.voxel_volume_mm3)
    return found


def _kabsch(source: FloatArray, target: FloatArray) -> FloatArray:
    """The motion of least squares; a shift alone where there are too few points for a turn."""
    middle, wanted = source.mean(axis=0), target.mean(axis=0)
    turn = np.eye(3)
    if len(source) >= _FEWEST_FOR_A_TURN:
        u, _, vt = np.linalg.svd((source - middle).T @ (target - wanted))
        mirror = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
        turn = vt.T @ mirror @ u.T
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = turn, wanted - turn @ middle
    return motion
