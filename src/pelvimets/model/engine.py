"""Networks compiled for a device of this machine, in the numbers asked for."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import openvino as ov

from pelvimets.config import Arithmetic
from pelvimets.errors import ResourceError
from pelvimets.model.devices import RunDevice

LARGEST_TILE_VOXELS = 2_600_000
SMALL_TILE_VOXELS = LARGEST_TILE_VOXELS // 4
_MOST_THREADS = 8


_HINTS = {Arithmetic.FLOAT32: "f32", Arithmetic.BFLOAT16: "bf16"}


class CompiledStore(Protocol):
    """Keeps compiled networks from one run to the next."""

    def read(self, key: str) -> bytes | None:
        """What was kept under a key; None if nothing was."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Keep something."""
        ...


@dataclass(frozen=True)
class Engine:
    """How networks are run; the defaults are a run record's when it says nothing.

    Attributes:
        tile_voxels: Most voxels that a network sees at a time.
        arithmetic: Numbers in which it reckons.
        store: Where networks compiled for the processor are kept; None keeps none.
        device: Where they are run; one that is there (``devices.chosen_device``).
    """

    tile_voxels: int = LARGEST_TILE_VOXELS
    arithmetic: Arithmetic = Arithmetic.FLOAT32
    store: CompiledStore | None = field(default=None, repr=False)
    device: RunDevice = RunDevice.CPU


@dataclass(frozen=True)
class NetworkFiles:
    """One network as read from a bundle.

    Attributes:
        model: OpenVINO's description (XML).
        weights: Its weights.
        multiple_of: Of the shapes that it takes (z, y, x).
        smallest: Smaller images are grown to this shape.
    """

    model: bytes
    weights: bytes
    multiple_of: tuple[int, int, int]
    smallest: tuple[int, int, int] = (1, 1, 1)


def compile_network(
    files: NetworkFiles, threads: int | None = None, engine: Engine | None = None
) -> ov.CompiledModel:
    """Compile for a device of OpenVINO, or take what was kept of the processor before.

    The kind of numbers and of threads is fixed, so that the same image gives the same bytes.

    Raises:
        ResourceError: if the device has no units for the numbers asked for.
    """
    engine = engine or Engine()
    if engine.device is RunDevice.GPU:
        model = _core().read_model(model=files.model, weights=files.weights)
        return _core().compile_model(model, "GPU", device_options(engine))
    return _compiled_for_cpu(files, threads, engine)


def _compiled_for_cpu(files: NetworkFiles, threads: int | None, engine: Engine) -> ov.CompiledModel:
    check_processor(engine.arithmetic)
    options = cpu_options(engine.arithmetic, threads)
    store, key = engine.store, _key(files, options)
    kept = None if store is None else store.read(key)
    if kept is not None:
        with contextlib.suppress(RuntimeError):  # a file that OpenVINO does not take is made anew
            return _core().import_model(io.BytesIO(kept), "CPU", options)
    model = _core().read_model(model=files.model, weights=files.weights)
    compiled = _core().compile_model(model, "CPU", options)
    if store is not None:
        store.write(key, compiled.export_model().getvalue())
    return compiled


def cpu_options(arithmetic: Arithmetic, threads: int | None = None) -> dict[str, Any]:
    """OpenVINO's options, fixed so that the same image gives the same bytes."""
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[arithmetic],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads or _threads(),
    }


def device_options(engine: Engine) -> dict[str, Any]:
    """OpenVINO's options on its device.

    Raises:
        ResourceError: if graphics are to reckon in bfloat16, which they do not.
    """
    if engine.device is RunDevice.CPU:
        return cpu_options(engine.arithmetic)
    if engine.arithmetic is not Arithmetic.FLOAT32:
        raise ResourceError(
            "OpenVINO has no bfloat16 on graphics", got="gpu", remedy="Leave out --precision"
        )
    return {"INFERENCE_PRECISION_HINT": _HINTS[Arithmetic.FLOAT32], "PERFORMANCE_HINT": "LATENCY"}


def check_processor(arithmetic: Arithmetic) -> None:
    """Refuse numbers that this processor has no units for.

    Raises:
        ResourceError: with what it has.
    """
    able = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if arithmetic is Arithmetic.BFLOAT16 and "BF16" not in able:
        raise ResourceError(
            "This processor has no units for bfloat16",
            got=", ".join(str(name) for name in able),
            remedy="Leave out --precision, or take a processor with AVX512-BF16 or AMX",
        )


@cache
def _core() -> ov.Core:
    return ov.Core()


def _key(files: NetworkFiles, options: Mapping[str, Any]) -> str:
    """Of a compiled network: what went in, and what compiled it for which processor."""
    processor = _core().get_property("CPU", "FULL_DEVICE_NAME")
    able = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    digest = hashlib.sha256(
        repr((ov.get_version(), processor, able, sorted(options.items()))).encode()
    )
    for part in (files.model, files.weights):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _threads() -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return min(available or os.cpu_count() or 1, _MOST_THREADS)
