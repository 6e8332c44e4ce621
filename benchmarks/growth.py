"""How cost grows with slices, matrix, lesions and patients: measured, fitted, drawn (in silico).

    python -m benchmarks.growth [--only slices matrix lesions patients] [--out build/growth.json]
        [--write]

Slices and matrix: the T1 image of a digital patient brought to more voxels of the same field, and
read by 'predict'. Lesions: a phantom of boxes with so many balls, whose masks are given, read and
reported. Patients: 'evaluate' of a made-up cohort, figures and statistics with it. Each point is a
process of its own; seconds are those of the processors, memory the largest resident one. Both are
fitted by a line, a line in the square and a power law, and the best one is named. --write puts the
table into docs/speed.md and draws docs/pictures/growth.png.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.estimate import made, measured, note
from benchmarks.tables import SPEED, markdown, write_between

PICTURE = SPEED.parent / "pictures" / "growth.png"
POINTS: dict[str, tuple[int, ...]] = {
    "slices": (40, 80, 160, 320),
    "matrix": (128, 256, 384, 512),
    "lesions": (1, 10, 40, 120),
    "patients": (8, 16, 32, 64),
}
UNITS = {"slices": "slices", "matrix": "rows and columns", "lesions": "lesions"}
FIXED = {
    "slices": "of 256 x 256, T1, read",
    "matrix": "60 slices, T1, read",
    "lesions": "of 1 cm3, masks given, read and reported",
    "patients": "evaluated",
}
_FLAT = 0.03
Costs = dict[int, tuple[float, float]]
"""CPU seconds and MiB by size."""


@dataclass(frozen=True)
class Fit:
    """What a cost follows: ``a + b x``, ``a + b x^2`` or ``a x^b``."""

    words: str
    r2: float | None
    at: Callable[[Any], Any]

    @property
    def shown_r2(self) -> str:
        return "-" if self.r2 is None else f"{self.r2:.3f}"


def fitted(sizes: np.ndarray, costs: np.ndarray) -> Fit:
    """The best of a line, a line in the square and a power law, by the variance explained."""
    if np.ptp(costs) < _FLAT * costs.mean():
        return Fit("flat", None, lambda x: np.full_like(x, costs.mean()))
    slope, start = np.polyfit(sizes, costs, 1)
    rise, least = np.polyfit(sizes**2, costs, 1)
    power, scale = np.polyfit(np.log(sizes), np.log(costs), 1)
    forms: dict[str, Callable[[Any], Any]] = {
        f"{start:.4g} + {slope:.2g} n": lambda x: start + slope * x,
        f"{least:.4g} + {rise:.2g} n^2": lambda x: least + rise * x**2,
        f"{np.exp(scale):.3g} n^{power:.2f}": lambda x: np.exp(scale) * x**power,
    }
    found = [Fit(words, _explained(costs, at(sizes)), at) for words, at in forms.items()]
    return max(found, key=lambda fit: fit.r2 or 0.0)


def _explained(costs: np.ndarray, expected: np.ndarray) -> float:
    spread = float(((costs - costs.mean()) ** 2).sum())
    return 1 - float(((costs - expected) ** 2).sum()) / spread if spread else 0.0


def of_image(
    shape: tuple[int, int, int], source: Path, folder: Path, record: Path | None
) -> tuple[float, float]:
    """Of reading the image with so many voxels."""
    from pelvimets.io.nifti.files import read_nifti

    path = made(read_nifti(source), shape, 1.0, folder / "t1.nii")
    mib, cpu, _, _ = measured(["--t1", str(path)], folder / "-".join(map(str, shape)))
    if record is not None:
        note(record, {"t1": read_nifti(path).geometry}, mib, cpu, small_tiles=False)
    return cpu, mib


def of_command(*command: str) -> tuple[float, float]:
    """CPU seconds and MiB of a process of this Python."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed with {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def read_given_lesions(count: int, out: Path) -> None:
    """Read a phantom of boxes with so many balls of 1 cm3, whose masks are given."""
    from pelvimets.app.predict import predict
    from pelvimets.config import GridSettings, ReadingSettings
    from pelvimets.core.geometry import Geometry
    from pelvimets.core.segmenter import FixedSegmenter
    from pelvimets.core.volume import Volume
    from pelvimets.io.nifti.files import write_nifti
    from pelvimets.requests.predict import StudyInput

    grid = Geometry.from_axes((60, 160, 200), (4.0, 2.0, 2.0), (-200.0, -160.0, -120.0))
    bones = np.zeros(grid.shape, np.uint8)
    for number, (z, x) in enumerate(((z, x) for z in (4, 32) for x in (5, 55, 105, 155)), 1):
        bones[z : z + 24, 20:140, x : x + 40] = number
    lesions = np.zeros(grid.shape, np.uint8)
    places = [(z, y, x) for z in (10, 22, 38, 50) for y in range(28, 136, 14) for x in _columns()]
    offsets = np.indices((5, 9, 9)) - np.array([2, 4, 4])[:, None, None, None]
    ball = ((offsets * np.array([4.0, 2.0, 2.0])[:, None, None, None]) ** 2).sum(0) <= 6.2**2
    for z, y, x in places[:: max(1, len(places) // count)][:count]:
        lesions[z - 2 : z + 3, y - 4 : y + 5, x - 4 : x + 5] |= ball
    image = np.random.default_rng(1).normal(100, 5, grid.shape) + 60 * (bones > 0) + 90 * lesions
    write_nifti(out.with_suffix(".nii.gz"), Volume(image.astype(np.float32), grid))
    even = GridSettings(spacing_mm=(4.0, 2.0, 2.0))
    settings = ReadingSettings(bone_grid=even, lesion_grid=even)
    known = FixedSegmenter(Volume(bones, grid), Volume(lesions, grid), settings)
    predict(StudyInput(dwi=out.with_suffix(".nii.gz")), out, segmenter=known)


def _columns() -> tuple[int, ...]:
    return tuple(x + step for x in (5, 55, 105, 155) for step in (10, 28))


def evaluate_patients(count: int, out: Path) -> tuple[float, float]:
    """Measure a made-up cohort, and report."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.evaluation.synthetic_cohort import write_cohort

    reference, prediction = write_cohort(out, count)
    words = ("evaluate", "--reference", str(reference), "--predictions", str(prediction))
    return of_command("-m", "pelvimets", *words, "-o", str(out / "evaluation"))


def costs_of(kind: str, size: int, folder: Path, record: Path | None) -> tuple[float, float]:
    if kind in ("slices", "matrix"):
        shape = (size, 256, 256) if kind == "slices" else (60, size, size)
        return of_image(shape, folder / "man" / "t1.nii.gz", folder, record)
    if kind == "lesions":
        return of_command("-m", "benchmarks.growth", "--given", str(size), str(folder / f"l{size}"))
    return evaluate_patients(size, folder / f"patients{size}")


def measure(kinds: list[str], kept: Path, record: Path | None = None) -> dict[str, Costs]:
    """All points; those that are kept from an earlier run are not measured again."""
    found = json.loads(kept.read_text()) if kept.is_file() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = [kind for kind in ("slices", "matrix") if kind in kinds]
        if any(str(n) not in found.get(kind, {}) for kind in images for n in POINTS[kind]):
            man = ("-m", "pelvimets", "phantom", "--seed", "7", "-o", str(folder / "man"))
            of_command(*man)
        for kind in kinds:
            costs = found.setdefault(kind, {})
            for size in POINTS[kind]:
                if str(size) not in costs:
                    costs[str(size)] = costs_of(kind, size, folder, record)
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    kept.write_text(json.dumps(found, indent=1) + "\n")
                print(kind, size, "{:.1f} s CPU, {:.0f} MiB".format(*costs[str(size)]), flush=True)
    return {kind: {int(n): tuple(c) for n, c in found[kind].items()} for kind in kinds}


def table(costs: dict[str, Costs]) -> str:
    head = ("n", "", "s CPU", "fit", "R2", "MiB", "fit", "R2")
    rows = []
    for kind, points in costs.items():
        sizes = np.array(sorted(points), dtype=float)
        cells = [f"{kind} ({', '.join(f'{n:g}' for n in sizes)})", FIXED[kind]]
        for part, form in enumerate((".1f", ".0f")):
            values = np.array([points[int(n)][part] for n in sizes])
            fit = fitted(sizes, values)
            words = ", ".join(format(v, form) for v in values)
            cells += [words, fit.words, fit.shown_r2]
        rows.append(cells)
    return markdown(head, rows)


def draw(costs: dict[str, Costs], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.2), layout="constrained", dpi=110)
    axes = figure.subplots(2, len(costs), squeeze=False)
    for column, (kind, points) in enumerate(costs.items()):
        sizes = np.array(sorted(points), dtype=float)
        fine = np.linspace(sizes[0], sizes[-1], 100)
        for row, what in enumerate(("s CPU", "MiB")):
            panel, values = axes[row, column], np.array([points[int(n)][row] for n in sizes])
            fit = fitted(sizes, values)
            panel.plot(fine, fit.at(fine), color="0.6")
            panel.plot(sizes, values, "o", color="tab:blue")
            panel.set(ylim=(0, 1.25 * values.max()), xlabel=UNITS.get(kind, kind))
            panel.set_title(fit.words + (f", R2 {fit.shown_r2}" if fit.r2 else ""), fontsize=8)
            panel.set_ylabel(what if column == 0 else "")
    figure.suptitle("What reading and evaluating cost (in silico)", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(POINTS), default=list(POINTS))
    parser.add_argument("--out", type=Path, default=Path("build/growth.json"))
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--record", type=Path, help="as benchmarks.estimate --record")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--given", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.given:
        read_given_lesions(int(options.given[0]), Path(options.given[1]))
        return
    costs = measure(options.only, options.out, options.record)
    print(table(costs))
    if options.picture or options.write:
        draw(costs, options.picture or PICTURE)
    if options.write:
        write_between(SPEED, "growth", table(costs))


if __name__ == "__main__":
    main()
