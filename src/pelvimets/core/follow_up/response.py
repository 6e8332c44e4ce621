"""A response category per region, suggested by a rule, for a reader to confirm.

After MET-RADS-P, Table 3, bone (Padhani AR et al., Eur Urol 2017;71:81-92), as far as volumes and
ADC say it: no fractures, no soft tissue, no signal of fat, no signal on high b-values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from pelvimets.core.follow_up.change import LesionChange, Region
from pelvimets.core.follow_up.matching import Fate
from pelvimets.core.follow_up.settings import ResponseSettings


class Category(IntEnum):
    """Response assessment category of MET-RADS-P."""

    CLEARLY_RESPONDING = 1
    LIKELY_RESPONDING = 2
    STABLE = 3
    LIKELY_PROGRESSING = 4
    CLEARLY_PROGRESSING = 5

    @property
    def words(self) -> str:
        """As MET-RADS-P calls it."""
        return {
            1: "highly likely to be responding",
            2: "likely to be responding",
            3: "no change",
            4: "likely to be progressing",
            5: "highly likely to be progressing",
        }[self.value]


@dataclass(frozen=True)
class Sign:
    """What one lesion says.

    Attributes:
        category: What it alone would be.
        rule: The rule that says so.
        fact: The values that it is said of.
        weight_cm3: Its volume at the baseline.
    """

    category: Category
    rule: str
    fact: str
    weight_cm3: float


@dataclass(frozen=True)
class Suggestion:
    """A category for a region, and why.

    Attributes:
        region: Where.
        category: None where nothing can be suggested.
        rule: In words, with its thresholds.
        facts: Of the lesions that it rests on.
        secondary: Of lesions that say otherwise, where some progress and some respond.
    """

    region: Region
    category: Category | None
    rule: str
    facts: tuple[str, ...] = ()
    secondary: Category | None = None


NOTHING = "no lesion in this region at either time"
NOT_COMPARABLE = "lesions lie outside the field of the other examination: nothing can be compared"
UNRELIABLE = "one of the two results needs review: nothing is suggested"


def suggestions(
    changes: Iterable[LesionChange],
    settings: ResponseSettings,
    *,
    suspicious_score: float,
    reliable: bool = True,
) -> tuple[Suggestion, ...]:
    """A suggestion for each region.

    Args:
        changes: What became of each lesion.
        settings: Thresholds.
        suspicious_score: Score from which on a new lesion counts as suspicious.
        reliable: Whether both results are free of flags that ask for review.
    """
    by_region: dict[Region, list[LesionChange]] = {region: [] for region in Region}
    for change in changes:
        by_region[change.region].append(change)
    return tuple(
        _suggestion(region, own, settings, suspicious_score, reliable)
        for region, own in by_region.items()
    )


def _suggestion(
    region: Region,
    changes: list[LesionChange],
    settings: ResponseSettings,
    suspicious_score: float,
    reliable: bool,
) -> Suggestion:
    if not changes:
        return Suggestion(region, None, NOTHING)
    if not reliable:
        return Suggestion(region, None, UNRELIABLE)
    signs = [s for c in changes if (s := sign_of(c, settings, suspicious_score)) is not None]
    if not signs:
        return Suggestion(region, None, NOT_COMPARABLE)
    worst = max(signs, key=lambda sign: sign.category)
    if worst.category >= Category.LIKELY_PROGRESSING:
        own = [sign for sign in signs if sign.category is worst.category]
        other = _response(signs, settings)
        secondary = other[0] if other[0] < Category.STABLE else None
        return Suggestion(
            region, worst.category, worst.rule, tuple(sign.fact for sign in own), secondary
        )
    category, rule, facts = _response(signs, settings)
    return Suggestion(region, category, rule, facts)


def _response(
    signs: list[Sign], settings: ResponseSettings
) -> tuple[Category, str, tuple[str, ...]]:
    """A response must hold for most of the disease at the baseline."""
    whole = sum(sign.weight_cm3 for sign in signs)
    for category in (Category.CLEARLY_RESPONDING, Category.LIKELY_RESPONDING):
        own = [sign for sign in signs if sign.category <= category]
        share = sum(sign.weight_cm3 for sign in own) / whole if whole else 0.0
        if own and share >= settings.share:
            rules = dict.fromkeys(s.rule for s in own if s.category is category) or dict.fromkeys(
                s.rule for s in own
            )
            rule = "; ".join(rules) + f"; holds for {share:.0%} of the volume at the baseline"
            return category, rule, tuple(sign.fact for sign in own)
    words = "no lesion is new or grew, and no response holds for "
    words += f"{settings.share:.0%} of the volume at the baseline"
    return Category.STABLE, words, tuple(sign.fact for sign in signs)


def sign_of(
    change: LesionChange, settings: ResponseSettings, suspicious_score: float
) -> Sign | None:
    """What a lesion says by itself; None where it cannot be compared."""
    fate = change.pair.fate
    if fate in (Fate.NOT_IN_FIELD_BEFORE, Fate.NOT_IN_FIELD_NOW):
        return None
    if fate is Fate.NEW:
        return _of_new(change, settings, suspicious_score)
    weight = change.volume_cm3.before or 0.0
    if fate is Fate.VANISHED:
        fact = f"{_title(change)}: gone ({weight:.2f} cm3 before)"
        return Sign(Category.CLEARLY_RESPONDING, "a lesion vanished", fact, weight)
    for rule in (_growth, _adc_fall, _adc_rise, _shrinkage):
        found = rule(change, settings)
        if found is not None:
            return Sign(*found, _fact(change), weight)
    return Sign(Category.STABLE, "neither volume nor ADC changed enough", _fact(change), weight)


def _of_new(change: LesionChange, settings: ResponseSettings, suspicious_score: float) -> Sign:
    volume = change.volume_cm3.now or 0.0
    score = max(lesion.score for lesion in change.pair.now)
    fact = f"{_title(change)}: new, {volume:.2f} cm3, score {score:.2f}"
    if volume >= settings.new_cm3 and score >= suspicious_score:
        rule = f"a new lesion of {settings.new_cm3:g} cm3 or more with a score of at least "
        return Sign(Category.CLEARLY_PROGRESSING, rule + f"{suspicious_score:.2f}", fact, 0.0)
    rule = f"a new lesion that is smaller than {settings.new_cm3:g} cm3 or scored lower than "
    return Sign(Category.LIKELY_PROGRESSING, rule + f"{suspicious_score:.2f}", fact, 0.0)


_Found = tuple[Category, str] | None


def _growth(change: LesionChange, settings: ResponseSettings) -> _Found:
    ratio = change.volume_cm3.ratio
    if ratio is None:
        return None
    grown = (change.volume_cm3.now or 0.0) - (change.volume_cm3.before or 0.0)
    if grown < settings.least_growth_cm3 or _clearly_risen(change, settings):
        return None
    if ratio >= settings.unequivocal_growth:
        words = f"a lesion grew by {settings.unequivocal_growth - 1:.0%} or more"
        return Category.CLEARLY_PROGRESSING, words
    if ratio >= settings.likely_growth:
        words = f"a lesion grew by {settings.likely_growth - 1:.0%} or more"
        return Category.LIKELY_PROGRESSING, words
    return None


def _adc_fall(change: LesionChange, settings: ResponseSettings) -> _Found:
    ratio, now = change.adc_um2_per_s.ratio, change.adc_um2_per_s.now
    if ratio is None or now is None or ratio > 1 - settings.adc_likely_fall:
        return None
    if now >= settings.adc_high:
        return None
    words = f"ADC of a lesion fell by {settings.adc_likely_fall:.0%} or more to below "
    return Category.LIKELY_PROGRESSING, words + f"{settings.adc_high:g} um2/s"


def _clearly_risen(change: LesionChange, settings: ResponseSettings) -> bool:
    found = _adc_rise(change, settings)
    return found is not None and found[0] is Category.CLEARLY_RESPONDING


def _adc_rise(change: LesionChange, settings: ResponseSettings) -> _Found:
    before, now = change.adc_um2_per_s.before, change.adc_um2_per_s.now
    if before is None or now is None or not before:
        return None
    rise = now / before - 1
    if rise >= settings.adc_clear_rise:
        return Category.CLEARLY_RESPONDING, f"ADC rose by {settings.adc_clear_rise:.0%} or more"
    if before <= settings.adc_high < now and rise >= settings.adc_likely_rise / 2:
        words = f"ADC rose from at most to above {settings.adc_high:g} um2/s"
        return Category.CLEARLY_RESPONDING, words
    if rise > settings.adc_likely_rise:
        return Category.LIKELY_RESPONDING, f"ADC rose by more than {settings.adc_likely_rise:.0%}"
    return None


def _shrinkage(change: LesionChange, settings: ResponseSettings) -> _Found:
    ratio = change.volume_cm3.ratio
    if ratio is None or ratio > settings.likely_shrinkage:
        return None
    if ratio <= settings.clear_shrinkage:
        words = f"a lesion shrank by {1 - settings.clear_shrinkage:.0%} or more"
        return Category.CLEARLY_RESPONDING, words
    words = f"a lesion shrank by {1 - settings.likely_shrinkage:.0%} or more"
    return Category.LIKELY_RESPONDING, words


def _title(change: LesionChange) -> str:
    numbers = "+".join(str(x.number) for x in (change.pair.now or change.pair.before))
    return f"lesion {numbers}, {change.pair.part.title}"


def _fact(change: LesionChange) -> str:
    text = f"{_title(change)}: {_arrow(change.volume_cm3.before, change.volume_cm3.now, 2)} cm3"
    adc = change.adc_um2_per_s
    if adc.before is not None and adc.now is not None:
        text += f", ADC {_arrow(adc.before, adc.now, 0)} um2/s"
    return text


def _arrow(before: float | None, now: float | None, digits: int) -> str:
    values = ["-" if value is None else f"{value:.{digits}f}" for value in (before, now)]
    return " to ".join(values)
