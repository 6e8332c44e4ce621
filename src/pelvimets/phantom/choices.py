"""What one chooses of a digital patient: population, part, vendor, artefacts. Quick to import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from pelvimets.errors import SettingsError
from pelvimets.options import named_numbers


class Population(StrEnum):
    """Which of the paper's cohorts to draw, or the hard one."""

    BONES = "bones"
    LESIONS = "lesions"
    EXTERNAL = "external"
    STRESS = "stress"


class Vendor(StrEnum):
    """Who built the scanner."""

    GE = "ge"
    PHILIPS = "philips"
    SIEMENS = "siemens"


class DicomStyle(StrEnum):
    """How a vendor's scanner exports a study; Philips exports in two ways."""

    GE = "ge"
    PHILIPS = "philips"
    PHILIPS_CLASSIC = "philips-classic"
    SIEMENS = "siemens"

    @property
    def vendor(self) -> Vendor:
        """Who built the scanner."""
        return Vendor(self.value.split("-")[0])

    @property
    def enhanced(self) -> bool:
        """Whether diffusion and Dixon series are multi-frame objects."""
        return self is DicomStyle.PHILIPS


@dataclass(frozen=True)
class Artefacts:
    """Strength of each imperfection: 0 switches it off, 1 is usual, more is worse.

    Attributes:
        noise: Rician noise, against the protocol's SNR.
        texture: Variation within a tissue.
        coil_bias: Uneven sensitivity of the coils.
        gibbs: 0 measures all of k-space; otherwise the protocol's share.
        epi_distortion: Displacement of the diffusion images by field errors.
        chemical_shift: Displacement of fat.
        fat_suppression_failure: Bright fat where the field is off, at the edges.
        ghost: N/2 ghost of the diffusion images.
        breathing: Ghosts of the moving abdominal wall on T1.
        motion: Movement between the two sequences.
        tilt: Slices not straight across the scanner.
        cut_off: Field of view that misses the upper or lower end.
    """

    noise: float = 1.0
    texture: float = 1.0
    coil_bias: float = 1.0
    gibbs: float = 1.0
    epi_distortion: float = 1.0
    chemical_shift: float = 1.0
    fat_suppression_failure: float = 1.0
    ghost: float = 1.0
    breathing: float = 1.0
    motion: float = 1.0
    tilt: float = 1.0
    cut_off: float = 1.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0.0 <= value <= 10.0:
                raise SettingsError(
                    f"Artefact {item.name} takes a strength from 0 to 10", got=value
                )

    @classmethod
    def parsed(cls, texts: Sequence[str]) -> Artefacts:
        """From texts ``NAME=VALUE``, the last of a name counts; ``all`` names every one.

        Raises:
            ValueError: if one has another form.
            SettingsError: if a name is unknown or a strength is out of range.

        >>> Artefacts.parsed(["all=0", "epi-distortion=2"]).epi_distortion
        2.0
        """
        made = cls()
        for name, strength in named_numbers(texts):
            names = cls.named() if name == "all" else (name.replace("-", "_"),)
            made = made.with_strength(**dict.fromkeys(names, strength))
        return made

    @classmethod
    def none(cls) -> Artefacts:
        """A perfect scanner; partial volume remains."""
        return cls(**{item.name: 0.0 for item in fields(cls)})

    @classmethod
    def named(cls) -> tuple[str, ...]:
        """Names of all artefacts."""
        return tuple(item.name for item in fields(cls))

    def with_strength(self, **strengths: float) -> Artefacts:
        """The same with some strengths changed.

        Raises:
            SettingsError: if a name is unknown or a strength is out of range.
        """
        unknown = sorted(set(strengths) - set(self.named()))
        if unknown:
            raise SettingsError(
                "Unknown artefact",
                got=", ".join(unknown),
                remedy=f"Known: {', '.join(self.named())}",
            )
        return replace(self, **strengths)
