"""What a study is estimated to cost against what it costs, at several sizes.

    python -m benchmarks.estimate [--sizes 40x128x128 200x512x512] [--scale 1.0] [--small-tiles]
        [--record tests/core/measured_costs.json]
    python -m benchmarks.estimate --fit tests/core/measured_costs.json

A digital patient's images are brought to each size (slices x rows x columns); T1 alone, and DWI,
T1 and ADC together, are read in processes of their own. Memory is the largest resident one.
Seconds are those of the processors, of two cores shared with nothing the clock shows no more;
the clock itself is printed beside them. --record adds each run to a file, by which
``core/budget.py`` is fitted (--fit prints the terms) and tested.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import network_grid, resample_image
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


def measured(arguments: list[str], out: Path) -> tuple[float, float, float, dict[str, Any]]:
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


def fit(file: Path) -> None:
    """Print what each term of the memory of a run is by the record, and how far that is off."""
    from scipy.optimize import nnls

    from pelvimets.model.bundle import load_segmenter
    from pelvimets.model.engine import LARGEST_TILE_VOXELS, SMALL_TILE_VOXELS

    settings = load_segmenter().settings
    rows, peaks = [], []
    for run in json.loads(file.read_text()):
        tile = SMALL_TILE_VOXELS if run["small_tiles"] else LARGEST_TILE_VOXELS
        grids = {
            name: Geometry(tuple(image["shape"]), np.array(image["matrix"]))
            for name, image in run["images"].items()
        }
        adc = grids.pop("adc").n_voxels / 1e6 if "adc" in grids else 0.0
        bones = sorted(
            min(prod(network_grid(grid, settings.bone_grid).shape), tile) / 1e6
            for grid in grids.values()
        )
        images = sum(grid.n_voxels for grid in grids.values()) / 1e6
        rows.append([1.0, bones[-1], len(bones) - 1.0, sum(bones[:-1]), images, adc])
        peaks.append(run["memory_mib"])
    terms, _ = nnls(np.array(rows), np.array(peaks, dtype=float))
    names = ("base", "network", "next image", "its network", "images", "ADC map")
    print(", ".join(f"{name} {term:.1f}" for name, term in zip(names, terms, strict=True)))
    for row, peak in zip(rows, peaks, strict=True):
        words = " ".join(f"{value:.2f}" for value in row)
        print(f"{words}: {peak} MiB measured, {np.dot(row, terms):.0f} by the fit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--small-tiles", action="store_true")
    parser.add_argument("--record", type=Path)
    parser.add_argument("--fit", type=Path)
    parser.add_argument("--three-alone", action="store_true", help="DWI, T1 and ADC together only")
    options = parser.parse_args()
    if options.fit:
        fit(options.fit)
        return
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
            for n, group in enumerate(GROUPS[1:] if options.three_alone else GROUPS):
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
