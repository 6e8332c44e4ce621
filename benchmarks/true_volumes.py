"""Volumes of the eight structures in true masks, and the quality gate's bounds from them.

    python -m benchmarks.true_volumes [--people 8]

Draws so many digital patients from each packaged anatomy, unseen ones too (the gate is no
network: nothing is fitted to them but what a body can look like), and prints the smallest and
largest volume of each structure and side, with what the bounds in ``core/quality.py`` must hold
at least: a quarter below the smallest and a third above the largest, for what masks of networks
and anatomies not drawn here add. Ends with 1 if a bound of the gate is narrower.
"""

from __future__ import annotations

import argparse

import numpy as np

from pelvimets.core.bones import midline_plane, part_of, sided_parts
from pelvimets.core.quality import PLAUSIBLE_VOLUME_CM3
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone
from pelvimets.phantom.anatomy.atlas import SOURCES
from pelvimets.phantom.anatomy.healthy import AnatomySettings, build_anatomy, draw_anatomy

BELOW, ABOVE = 0.75, 4.0 / 3.0


def main() -> None:
    """Draw, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=8, help="Digital patients of each anatomy.")
    people = parser.parse_args().people
    found: dict[Bone, list[float]] = {bone: [] for bone in Bone}
    for source in SOURCES:
        settings = AnatomySettings(sources=(source,), spacing_mm=3.0)
        for seed in range(people):
            for bone, volume in _volumes(settings, seed):
                found[bone].append(volume)
    print(f"{people} digital patients of each of {len(SOURCES)} anatomies; cm3, per side")
    print(f"{'structure':<18}{'smallest':>10}{'largest':>10}{'needed':>14}{'gate':>12}")
    narrow = False
    for bone, volumes in found.items():
        low, high = min(volumes), max(volumes)
        wanted = (BELOW * low, ABOVE * high)
        gate = PLAUSIBLE_VOLUME_CM3[bone]
        narrow = narrow or gate[0] > wanted[0] or gate[1] < wanted[1]
        print(
            f"{bone.title:<18}{low:>10.1f}{high:>10.1f}"
            f"{wanted[0]:>10.0f}-{wanted[1]:<6.0f}{gate[0]:>8.0f}-{gate[1]:<6.0f}"
        )
    raise SystemExit(narrow)


def _volumes(settings: AnatomySettings, seed: int) -> list[tuple[Bone, float]]:
    """Structure and volume of each side."""
    anatomy = build_anatomy(draw_anatomy(np.random.default_rng(seed), settings), settings)
    bones = Volume(anatomy.bones, anatomy.geometry)
    sided = sided_parts(bones, midline_plane(bones)).array
    counts = np.bincount(sided.reshape(-1))
    voxel = bones.geometry.voxel_volume_mm3 / 1000.0
    values = np.flatnonzero(counts).tolist()
    return [(part_of(v).bone, float(counts[v] * voxel)) for v in values if v]


if __name__ == "__main__":
    main()
