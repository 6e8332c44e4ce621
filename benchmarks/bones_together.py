"""What reading the bones of both sequences together gains, share by share (in silico).

    python -m benchmarks.bones_together COHORT [--bundle FOLDER] [--patients N]

For patients with both sequences and drawn bones: mean DSC of the bones on DWI where a share of
what the network says of T1 takes part, with T1 laid where both agree best and left where its
header says. The last row is the truth on T1 itself, laid on DWI likewise: what a perfect network
would give that saw T1 alone.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pelvimets.calibration.bones import AnsweredPatient, mean_dsc
from pelvimets.core.joint_bones import BoneAnswer, laid_on, mixed
from pelvimets.core.resample import resample_labels
from pelvimets.core.segmentation import bones_of
from pelvimets.core.volume import Volume
from pelvimets.io.cohort.folder import read_cohort
from pelvimets.labels import Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.openvino_backend import OpenVinoSegmenter
from pelvimets.model_development.calibrate_bones import answered, drawn_on_both

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
TRUTH = "truth on T1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--patients", type=int, default=12)
    arguments = parser.parse_args()
    segmenter = load_segmenter(arguments.bundle)
    chosen = drawn_on_both(read_cohort(arguments.cohort).patients)[: arguments.patients]
    rows = [
        measured(patient, segmenter)
        for patient in answered(segmenter, chosen, told, out_of_fold=False)
    ]
    print(f"| share of T1 in DWI ({len(rows)} patients) | T1 moved | T1 where its header says |")
    print("|---|---|---|")
    for name in (*SHARES, TRUTH):
        cells = np.mean([row[name] for row in rows], axis=0)
        print(f"| {name} | {cells[0]:.3f} | {cells[1]:.3f} |")


def told(name: str, done: int, total: int) -> None:
    print(f"{done} of {total} {name}", flush=True)


def measured(
    patient: AnsweredPatient, segmenter: OpenVinoSegmenter
) -> dict[float | str, tuple[float, float]]:
    """Mean DSC on DWI for each share, T1 moved and not."""
    here, other = (patient.answers[s] for s in (Sequence.DWI, Sequence.T1))
    truth, drawn = patient.truth[Sequence.DWI], patient.drawn[Sequence.DWI]

    def score(placed: BoneAnswer, share: float) -> float:
        found = bones_of(mixed(here, placed, share), truth, segmenter.settings.bones)
        return mean_dsc(found, truth, drawn)

    moved = laid_on(other, here) or other
    result: dict[float | str, tuple[float, float]] = {
        share: (score(moved, share), score(other, share)) for share in SHARES
    }
    by_mm = moved.grid.matrix[:3, 3] - other.grid.matrix[:3, 3]
    result[TRUTH] = (
        mean_dsc(laid(patient.truth[Sequence.T1], truth, by_mm), truth, drawn),
        mean_dsc(laid(patient.truth[Sequence.T1], truth, 0 * by_mm), truth, drawn),
    )
    return result


def laid(labels: Volume, on: Volume, by_mm: npt.NDArray[np.float64]) -> Volume:
    """A label map, moved, on the grid of another one."""
    matrix = labels.geometry.matrix.copy()
    matrix[:3, 3] += by_mm
    return resample_labels(
        Volume(labels.array, replace(labels.geometry, matrix=matrix)), on.geometry
    )


if __name__ == "__main__":
    main()
