"""Further images out of a DICOM study: found by their headers, read when networks want them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pelvimets.core.series.further import choose_further, with_further_taken
from pelvimets.core.series.table import Choice
from pelvimets.core.study import SeriesRole, Study
from pelvimets.io.dicom.joining import with_joined
from pelvimets.io.dicom.volumes import volumes_of
from pelvimets.io.study import OpenStudy, acquisition_of
from pelvimets.labels import FurtherInput


def with_further_series(study: Study, opened: OpenStudy, wanted: Iterable[FurtherInput]) -> Study:
    """A study with those further images that its DICOM objects hold.

    Args:
        study: As ``opened`` read it.
        opened: Its DICOM objects.
        wanted: Further images to look for.

    Raises:
        InputError: if the pixels of one cannot be decoded.
    """
    volumes = with_joined([v for series in opened.series.values() for v in volumes_of(series)])
    taken = [own for own in (study.dwi, study.t1) if own is not None and own.source is not None]
    uids = {own.source.series_instance_uid for own in taken if own.source is not None}
    facts = [volume.facts for volume in volumes]
    images = [own for own in facts if uids & set(own.all_series)]
    chosen = choose_further(facts, images, wanted)
    found = {
        kind: acquisition_of(volumes[number], Choice(number, SeriesRole.OTHER), opened.series)
        for kind, number in chosen.items()
    }
    rows = with_further_taken(study.decisions, [(k, facts[n]) for k, n in chosen.items()])
    return replace(study, further={**study.further, **found}, decisions=rows)
