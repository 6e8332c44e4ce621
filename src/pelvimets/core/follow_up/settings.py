"""Defaults of a comparison of time points."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from pelvimets.errors import SettingsError


@dataclass(frozen=True)
class MatchSettings:
    """When two lesions are one.

    Attributes:
        overlap_share: Least common volume, as a share of the smaller lesion.
        distance_mm: Largest distance of the centres of two that do not overlap so far, in the
            same bone, each with no other partner.
        grid_mm: Voxel of the grid on which bones are registered.
        clip_mm: Distances to the surface of a bone count up to here in a registration.
        bodies: Register the pelvic ring, the lumbar spine and each femur on its own, from where
            all bones together lie.
    """

    overlap_share: float = 0.2
    distance_mm: float = 10.0
    grid_mm: float = 3.0
    clip_mm: float = 15.0
    bodies: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.overlap_share <= 1:
            raise SettingsError("overlap_share lies in (0, 1]", got=self.overlap_share)
        for name in ("distance_mm", "grid_mm", "clip_mm"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} is above 0", got=getattr(self, name))


@dataclass(frozen=True)
class ResponseSettings:
    """Thresholds of the rule for a response category.

    Those of the ADC are of MET-RADS-P, Table 3 (Padhani AR et al., Eur Urol 2017;71:81-92). It has
    no numbers for the size of a bone lesion; those here are of this software: 20 % and 30 % in
    diameter, as RECIST 1.1 has them, as volumes of a ball, and 25 % as what counts as a change
    at all.

    Attributes:
        unequivocal_growth, likely_growth: Volume over that at the baseline.
        clear_shrinkage, likely_shrinkage: The same.
        least_growth_cm3: A smaller growth counts for nothing.
        new_cm3: A new lesion from here on is unequivocal, if it is scored as suspicious.
        adc_high, adc_low: um2/s.
        adc_clear_rise, adc_likely_rise: ADC over that at the baseline, minus 1.
        adc_likely_fall: The same downwards.
        share: Share of the volume at the baseline that a response must hold for.
    """

    unequivocal_growth: float = 1.728
    likely_growth: float = 1.25
    clear_shrinkage: float = 0.343
    likely_shrinkage: float = 0.75
    least_growth_cm3: float = 0.2
    new_cm3: float = 0.5
    adc_high: float = 1400.0
    adc_low: float = 1000.0
    adc_clear_rise: float = 0.40
    adc_likely_rise: float = 0.25
    adc_likely_fall: float = 0.25
    share: float = 0.5

    def __post_init__(self) -> None:
        for item in fields(self):
            if not getattr(self, item.name) > 0:
                raise SettingsError(f"{item.name} is above 0", got=getattr(self, item.name))


@dataclass(frozen=True)
class FollowUpSettings:
    """All settings of a comparison."""

    match: MatchSettings = field(default_factory=MatchSettings)
    response: ResponseSettings = field(default_factory=ResponseSettings)
