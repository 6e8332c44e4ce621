"""Inference with OpenVINO on the CPU; no torch needed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from scipy import ndimage

from pelvimets.config import ReadingSettings
from pelvimets.core.segmenter import N_BONE_CLASSES
from pelvimets.core.volume import Volume
from pelvimets.errors import BundleError, ResourceError
from pelvimets.labels import LearnedFrom, Sequence
from pelvimets.model.inputs import bone_input, lesion_input
from pelvimets.model.tiles import tiled_probabilities

LARGEST_TILE_VOXELS = 2_600_000
SMALL_TILE_VOXELS = LARGEST_TILE_VOXELS // 4
_OF_MEMORY = re.compile(r"alloc|memory", re.IGNORECASE)
_COMPILED_BYTES, _BYTES_PER_VOXEL = 300 * 1024**2, 664
_MARGIN_VOXELS = 8
_MOST_THREADS = 8


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


@dataclass(eq=False)
class OpenVinoNetwork:
    """One compiled network; compiled at the first call."""

    files: NetworkFiles
    largest_tile_voxels: int = LARGEST_TILE_VOXELS
    _compiled: Any = field(default=None, init=False)

    def __call__(self, channels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Probabilities (outputs, z, y, x) of (inputs, z, y, x).

        Raises:
            ResourceError: if the memory does not suffice.
            BundleError: if the network is not what the bundle says.
        """
        return tiled_probabilities(
            self._run,
            channels,
            self.files.multiple_of,
            self.largest_tile_voxels,
            self.files.smallest,
        )

    def _run(self, channels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        image = np.ascontiguousarray(channels[None], dtype=np.float32)
        try:
            if self._compiled is None:
                self._compiled = compile_network(self.files)
            return np.asarray(self._compiled(image)[0][0], dtype=np.float32)
        except (RuntimeError, MemoryError) as error:
            raise self._failure(image, error) from error

    def _failure(self, image: npt.NDArray[Any], error: Exception) -> BundleError | ResourceError:
        """OpenVINO says RuntimeError of everything: of too little memory and of a bad network."""
        if isinstance(error, RuntimeError) and not _OF_MEMORY.search(str(error)):
            return BundleError(
                "A network of the bundle cannot be run",
                got=_last_line(error),
                remedy="Install or copy the bundle again, or take another one",
            )
        voxels = int(np.prod(image.shape[2:]))
        needed = (_COMPILED_BYTES + voxels * _BYTES_PER_VOXEL) / 1024**2
        small = self.largest_tile_voxels < LARGEST_TILE_VOXELS
        return ResourceError(
            f"A network could not be run; it needs about {needed:.0f} MiB of memory for itself",
            got=_last_line(error),
            remedy="Close other programs or raise the limit of memory (ulimit -v)"
            + ("" if small else ", or add --small-tiles, which is slower and needs less"),
        )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:160]


def compile_network(files: NetworkFiles, threads: int | None = None) -> Callable[..., Any]:
    """Compile for this machine's CPU.

    Arithmetic is float32 and the number of threads fixed, so that the same image gives the
    same bytes.
    """
    core = ov.Core()
    model = core.read_model(model=files.model, weights=files.weights)
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads or _threads(),
    }
    return core.compile_model(model, "CPU", options)  # type: ignore[no-any-return]


def _threads() -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return min(available or os.cpu_count() or 1, _MOST_THREADS)


@dataclass(frozen=True)
class OpenVinoSegmenter:
    """The cascade of a bundle; implements ``core.segmenter.Segmenter``.

    Attributes:
        name: Bundle name and version.
        settings: How images are prepared and answers read.
        bones: Network of each sequence.
        lesions: Network of each sequence.
        weights_sha256: Of all weights, for run records.
        learned_from: What the networks were trained on.
    """

    name: str
    settings: ReadingSettings
    bones: Mapping[Sequence, OpenVinoNetwork]
    lesions: Mapping[Sequence, OpenVinoNetwork]
    weights_sha256: str
    learned_from: LearnedFrom = LearnedFrom.UNKNOWN

    def bone_probabilities(self, image: Volume, sequence: Sequence) -> npt.NDArray[np.float32]:
        """Class probabilities (9, z, y, x); channel 0 is background."""
        return _answer(self.bones[sequence], bone_input(image.array), N_BONE_CLASSES)

    def lesion_probabilities(
        self, image: Volume, bones: Volume, sequence: Sequence
    ) -> npt.NDArray[np.float32]:
        """Probability of metastasis (z, y, x); 0 far from the bones, where nobody looks."""
        result = np.zeros(image.array.shape, dtype=np.float32)
        box = _bone_box(bones.array)
        if box is not None:
            channels = lesion_input(image.array[box], bones.array[box], sequence)
            result[box] = _answer(self.lesions[sequence], channels, 1)[0]
        return result


def _answer(
    network: OpenVinoNetwork, channels: npt.NDArray[Any], outputs: int
) -> npt.NDArray[np.float32]:
    """What a network says, if it is of the form and the kind that is needed."""
    found = network(channels)
    if found.shape != (outputs, *channels.shape[1:]) or not np.isfinite(found).all():
        raise BundleError(
            "A network of the bundle gives no probabilities of the kind that is needed",
            got=f"shape {found.shape} for {(outputs, *channels.shape[1:])}, "
            f"{int((~np.isfinite(found)).sum())} values not finite",
            remedy="Install or copy the bundle again, or take another one",
        )
    return found


def _bone_box(bones: npt.NDArray[Any]) -> tuple[slice, ...] | None:
    found = ndimage.find_objects((bones > 0).astype(np.uint8))
    if not found or found[0] is None:
        return None
    return tuple(slice(max(s.start - _MARGIN_VOXELS, 0), s.stop + _MARGIN_VOXELS) for s in found[0])
