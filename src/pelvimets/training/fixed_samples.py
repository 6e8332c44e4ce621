"""A chosen part of a source of samples."""

from __future__ import annotations

from dataclasses import dataclass

from pelvimets.training.sample import Sample, SampleSource


@dataclass(frozen=True)
class FixedSamples:
    """A part of a source that does not grow, so that every trial learns from the same.

    Attributes:
        source: Where the samples are.
        chosen: Their names.
    """

    source: SampleSource
    chosen: tuple[str, ...]

    def names(self) -> tuple[str, ...]:
        """Names of the samples."""
        return self.chosen

    def read(self, name: str) -> Sample:
        """One sample."""
        return self.source.read(name)
