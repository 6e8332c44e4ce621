"""One examination of a digital patient: every sequence in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from pelvimets.core.volume import Volume
from pelvimets.labels import FurtherInput, Sequence
from pelvimets.phantom.anatomy.patient import DigitalPatient, Tissue
from pelvimets.phantom.choices import Artefacts
from pelvimets.phantom.physics.companions import (
    LOCALISERS,
    STIR_AXIAL,
    T2_AXIAL,
    T2_SAGITTAL,
    CompanionImages,
    acquire_companion,
)
from pelvimets.phantom.physics.diffusion import DiffusionImages, acquire_diffusion
from pelvimets.phantom.physics.dixon import DixonImages, acquire_dixon
from pelvimets.phantom.physics.examination import Examination, draw_examination
from pelvimets.phantom.physics.placement import Truth
from pelvimets.phantom.physics.scanner import Scanner
from pelvimets.phantom.physics.sequences import DixonImage
from pelvimets.phantom.physics.spins import prepare_spins
from pelvimets.phantom.physics.tissue_parameters import varied_parameters

# Streams of random numbers, so that one part does not move another.
_TISSUES, _DRAW, _DIFFUSION, _DIXON, _COMPANIONS, _STIR = range(6)


_DIXON_INPUTS = {
    FurtherInput.FAT: DixonImage.FAT,
    FurtherInput.WATER: DixonImage.WATER,
    FurtherInput.OUT_PHASE: DixonImage.OUT_PHASE,
}
_COMPANION_INPUTS = {FurtherInput.STIR: STIR_AXIAL, FurtherInput.T2: T2_AXIAL}


@dataclass(frozen=True)
class Wanted:
    """Series of an examination beside diffusion.

    Attributes:
        dixon: Dixon images to reconstruct.
        companions: Whether to run localisers and T2-weighted series too.
        stir: Whether to run STIR too.
    """

    dixon: tuple[DixonImage, ...] = (DixonImage.IN_PHASE,)
    companions: bool = False
    stir: bool = False

    def and_further(self, inputs: Iterable[FurtherInput]) -> Wanted:
        """These, and what makes further images for networks."""
        kinds = set(inputs)
        return replace(
            self,
            dixon=tuple(DixonImage) if kinds & set(_DIXON_INPUTS) else self.dixon,
            companions=self.companions or FurtherInput.T2 in kinds,
            stir=self.stir or FurtherInput.STIR in kinds,
        )


WHOLE = Wanted(tuple(DixonImage), companions=True)
"""All that a study has."""


@dataclass(frozen=True, eq=False)
class ImagedPatient:
    """A digital patient with the images of one examination."""

    patient: DigitalPatient
    scanner: Scanner
    artefacts: Artefacts
    examination: Examination
    diffusion: DiffusionImages
    dixon: DixonImages
    companions: tuple[CompanionImages, ...] = ()

    @property
    def read(self) -> dict[Sequence, tuple[Volume, Truth]]:
        """What is read of each sequence, with its truth: DWI of the highest b, T1 in phase."""
        diffusion, dixon = self.diffusion, self.dixon
        highest, in_phase = diffusion.by_b[max(diffusion.by_b)], dixon.images[DixonImage.IN_PHASE]
        return {
            Sequence.DWI: (Volume(highest, diffusion.geometry), diffusion.truth),
            Sequence.T1: (Volume(in_phase, dixon.geometry), dixon.truth),
        }

    @property
    def further(self) -> dict[FurtherInput, Volume]:
        """Further images that a network may see, as far as they were acquired."""
        dixon, diffusion = self.dixon, self.diffusion
        found = {FurtherInput.ADC: Volume(diffusion.adc_um2_per_s, diffusion.geometry)}
        for kind, image in _DIXON_INPUTS.items():
            if image in dixon.images:
                found[kind] = Volume(dixon.images[image], dixon.geometry)
        for kind, sequence in _COMPANION_INPUTS.items():
            for taken in self.companions:
                if taken.sequence is sequence:
                    found[kind] = Volume(taken.array, taken.geometry)
        return found


def examine(
    patient: DigitalPatient,
    scanner: Scanner,
    *,
    artefacts: Artefacts | None = None,
    examination_number: int = 0,
    wanted: Wanted | None = None,
    stage: Callable[[str], None] = lambda name: None,
) -> ImagedPatient:
    """Scan a patient; the same patient, scanner and settings give the same images.

    Args:
        patient: Who; his seed decides tissues and texture.
        scanner: Where.
        artefacts: Strengths; default all usual.
        examination_number: Another number gives another examination of the same man.
        wanted: Series to make; None takes those that are read.
        stage: Called with the name of each stage as it starts.
    """
    artefacts, wanted = artefacts or Artefacts(), wanted or Wanted()

    def stream(purpose: int, number: int = examination_number) -> np.random.Generator:
        return np.random.default_rng([patient.seed, purpose, number])

    stage("tissues")
    rng = stream(_TISSUES, 0)
    spins = prepare_spins(patient, varied_parameters(rng), artefacts.texture, rng)
    examination = draw_examination(scanner, artefacts, body_centre_mm(patient), stream(_DRAW))
    stage("diffusion")
    diffusion = acquire_diffusion(spins, scanner, examination, artefacts, stream(_DIFFUSION))
    stage("dixon")
    dixon = acquire_dixon(spins, scanner, examination, artefacts, stream(_DIXON), wanted.dixon)
    around: tuple[CompanionImages, ...] = ()
    if wanted.companions:
        stage("companions")
        rng = stream(_COMPANIONS)
        around = tuple(
            acquire_companion(spins, sequence, scanner, examination, artefacts, rng)
            for sequence in (*LOCALISERS, T2_SAGITTAL, T2_AXIAL)
        )
    if wanted.stir:
        stage("STIR")
        rng = stream(_STIR)
        around += (acquire_companion(spins, STIR_AXIAL, scanner, examination, artefacts, rng),)
    return ImagedPatient(patient, scanner, artefacts, examination, diffusion, dixon, around)


def body_centre_mm(patient: DigitalPatient) -> tuple[float, float]:
    """Middle of the body (x, y) at the level of the femoral heads, in the patient's frame."""
    head = patient.landmarks.left_head_mm
    level = round(float(patient.geometry.to_index(head)[0]))
    level = min(max(level, 0), patient.geometry.shape[0] - 1)
    rows, columns = np.nonzero(patient.tissue[level] != Tissue.AIR)
    if rows.size == 0:
        return patient.landmarks.midline_x_mm, 0.0
    middle = [0.0, (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2]
    x, y, _ = patient.geometry.to_lps(middle)
    return float(x), float(y)
