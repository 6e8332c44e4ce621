"""Further images of a patient for networks that know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pelvimets.core.segmenter import Segmenter, wanted_by
from pelvimets.core.study import Study
from pelvimets.io.further_series import with_further_series
from pelvimets.io.nifti.study import read_further_files
from pelvimets.io.study import OpenStudy
from pelvimets.labels import FurtherInput


def furnished(
    study: Study,
    segmenter: Segmenter,
    files: Mapping[FurtherInput, Path] | None = None,
    opened: OpenStudy | None = None,
    *,
    named: bool = False,
) -> Study:
    """The study with the further images that the networks know, and a note on those it lacks.

    Args:
        study: As read.
        segmenter: The networks.
        files: Of further images, as NIfTI; those that the networks do not know stay unread.
        opened: DICOM objects of the study, in which they are looked for.
        named: Whether a user named the files: those that stay unread are then noted.

    Raises:
        InputError: if one cannot be read.
        GeometryError: if one shows another place than the images of the study.
    """
    wanted = wanted_by(segmenter)
    unknown = [kind.title for kind in files or {} if kind not in wanted and named]
    if unknown:
        note = f"{', '.join(unknown)} not read: the networks of {segmenter.name} do not know it"
        study = replace(study, notes=(*study.notes, note))
    if not wanted:
        return study
    missing = [kind for kind in FurtherInput if kind in wanted - set(study.further_images)]
    read = read_further_files({k: p for k, p in (files or {}).items() if k in missing})
    study = replace(study, further={**study.further, **read})
    missing = [kind for kind in missing if kind not in read]
    if opened is not None and missing:
        study = with_further_series(study, opened, missing)
    lacking = [kind.title for kind in missing if kind not in study.further]
    if lacking:
        note = f"the networks also see {', '.join(lacking)}, which the study lacks: read without"
        study = replace(study, notes=(*study.notes, note))
    return study
