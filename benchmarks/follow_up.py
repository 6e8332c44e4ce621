"""Lesions matched over time on digital patients whose truth is known (in-silico).

    python -m benchmarks.follow_up [--patients 6] [--seed 100] [--largest-shift 25]
        [--largest-turn 6]
    python -m benchmarks.follow_up --folders PATIENT ...

The first makes men with metastases at two time points and lays each time point into the scanner
anew: shifted and turned at random, sampled in thick slices. There are no networks and no signal:
what is wrong is the matching's. The second takes folders of ``pelvimets phantom --follow-up`` with
their truth as drawn on DWI and T1, displacement of the diffusion image included.

Truth: lesions of the second time point keep their place in the man's own frame, so each that is not
new belongs to the nearest of the first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from pelvimets.config import LesionSettings
from pelvimets.core.findings import BoneMasks, LesionMasks
from pelvimets.core.follow_up.change import lesion_changes
from pelvimets.core.follow_up.matching import Fate, Matched, TimePoint, match
from pelvimets.core.follow_up.settings import MatchSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.measure import measure
from pelvimets.core.resample import resample_labels
from pelvimets.core.volume import Volume
from pelvimets.io.nifti.files import read_nifti
from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.patient import DigitalPatient
from pelvimets.phantom.cohort.build import PatientSettings, build_follow_up, build_patient

GRID_MM = (6.0, 1.7, 1.7)
SAME_MM = 15.0


@dataclass
class Score:
    """Counts over patients, and how far a change of volume is off."""

    counts: Counter[str] = field(default_factory=Counter)
    off_percent: list[float] = field(default_factory=list)
    shift_mm: list[float] = field(default_factory=list)
    overlap: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Truth:
    """Lesions of a time point: centre in the man's frame and volume, by number; which are new."""

    centres: dict[int, np.ndarray]
    volumes: dict[int, float]
    new: frozenset[int]

    @classmethod
    def of(cls, lesions: list[dict[str, Any]]) -> Truth:
        return cls(
            {x["number"]: np.asarray(x["centre_lps_mm"]) for x in lesions},
            {x["number"]: x["volume_cm3"] for x in lesions},
            frozenset(x["number"] for x in lesions if x["course"] == "new"),
        )


def true_pairs(before: Truth, now: Truth) -> set[tuple[int, int]]:
    """Number before and number now of each lesion that is there at both."""
    pairs = set()
    for number, centre in now.centres.items():
        if number not in now.new:
            apart = {n: float(np.linalg.norm(c - centre)) for n, c in before.centres.items()}
            nearest = min(apart, key=apart.__getitem__)
            if apart[nearest] < SAME_MM:
                pairs.add((nearest, number))
    return pairs


def time_point(
    title: str, bones: dict[Sequence, Volume], lesions: dict[Sequence, Volume]
) -> TimePoint:
    """As ``pelvimets`` would measure the true masks."""
    sure = {s: v.with_array((v.array > 0).astype(np.float32)) for s, v in lesions.items()}
    findings = measure(
        BoneMasks(bones),
        LesionMasks.of(lesions, sure),
        None,
        LesionSettings(),
        patient_key="digital",
        bundle="truth",
        uid_seed=title,
    )
    return TimePoint(title, findings, bones, lesions)


def judge(matched: Matched, before: Truth, now: Truth, points: list[TimePoint], to: Score) -> None:
    """Count what is right and what is not, of lesions that the masks hold."""
    seen = [{seen.label for x in p.findings.lesions for seen in x.seen_on.values()} for p in points]
    meant = {(a, b) for a, b in true_pairs(before, now) if a in seen[0] and b in seen[1]}
    found = set()
    for change in lesion_changes(matched.pairs):
        first, second = _labels(change.pair.before), _labels(change.pair.now)
        found |= {(a, b) for a in first for b in second}
        if len(first) == len(second) == 1 and (pair := (min(first), min(second))) in meant:
            truth = now.volumes[pair[1]] / before.volumes[pair[0]]
            to.off_percent.append(100 * abs((change.volume_cm3.ratio or np.nan) / truth - 1))
        to.counts[change.pair.fate.value] += 1
        if change.pair.fate is Fate.NEW and not second & {b for _, b in meant}:
            to.counts["new, rightly"] += 1
    to.counts["pairs"] += len(meant)
    to.counts["pairs found"] += len(meant & found)
    to.counts["wrong pairs"] += len(found - meant)
    to.counts["new in truth"] += len(now.new & seen[1])
    for registration in matched.registrations.values():
        to.overlap.append(registration.overlap)
        to.shift_mm.append(registration.shift_mm)


