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

from pelvimets.core.judged import UNJUDGED_BONE, UNJUDGED_LESION
from pelvimets.errors import InputError
from pelvimets.labels import HIP_BONE, PROXIMAL_FEMUR, UNIONS, Bone, BoneUnion

LESION: Final = "lesion"
NOTHING: Final = "none"
IGNORE: Final = "ignore"  # nnU-Net's name for voxels that nobody judged
Structure = Bone | BoneUnion | Literal["lesion", "ignore"]

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
        bones: Bone, or union of bones, of each value that lies in one.
        lesions: Values that are metastasis; a value may be both.
        known: All values that may occur, background and left-out ones with them.
        unjudged: Values of voxels that nobody judged: neither background nor anything else.
    """

    bones: Mapping[int, Bone | BoneUnion]
    lesions: frozenset[int]
    known: frozenset[int]
    unjudged: frozenset[int] = frozenset()

    @property
    def kinds(self) -> tuple[str, ...]:
        """``bones``, ``lesions`` or both."""
        return ("bones",) * bool(self.bones) + ("lesions",) * bool(self.lesions)

    @property
    def missing_bones(self) -> tuple[Bone, ...]:
        """Bones for which there is no value, alone or in a union, if there are any bones at all."""
        drawn = {bone for there in self.bones.values() for bone in _members(there)}
        return tuple(b for b in Bone if self.bones and b not in drawn)

    @property
    def structures(self) -> frozenset[str]:
        """Keys of the bones and unions that have a value."""
        return frozenset(there.key for there in self.bones.values())


def _members(there: Bone | BoneUnion) -> tuple[Bone, ...]:
    return (there,) if isinstance(there, Bone) else there.members


OWN_BONES = ValueMap({int(b): b for b in Bone}, frozenset(), frozenset({0, *map(int, Bone)}))


@dataclass(frozen=True, eq=False)
class Truth:
    """Masks of one image (z, y, x).

    Attributes:
        bones: uint8, values of ``Bone`` and of unions; ``UNJUDGED_BONE`` where nobody judged.
        lesions: uint16, numbers of the lesions; ``UNJUDGED_LESION`` where nobody judged.
    """

    bones: npt.NDArray[np.uint8] | None
    lesions: npt.NDArray[np.uint16] | None


def structure_of(name: str) -> Structure | None:
    """The bone, or ``lesion``, that a label's name means; sides are dropped.

    Unions and ``ignore`` are not guessed here (see ``given_structure``).

    >>> structure_of("Left_Femoral-Head"), structure_of("mets"), structure_of("prostate")
    (<Bone.FEMORAL_HEAD: 5>, 'lesion', None)
    """
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w and w not in _SIDES]
    return _STRUCTURES.get(" ".join(words))


def given_structure(name: str) -> Structure | None:
    """What a user says that a label is; None for ``none``.

    Raises:
        ValueError: if the name is unknown.

    >>> given_structure("hip bone").key, given_structure("ignore"), given_structure("none")
    ('hip_bone', 'ignore', None)
    """
    plain = " ".join(re.split(r"[^a-z0-9]+", name.lower())).strip()
    further: dict[str, Structure | None] = {
        NOTHING: None,
        IGNORE: IGNORE,
        **{union.key.replace("_", " "): union for union in UNIONS},
    }
    found = further.get(plain, structure_of(name))
    if found is None and plain != NOTHING:
        raise ValueError(f"known are {known_names()}")
    return found


def known_names() -> str:
    """The names that ``--map`` takes, for messages.

    >>> known_names()[:34]
    'lumbar_vertebra, sacrococcyx, iliu'
    """
    names = [b.key for b in Bone]
    return ", ".join([*names, HIP_BONE.key, PROXIMAL_FEMUR.key, LESION, IGNORE, NOTHING])


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
    bones: dict[int, Bone | BoneUnion] = {}
    lesions: set[int] = set()
    known = {0}
    unjudged: set[int] = set()
    for name, structure in _named(labels, given).items():
        values = _values(labels[name])
        if structure == IGNORE or name.lower() == IGNORE:
            unjudged.update(values)
            continue
        known.update(values)
        if structure == LESION:
            lesions.update(values)
        elif isinstance(structure, Bone | BoneUnion):
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
    open_ones = [name for name in names if name.lower() == IGNORE]
    if meant := [name for name in open_ones if found[name] not in (None, IGNORE)]:
        raise InputError(
            "Voxels that nobody judged can be taken as nothing else",
            got=f"--map {meant[0]}={given[meant[0]]}",
            remedy="Leave it out of --map: such voxels are kept apart",
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


def _add_bone(
    bones: dict[int, Bone | BoneUnion], bone: Bone | BoneUnion, values: tuple[int, ...]
) -> None:
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
    nearest bone voxel: a metastasis lies in its bone. Voxels that nobody judged are marked.

    Args:
        array: Whole numbers (z, y, x), of any number type.
        values: What they mean.
        spacing_mm: Voxel distance (z, y, x).

    Raises:
        InputError: if a value is no whole number or not among the known.
    """
    numbers = whole_numbers(array)
    found = {int(v) for v in np.unique(numbers)}
    if not found <= values.known | values.unjudged:
        raise InputError(
            "A mask holds values that no label explains",
            got=", ".join(map(str, sorted(found - values.known - values.unjudged))),
            remedy=f"Values with a label: {', '.join(map(str, sorted(values.known)))}; say what "
            "another is with --map VALUE=NAME (none leaves it out, ignore: nobody judged it)",
        )
    lesion = np.isin(numbers, sorted(values.lesions))
    bones = _bones(numbers, values) if values.bones else None
    if bones is not None and values.lesions:
        bones = _with_bone_under(lesion, bones, spacing_mm)
    lesions = numbered(lesion) if values.lesions else None
    unjudged = np.isin(numbers, sorted(values.unjudged))
    for mask, value in ((bones, UNJUDGED_BONE), (lesions, UNJUDGED_LESION)):
        if mask is not None:
            mask[unjudged] = value
    return Truth(bones, lesions)


def _bones(numbers: npt.NDArray[np.int64], values: ValueMap) -> npt.NDArray[np.uint8]:
    bones = np.zeros(numbers.shape, dtype=np.uint8)
    for value, bone in values.bones.items():
        bones[numbers == value] = bone.value
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


def lesion_numbers(
    array: npt.NDArray[Any], unjudged: frozenset[int] = frozenset()
) -> npt.NDArray[np.uint16]:
    """Numbers of the lesions in a mask of lesions alone.

    A mask of one value is numbered part by part; several values are taken as the numbers.

    Args:
        array: Whole numbers (z, y, x).
        unjudged: Values of voxels that nobody judged; they become ``UNJUDGED_LESION``.

    Raises:
        InputError: if a value is no whole number, negative or beyond 65535.
    """
    numbers = whole_numbers(array)
    left_open = np.isin(numbers, sorted(unjudged)) | (numbers == UNJUDGED_LESION)
    numbers = np.where(left_open, 0, numbers)
    if numbers.min() < 0 or numbers.max() > np.iinfo(np.uint16).max:
        raise InputError(
            "A mask of lesions holds values that are no numbers of lesions",
            got=f"{numbers.min()} to {numbers.max()}",
            remedy="Use 0 and 1, or 0 and the number of each lesion",
        )
    several = len(np.unique(numbers[numbers > 0])) > 1
    found = numbers.astype(np.uint16) if several else numbered(numbers > 0)
    found[left_open] = UNJUDGED_LESION
    return found


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
