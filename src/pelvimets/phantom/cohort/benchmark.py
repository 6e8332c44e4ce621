"""The frozen benchmark: which digital patients it has, and how they are known again. Pure.

``resources/benchmark/benchmark.json`` holds version, parts and fingerprints;
``tools/freeze_benchmark.py`` writes it. A fingerprint is that of the voxels as they are read, not
of the file, whose packing differs between libraries. Simulation is in 32-bit floats: another
processor or numpy may round a voxel differently. So beside the exact hash stands a summary, and a
cohort whose summaries agree within ``TOLERANCE`` is *close*: scores move in the third digit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any

import numpy as np

from pelvimets.core.volume import Volume
from pelvimets.errors import SettingsError
from pelvimets.phantom.anatomy.healthy import AnatomySettings
from pelvimets.phantom.choices import Population
from pelvimets.phantom.cohort.build import PatientSettings

SCHEMA = "1.0"
IMAGES = ("dwi", "t1", "adc")
MASKS = tuple(f"{s}_{kind}" for s in ("dwi", "t1") for kind in ("bones", "lesions", "mimics"))
TOLERANCE = 0.005
"""Share by which the summaries of two close volumes differ at most."""
_FEW_VOXELS = 8  # of a label, that may differ in any case
_PLACE_DIGITS = 2  # of mm, to which a grid must agree


class Agreement(StrEnum):
    """How a cohort, or one volume of it, agrees with the frozen one."""

    EXACT = "exact"
    CLOSE = "close"
    DIFFERENT = "different"


_WORST = (Agreement.DIFFERENT, Agreement.CLOSE, Agreement.EXACT)


def worst(found: list[Agreement]) -> Agreement:
    """The least agreement of several; exact for none."""
    return next((level for level in _WORST if level in found), Agreement.EXACT)


@dataclass(frozen=True)
class BenchmarkPart:
    """One cohort of the benchmark.

    Attributes:
        name: Also its folder.
        about: One line.
        population: What the men are drawn like.
        patients, seed: How many; decides them.
        anatomies: Sources of the men's anatomy.
        spacing_mm: Voxel of the men's maps.
    """

    name: str
    about: str
    population: Population
    patients: int
    seed: int
    anatomies: tuple[str, ...]
    spacing_mm: float

    @property
    def settings(self) -> PatientSettings:
        """What its men are drawn from."""
        anatomy = AnatomySettings(sources=self.anatomies, spacing_mm=self.spacing_mm)
        return PatientSettings(anatomy=anatomy)


Fingerprint = Mapping[str, Any]
"""Hash, grid and summary of one volume as plain data."""


@dataclass(frozen=True)
class Benchmark:
    """A version of the benchmark.

    Attributes:
        version: Raised whenever a fingerprint changes.
        parts: By name.
        fingerprints: Split -> patient -> volume -> fingerprint; empty before it is frozen.
    """

    version: str
    parts: Mapping[str, BenchmarkPart]
    fingerprints: Mapping[str, Mapping[str, Mapping[str, Fingerprint]]]

    def chosen(self, names: tuple[str, ...]) -> tuple[BenchmarkPart, ...]:
        """Parts by name; those of the leaderboard if none is named.

        Raises:
            SettingsError: if there is no such part.
        """
        unknown = sorted(set(names) - set(self.parts))
        if unknown:
            known = ", ".join(self.parts)
            raise SettingsError(
                "The benchmark has no such part", got=", ".join(unknown), remedy=f"Known: {known}"
            )
        wanted = names or tuple(name for name in self.parts if name != TINY)
        return tuple(self.parts[name] for name in wanted)


TINY = "tiny"
"""A part for trying out the commands: two coarse men. It is on no leaderboard."""


def load_benchmark() -> Benchmark:
    """The benchmark of this version of the package."""
    file = resources.files("pelvimets.resources") / "benchmark" / "benchmark.json"
    return benchmark_from_data(json.loads(file.read_text(encoding="utf-8")))


def benchmark_from_data(data: Mapping[str, Any]) -> Benchmark:
    """Rebuild from plain data."""
    parts = {
        name: BenchmarkPart(
            name,
            own["about"],
            Population(own["population"]),
            own["patients"],
            own["seed"],
            tuple(own["anatomies"]),
            own["spacing_mm"],
        )
        for name, own in data["parts"].items()
    }
    return Benchmark(data["version"], parts, data["fingerprints"])


def fingerprint(volume: Volume, *, labels: bool) -> dict[str, Any]:
    """Hash, grid and summary of a volume.

    Args:
        volume: As read from its file.
        labels: Whether the values are labels: the summary is then their voxel counts, else
            the mean, the spread and the upper percentiles.
    """
    array = volume.array
    matrix = np.round(volume.geometry.matrix, _PLACE_DIGITS) + 0.0  # no negative zero
    digest = hashlib.sha256(np.ascontiguousarray(array, dtype="<i4").tobytes())
    if labels:
        values, counts = np.unique(array[array > 0], return_counts=True)
        summary: dict[str, float] = {
            str(int(v)): int(n) for v, n in zip(values, counts, strict=True)
        }
    else:
        numbers = [array.mean(dtype=np.float64), array.std(dtype=np.float64)]
        numbers += list(np.percentile(array, (75, 95, 99)))
        names = ("mean", "sd", "p75", "p95", "p99")
        summary = {n: round(float(v), 3) for n, v in zip(names, numbers, strict=True)}
    return {
        "sha256": digest.hexdigest()[:16],
        "shape": list(volume.geometry.shape),
        "matrix": matrix[:3].ravel().tolist(),
        "summary": summary,
    }


def agreement(found: Fingerprint, frozen: Fingerprint) -> Agreement:
    """How a volume agrees with the frozen one."""
    placed = list(found["shape"]) == list(frozen["shape"]) and np.allclose(
        found["matrix"], frozen["matrix"], atol=2 * 10.0**-_PLACE_DIGITS
    )
    if not placed:
        return Agreement.DIFFERENT
    if found["sha256"] == frozen["sha256"]:
        return Agreement.EXACT
    one, other = found["summary"], frozen["summary"]
    if set(one) != set(other):
        return Agreement.DIFFERENT
    near = (
        abs(one[name] - other[name]) <= max(TOLERANCE * abs(other[name]), _slack(name))
        for name in other
    )
    return Agreement.CLOSE if all(near) else Agreement.DIFFERENT


def _slack(name: str) -> float:
    """Of voxel counts a few; of the mean and spread of an image one stored number."""
    return _FEW_VOXELS if name.isdigit() else 1.0
