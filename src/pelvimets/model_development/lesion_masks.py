"""Who has metastases, by the masks alone, where no table says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pelvimets.core.judged import UNJUDGED_LESION
from pelvimets.errors import CohortError
from pelvimets.io.cohort.folder import CohortPatient
from pelvimets.io.nifti.files import read_nifti
from pelvimets.labels import Sequence

_KIND = "lesions"


def stage_of_masks(patient: CohortPatient, sequences: Iterable[Sequence] = Sequence) -> str:
    """``M1`` with a metastasis in any mask, ``M0`` if all are empty, empty if nobody looked.

    Args:
        patient: Of a cohort.
        sequences: Images to look at.

    Raises:
        InputError: if a mask cannot be read.
    """
    paths = [patient.mask_path(s, _KIND) for s in sequences if s in patient.sequences]
    masks = [read_nifti(path).array for path in paths if path.is_file()]
    if any(((mask > 0) & (mask != UNJUDGED_LESION)).any() for mask in masks):
        return "M1"
    return "M0" if masks else ""


def check_folds_have_lesions(
    patients: Iterable[CohortPatient], fold_of: Mapping[str, int], sequences: Iterable[Sequence]
) -> None:
    """Refuse folds on which nothing could be measured.

    Raises:
        CohortError: with the folds and their patients.
    """
    chosen = tuple(sequences)
    stages = {p.key: stage_of_masks(p, chosen) for p in patients if p.key in fold_of}
    with_lesions = {fold_of[key] for key, stage in stages.items() if stage == "M1"}
    bare = sorted(set(fold_of.values()) - with_lesions)
    if not bare:
        return
    of_bare = ({k for k, fold in fold_of.items() if fold == number} for number in bare)
    named = [f"fold {n}: {', '.join(sorted(k))}" for n, k in zip(bare, of_bare, strict=True)]
    count = sum(stage == "M1" for stage in stages.values())
    raise CohortError(
        "Folds without a metastasis, on which nothing could be measured",
        got="; ".join(named),
        remedy=f"{count} patients have metastases in the masks of {' and '.join(chosen)}: take "
        "fewer --folds, or write them into a column fold of the table",
    )
