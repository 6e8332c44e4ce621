"""Seconds of one core for a training sample and for a digital man's anatomy, and peak memory.

python benchmarks/phantom_speed.py [--samples 20] [--men 5]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np

from pelvimets.phantom.build import PatientSettings, build_patient
from pelvimets.phantom.sampler import draw_sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--men", type=int, default=5)
    arguments = parser.parse_args()
    sample = timed(lambda seed: draw_sample(np.random.default_rng(seed)), arguments.samples)
    print(f"training sample, 48 x 96 x 96 at 4 mm: {sample:.3f} s, {1 / sample:.1f} per second")
    settings = PatientSettings(metastases_probability=1.0)
    man = timed(lambda seed: build_patient(seed, settings), arguments.men)
    shape = settings.anatomy.geometry.shape
    print(f"anatomy with metastases, {shape} at {settings.anatomy.spacing_mm} mm: {man:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory of both: {peak:.2f} GB")


def timed(make: Callable[[int], object], number: int) -> float:
    """CPU seconds per call, after one call to warm up."""
    make(0)
    start = time.process_time()
    for seed in range(number):
        make(seed)
    return (time.process_time() - start) / number


if __name__ == "__main__":
    main()
