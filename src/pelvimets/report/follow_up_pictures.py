"""Each lesion before and now, cut in the same planes of the patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.core.findings import Lesion
from pelvimets.core.follow_up.change import LesionChange, Quantity
from pelvimets.core.follow_up.course import Comparison, Course
from pelvimets.core.follow_up.matching import TimePoint
from pelvimets.core.follow_up.registration import Rigid
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence
from pelvimets.report.pictures import Picture, Scan, View, cut, plane_through

Images = Mapping[Sequence, Volume]
SHORT = {Sequence.DWI: "DWI", Sequence.T1: "T1"}
_VIEWS: tuple[View, ...] = ("axial", "coronal")
_STILL = Rigid(np.eye(3), np.zeros(3))


@dataclass(frozen=True)
class PairCard:
    """A lesion at two time points: what is printed over its pictures, and they."""

    title: str
    facts: str
    pictures: tuple[Picture, ...]


def pair_cards(
    course: Course, comparison: Comparison, images: Ordered[Images]
) -> tuple[PairCard, ...]:
    """Pictures of each lesion of a comparison: axial and coronal, before and now.

    The planes are those of the later examination through the lesion; the earlier one is cut where
    the registered bones say that they were. A time point whose field does not hold the place has
    no picture.

    Args:
        course: All time points.
        comparison: Two of them.
        images: What was acquired at each time point; without images there are no cards.
    """
    scans = [_scans(course.points[n], images[n]) for n in (comparison.before, comparison.now)]
    titles = [course.points[n].title for n in (comparison.before, comparison.now)]
    cards = []
    for change in comparison.lesions:
        sequence = _shown_on(change, scans)
        if sequence is not None:
            pictures = _pictures(change, comparison, sequence, scans, titles)
            cards.append(PairCard(_title(change), _facts(change), tuple(pictures)))
    return tuple(cards)


def _scans(point: TimePoint, images: Images) -> dict[Sequence, Scan]:
    scans = {}
    for sequence in images.keys() & point.bones.keys() & point.lesions.keys():
        seen = (x for x in point.findings.lesions if sequence in x.seen_on)
        numbers = {x.seen_on[sequence].label: x.number for x in seen}
        masks = point.bones[sequence], point.lesions[sequence]
        scans[sequence] = Scan(SHORT[sequence], images[sequence], *masks, numbers)
    return scans


def _shown_on(change: LesionChange, scans: Ordered[Mapping[Sequence, Scan]]) -> Sequence | None:
    """The sequence that was compared, else one that shows the lesion, else any that both have."""
    both = scans[0].keys() & scans[1].keys()
    own = (s for x in (*change.pair.now, *change.pair.before) for s in x.seen_on)
    wanted = (change.sequence, *own, *Sequence)
    return next((s for s in wanted if s is not None and s in both), None)


def _pictures(
    change: LesionChange,
    comparison: Comparison,
    sequence: Sequence,
    scans: Ordered[Mapping[Sequence, Scan]],
    titles: Ordered[str],
) -> Iterator[Picture]:
    known = comparison.matched.registrations
    registration = known.get(sequence) or next(iter(known.values()), None)
    moved = _STILL if registration is None else registration.of(change.pair.part)
    now = change.pair.now
    centre = _centre(now, sequence) if now else moved(_centre(change.pair.before, sequence))
    back = moved.inverse()
    for view in _VIEWS:
        plane = plane_through(_point(centre), view)
        for n, (place, own) in enumerate(((back(centre), _laid(plane, back)), (centre, plane))):
            scan = scans[n][sequence]
            if scan.holds(_point(place)):
                yield cut(scan, own, view, f"{titles[n]}: {scan.title}, {view}")


def _point(place: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in place)
    return x, y, z


def _laid(plane: Geometry, rigid: Rigid) -> Geometry:
    """A plane carried along."""
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = rigid.matrix, rigid.offset_mm
    return Geometry(plane.shape, whole @ plane.matrix)


def _centre(lesions: Ordered[Lesion], sequence: Sequence) -> npt.NDArray[np.float64]:
    """Centre LPS mm, of several weighted by their volume."""
    seen = [x.seen_on.get(sequence) or next(iter(x.seen_on.values())) for x in lesions]
    weights = [one.volume_cm3 for one in seen]
    return np.asarray(np.average([one.centre_lps_mm for one in seen], axis=0, weights=weights))


def _title(change: LesionChange) -> str:
    numbers = [
        "+".join(str(x.number) for x in own) for own in (change.pair.before, change.pair.now)
    ]
    words = {
        (True, True): f"{numbers[0]} before, {numbers[1]} now",
        (True, False): f"{numbers[0]} before",
        (False, True): f"{numbers[1]} now",
    }[bool(change.pair.before), bool(change.pair.now)]
    return f"{words}: {change.pair.part.title}, {change.pair.fate.value}"


def _facts(change: LesionChange) -> str:
    facts = [_words(change.volume_cm3, 2, "cm3")]
    if change.sequence is not None:
        facts[0] += f" on {SHORT[change.sequence]}"
    if change.adc_um2_per_s.before is not None or change.adc_um2_per_s.now is not None:
        facts.append("ADC " + _words(change.adc_um2_per_s, 0, "um2/s"))
    return ", ".join(facts)


def _words(quantity: Quantity, digits: int, unit: str) -> str:
    values = [f"{v:.{digits}f}" for v in (quantity.before, quantity.now) if v is not None]
    percent = quantity.change_percent
    return f"{' to '.join(values)} {unit}" + ("" if percent is None else f" ({percent:+.0f} %)")
