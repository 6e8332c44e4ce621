"""Digital patients measured against the literature."""

from __future__ import annotations

from collections.abc import Callable

from pelvimets.phantom.choices import Artefacts
from pelvimets.phantom.cohort.build import PatientSettings, build_patient
from pelvimets.phantom.cohort.checks import CheckRow, check_table
from pelvimets.phantom.physics.imaging import examine
from pelvimets.phantom.physics.scanner import scanner_named


def check_phantom(
    seeds: tuple[int, ...], scanner: str, stage: Callable[[str], None] = lambda name: None
) -> tuple[CheckRow, ...]:
    """Measure digital patients with metastases against the literature.

    Args:
        seeds: One patient each.
        scanner: Name of the scanner.
        stage: Called with the name of each stage as it starts.
    """
    undistorted = Artefacts().with_strength(
        epi_distortion=0.0, chemical_shift=0.0, motion=0.0, coil_bias=0.0, ghost=0.0, breathing=0.0
    )
    settings = PatientSettings(metastases_probability=1.0)
    return check_table(
        examine(
            build_patient(seed, settings),
            scanner_named(scanner),
            artefacts=undistorted,
            stage=stage,
        )
        for seed in seeds
    )
