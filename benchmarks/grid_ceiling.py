"""What a network's grid costs before it has learned anything.

    python -m benchmarks.grid_ceiling --patients 4

True masks of digital patients are brought to a grid and back, by nearest label and as the product
does it (each class on its own, interpolated); the DSC is the best that a network on that grid can
reach. In silico.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from pelvimets.config import GridSettings, IntensitySettings
from pelvimets.core.resample import labels_from_probabilities, prepare, resample_labels
from pelvimets.core.volume import Volume
from pelvimets.evaluation import dice
from pelvimets.labels import Bone, Sequence
from pelvimets.phantom.choices import Population
from pelvimets.phantom.cohort.build import build_patient
from pelvimets.phantom.cohort.population import draw_cohort
from pelvimets.phantom.physics.imaging import examine
from pelvimets.phantom.physics.scanner import scanner_named

GRIDS = ((4.0, 3.0, 3.0), (4.0, 2.0, 2.0), (3.0, 2.0, 2.0))
SEED = 81_001


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=4)
    patients = list(masks(parser.parse_args().patients))
    print(
        "| grid, mm | sequence | mean DSC, nearest | mean DSC, interpolated | pubis, interpolated |"
    )
    print("|---|---|---|---|---|")
    for grid in GRIDS:
        for sequence in Sequence:
            own = [ceiling(image, bones, grid) for s, image, bones in patients if s is sequence]
            nearest, smooth = np.nanmean(own, axis=0)
            print(
                f"| {' x '.join(f'{v:g}' for v in grid)} | {sequence.title} | {nearest.mean():.3f} "
                f"| {smooth.mean():.3f} | {smooth[Bone.PUBIS - 1]:.3f} |"
            )


def masks(patients: int) -> Iterator[tuple[Sequence, Volume, Volume]]:
    """Image and true bones of each sequence of digital patients."""
    for plan in draw_cohort(Population.EXTERNAL, patients, SEED):
        patient = build_patient(plan.seed, plan.settings())
        for sequence, (image, truth) in examine(patient, scanner_named(plan.scanner)).read.items():
            yield sequence, image, image.with_array(truth.bones)


def ceiling(image: Volume, bones: Volume, spacing: tuple[float, float, float]) -> np.ndarray:
    """DSC (2, bones) by nearest label, and by interpolated classes."""
    grid = GridSettings(spacing_mm=spacing, multiple_of=(1, 1, 1))
    geometry = prepare(image, grid, IntensitySettings()).geometry
    there = resample_labels(bones, geometry)
    nearest = resample_labels(there, image.geometry).array
    classes = np.stack([there.array == n for n in range(len(Bone) + 1)]).astype(np.float32)
    smooth = labels_from_probabilities(classes, geometry, image.geometry)
    return np.array([_dices(bones.array, found) for found in (nearest, smooth)])


def _dices(truth: np.ndarray, found: np.ndarray) -> list[float]:
    return [dice(truth == b, found == b) if (truth == b).any() else np.nan for b in Bone]


if __name__ == "__main__":
    main()
