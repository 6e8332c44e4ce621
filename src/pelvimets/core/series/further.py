"""Which series of a study are further images: parts of a Dixon, STIR, T2; the ADC map is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pelvimets.config import SelectionSettings
from pelvimets.core.further import lies_beside
from pelvimets.core.geometry import Geometry
from pelvimets.core.series.diffusion import is_diffusion
from pelvimets.core.series.facts import SeriesFacts, axial_cosine
from pelvimets.core.series.kind import copy_kind
from pelvimets.core.series.stations import overlap
from pelvimets.core.series.t1 import contrast_of, dixon_input, is_gradient_echo, not_t1_weighted
from pelvimets.core.series.words import FAT_SUPPRESSION, STIR
from pelvimets.core.study import SeriesDecision
from pelvimets.labels import FurtherInput

_STIR_INVERSION_MS = (90.0, 300.0)  # around the null of fat, from 1 to 3 T
_T2_ECHO_MS = 60.0


def choose_further(
    volumes: Sequence[SeriesFacts], images: Sequence[SeriesFacts], wanted: Iterable[FurtherInput]
) -> dict[FurtherInput, int]:
    """The volume that serves best as each further image; it covers most of the images.

    Args:
        volumes: Facts of every volume of the study.
        images: Facts of the images that are read.
        wanted: What to look for; the ADC map is chosen with the DWI.
    """
    settings = SelectionSettings()
    kinds = [further_kind(facts, settings) for facts in volumes]
    chosen = {}
    for kind in wanted:
        found = [
            (_rank(facts, images), number)
            for number, (facts, own) in enumerate(zip(volumes, kinds, strict=True))
            if own is kind and _serves(facts, images, settings)
        ]
        if found:
            chosen[kind] = min(found)[1]
    return chosen


def further_kind(facts: SeriesFacts, settings: SelectionSettings) -> FurtherInput | None:
    """What an image is beside DWI and T1, by its header; None for all else."""
    if facts.unusable or copy_kind(facts) or is_diffusion(facts) or contrast_of(facts):
        return None
    if is_stir(facts):
        return FurtherInput.STIR
    if not_t1_weighted(facts, settings) is None:
        return dixon_input(facts)
    spin_echo = not is_gradient_echo(facts) and "EP" not in facts.scanning_sequence
    long = facts.echo_time_ms is not None and facts.echo_time_ms >= _T2_ECHO_MS
    plain = not FAT_SUPPRESSION.stated(facts.description) and "FS" not in facts.scan_options
    return FurtherInput.T2 if spin_echo and long and plain else None


def is_stir(facts: SeriesFacts) -> bool:
    """Whether fat was nulled by an inversion pulse, by name or by timing."""
    low, high = _STIR_INVERSION_MS
    ti_ms = facts.inversion_time_ms
    timed = "IR" in facts.scanning_sequence and ti_ms is not None and low <= ti_ms <= high
    return (timed and not is_gradient_echo(facts)) or STIR.stated(facts.description)


def _serves(facts: SeriesFacts, images: Sequence[SeriesFacts], settings: SelectionSettings) -> bool:
    grid = facts.geometry
    if grid is None or facts.defect or facts.components > 1 or facts.station_of > 1:
        return False
    enough = facts.images >= settings.fewest_slices
    return enough and any(lies_beside(grid, own) for own in _grids(images))


def _rank(facts: SeriesFacts, images: Sequence[SeriesFacts]) -> tuple[float, float, float]:
    """Smaller is better: axial, covers most of the images, numbered nearest to one of them."""
    grid = facts.geometry
    assert grid is not None  # looked at before
    covered = max(_share(grid, own) for own in _grids(images))
    apart = min(abs((facts.number or 0) - (own.number or 0)) for own in images)
    return float(axial_cosine(grid) < SelectionSettings().axial_cosine), -round(covered, 1), apart


def _share(grid: Geometry, image: Geometry) -> float:
    """Share of the image's field that a grid covers."""
    smaller = min(grid.n_voxels * grid.voxel_volume_mm3, image.n_voxels * image.voxel_volume_mm3)
    return overlap(grid, image) * smaller / (image.n_voxels * image.voxel_volume_mm3)


def _grids(images: Sequence[SeriesFacts]) -> list[Geometry]:
    return [own.geometry for own in images if own.geometry is not None]


def with_further_taken(
    decisions: Sequence[SeriesDecision], taken: Iterable[tuple[FurtherInput, SeriesFacts]]
) -> tuple[SeriesDecision, ...]:
    """The table of series, with those that were taken as further images."""
    rows = list(decisions)
    for kind, facts in taken:
        for number, row in enumerate(rows):
            if row.series_instance_uid in facts.all_series:
                names = f"{row.taken_as} and {kind.value}" if row.taken_as else kind.value
                reason = row.reason if row.taken_as else f"{kind.title}, beside the images read"
                rows[number] = replace(row, taken_as=names, reason=reason)
    return tuple(rows)
