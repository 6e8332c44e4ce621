"""An image or label map with its place in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry, closest_canonical
from pelvimets.errors import GeometryError


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D array (z, y, x) on a grid; treat the array as read-only.

    Raises:
        GeometryError: if array and grid differ in shape.
    """

    array: npt.NDArray[Any]
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise GeometryError(
                "Array and grid differ in shape",
                got=f"array {self.array.shape}, grid {self.geometry.shape}",
            )

    def with_array(self, array: npt.NDArray[Any]) -> Volume:
        """Another array on the same grid."""
        return Volume(array, self.geometry)

    def canonical(self) -> Volume:
        """The same voxels with axes nearest to (superior, posterior, left); no resampling."""
        order, flips = closest_canonical(self.geometry)
        array = self.array.transpose(order)
        array = array[tuple(slice(None, None, -1) if f else slice(None) for f in flips)]
        return Volume(np.ascontiguousarray(array), self.geometry.reoriented(order, flips))
