"""Foreign label maps: what their values are called here, and the truth made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.errors import InputError
from pelvimets.labels import Bone

LESION: Final = "lesion"
NOTHING: Final = "none"
IGNORE: Final = "ignore"  # nnU-Net's name for voxels that nobody judged
Structure = Bone | Literal["lesion"]

_BACKGROUND = ("background", "bg", "nothing")
_SIDES = frozenset({"left", "right", "l", "r", "lt", "rt"})
_BONE_NAMES: dict[Bone, tuple[str, ...]] = {
    Bone.LUMBAR_VERTEBRA: (
        "lumbar vertebra",
        "lumbar vertebrae",
        "lumbar spine",
        *(f"{word}l{n}" for word in ("", "vertebra ", "vertebrae ") for n in range(1, 6)),
    ),
    Bone.SACROCOCCYX: ("sacrococcyx", "sacrum", "coccyx", "sacrum and coccyx", "sacrum coccyx"),
    Bone.ILIUM: ("ilium", "iliac", "iliac bone", "os ilium"),
    Bone.ACETABULUM: ("acetabulum", "acetabula"),
    Bone.FEMORAL_HEAD: ("femoral head", "femoral heads", "femur head", "head of femur"),
    Bone.FEMORAL_NECK: ("femoral neck", "femoral necks", "femur neck", "neck of femur"),
    Bone.ISCHIUM: ("ischium", "ischial bone", "os ischium"),
    Bone.PUBIS: ("pubis", "pubic bone", "os pubis"),
}
_LESION_NAMES = (
    *("lesion", "lesions", "bone lesion", "bone lesions", "met", "mets", "metastasis"),
    *("metastases", "bone metastasis", "bone metastases", "bone met", "bone mets"),
)
_STRUCTURES: dict[str, Structure] = {
    **{name: bone for bone, names in _BONE_NAMES.items() for name in names},
    **dict.fromkeys(_LESION_NAMES, LESION),
}


@dataclass(frozen=True)
class ValueMap:
    """What the values of a label map stand for.

    Attributes:
        bones: Bone of each value that lies in one.
        lesions: Values that are metastasis; a value may be both.
        known: All values that may occur, background and left-out ones with them.
        unjudged: Values of voxels that nobody judged: neither background nor anything else.
    """

    bones: Mapping[int, Bone]
    lesions: frozenset[int]
    known: frozenset[int]
    unjudged: frozenset[int] = frozenset()

    @property
    def kinds(self) -> tuple[str, ...]:
        """``bones``, ``lesions`` or both."""
        return ("bones",) * bool(self.bones) + ("lesions",) * bool(self.lesions)

    @property
    def missing_bones(self) -> tuple[Bone, ...]:
        """Bones for which there is no value, if there are any bones at all."""
        return tuple(b for b in Bone if self.bones and b not in self.bones.values())


OWN_BONES = ValueMap({int(b): b for b in Bone}, frozenset(), frozenset({0, *map(int, Bone)}))


@dataclass(frozen=True, eq=False)
class Truth:
    """Masks of one image (z, y, x): ``Bone`` values in uint8, lesion numbers in uint16."""

    bones: npt.NDArray[np.uint8] | None
    lesions: npt.NDArray[np.uint16] | None


def structure_of(name: str) -> Structure | None:
    """The bone, or ``lesion``, that a label's name means; sides are dropped.

    >>> structure_of("Left_Femoral-Head"), structure_of("mets"), structure_of("prostate")
    (<Bone.FEMORAL_HEAD: 5>, 'lesion', None)
    """
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w and w not in _SIDES]
    return _STRUCTURES.get(" ".join(words))


def known_names() -> str:
    """The names that ``--map`` takes, for messages.

    >>> known_names()[:34]
    'lumbar_vertebra, sacrococcyx, iliu'
    """
    return ", ".join([*(b.key for b in Bone), LESION, NOTHING])


def value_map(
    labels: Mapping[str, int | Iterable[int]], given: Mapping[str, Structure | None]
) -> ValueMap:
    """What each value means, from the names of the labels.

    Args:
        labels: Value of each name; several values make a region, and regions may overlap.
        given: Structure of names that do not say it themselves; None leaves a label out.

    Raises:
        InputError: if a name is unknown, or a value lies in two different bones.

    >>> value_map({"background": 0, "ilium": (1, 2), "lesion": 2}, {}).kinds
    ('bones', 'lesions')
    """
    _check_given(labels, given)
    bones: dict[int, Bone] = {}
    lesions: set[int] = set()
    known = {0}
    unjudged: set[int] = set()
    for name, structure in _named(labels, given).items():
        values = _values(labels[name])
        if name.lower() == IGNORE:
            unjudged.update(values)
            continue
        known.update(values)
        if structure == LESION:
            lesions.update(values)
        elif isinstance(structure, Bone):
            _add_bone(bones, structure, values)
    if not bones and not lesions:
        raise InputError(
            "No label is a bone or a lesion",
            got=", ".join(labels),
            remedy=f"Say what they are with --map NAME=NAME; known: {known_names()}",
        )
    return ValueMap(bones, frozenset(lesions), frozenset(known), frozenset(unjudged))


def _check_given(labels: Mapping[str, Any], given: Mapping[str, Structure | None]) -> None:
    absent = sorted(set(given) - set(labels))
    if absent:
        raise InputError(
            "There is no label of the name given",
            got=", ".join(absent),
            remedy=f"The labels are {', '.join(labels)}",
        )


def _named(
    labels: Mapping[str, Any], given: Mapping[str, Structure | None]
) -> dict[str, Structure | None]:
    names = [n for n in labels if n in given or n.lower() not in _BACKGROUND]
    found = {name: given[name] if name in given else structure_of(name) for name in names}
    if meant := [name for name in names if name.lower() == IGNORE and found[name] is not None]:
        raise InputError(
            "Voxels that nobody judged can be taken as nothing else",
            got=f"--map {meant[0]}={given[meant[0]]}",
            remedy="Leave it out of --map; cases without such voxels are imported",
        )
    judged = [name for name in names if name.lower() != IGNORE]
    unknown = [name for name in judged if found[name] is None and name not in given]
    if unknown:
        raise InputError(
            "Labels that are neither a bone of the eight nor a lesion",
            got=", ".join(unknown),
            remedy="Say what each is with --map NAME=NAME, or leave it out with "
            f"--map {unknown[0]}={NOTHING}; known: {known_names()}",
        )
    return found


def _values(label: int | Iterable[int]) -> tuple[int, ...]:
    return (label,) if isinstance(label, int) else tuple(label)


def _add_bone(bones: dict[int, Bone], bone: Bone, values: tuple[int, ...]) -> None:
    for value in values:
        if bones.setdefault(value, bone) is not bone:
            raise InputError(
                "Regions overlap: one value of the label maps lies in two bones",
                got=f"value {value} in {bones[value].key} and {bone.key}",
                remedy=f"Leave the larger region out with --map NAME={NOTHING}",
            )


def truth_of(
    array: npt.NDArray[Any], values: ValueMap, spacing_mm: tuple[float, float, float]
) -> Truth:
    """Bones and lesions of a label map.

    Where one map holds both and a lesion's voxel names no bone, it takes the bone of the
    nearest bone voxel: a metastasis lies in its bone.

    Args:
        array: Whole numbers (z, y, x), of any number type.
        values: What they mean.
        spacing_mm: Voxel distance (z, y, x).

    Raises:
        InputError: if a value is no whole number or not among the known.
    """
    numbers = whole_numbers(array)
    found = {int(v) for v in np.unique(numbers)}
    if found & values.unjudged:
        count = int(np.isin(numbers, sorted(values.unjudged)).sum())
        raise InputError(
            f"A mask holds voxels labelled '{IGNORE}': nobody judged them, and as background they "
            "would teach and measure what is not true",
            got=f"{count} of {numbers.size} voxels",
            remedy="Judge them, or leave the case out",
        )
    if not found <= values.known:
        raise InputError(
            "A mask holds values that no label explains",
            got=", ".join(map(str, sorted(found - values.known))),
            remedy=f"Values with a label: {', '.join(map(str, sorted(values.known)))}",
        )
    lesion = np.isin(numbers, sorted(values.lesions))
    bones = _bones(numbers, values) if values.bones else None
    if bones is not None and values.lesions:
        bones = _with_bone_under(lesion, bones, spacing_mm)
    return Truth(bones, numbered(lesion) if values.lesions else None)


def _bones(numbers: npt.NDArray[np.int64], values: ValueMap) -> npt.NDArray[np.uint8]:
    bones = np.zeros(numbers.shape, dtype=np.uint8)
    for value, bone in values.bones.items():
        bones[numbers == value] = bone
    return bones


def _with_bone_under(
    lesion: npt.NDArray[np.bool_],
    bones: npt.NDArray[np.uint8],
    spacing_mm: tuple[float, float, float],
) -> npt.NDArray[np.uint8]:
    bare = lesion & (bones == 0)
    if not bare.any() or not bones.any():
        return bones
    nearest = ndimage.distance_transform_edt(
        bones == 0, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    return np.where(bare, bones[tuple(nearest)], bones)


def numbered(lesion: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint16]:
    """Number the parts of a mask that touch in no voxel (26 neighbours)."""
    return np.asarray(cc3d.connected_components(lesion, connectivity=26), dtype=np.uint16)


def lesion_numbers(array: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Numbers of the lesions in a mask of lesions alone.

    A mask of one value is numbered part by part; several values are taken as the numbers.

    Raises:
        InputError: if a value is no whole number, negative or beyond 65535.
    """
    numbers = whole_numbers(array)
    if numbers.min() < 0 or numbers.max() > np.iinfo(np.uint16).max:
        raise InputError(
            "A mask of lesions holds values that are no numbers of lesions",
            got=f"{numbers.min()} to {numbers.max()}",
            remedy="Use 0 and 1, or 0 and the number of each lesion",
        )
    several = len(np.unique(numbers[numbers > 0])) > 1
    return numbers.astype(np.uint16) if several else numbered(numbers > 0)


def whole_numbers(array: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """A mask as integers, whatever type it was stored in.

    Raises:
        InputError: if a value is no whole number: then it is an image, or was interpolated.
    """
    numbers: npt.NDArray[np.int64] = np.rint(array).astype(np.int64)
    if not np.array_equal(numbers, array):
        raise InputError(
            "A mask holds values that are no whole numbers",
            got=f"{array.min():g} to {array.max():g}",
            remedy="Write it with the nearest neighbour; an image is no mask",
        )
    return numbers
