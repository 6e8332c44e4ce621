"""Speed of the evaluation on one core, beside MedPy and surface-distance.

    OMP_NUM_THREADS=1 python benchmarks/evaluation_speed.py

Times are processor seconds of this process, best of three, so that other work on the machine
does not count.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from pelvimets.evaluation import hausdorff_distance, measure_labels
from pelvimets.evaluation.measures.detection import detect
from pelvimets.evaluation.readings import FalseItem, LesionTally, ReferenceItem
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.statistics.intervals import (
    auc_replicates,
    mean_replicates,
    ratio_replicates,
    resample_counts,
)
from pelvimets.labels import Bone

SHAPE, SPACING = (64, 224, 224), (4.0, 1.8, 1.8)
ELLIPSOIDS = {  # centre and radii (z, y, x) in voxels; paired ones mirrored in x
    1: ((55, 140, 112), (8, 25, 25)), 2: ((40, 170, 112), (20, 30, 40)),
    3: ((40, 120, 60), (22, 40, 30)), 4: ((22, 110, 55), (8, 20, 22)),
    5: ((18, 110, 45), (8, 14, 14)), 6: ((12, 112, 35), (7, 16, 16)),
    7: ((10, 140, 70), (9, 20, 16)), 8: ((14, 80, 95), (7, 18, 25)),
}  # fmt: skip


def bones(shift: int) -> npt.NDArray[np.uint8]:
    """Eight structures of pelvic size on the paper's grid."""
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    labels = np.zeros(SHAPE, np.uint8)
    for value, ((cz, cy, cx), (rz, ry, rx)) in ELLIPSOIDS.items():
        for side in {cx, SHAPE[2] - cx}:
            away = ((z - cz) / rz) ** 2 + ((y - cy - shift) / ry) ** 2 + ((x - side) / rx) ** 2
            labels[away < 1] = value
    return labels


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Processor seconds, best of several."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def compare_hausdorff(reference: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8]) -> None:
    """Maximum Hausdorff distance of a large and of a small structure, three programs."""
    from medpy.metric import binary
    from surface_distance import metrics

    def by_surface_distance(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            distances = metrics.compute_surface_distances(a, b, SPACING)
        return metrics.compute_robust_hausdorff(distances, 100)

    for bone in (Bone.ILIUM, Bone.FEMORAL_HEAD):
        a, b = reference == bone, prediction == bone
        own = seconds(partial(hausdorff_distance, a, b, SPACING))
        medpy = seconds(partial(binary.hd, b, a, SPACING), repeats=1)
        other = seconds(partial(by_surface_distance, a, b))
        print(
            f"Hausdorff, {bone.title}: {own:.3f} s; MedPy {medpy:.3f} s ({medpy / own:.0f}x); "
            f"surface-distance {other:.3f} s ({other / own:.1f}x)"
        )


def bootstrap(patients: int = 63, samples: int = 10_000) -> float:
    """All replicates of a 63-patient cohort: rates, means, areas."""
    rng = np.random.default_rng(0)
    truth = np.arange(patients) % 2 == 0
    scores, dsc = rng.random((2, patients))
    found, total, false = (
        rng.integers(0, 6, patients),
        rng.integers(6, 9, patients),
        rng.integers(0, 3, patients),
    )

    def work() -> None:
        counts = resample_counts(np.random.default_rng(1), patients, samples)
        ratio_replicates(counts, found, total)
        ratio_replicates(counts, found, found + false)
        ratio_replicates(counts, 2 * found, found + total + false)
        mean_replicates(counts, dsc)
        auc_replicates(counts, truth, scores)

    return seconds(work)


def detection(patients: int = 63) -> float:
    """Lesion level with average precision and FROC, 10,000 samples each."""
    rng = np.random.default_rng(0)
    tallies = [
        LesionTally(
            str(n),
            tuple(ReferenceItem(1.0, "ilium", True, float(s)) for s in rng.random(n % 8)),
            tuple(FalseItem(1.0, "ilium", float(s), None, False) for s in rng.random(n % 3)),
        )
        for n in range(patients)
    ]
    settings = EvaluationSettings()
    return seconds(lambda: detect(tallies, settings, np.random.default_rng(0)), repeats=1)


def main() -> None:
    """Print every figure."""
    reference, prediction = bones(0), bones(2)
    labels = [int(bone) for bone in Bone]
    print(
        f"Eight structures, 64 x 224 x 224, all six measures: "
        f"{seconds(lambda: measure_labels(reference, prediction, SPACING, labels)):.2f} s"
    )
    compare_hausdorff(reference, prediction)
    print(f"10,000 bootstrap samples of 63 patients, 5 statistics: {bootstrap():.2f} s")
    print(f"The same with average precision and FROC at 7 rates: {detection():.2f} s")


if __name__ == "__main__":
    main()