def _labels(lesions: tuple[Any, ...]) -> set[int]:
    return {seen.label for lesion in lesions for seen in lesion.seen_on.values()}


def laid(patient: DigitalPatient, rng: np.random.Generator, shift: float, turn: float) -> list:
    """Bones and lesions on a scanner's grid, the man shifted and turned."""
    offset = rng.uniform(-shift, shift, 3)
    angles = rng.uniform(-turn, turn, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    matrix[:3, 3] = offset
    moved = Geometry(patient.geometry.shape, matrix @ patient.geometry.matrix)
    corners = moved.corners()
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = [int(n) for n in np.ceil((high - low)[::-1] / GRID_MM)]
    jitter = rng.uniform(0, GRID_MM)[::-1]
    grid = Geometry.from_axes(tuple(shape), GRID_MM, tuple(float(v) for v in low + jitter))
    return [resample_labels(Volume(a, moved), grid) for a in (patient.bones, patient.lesions)]


def of_seed(seed: int, shift: float, turn: float, to: Score) -> None:
    """One man made from a seed."""
    settings = PatientSettings(metastases_probability=1.0)
    rng = np.random.default_rng([9, seed])
    points, truths = [], []
    for title, build in (("before", build_patient), ("now", build_follow_up)):
        patient = build(seed, settings)
        bones, lesions = laid(patient, rng, shift, turn)
        points.append(time_point(title, {Sequence.T1: bones}, {Sequence.T1: lesions}))
        table = [vars(x) | {"course": x.course.value} for x in patient.lesion_table]
        truths.append(Truth.of(table))
    compared(points, truths, to)


def of_folder(folder: Path, to: Score) -> None:
    """One man as ``pelvimets phantom --follow-up`` has written him."""
    points, truths = [], []
    for own in (folder, folder / "follow_up"):
        maps = {
            kind: {s: read_nifti(own / f"{s}_{kind}.nii.gz") for s in Sequence}
            for kind in ("bones", "lesions")
        }
        points.append(time_point(own.name, maps["bones"], maps["lesions"]))
        record = json.loads((own / "patient.json").read_text())
        truths.append(Truth.of(record["lesions"]))
    compared(points, truths, to)


def compared(points: list[TimePoint], truths: list[Truth], to: Score) -> None:
    start = time.process_time()
    matched = match(points[0], points[1], MatchSettings())
    to.seconds.append(time.process_time() - start)
    judge(matched, truths[0], truths[1], points, to)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--largest-shift", type=float, default=25.0, help="mm along each axis")
    parser.add_argument("--largest-turn", type=float, default=6.0, help="degrees about each axis")
    parser.add_argument("--folders", nargs="+", type=Path)
    options = parser.parse_args()
    score = Score()
    if options.folders:
        for folder in options.folders:
            of_folder(folder, score)
    else:
        for seed in range(options.seed, options.seed + options.patients):
            of_seed(seed, options.largest_shift, options.largest_turn, score)
    patients = len(score.seconds)
    print(f"{patients} digital patients (in-silico)")
    for name, count in sorted(score.counts.items()):
        print(f"{name}: {count}")
    print(f"bones moved {statistics.mean(score.shift_mm):.1f} mm on average")
    print(f"Dice of the bones {min(score.overlap):.2f} to {max(score.overlap):.2f}")
    if score.off_percent:
        off = np.percentile(score.off_percent, [50, 90])
        print(f"volume change off by {off[0]:.1f} % (median), {off[1]:.1f} % (90th percentile)")
    print(f"{statistics.mean(score.seconds):.1f} CPU seconds a comparison")


if __name__ == "__main__":
    main()
