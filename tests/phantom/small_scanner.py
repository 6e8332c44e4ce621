"""The scanners with few voxels, so that a test costs a fraction of a second."""

from __future__ import annotations

from dataclasses import replace

from pelvimets.phantom.physics.scanner import Scanner
from pelvimets.phantom.physics.sequences import Field


def coarse(field: Field, pixels: int, slices: int) -> Field:
    """The same box with fewer voxels."""
    step = field.slices * field.spacing_mm / slices
    thickness = step * field.thickness_mm / field.spacing_mm
    height = round(pixels * field.fov_mm[1] / field.fov_mm[0])
    return Field((pixels, height), field.fov_mm, slices, thickness, step)


def small(scanner: Scanner) -> Scanner:
    """A scanner with the same timing and coarse voxels."""
    diffusion = scanner.diffusion
    field = coarse(diffusion.field, 112, 20)
    per_mm = diffusion.phase_bandwidth_hz / diffusion.field.pixel_mm[1]
    return replace(
        scanner,
        diffusion=replace(diffusion, field=field, phase_bandwidth_hz=per_mm * field.pixel_mm[1]),
        dixon=replace(scanner.dixon, field=coarse(scanner.dixon.field, 128, 24)),
    )
