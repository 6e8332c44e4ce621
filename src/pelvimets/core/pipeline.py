"""The pure middle of the main path: the images of a study in, masks and findings out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from pelvimets.core.digest import study_digest
from pelvimets.core.evidence import weigh_lesions
from pelvimets.core.field import parts_to_read, restored_bones, restored_lesions
from pelvimets.core.findings import BoneMasks, Findings, LesionMasks
from pelvimets.core.flags import flags_of
from pelvimets.core.further import seeing
from pelvimets.core.measure import Origin, measure
from pelvimets.core.segmentation import segment_study
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.study import Study


@dataclass(frozen=True, eq=False)
class StudyResult:
    """All that reading a study gives."""

    study: Study
    bones: BoneMasks
    lesions: LesionMasks
    findings: Findings


def process_study(
    study: Study,
    segmenter: Segmenter,
    stage: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> StudyResult:
    """Segment bones, segment lesions, weigh the evidence, measure.

    Args:
        study: The images with what is known of them.
        segmenter: The networks with their settings.
        stage: Is given the name of each step and entered around it.

    Raises:
        GeometryError: if a further image shows another place than the images of the study.
    """
    segmenter = seeing(segmenter, study)
    parts = parts_to_read(study.images, segmenter, stage)
    images = {s: parts[s].cut(image) if s in parts else image for s, image in study.images.items()}
    found = segment_study(images, segmenter, stage)
    adc = study.adc.volume if study.adc else None
    settings = segmenter.settings.lesions
    with stage("weigh lesions"):
        bones = restored_bones({s: own.whole_bones for s, own in found.items()}, parts)
        masks = restored_lesions(weigh_lesions(found, adc, settings), parts)
    with stage("measure"):
        findings = measure(
            bones,
            masks,
            adc,
            settings,
            Origin(
                patient_key=study.patient_key,
                bundle=segmenter.name,
                uid_seed=f"{segmenter.name}/{study_digest(study)}",
                flags=flags_of(study, bones, settings),
                learned_from=segmenter.learned_from,
            ),
        )
    return StudyResult(study, bones, masks, findings)
