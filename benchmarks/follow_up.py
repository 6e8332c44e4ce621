"""Lesions matched over time on digital patients whose truth is known (in-silico).

    python -m benchmarks.follow_up [--patients 6] [--seed 100] [--largest-shift 25]
        [--largest-turn 6]
    python -m benchmarks.follow_up --folders PATIENT ...
    python -m benchmarks.follow_up --masks networks [--patients 4] [--seed 100] --work WORK
    python -m benchmarks.follow_up --masks networks --folders PATIENT ... --work WORK

The first makes men with metastases at two time points and lays each time point into the scanner
anew: shifted and turned at random, sampled in thick slices. There are no networks and no signal:
what is wrong is the matching's. The second takes folders of ``pelvimets phantom --follow-up`` with
their truth as drawn on DWI and T1, displacement of the diffusion image included. With ``--masks
networks`` the shipped networks read both time points, of folders or of men that are made into
WORK; what they have read there is not read again. A lesion of theirs is the true one that it
overlaps most, on either sequence.

Truth: lesions of the second time point keep their place in the man's own frame, so each that is not
new belongs to the nearest of the first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from pelvimets.app.phantom import make_phantom
from pelvimets.app.predict import predict
from pelvimets.config import LesionSettings
from pelvimets.core.findings import BoneMasks, Lesion, LesionMasks
from pelvimets.core.follow_up.change import LesionChange, lesion_changes
from pelvimets.core.follow_up.matching import Fate, Matched, TimePoint, match
from pelvimets.core.follow_up.registration import values_at
from pelvimets.core.follow_up.settings import MatchSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.measure import Origin, measure
from pelvimets.core.resample import resample_labels
from pelvimets.core.volume import Volume
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.record.findings import read_findings
from pelvimets.io.record.review import ReviewFolder, read_run_output
from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.patient import DigitalPatient
from pelvimets.phantom.cohort.build import PatientSettings, build_follow_up, build_patient
from pelvimets.report.data import findings_from_dict
from pelvimets.requests.phantom import Examined, PhantomOrder
from pelvimets.requests.predict import StudyInput

GRID_MM = (6.0, 1.7, 1.7)
SAME_MM = 15.0
BASE = PatientSettings(metastases_probability=1.0)


@dataclass
class Score:
    """Counts over patients, and how far a change of volume is off."""

    counts: Counter[str] = field(default_factory=lambda: Counter({"wrong pairs": 0}))
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
        Origin("digital", "truth", uid_seed=title),
    )
    return TimePoint(title, findings, bones, lesions)


Names = dict[int, frozenset[int]]
"""True lesions that a lesion of the findings is, by its number; none where it is false."""


def own_names(point: TimePoint) -> Names:
    """Of masks that are the truth: labels are the numbers of the true lesions."""
    return {
        x.number: frozenset(seen.label for seen in x.seen_on.values())
        for x in point.findings.lesions
    }


def judge(matched: Matched, truths: list[Truth], names: list[Names], to: Score) -> None:
    """Count what is right and what is not, of lesions that the masks hold."""
    before, now = truths
    seen = [frozenset().union(*own.values()) for own in names]
    pairs = true_pairs(before, now)
    meant = {(a, b) for a, b in pairs if a in seen[0] and b in seen[1]}
    found: set[tuple[int, int]] = set()
    for change in lesion_changes(matched.pairs):
        first, second = _names(change.pair.before, names[0]), _names(change.pair.now, names[1])
        hits = {(a, b) for a in first for b in second} & pairs
        found |= hits
        to.counts[change.pair.fate.value] += 1
        if change.pair.before and change.pair.now:
            _judge_pair(change, first, second, truths, bool(hits), to)
        if change.pair.fate is Fate.NEW:
            known = {b for _, b in pairs}
            kind = "new, rightly" if second - known else "new, but was there or is false"
            to.counts[kind] += 1
    to.counts["pairs in truth"] += len(pairs)
    to.counts["pairs seen at both times"] += len(meant)
    to.counts["pairs found"] += len(meant & found)
    to.counts["new in truth"] += len(now.new)
    to.counts["new in truth and seen"] += len(now.new & seen[1])
    to.counts["false lesions"] += sum(not x for own in names for x in own.values())
    for registration in matched.registrations.values():
        to.overlap.append(registration.overlap)
        to.shift_mm.append(registration.shift_mm)


def _judge_pair(
    change: LesionChange,
    first: frozenset[int],
    second: frozenset[int],
    truths: list[Truth],
    right: bool,
    to: Score,
) -> None:
    if not right:
        to.counts["wrong pairs" if first or second else "pairs of false lesions"] += 1
        return
    volumes = [
        sum(t.volumes[n] for n in own) for t, own in zip(truths, (first, second), strict=True)
    ]
    if len(change.pair.before) == len(change.pair.now) == 1 and change.volume_cm3.ratio:
        truth = volumes[1] / volumes[0]
        to.off_percent.append(100 * abs(change.volume_cm3.ratio / truth - 1))


def _names(lesions: tuple[Lesion, ...], names: Names) -> frozenset[int]:
    return frozenset().union(*(names[lesion.number] for lesion in lesions))


def laid(
    patient: DigitalPatient, rng: np.random.Generator, shift: float, turn: float
) -> list[Volume]:
    """Bones and lesions on a scanner's grid, the man shifted and turned."""
    offset = rng.uniform(-shift, shift, 3)
    angles = rng.uniform(-turn, turn, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    matrix[:3, 3] = offset
    moved = Geometry(patient.geometry.shape, matrix @ patient.geometry.matrix)
    corners = moved.corners()
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = tuple(np.ceil((high - low)[::-1] / GRID_MM).astype(int).tolist())
    jitter = rng.uniform(0, GRID_MM)[::-1]
    grid = Geometry.from_axes(shape, GRID_MM, tuple((low + jitter).tolist()))
    return [resample_labels(Volume(a, moved), grid) for a in (patient.bones, patient.lesions)]


def of_seed(seed: int, shift: float, turn: float, to: Score) -> None:
    """One man made from a seed."""
    rng = np.random.default_rng([9, seed])
    points, truths = [], []
    for title, build in (("before", build_patient), ("now", build_follow_up)):
        patient = build(seed, BASE)
        bones, lesions = laid(patient, rng, shift, turn)
        points.append(time_point(title, {Sequence.T1: bones}, {Sequence.T1: lesions}))
        table = [vars(x) | {"course": x.course.value} for x in patient.lesion_table]
        truths.append(Truth.of(table))
    compared(points, truths, [own_names(p) for p in points], to)


def time_points(folder: Path) -> tuple[Path, Path]:
    """Both time points of a man as ``pelvimets phantom --follow-up`` has written him."""
    return folder, folder / "follow_up"


def of_folder(folder: Path, to: Score) -> None:
    """One man with his true masks."""
    points, truths = [], []
    for own in time_points(folder):
        maps = {
            kind: {s: read_nifti(own / f"{s}_{kind}.nii.gz") for s in Sequence}
            for kind in ("bones", "lesions")
        }
        points.append(time_point(own.name, maps["bones"], maps["lesions"]))
        truths.append(truth_of(own))
    compared(points, truths, [own_names(p) for p in points], to)


def truth_of(folder: Path) -> Truth:
    return Truth.of(json.loads((folder / "patient.json").read_text())["lesions"])


def of_networks(folder: Path, work: Path, to: Score) -> None:
    """One man as the shipped networks read him."""
    points, truths, names = [], [], []
    for n, own in enumerate(time_points(folder)):
        out = work / f"{folder.name}-{n}"
        if not (out / "findings.json").is_file():
            dwi, t1, adc = (own / f"{k}.nii.gz" for k in ("dwi", "t1", "adc"))
            predict(StudyInput(dwi=dwi, t1=t1, adc=adc, name=folder.name), out)
        points.append(point_read(out))
        truths.append(truth_of(own))
        names.append(overlapped(points[-1], own))
    compared(points, truths, names, to)


def point_read(out: Path) -> TimePoint:
    """A time point as a run has left it."""
    folder = ReviewFolder(out)
    output = read_run_output(folder)
    findings = findings_from_dict(read_findings(folder.findings))
    return TimePoint(out.name, findings, output.bones, output.lesions)


def overlapped(point: TimePoint, folder: Path) -> Names:
    """The true lesion that each lesion overlaps most, in mm3 on either sequence."""
    truth = {s: read_nifti(folder / f"{s}_lesions.nii.gz") for s in Sequence}
    names: Names = {}
    for lesion in point.findings.lesions:
        common: defaultdict[int, float] = defaultdict(float)
        for sequence, seen in lesion.seen_on.items():
            mask = point.lesions[sequence]
            places = mask.geometry.to_lps(np.argwhere(mask.array == seen.label))
            for number in values_at(truth[sequence], places).tolist():
                common[number] += mask.geometry.voxel_volume_mm3
        common.pop(0, None)
        most = max(common, key=common.__getitem__, default=None)
        names[lesion.number] = frozenset() if most is None else frozenset({most})
    return names


def compared(points: list[TimePoint], truths: list[Truth], names: list[Names], to: Score) -> None:
    start = time.process_time()
    matched = match(points[0], points[1], MatchSettings())
    to.seconds.append(time.process_time() - start)
    judge(matched, truths, names, to)


def made(seed: int, work: Path) -> Path:
    """A man with metastases, images and truth of two time points; made once."""
    folder = work / f"man-{seed}"
    if not folder.is_dir():
        make_phantom(PhantomOrder(seed=seed, examined=Examined(follow_up=True, base=BASE)), folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--largest-shift", type=float, default=25.0, help="mm along each axis")
    parser.add_argument("--largest-turn", type=float, default=6.0, help="degrees about each axis")
    parser.add_argument("--folders", nargs="+", type=Path)
    parser.add_argument("--masks", choices=("truth", "networks"), default="truth")
    parser.add_argument("--work", type=Path, help="where men and results of the networks are kept")
    options = parser.parse_args()
    if options.masks == "networks" and options.work is None:
        parser.error("--masks networks needs --work")
    score, seeds = Score(), range(options.seed, options.seed + options.patients)
    if options.masks == "networks":
        for folder in options.folders or [made(seed, options.work) for seed in seeds]:
            of_networks(folder, options.work, score)
    elif options.folders:
        for folder in options.folders:
            of_folder(folder, score)
    else:
        for seed in seeds:
            of_seed(seed, options.largest_shift, options.largest_turn, score)
    show(score)


def show(score: Score) -> None:
    print(f"{len(score.seconds)} digital patients (in-silico)")
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
