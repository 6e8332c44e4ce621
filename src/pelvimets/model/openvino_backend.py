"""Inference with OpenVINO, without torch; with torch on devices that OpenVINO does not know."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pelvimets.config import ReadingSettings
from pelvimets.core.further import registered
from pelvimets.core.segmenter import N_BONE_CLASSES
from pelvimets.core.volume import Volume
from pelvimets.errors import BundleError, ResourceError
from pelvimets.labels import FurtherInput, LearnedFrom, Sequence
from pelvimets.model.engine import LARGEST_TILE_VOXELS, Engine, NetworkFiles, compile_network
from pelvimets.model.ensemble import Ensemble
from pelvimets.model.inputs import beside, bone_input, further_channels, lesion_input
from pelvimets.model.tiles import tiled_probabilities

_OF_MEMORY = re.compile(r"alloc|memory", re.IGNORECASE)
_COMPILED_BYTES, _BYTES_PER_VOXEL = 300 * 1024**2, 664
_MARGIN_VOXELS = 8


@dataclass(eq=False)
class OpenVinoNetwork:
    """One network; compiled at the first call, or before by ``compile``."""

    files: NetworkFiles
    engine: Engine = field(default_factory=Engine)
    _compiled: Any = field(default=None, init=False)
    _lock: Any = field(default_factory=threading.RLock, init=False)

    def __call__(self, channels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Probabilities (outputs, z, y, x) of (inputs, z, y, x).

        What the network needs while it works is given back to the system afterwards.

        Raises:
            ResourceError: if the memory does not suffice, or the processor cannot do it.
            BundleError: if the network is not what the bundle says.
        """
        with self._lock:
            try:
                return tiled_probabilities(
                    self._run,
                    channels,
                    self.files.multiple_of,
                    self.engine.tile_voxels,
                    self.files.smallest,
                )
            finally:
                if self._compiled is not None:
                    self._compiled.release_memory()

    def compile(self) -> None:
        """Compile now what the first call would compile; raises what OpenVINO raises."""
        with self._lock:
            if self._compiled is None and self.engine.device.of_torch:
                from pelvimets.model.torch_engine import TorchCompiled

                device, arithmetic = self.engine.device.value, self.engine.arithmetic
                self._compiled = TorchCompiled(self.files, device, arithmetic)
            elif self._compiled is None:
                self._compiled = compile_network(self.files, engine=self.engine)

    def _run(self, channels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        image = np.ascontiguousarray(channels[None], dtype=np.float32)
        try:
            self.compile()
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
        small = self.engine.tile_voxels < LARGEST_TILE_VOXELS
        return ResourceError(
            f"A network could not be run; it needs about {needed:.0f} MiB of memory for itself",
            got=_last_line(error),
            remedy="Close other programs or raise the limit of memory (ulimit -v)"
            + ("" if small else ", or add --small-tiles, which is slower and needs less"),
        )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:160]


class Network(Protocol):
    """What the cascade calls: its own networks, or one of someone else."""

    def __call__(self, channels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Probabilities (outputs, z, y, x) of (inputs, z, y, x)."""
        ...

    def compile(self) -> None:
        """Do now what the first call would do first."""
        ...


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
        folds: By step (``bones``, ``lesions``), the member of an ensemble that did not learn
            from each patient of a cross-validation; from 1.
        inputs: By step and sequence, the further images that its network sees, in the order
            of its channels.
        further: Those of the patient that is read, as acquired.
    """

    name: str
    settings: ReadingSettings
    bones: Mapping[Sequence, Network]
    lesions: Mapping[Sequence, Network]
    weights_sha256: str
    learned_from: LearnedFrom = LearnedFrom.UNKNOWN
    folds: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    inputs: Mapping[str, Mapping[Sequence, tuple[str, ...]]] = field(default_factory=dict)
    further: Mapping[FurtherInput, Volume] = field(default_factory=dict)
    _turn: Any = field(default_factory=threading.Lock, init=False, repr=False)

    def compile_beside(self) -> threading.Thread:
        """Compile all networks while the caller does something else.

        A network that cannot be compiled says so when it is called.
        """
        networks = dict.fromkeys((*self.bones.values(), *self.lesions.values()))

        def compile_all() -> None:
            for network in networks:
                with contextlib.suppress(Exception):
                    network.compile()

        thread = threading.Thread(target=compile_all, name="compile networks", daemon=True)
        thread.start()
        return thread

    @property
    def cross_validated(self) -> frozenset[str]:
        """Patients from whom all members but one learned."""
        return frozenset(patient for fold_of in self.folds.values() for patient in fold_of)

    def unseen_by(self, patient: str) -> OpenVinoSegmenter:
        """The networks that did not learn from a patient; all of them for a stranger."""
        steps: dict[str, Mapping[Sequence, Network]] = {}
        for step, fold_of in self.folds.items():
            fold = fold_of.get(patient)
            if fold is not None:
                steps[step] = {s: _member(n, fold) for s, n in getattr(self, step).items()}
        return replace(self, **steps) if steps else self  # type: ignore[arg-type]

    @property
    def wanted(self) -> frozenset[FurtherInput]:
        """Further images that some network sees."""
        entries = [(own, s) for step in self.inputs.values() for s, own in step.items()]
        return frozenset(kind for own, s in entries for kind in beside(own, s) if kind is not None)

    def with_further(self, images: Mapping[FurtherInput, Volume]) -> OpenVinoSegmenter:
        """The networks with the further images of a patient."""
        return replace(self, further=images)

    def _beside(self, step: str, image: Volume, sequence: Sequence) -> list[npt.NDArray[Any]]:
        """Channels of the further images on the grid of the image."""
        entries = self.inputs.get(step, {}).get(sequence, ())
        placed = {
            kind: registered(self.further[kind], image, self.settings.intensity)
            for kind in beside(entries, sequence)
            if kind is not None and kind in self.further
        }
        return further_channels(entries, sequence, placed, image.array.shape)

    def bone_probabilities(self, image: Volume, sequence: Sequence) -> npt.NDArray[np.float32]:
        """Class probabilities (9, z, y, x); channel 0 is background."""
        channels = bone_input(image.array, self._beside("bones", image, sequence))
        with self._turn:  # one network at a time has all cores, and memory holds one
            return _answer(self.bones[sequence], channels, N_BONE_CLASSES)

    def lesion_probabilities(
        self, image: Volume, bones: Volume, sequence: Sequence
    ) -> npt.NDArray[np.float32]:
        """Probability of metastasis (z, y, x); 0 far from the bones, where nobody looks."""
        result = np.zeros(image.array.shape, dtype=np.float32)
        box = _bone_box(bones.array)
        if box is not None:
            further = [own[box] for own in self._beside("lesions", image, sequence)]
            channels = lesion_input(image.array[box], bones.array[box], sequence, further)
            with self._turn:
                result[box] = _answer(self.lesions[sequence], channels, 1)[0]
        return result


def _member(network: Network, fold: int) -> Network:
    if not isinstance(network, Ensemble):
        return network
    return Ensemble(network.members[fold - 1 : fold])


def _answer(network: Network, channels: npt.NDArray[Any], outputs: int) -> npt.NDArray[np.float32]:
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
