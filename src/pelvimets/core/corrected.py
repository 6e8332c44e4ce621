"""Findings and masks after a reader's review: every lesion measured again as it was left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cc3d
import numpy as np

from pelvimets.config import LesionSettings
from pelvimets.core.bones import midline_plane, sided_parts
from pelvimets.core.findings import Findings, Lesion, Lesions, SequenceFindings, SequenceLesion
from pelvimets.core.lesions import largest_axial_diameter_mm
from pelvimets.core.measure import burden_per_part, lesion_adc, part_of_lesion
from pelvimets.core.resample import resample_labels
from pelvimets.core.review import (
    Drawn,
    LesionReview,
    Review,
    Verdict,
    corrected_masks,
    kept_lesions,
)
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence

_DRAWN_BY_READER = 1.0  # score of a shape that only the reader saw
_NO_PROBABILITY = 0.0  # the network marked nothing there


@dataclass(frozen=True, eq=False)
class ReviewedStudy:
    """What a study's outputs are made from after a review.

    Attributes:
        findings: Without the rejected lesions, with the reader's; numbers and tracking UIDs
            are those of the review.
        lesions: Corrected label maps (uint16) per sequence.
        review: The review itself.
        bones: Bone label maps per sequence, as the reader left them.
    """

    findings: Findings
    lesions: dict[Sequence, Volume]
    review: Review
    bones: dict[Sequence, Volume]


class ReviewMeasure:
    """Measures the lesions of one study again and again while a reader corrects them.

    Args:
        findings: As the model left them.
        bones: Bone label maps per sequence.
        adc: ADC map in um2/s on its own grid, or None.
        settings: By which a pending lesion counts as suspicious.
    """

    def __init__(
        self,
        findings: Findings,
        bones: Mapping[Sequence, Volume],
        adc: Volume | None,
        settings: LesionSettings,
    ) -> None:
        self._findings, self._adc, self._settings = findings, adc, settings
        self.use_bones(bones)
        self._by_number = {lesion.number: lesion for lesion in findings.lesions}

    def use_bones(self, bones: Mapping[Sequence, Volume]) -> None:
        """Measure in these bones from now on."""
        self._bones = dict(bones)
        self._parts = {s: sided_parts(b, midline_plane(b)) for s, b in bones.items()}

    def lesions(self, review: Review, drawn: Drawn) -> tuple[Lesion, ...]:
        """Every lesion as drawn, rejected ones too; one that has no voxel left is missing."""
        boxes = {s: _boxes(volume) for s, volume in drawn.items()}
        adc = self._adc
        on_adc = {s: resample_labels(v, adc.geometry) for s, v in drawn.items()} if adc else {}
        found = (self._lesion(entry, drawn, boxes, on_adc) for entry in review.lesions)
        return tuple(lesion for lesion in found if lesion is not None)

    def _lesion(
        self,
        entry: LesionReview,
        drawn: Drawn,
        boxes: Mapping[Sequence, dict[int, tuple[slice, ...]]],
        on_adc: Mapping[Sequence, Volume],
    ) -> Lesion | None:
        first = self._by_number.get(entry.number)
        seen = {
            s: _measured(label, drawn[s], boxes[s][label], first.seen_on.get(s) if first else None)
            for s, label in entry.labels.items()
            if label in boxes[s]
        }
        if not seen:
            return None
        leading = Sequence.DWI if Sequence.DWI in seen else Sequence.T1
        adc: tuple[float | None, float | None] = (None, None)
        if self._adc is not None:
            adc = lesion_adc(seen[leading].label, on_adc[leading], self._adc)
        return Lesion(
            number=entry.number,
            tracking_uid=entry.tracking_uid,
            part=part_of_lesion(seen[leading], drawn[leading], self._parts[leading]),
            seen_on=seen,
            adc_mean_um2_per_s=adc[0],
            adc_median_um2_per_s=adc[1],
        )

    def apply(self, review: Review, drawn: Drawn) -> ReviewedStudy:
        """Corrected findings and masks.

        A lesion that the reader accepted or drew counts as suspicious whatever its score, a
        rejected one not at all, a pending one by its score. The scores stay those of the model.
        """
        kept = kept_lesions(review, self.lesions(review, drawn))
        masks = corrected_masks(review, drawn)
        sequences = {
            s: self._sequence(found, kept, masks[s], review)
            for s, found in self._findings.sequences.items()
        }
        findings = replace(
            self._findings,
            lesions=Lesions(kept),
            sequences=sequences,
            m1_suspected=any(f.m1_suspected for f in sequences.values()),
        )
        return ReviewedStudy(findings, masks, review, self._bones)

    def _sequence(
        self, found: SequenceFindings, kept: tuple[Lesion, ...], mask: Volume, review: Review
    ) -> SequenceFindings:
        here = [lesion for lesion in kept if found.sequence in lesion.seen_on]
        seen = tuple(lesion.seen_on[found.sequence] for lesion in here)
        return replace(
            found,
            lesions=seen,
            total_lesion_volume_cm3=sum(lesion.volume_cm3 for lesion in seen),
            burden=burden_per_part(self._parts[found.sequence], mask),
            m1_suspected=any(
                self._suspicious(
                    found.sequence, lesion.seen_on[found.sequence], review.lesion(lesion.number)
                )
                for lesion in here
            ),
        )

    def _suspicious(self, sequence: Sequence, lesion: SequenceLesion, entry: LesionReview) -> bool:
        if entry.verdict is Verdict.ACCEPTED:
            return True
        decides = self._settings.of(sequence).decides
        return decides and lesion.score >= self._settings.operating_point


def _boxes(volume: Volume) -> dict[int, tuple[slice, ...]]:
    """The box of each label present."""
    if not volume.array.any():
        return {}
    statistics = cc3d.statistics(volume.array)
    counts = statistics["voxel_counts"]
    return {n: statistics["bounding_boxes"][n] for n in range(1, len(counts)) if counts[n]}


def _measured(
    label: int, drawn: Volume, box: tuple[slice, ...], first: SequenceLesion | None
) -> SequenceLesion:
    """A drawn lesion's measures; probability and score stay those of the model's lesion."""
    index = np.argwhere(drawn.array[box] == label) + [s.start for s in box]
    x, y, z = drawn.geometry.to_lps(index.mean(axis=0))
    return SequenceLesion(
        label=label,
        volume_cm3=float(len(index) * drawn.geometry.voxel_volume_mm3 / 1000),
        largest_axial_diameter_mm=largest_axial_diameter_mm(index, drawn.geometry),
        centre_lps_mm=(float(x), float(y), float(z)),
        mean_probability=first.mean_probability if first else _NO_PROBABILITY,
        score=first.score if first else _DRAWN_BY_READER,
    )
