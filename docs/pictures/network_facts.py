"""What the drawing of the networks shows, read from a bundle: forms, grids, rules."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from pelvimets.config import GridSettings, ReadingSettings, settings_from_dict
from pelvimets.errors import BundleError
from pelvimets.labels import Sequence
from pelvimets.model.bundle import verified_contents

_WEIGHT = re.compile(
    r'name="self\.network\.(\S+?)(?:_compressed)?" type="Const".*?shape="([\d, ]+)"', re.S
)


@dataclass(frozen=True)
class Form:
    """One network, as its weights tell it.

    Attributes:
        inputs, outputs: Channels.
        stem: Voxels (z, y, x) in a cell.
        channels: Per level, finest first.
        down, up: Convolutions per level, finest first.
        weights: How many numbers were learned.
        grid_mm: Voxels (z, y, x) of the images that it reads.
        own_per_sequence: Whether DWI and T1 have weights of their own.
    """

    inputs: int
    outputs: int
    stem: tuple[int, ...]
    channels: tuple[int, ...]
    down: tuple[int, ...]
    up: tuple[int, ...]
    weights: int
    grid_mm: tuple[float, ...]
    own_per_sequence: bool

    def cell_mm(self, level: int) -> tuple[float, ...]:
        """Size of a cell (z, y, x) at a level."""
        return tuple(mm * n * 2**level for mm, n in zip(self.grid_mm, self.stem, strict=True))


@dataclass(frozen=True)
class Rules:
    """The settings of reading that are drawn; see ``BoneSettings`` and ``LesionSettings``."""

    keep_components_per_bone: int
    keep_vertebrae: int
    smallest_component_cm3: float
    t1_in_dwi: float
    drop_below_cm3: float
    bone_margin_mm: float
    smallest_score: float
    operating_point: float
    weak_sequences: tuple[str, ...]
    judged: bool
    joined: bool


@dataclass(frozen=True)
class Facts:
    """Both networks and the rules of reading."""

    bones: Form
    lesions: Form
    rules: Rules


def facts_of(description: Mapping[str, Any], files: Mapping[str, bytes]) -> Facts:
    """Read the facts from a bundle's description and its files."""
    reading = settings_from_dict(ReadingSettings, description["settings"])
    grids = {"bones": reading.bone_grid, "lesions": reading.lesion_grid}
    forms = {}
    for step, grid in grids.items():
        names = {description["networks"][step][sequence.value] for sequence in Sequence}
        first = description["networks"][step][Sequence.DWI.value]
        forms[step] = _form(files[first].decode(), grid, len(names) > 1)
    return Facts(forms["bones"], forms["lesions"], _rules(reading))


def bundle_facts(folder: Path) -> Facts:
    """The same from a folder; checksums are checked."""
    files = verified_contents(folder)
    return facts_of(json.loads(files["bundle.json"]), files)


def _rules(reading: ReadingSettings) -> Rules:
    bones, lesions = reading.bones, reading.lesions
    return Rules(
        keep_components_per_bone=bones.keep_components_per_bone,
        keep_vertebrae=bones.keep_vertebrae,
        smallest_component_cm3=bones.smallest_component_cm3,
        t1_in_dwi=bones.other_in_dwi,
        drop_below_cm3=lesions.drop_below_cm3,
        bone_margin_mm=lesions.bone_margin_mm,
        smallest_score=lesions.smallest_score,
        operating_point=lesions.operating_point,
        weak_sequences=tuple(s.value for s in Sequence if not lesions.of(s).decides),
        judged=any(lesions.of(sequence).evidence for sequence in Sequence),
        joined=any(lesions.of(sequence).joint for sequence in Sequence),
    )


def _form(xml: str, grid: GridSettings, own_per_sequence: bool) -> Form:
    shapes = {name: tuple(int(n) for n in shape.split(",")) for name, shape in _WEIGHT.findall(xml)}
    if "stem.weight" not in shapes or "down.0.convolutions.0.0.weight" not in shapes:
        raise BundleError("Only U-Nets can be drawn", got=sorted(shapes)[:3])
    down, up = (
        [_convolutions(shapes, way, n) for n in _levels(shapes, way)] for way in ("down", "up")
    )
    return Form(
        inputs=shapes["stem.weight"][1],
        outputs=shapes["head.weight"][1],
        stem=shapes["stem.weight"][2:],
        channels=tuple(level[0] for level in down),
        down=tuple(level[1] for level in down),
        up=tuple(level[1] for level in reversed(up)),
        weights=sum(prod(shape) for shape in shapes.values()),
        grid_mm=grid.spacing_mm or (),
        own_per_sequence=own_per_sequence,
    )


def _levels(shapes: Mapping[str, tuple[int, ...]], way: str) -> list[int]:
    return sorted({int(name.split(".")[1]) for name in shapes if name.startswith(f"{way}.")})


def _convolutions(shapes: Mapping[str, tuple[int, ...]], way: str, level: int) -> tuple[int, int]:
    """Channels and number of the convolutions of a level."""
    found = [
        shape
        for name, shape in shapes.items()
        if name.startswith(f"{way}.{level}.") and len(shape) == 5
    ]
    return found[0][0], len(found)
