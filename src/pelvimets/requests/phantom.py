"""What digital patients to make: one man, or a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from pelvimets import __version__
from pelvimets.labels import FurtherInput, Split
from pelvimets.options import group, option
from pelvimets.phantom.choices import Artefacts, DicomStyle, Population

if TYPE_CHECKING:
    from pelvimets.phantom.cohort.build import PatientSettings
    from pelvimets.phantom.cohort.population import PatientPlan
    from pelvimets.phantom.physics.scanner import Scanner

SCANNER_HELP = "discovery, achieva, intera (3 T) or avanto (1.5 T)."


def further_inputs(texts: Sequence[str]) -> tuple[FurtherInput, ...]:
    """Further images by their names, parted by commas.

    Raises:
        SettingsError: if one is unknown.

    >>> len(further_inputs(["fat,water", "stir"]))
    3
    """
    return FurtherInput.named(name.strip() for text in texts for name in text.split(","))


@dataclass(frozen=True)
class Examined:
    """How digital patients are built and examined.

    Attributes:
        scanner: Name; None takes that of the DICOM vendor, of the plan, or ``discovery``.
        dicom: Vendor style of a DICOM study beside the NIfTI files.
        artefacts: Strengths.
        anatomy: Draw from these alone; () takes all that training sees.
        follow_up: Whether to make the second time point too.
        inputs: Further images to keep: Dixon parts, STIR, T2; the ADC map is always there.
        base: What anatomy and disease are drawn from; None takes the defaults.
    """

    scanner: str | None = option(SCANNER_HELP, "--scanner", default=None)
    dicom: DicomStyle | None = option(
        "Write a DICOM study too, as that vendor's scanner does.", "--dicom", default=None
    )
    artefacts: Artefacts = option(
        "Strength of an artefact, 0 is off: NAME=VALUE, or all=0. May be repeated.",
        "--artefact",
        factory=Artefacts,
        parse=Artefacts.parsed,
    )
    anatomy: tuple[str, ...] = option(
        "Anatomy to draw from, unseen ones too; may be repeated. [default: all that training sees]",
        default=(),
    )
    follow_up: bool = option(
        "Make a second time point in follow_up/.", "--follow-up", default=False
    )
    inputs: tuple[FurtherInput, ...] = option(
        "Further images: fat, water, out_phase, stir, t2, adc; parted by commas, or repeated.",
        "--inputs",
        default=(),
        parse=further_inputs,
    )
    base: PatientSettings | None = None

    @property
    def settings(self) -> PatientSettings:
        """What anatomy and disease are drawn from."""
        from pelvimets.phantom.cohort.build import PatientSettings

        base = self.base or PatientSettings()
        if not self.anatomy:
            return base
        return replace(base, anatomy=replace(base.anatomy, sources=self.anatomy))


@dataclass(frozen=True)
class PhantomOrder:
    """One digital patient to be made.

    Attributes:
        seed: Decides him.
        population, part: Draw him as a member of a population.
        examined: How he is built and examined.
    """

    seed: int = option("Decides the patient.", default=0, least=0)
    population: Population | None = option("Draw him from a population.", "--like", default=None)
    part: Split = option("His part of the population.", "--split", default=Split.TRAIN)
    examined: Examined = group(Examined)

    def plan(self) -> PatientPlan | None:
        """His place in a population, if he has one."""
        from pelvimets.phantom.cohort.population import draw_plan

        part = Split.TEST if self.population is Population.EXTERNAL else self.part
        return draw_plan(self.seed, self.population, part) if self.population else None

    def chosen_scanner(self) -> Scanner:
        """Where he is scanned."""
        from pelvimets.phantom.physics.scanner import scanner_named, scanner_of

        how, plan = self.examined, self.plan()
        if how.scanner is not None:
            return scanner_named(how.scanner)
        if plan is not None:
            return scanner_named(plan.scanner)
        return scanner_of(how.dicom.vendor) if how.dicom else scanner_named("discovery")


@dataclass(frozen=True)
class CohortMember:
    """One patient of a cohort: folder name and order."""

    key: str
    plan: PatientPlan
    order: PhantomOrder


@dataclass(frozen=True)
class CohortOrder:
    """A cohort to be made.

    Attributes:
        population: Which of the paper's cohorts it is like.
        patients: How many.
        seed: Decides all of them.
        examined: As for one patient; a scanner is one for all in place of the paper's mix.
    """

    population: Population = option("Which cohort.", "--like", default=Population.LESIONS)
    patients: int = option("Number of patients.", default=20, least=1)
    seed: int = option("Decides the cohort.", default=0, least=0)
    examined: Examined = group(Examined)

    def members(self) -> tuple[CohortMember, ...]:
        """The patients, each with what makes him."""
        from pelvimets.phantom.cohort.population import draw_cohort

        width = max(4, len(str(self.patients)))
        return tuple(
            CohortMember(
                f"p{number:0{width}d}",
                plan,
                PhantomOrder(plan.seed, plan.population, plan.part, self.examined),
            )
            for number, plan in enumerate(
                draw_cohort(self.population, self.patients, self.seed), start=1
            )
        )

    def as_data(self) -> dict[str, Any]:
        """Plain data that two runs of the same cohort share."""
        how = self.examined
        order = {"population": self.population, "patients": self.patients, "seed": self.seed}
        order |= {name: getattr(how, name) for name in ("scanner", "dicom", "follow_up")}
        order |= {"artefacts": asdict(how.artefacts), "settings": asdict(how.settings)}
        order |= {"inputs": [kind.value for kind in how.inputs]} if how.inputs else {}
        return {
            "made_by": f"pelvimets {__version__}",
            "notice": "Digital patients: in-silico. Research use only.",
            "order": order,
        }
