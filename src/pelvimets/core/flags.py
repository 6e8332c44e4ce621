"""All that is said of how far a result may be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pelvimets.config import LesionSettings
from pelvimets.core.contrast import adc_flags, contrast_flags
from pelvimets.core.findings import BoneMasks, QualityFlag
from pelvimets.core.lanes import side_by_side
from pelvimets.core.quality import agreement_flags, bone_flags, field_flags, network_flags
from pelvimets.core.study import Study
from pelvimets.labels import Sequence

if TYPE_CHECKING:
    pass


def flags_of(study: Study, bones: BoneMasks, settings: LesionSettings) -> tuple[QualityFlag, ...]:
    """Flags of the networks, the fields, the bones, the signals and the ADC map."""
    masks = bones.by_sequence
    flags = network_flags(masks, settings) + field_flags(bones)

    def of_one(sequence: Sequence) -> tuple[QualityFlag, ...]:
        mask, image = masks[sequence], study.images[sequence]
        return bone_flags(mask, sequence) + contrast_flags(image, mask, sequence)

    flags += sum(side_by_side(of_one, masks), ())
    if len(masks) == len(Sequence):
        flags += agreement_flags(masks[Sequence.DWI], masks[Sequence.T1])
    if study.adc is not None:
        flags += adc_flags(study.adc.volume, next(iter(masks.values())))
    return flags
