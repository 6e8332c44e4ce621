"""Samples kept as named sets of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pelvimets.labels import FurtherInput, Sequence
from pelvimets.training.sample import ONE_BY_ONE, Sample

_FURTHER = "further_"


class ArrayStore(Protocol):
    """Where named sets of arrays are kept, a folder as a rule."""

    def names(self) -> tuple[str, ...]:
        """Names of the sets, sorted."""
        ...

    def write(self, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Keep a set."""
        ...

    def read(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Read a set."""
        ...


@dataclass(frozen=True)
class SampleStore:
    """A ``SampleSource`` over a store of arrays.

    Attributes:
        arrays: The store.
        chosen: Samples to use; None takes all there are, also those that come later.
        sequences: Of these alone, by their short names.
    """

    arrays: ArrayStore
    chosen: tuple[str, ...] | None = None
    sequences: tuple[str, ...] = tuple(s.value for s in Sequence)

    def names(self) -> tuple[str, ...]:
        """Names of the samples to use, sorted."""
        names = self.arrays.names() if self.chosen is None else tuple(sorted(self.chosen))
        return tuple(name for name in names if name.rpartition("_")[2] in self.sequences)

    def write(self, sample: Sample) -> None:
        """Keep a sample."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "sequence": np.array(sample.sequence.value),
            "spacing_mm": np.asarray(sample.spacing_mm),
            "image": sample.image,
            "truth": sample.truth,
            "lesion_centres": sample.lesion_centres,
            "mimic_centres": sample.mimic_centres,
        }
        if sample.values != ONE_BY_ONE:
            arrays["values"] = np.asarray(sample.values, dtype=np.uint8)
        arrays |= {f"{_FURTHER}{kind}": own for kind, own in sample.further.items()}
        self.arrays.write(sample.name, arrays)

    def read(self, name: str) -> Sample:
        """Read a sample."""
        kept = self.arrays.read(name)
        z, y, x = (float(v) for v in kept["spacing_mm"])
        return Sample(
            name=name,
            sequence=Sequence(str(kept["sequence"])),
            spacing_mm=(z, y, x),
            image=kept["image"],
            truth=kept["truth"],
            lesion_centres=kept["lesion_centres"],
            mimic_centres=kept["mimic_centres"],
            values=tuple(int(v) for v in kept["values"]) if "values" in kept else ONE_BY_ONE,
            further={k: kept[n] for k in FurtherInput if (n := f"{_FURTHER}{k}") in kept},
        )
