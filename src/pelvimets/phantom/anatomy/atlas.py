"""The packaged anatomies: real bones and the soft tissue around them, 2 mm, canonical axes.

Each is one person; ``resources/anatomy/README.md`` says who, from which source and under which
licence, ``tools/build_anatomy.py`` makes the files. Two whole people and six pelves are unseen:
nothing is trained, tuned or selected on them, they are drawn from by name alone.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.errors import SettingsError
from pelvimets.phantom.anatomy.patient import Landmarks, UInt8Array

TRAINING_SOURCES = (
    *("mesh-2", "ct-2", "ts-s0328", "ref-001", "ref-002", "ref-004"),
    *(f"jhu-{number}" for number in (2, 3, 5, 9, 11, 13, 16, 27, 31, 33, 36, 46, 47, 65)),
)
"""What is drawn from unless others are named."""

UNSEEN_SOURCES = (
    *("ts-s0011", "ref-005"),
    *(f"jhu-{number}" for number in (10, 14, 15, 24, 37, 44)),  # 25 is 15, scanned again: not used
)
"""Kept apart, to measure what carries over to people never seen."""

EARLIER_SOURCES = ("mesh", "ct")
"""What the first bundles learned from and the frozen benchmark is made of; kept as it was."""

SOURCES = (*TRAINING_SOURCES, *UNSEEN_SOURCES, *EARLIER_SOURCES)

WOMEN = ("ref-004", *(f"jhu-{number}" for number in (3, 5, 13, 36, 47)))
"""Whose soft tissue is a woman's: womb instead of prostate and seminal vesicles."""
PART_SHIFT = 5
TISSUE_MASK = 31


@dataclass(frozen=True, eq=False)
class Atlas:
    """One anatomy; the midpoint of the femoral heads is the LPS origin.

    Attributes:
        name: Source.
        geometry: Grid, axial, head-up.
        code: ``Tissue`` in the low five bits, ``Split`` above them (z, y, x).
        landmarks: Femoral heads.
        observed_above_mm: z below which the source itself had no data.
    """

    name: str
    geometry: Geometry
    code: UInt8Array
    landmarks: Landmarks
    observed_above_mm: float

    @property
    def tissue(self) -> UInt8Array:
        """``Tissue`` values (z, y, x)."""
        return self.code & np.uint8(TISSUE_MASK)

    @property
    def part(self) -> UInt8Array:
        """``Split`` values (z, y, x)."""
        return self.code >> np.uint8(PART_SHIFT)


@lru_cache(maxsize=len(SOURCES))
def load_atlas(name: str) -> Atlas:
    """Read a packaged anatomy; the arrays are read-only.

    Raises:
        SettingsError: if there is no such source.
    """
    if name not in SOURCES:
        raise SettingsError("No such anatomy", got=name, remedy=f"Choose from {SOURCES}")
    file = resources.files("pelvimets.resources").joinpath("anatomy", f"{name}.npz")
    with np.load(io.BytesIO(file.read_bytes())) as data:
        code = data["code"]
        spacing = float(data["spacing_mm"])
        landmarks = Landmarks(
            _triple(data["left_head_mm"]),
            _triple(data["right_head_mm"]),
            float(data["head_radius_mm"]),
        )
        geometry = Geometry.from_axes(
            code.shape, (spacing, spacing, spacing), _triple(data["origin_lps_mm"])
        )
        observed = float(data["observed_above_mm"])
    code.setflags(write=False)
    return Atlas(name, geometry, code, landmarks, observed)


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)
    return a, b, c
