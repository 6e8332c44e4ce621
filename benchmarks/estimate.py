"""What a study is estimated to cost against what it costs, at several sizes.

    python -m benchmarks.estimate [--sizes 40x128x128 200x512x512] [--scale 1.0] [--small-tiles]
        [--record tests/core/measured_costs.json]

A digital patient's images are brought to each size (slices x rows x columns); T1 alone, and DWI,
T1 and ADC together, are read in processes of their own. Memory is the largest resident one.
Seconds are those of the processors, of two cores shared with nothing the clock shows no more;
the clock itself is printed beside them. --record adds each run to a file, by which
``core/budget.py`` is fitted and tested.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import resample_image
from pelvimets.core.volume import Volume
from pelvimets.io.nifti.files import read_nifti, write_nifti

SIZES = ["40x128x128", "80x256x256", "160x320x320", "320x512x512"]
GROUPS = (("t1",), ("dwi", "t1", "adc"))


def made(source: Volume, shape: tuple[int, int, int], scale: float, path: Path) -> Path:
    """The image with so many voxels, its field scaled."""
    matrix = source.geometry.matrix.copy()
    matrix[:3, :3] *= np.asarray(source.geometry.shape) / np.asarray(shape)
    array = resample_image(source, Geometry(shape, matrix), outside=0.0).array
    matrix[:3, :3] *= scale
    stored = np.clip(array, 0, 65535).astype(np.uint16)
    write_nifti(path, Volume(stored, Geometry(shape, matrix)))
    return path


def measured(arguments: list[str], out: Path) -> tuple[float, float, float, dict]:
    """MiB, processor seconds, clock seconds, and the estimate of one run."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pelvimets", "predict", *arguments, "-o", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"'predict' failed with {status}")
    record = json.loads((out / "run.json").read_text())
    cpu = usage.ru_utime + usage.ru_stime
    return usage.ru_maxrss / 1024, cpu, time.monotonic() - began, record["estimate"]


def note(
    file: Path, grids: dict[str, Geometry], mib: float, cpu: float, *, small_tiles: bool
) -> None:
    """Add a run to the record."""
    runs = json.loads(file.read_text()) if file.is_file() else []
    images = {
        name: {"shape": list(grid.shape), "matrix": np.round(grid.matrix, 4).tolist()}
        for name, grid in grids.items()
    }
    figures = {"memory_mib": round(mib), "cpu_seconds": round(cpu, 1)}
    runs.append({"images": images, "small_tiles": small_tiles, **figures})
    lines = ",\n".join(json.dumps(run) for run in runs)
    file.write_text(f"[\n{lines}\n]\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--small-tiles", action="store_true")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    more = ["--small-tiles"] if options.small_tiles else []
    print(
        f"{'size':<14}{'images':<14}{'MiB':>7}{'estimate':>10}{'s CPU':>8}{'estimate':>10}{'s':>7}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        phantom = [sys.executable, "-m", "pelvimets", "phantom", "--seed", "7"]
        subprocess.run([*phantom, "-o", name + "/man"], check=True, stdout=subprocess.DEVNULL)
        for size in options.sizes:
            z, y, x = (int(n) for n in size.split("x"))
            for n, group in enumerate(GROUPS):
                arguments, grids = list(more), {}
                for image in group:
                    source = read_nifti(folder / "man" / f"{image}.nii.gz")
                    path = made(source, (z, y, x), options.scale, folder / f"{image}.nii")
                    arguments += [f"--{image}", str(path)]
                    grids[image] = read_nifti(path).geometry
                mib, cpu, clock, estimate = measured(arguments, folder / f"{size}-{n}")
                if options.record:
                    note(options.record, grids, mib, cpu, small_tiles=options.small_tiles)
                print(
                    f"{size:<14}{'+'.join(group):<14}{mib:7.0f}{estimate['memory_mib']:10.0f}"
                    f"{cpu:8.1f}{estimate['seconds']:10.1f}{clock:7.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
