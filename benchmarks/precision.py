"""What bfloat16 costs and saves: DSC of bones and lesions against float32, on digital patients.

    python -m benchmarks.precision [--studies FOLDER ...] [--seeds 7 8]

A folder is what 'pelvimets phantom -o FOLDER' left; without any, a patient of each of the
three scanners of the paper is made for each seed. Each is read in both kinds of numbers, one
after the other, in processes of their own; seconds are those of the processors.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pelvimets.evaluation.measures.overlap import dice
from pelvimets.io.nifti.files import read_nifti
from pelvimets.labels import Bone, Sequence

SCANNERS = ("discovery", "intera", "achieva")
PRECISIONS = ("float32", "bfloat16")


def made(folder: Path, seeds: list[int]) -> Iterator[Path]:
    for scanner in SCANNERS:
        for seed in seeds:
            out = folder / f"{scanner}-{seed}"
            call = ["phantom", "--seed", str(seed), "--scanner", scanner, "-o", str(out)]
            subprocess.run([sys.executable, "-m", "pelvimets", *call], check=True)
            yield out


def read(study: Path, precision: str, out: Path) -> tuple[float, float]:
    """Processor seconds and MiB of one run."""
    images = [part for s in Sequence for part in (f"--{s}", str(study / f"{s}.nii.gz"))]
    call = [sys.executable, "-m", "pelvimets", "predict", *images, "--precision", precision]
    process = subprocess.Popen([*call, "-o", str(out)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"'predict' failed with {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def scores(study: Path, out: Path) -> dict[str, float]:
    """DSC against the truth; bones as the mean over the structures present."""
    found = {}
    for sequence in Sequence:
        for kind in ("bones", "lesions"):
            name = f"{sequence}_{kind}.nii.gz"
            truth, masks = read_nifti(study / name).array, read_nifti(out / name).array
            if kind == "lesions":
                found[f"{sequence} {kind}"] = dice(truth > 0, masks > 0)
            else:
                present = [b for b in Bone if (truth == b).any()]
                found[f"{sequence} {kind}"] = float(
                    np.mean([dice(truth == b, masks == b) for b in present])
                )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8])
    options = parser.parse_args()
    gained: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, study in enumerate(options.studies or made(folder, options.seeds)):
            both = {}
            for precision in PRECISIONS:
                out = folder / f"{number}-{precision}"
                seconds, mib = read(study, precision, out)
                both[precision] = scores(study, out)
                words = ", ".join(f"{k} {v:.4f}" for k, v in both[precision].items())
                print(f"{study.name}, {precision}: {seconds:.1f} s, {mib:.0f} MiB; {words}")
                sys.stdout.flush()
            for key, value in both["bfloat16"].items():
                gained.setdefault(key, []).append(value - both["float32"][key])
    for key, values in gained.items():
        print(f"{key}: mean {np.nanmean(values):+.4f}, worst {np.nanmin(values):+.4f}")


if __name__ == "__main__":
    main()
