"""The vocabulary: eight bony structures, two sequences, sides, and their codes.

Label values follow the order of the paper's Table 4 (Liu X. et al., Front Oncol
2021;11:773299). Sides are not labels: the networks see structures, and the side is
read from the position (``core.findings``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from pelvimets.errors import SettingsError


class Sequence(StrEnum):
    """The two independent inputs."""

    DWI = "dwi"
    T1 = "t1"

    @property
    def title(self) -> str:  # type: ignore[override]
        """Name as printed.

        >>> Sequence.T1.title
        'T1 in phase'
        """
        return {"dwi": "DWI", "t1": "T1 in phase"}[self.value]


class Readers(StrEnum):
    """What becomes of several readers' masks of one image."""

    REFUSE = "refuse"
    CONSENSUS = "consensus"
    ALL = "all"


class FurtherInput(StrEnum):
    """Further images of the same patient that a network may see beside DWI or T1."""

    FAT = "fat"
    WATER = "water"
    OUT_PHASE = "out_phase"
    STIR = "stir"
    ADC = "adc"
    T2 = "t2"

    @property
    def title(self) -> str:  # type: ignore[override]
        """Name as printed.

        >>> FurtherInput.OUT_PHASE.title
        'T1 out of phase'
        """
        titles = {"fat": "Dixon fat", "water": "Dixon water", "out_phase": "T1 out of phase"}
        return titles.get(self.value, self.value.upper())

    @classmethod
    def named(cls, names: Iterable[str]) -> tuple[FurtherInput, ...]:
        """By their names, each once.

        Raises:
            SettingsError: if one is unknown.

        >>> FurtherInput.named(["stir"])
        (<FurtherInput.STIR: 'stir'>,)
        """
        names = tuple(dict.fromkeys(names))
        if unknown := [name for name in names if name not in list(cls)]:
            raise SettingsError(
                "Unknown further image", got=", ".join(unknown), remedy=f"Known: {', '.join(cls)}"
            )
        return tuple(cls(name) for name in names)


class LearnedFrom(StrEnum):
    """What the networks of a bundle learned from; every report repeats it."""

    DIGITAL = "digital"
    REAL = "real"
    MIXED = "mixed"
    UNKNOWN = "unknown"

    @property
    def words(self) -> str:
        """As a sentence.

        >>> LearnedFrom.DIGITAL.words
        'The networks were trained on digital patients (in-silico) only.'
        """
        return {
            "digital": "The networks were trained on digital patients (in-silico) only.",
            "real": "The networks were trained on images of real patients.",
            "mixed": "The networks were trained on digital patients (in-silico) and real images.",
            "unknown": "What the networks were trained on is not stated by their bundle.",
        }[self.value]

    def with_others(self, *others: LearnedFrom) -> LearnedFrom:
        """What networks learned from that began from, or stand beside, others.

        >>> LearnedFrom.DIGITAL.with_others(LearnedFrom.REAL).value
        'mixed'
        >>> LearnedFrom.REAL.with_others(LearnedFrom.UNKNOWN).value
        'unknown'
        """
        kinds = {self, *others}
        if LearnedFrom.UNKNOWN in kinds:
            return LearnedFrom.UNKNOWN
        return self if len(kinds) == 1 else LearnedFrom.MIXED


class Side(StrEnum):
    """Patient side of a paired structure."""

    LEFT = "left"
    RIGHT = "right"
    MIDLINE = "midline"


class Bone(IntEnum):
    """Values in the bone label maps; 0 is background."""

    LUMBAR_VERTEBRA = 1
    SACROCOCCYX = 2
    ILIUM = 3
    ACETABULUM = 4
    FEMORAL_HEAD = 5
    FEMORAL_NECK = 6
    ISCHIUM = 7
    PUBIS = 8

    @property
    def key(self) -> str:
        """Identifier in files, e.g. ``femoral_head``."""
        return self.name.lower()

    @property
    def title(self) -> str:
        """Name as printed, e.g. ``femoral head``."""
        return self.key.replace("_", " ")

    @property
    def paired(self) -> bool:
        """Whether the structure exists on both sides."""
        return self not in (Bone.LUMBAR_VERTEBRA, Bone.SACROCOCCYX)

    @property
    def code(self) -> Code:
        """SNOMED CT code of the anatomical structure."""
        return _BONE_CODES[self]

    @property
    def colour(self) -> tuple[int, int, int]:
        """Display colour, RGB 0-255, after Paul Tol's muted scheme, the sacrum lighter."""
        return _BONE_COLOURS[self]


@dataclass(frozen=True)
class BoneUnion:
    """A structure that holds several of the eight.

    Attributes:
        key: Identifier in files.
        value: In a bone mask, beyond those of ``Bone``.
        members: The bones in it.
        reaches_further: It goes on where our structures end: only slices that hold some of
            them are compared.
    """

    key: str
    value: int
    members: tuple[Bone, ...]
    reaches_further: bool = False

    @property
    def title(self) -> str:
        """Name as printed, e.g. ``hip bone``."""
        return self.key.replace("_", " ")


HIP_BONE = BoneUnion("hip_bone", 21, (Bone.ILIUM, Bone.ACETABULUM, Bone.ISCHIUM, Bone.PUBIS))
PROXIMAL_FEMUR = BoneUnion("proximal_femur", 22, (Bone.FEMORAL_HEAD, Bone.FEMORAL_NECK), True)
UNIONS = (HIP_BONE, PROXIMAL_FEMUR)


@dataclass(frozen=True)
class Code:
    """A coded concept: value, scheme designator (``SCT``, ``DCM``), meaning."""

    value: str
    meaning: str
    scheme: str = "SCT"


# Concept and meaning as in DICOM PS3.16 (CID 4031 sacrococcyx and ilium, CID 1005 acetabulum,
# femoral head and ischium, CID 6347 metastasis), which pydicom carries. PS3.16 has no code for
# the lumbar vertebra, the femoral neck and the pubis: those are SNOMED CT body structures
# ("Bone structure of lumbar vertebra", "Structure of neck of femur", "Bone structure of
# pubis"; the first two also in HL7 mCODE's map of AAPM TG-263). Sides are modifiers, not codes.
_BONE_CODES = {
    Bone.LUMBAR_VERTEBRA: Code("73903008", "Lumbar vertebra"),
    Bone.SACROCOCCYX: Code("1217254007", "Sacro-coccygeal Spine"),
    Bone.ILIUM: Code("22356005", "Ilium"),
    Bone.ACETABULUM: Code("37783008", "Acetabulum"),
    Bone.FEMORAL_HEAD: Code("2812003", "Femoral head"),
    Bone.FEMORAL_NECK: Code("29627003", "Neck of femur"),
    Bone.ISCHIUM: Code("85710004", "Ischium"),
    Bone.PUBIS: Code("66040006", "Pubis"),
}

_BONE_COLOURS = {
    Bone.LUMBAR_VERTEBRA: (136, 204, 238),
    Bone.SACROCOCCYX: (119, 119, 221),
    Bone.ILIUM: (221, 204, 119),
    Bone.ACETABULUM: (17, 119, 51),
    Bone.FEMORAL_HEAD: (136, 34, 85),
    Bone.FEMORAL_NECK: (170, 68, 153),
    Bone.ISCHIUM: (68, 170, 153),
    Bone.PUBIS: (153, 153, 51),
}

LESION_CODE = Code("94222008", "Bony metastasis")
LESION_COLOUR = (204, 51, 17)


class Split(StrEnum):
    """Which part of the cohort a patient belongs to."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
