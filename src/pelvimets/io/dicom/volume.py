"""One volume of a DICOM study: what its headers say, and its frames in stacking order."""

from __future__ import annotations

from dataclasses import dataclass

from pelvimets.core.series.facts import SeriesFacts
from pelvimets.io.dicom.frames import Frame

Component = tuple[Frame, ...]
Blend = tuple[tuple[tuple[Frame, float], ...], ...]


@dataclass(frozen=True, eq=False)
class DicomVolume:
    """One volume.

    Attributes:
        facts: What the headers say.
        components: One tuple of frames for each direction, average or time point; empty where
            the frames form no grid. Of stations that were joined, the nearest frames.
        notes: What was put right on the way, such as copies dropped.
        blend: Of stations that were joined, the frames of each slice and their shares.
    """

    facts: SeriesFacts
    components: tuple[Component, ...] = ()
    notes: tuple[str, ...] = ()
    blend: Blend = ()
