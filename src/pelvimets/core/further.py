"""Further images of the same patient, beside the one that is read: registered by their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from pelvimets.config import IntensitySettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.intensity import normalise
from pelvimets.core.resample import resample_image
from pelvimets.core.segmenter import Segmenter, beside, wanted_by
from pelvimets.core.series.stations import overlap
from pelvimets.core.study import Study
from pelvimets.core.volume import Volume
from pelvimets.errors import GeometryError
from pelvimets.labels import FurtherInput, Sequence

_LEAST_OVERLAP = 0.1  # of the smaller field


def registered(
    further: Volume, image: Volume, intensity: IntensitySettings
) -> npt.NDArray[np.float32]:
    """A further image on the grid of a prepared one (z, y, x), z-scored; 0 outside of either.

    Both lie where their headers say: movement between them is not undone.

    Args:
        further: As acquired, on its own grid.
        image: Prepared for a network; 0 outside its field.
        intensity: As of the image.
    """
    placed = resample_image(further, image.geometry).array
    inside = ~np.isnan(placed) & (image.array != 0)
    if not inside.any():
        return np.zeros(image.geometry.shape, dtype=np.float32)
    return normalise(placed, intensity, inside)


def lies_beside(further: Geometry, image: Geometry) -> bool:
    """Whether a further image shows enough of what an image shows."""
    return overlap(further, image) >= _LEAST_OVERLAP


def check_beside(
    further: Mapping[FurtherInput, Geometry], images: Mapping[Sequence, Geometry], of: str
) -> None:
    """Refuse further images that show another place than every image that they stand beside.

    Args:
        further: Grids of the further images.
        images: Grids of the images.
        of: Whose they are, for the message.

    Raises:
        GeometryError: with the first of them.
    """
    for kind, grid in further.items():
        if images and not any(lies_beside(grid, image) for image in images.values()):
            raise GeometryError(
                "A further image shows another place than the image that it stands beside",
                got=f"{of}: {kind.value} at {_place([grid])}, {' and '.join(images)} at "
                f"{_place(images.values())}",
                remedy="Look at both in a viewer; leave the further image out, or give the one of "
                "this examination",
            )


def seeing(segmenter: Segmenter, study: Study) -> Segmenter:
    """The networks with the study's further images beside what they read.

    Raises:
        GeometryError: if one shows another place than the images of the study.
    """
    known = wanted_by(segmenter)
    grids = {k: v.geometry for k, v in study.further_images.items() if k in known}
    images = {s: image.geometry for s, image in study.images.items()}
    check_beside(grids, images, f"study {study.patient_key}")
    return beside(segmenter, study.further_images)


def _place(grids: Iterable[Geometry]) -> str:
    """Range along the three axes, LPS mm."""
    corners = np.concatenate([grid.corners() for grid in grids])
    ends = zip("xyz", corners.min(axis=0), corners.max(axis=0), strict=True)
    return ", ".join(f"{axis} {low:.0f} to {high:.0f} mm" for axis, low, high in ends)
