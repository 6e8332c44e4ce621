"""OpenVINO against eager PyTorch on the same network: seconds and peak memory.

    python -m benchmarks.network_speed [--shape 80 96 112] [--threads 2] [--repeats 5]

Each back-end runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=[80, 96, 112], help="z y x")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=sorted(BACKENDS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measured(arguments.only, arguments)))
        return
    results = {name: in_own_process(name) for name in BACKENDS}
    print(f"grid {arguments.shape}, {arguments.threads} threads")
    for name, result in results.items():
        print(f"{name:10s} {result['seconds']:.2f} s, peak {result['peak_mib']:.0f} MiB")
    ratio = results["pytorch"]["seconds"] / results["openvino"]["seconds"]
    print(f"OpenVINO is {ratio:.2f} times as fast")


def in_own_process(name: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.network_speed", *sys.argv[1:], "--only", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(name: str, arguments: argparse.Namespace) -> dict[str, float]:
    image = np.random.default_rng(0).normal(size=(1, 1, *arguments.shape)).astype(np.float32)
    run = BACKENDS[name](arguments.threads)
    run(image)
    seconds = []
    for _ in range(arguments.repeats):
        start = time.perf_counter()
        run(image)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(seconds), "peak_mib": peak}


def pytorch_backend(threads: int) -> Callable[[np.ndarray], np.ndarray]:
    import torch

    from pelvimets.model.export import WithProbabilities
    from pelvimets.model.inputs import BONE_INPUTS, BONE_OUTPUTS
    from pelvimets.model.network import UNet
    from pelvimets.model.settings import NetworkSettings

    torch.set_num_threads(threads)
    network = WithProbabilities(UNet(NetworkSettings(), BONE_INPUTS, BONE_OUTPUTS), BONE_OUTPUTS)
    network.eval()

    def run(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(image)).numpy()

    return run


def openvino_backend(threads: int) -> Callable[[np.ndarray], np.ndarray]:
    from importlib.resources import files

    from pelvimets.model.engine import NetworkFiles, compile_network

    shipped = files("pelvimets.resources").joinpath("bundles", "first")
    model, weights = (shipped.joinpath(name).read_bytes() for name in ("bones.xml", "bones.bin"))
    compiled = compile_network(NetworkFiles(model, weights, (1, 1, 1)), threads)
    return lambda image: compiled(image)[0]


BACKENDS = {"openvino": openvino_backend, "pytorch": pytorch_backend}


if __name__ == "__main__":
    main()
