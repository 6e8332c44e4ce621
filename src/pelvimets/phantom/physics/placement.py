"""Where an acquired grid lies in patient space, and the truth that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry
from pelvimets.phantom.anatomy.patient import DigitalPatient
from pelvimets.phantom.physics.sampling import Axis
from pelvimets.phantom.physics.truth import Projection, label_map


@dataclass(frozen=True, eq=False)
class Truth:
    """Truth masks (z, y, x) of one sequence.

    Attributes:
        bones: ``Bone`` values; a metastasis counts as bone.
        lesions: Number of each metastasis.
        mimics: ``MimicKind.label``.
    """

    bones: npt.NDArray[np.uint8]
    lesions: npt.NDArray[np.uint16]
    mimics: npt.NDArray[np.uint8]


def truth_masks(patient: DigitalPatient, shape: tuple[int, int, int], project: Projection) -> Truth:
    """Masks of one sequence by its way of filling voxels."""
    return Truth(
        bones=label_map(patient.bones, shape, project, keep_small=False),
        lesions=label_map(patient.lesions, shape, project, keep_small=True),
        mimics=label_map(patient.mimics, shape, project, keep_small=True),
    )


def placed_geometry(axes: tuple[Axis, Axis, Axis], tilt_deg: float) -> Geometry:
    """Grid in LPS of axes (z, y, x) in the patient's frame.

    The patient lies tilted about the left-right axis through the origin, and the slices with
    him: the image is that of a straight one, its place in the scanner is oblique.
    """
    angle = np.deg2rad(tilt_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
    z, y, x = axes
    directions = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]) @ turn.T
    origin = turn @ np.array([x.first_mm, y.first_mm, z.first_mm])
    return Geometry.from_axes(
        (z.count, y.count, x.count),
        (z.step_mm, y.step_mm, x.step_mm),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        directions,
    )
