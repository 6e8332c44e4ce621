"""Networks of several runs on one task, read together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pelvimets.errors import BundleError
from pelvimets.model.engine import NetworkFiles


class CompiledNetwork(Protocol):
    """A network that can be called."""

    def __call__(self, channels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Probabilities (outputs, z, y, x) of (inputs, z, y, x)."""
        ...

    def compile(self) -> None:
        """Get ready for the first call."""
        ...


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks of several runs on one task; their probabilities are averaged.

    Attributes:
        members: By fold, from 1.
    """

    members: tuple[CompiledNetwork, ...]

    def compile(self) -> None:
        """Compile all members; raises what OpenVINO raises."""
        for member in self.members:
            member.compile()

    @property
    def files(self) -> NetworkFiles:
        """There is no single network.

        Raises:
            BundleError: always.
        """
        raise BundleError(
            "This needs one network, and the bundle averages several",
            got=f"{len(self.members)} networks",
            remedy="Make a bundle of one fold: --bones RUN/fold-1, --lesions RUN/fold-1",
        )

    def __call__(self, channels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Mean probabilities (outputs, z, y, x) of (inputs, z, y, x)."""
        total = self.members[0](channels)
        for member in self.members[1:]:
            total = total + member(channels)
        return np.asarray(total / len(self.members), dtype=np.float32)
