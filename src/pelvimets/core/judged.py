"""What somebody judged in one image: structures drawn by a person, and voxels left open.

A group that drew ilium and sacrum alone says nothing of the pubis: the background of its masks
may be pubis. What nobody judged is neither taught nor measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.errors import InputError
from pelvimets.labels import UNIONS, Bone

UNJUDGED_BONE = 255
"""Value of a mask of bones where nobody said what a voxel is."""
UNJUDGED_LESION = int(np.iinfo(np.uint16).max)
"""The same in a mask of lesions."""
STRUCTURES = (*(bone.key for bone in Bone), *(union.key for union in UNIONS))
"""Names that a list of judged structures may hold."""
EVERYTHING = frozenset(bone.key for bone in Bone)


@dataclass(frozen=True)
class Judged:
    """Who drew what in the mask of the bones of one image.

    Attributes:
        structures: Keys of bones and unions that a person drew, or looked for and found absent.
        predicted: Keys of bones that networks drew in their place; they guide the search for
            lesions, and are neither taught nor measured.
        by: The networks.
    """

    structures: frozenset[str] = EVERYTHING
    predicted: frozenset[str] = frozenset()
    by: str = ""

    @property
    def whole(self) -> bool:
        """Whether a person judged all eight bones one by one."""
        return self.structures >= EVERYTHING

    @property
    def values(self) -> dict[Bone, int]:
        """The value of the mask in which each bone lies; 0 where it may be background.

        >>> Judged(frozenset({"hip_bone", "pubis"})).values[Bone.ILIUM]
        21
        >>> Judged(frozenset({"ilium"})).values[Bone.PUBIS]
        0
        """
        found = dict.fromkeys(Bone, 0)
        for union in UNIONS:
            if union.key in self.structures:
                found |= dict.fromkeys(union.members, union.value)
        return found | {bone: int(bone) for bone in Bone if bone.key in self.structures}

    @property
    def open_bones(self) -> tuple[Bone, ...]:
        """Bones that nobody judged, not even as part of a union."""
        return tuple(bone for bone, value in self.values.items() if value == 0)


def structure_names(names: Iterable[str]) -> frozenset[str]:
    """Names of structures as given by a user.

    Raises:
        InputError: if one is unknown.

    >>> sorted(structure_names(["ilium", " hip bone"]))
    ['hip_bone', 'ilium']
    """
    found = [name.strip().lower().replace(" ", "_") for name in names if name.strip()]
    unknown = sorted(set(found) - set(STRUCTURES))
    if unknown or not found:
        raise InputError(
            "The annotated structures cannot be read",
            got=", ".join(unknown) or "no name",
            remedy=f"Known: {', '.join(STRUCTURES)}",
        )
    return frozenset(found)


def without_open_voxels(
    reference: npt.NDArray[Any], found: npt.NDArray[Any], open_value: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Both masks with background where nobody judged, so that these voxels count for nothing.

    Args:
        reference, found: Masks (z, y, x) on one grid.
        open_value: Of voxels that nobody judged, in the reference.
    """
    left_open = reference == open_value
    if not left_open.any():
        return reference, found
    return np.where(left_open, 0, reference), np.where(left_open, 0, found)
