"""Any grid in the patient looks up its tissue: atlas indices on a coarse lattice.

The deformation is computed at points about 12 mm apart and interpolated between them, so a
look-up costs three linear interpolations and one gather per voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.phantom.anatomy.atlas import Atlas
from pelvimets.phantom.anatomy.lattice import (
    Float32Array,
    interpolation_matrix,
    nodes_over,
    upsample,
)
from pelvimets.phantom.anatomy.patient import UInt8Array
from pelvimets.phantom.anatomy.variation import Variation, to_atlas

Axes = tuple[npt.NDArray[np.float64], ...]


def grid_axes(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    centre_mm: tuple[float, float, float],
    factors: tuple[int, int, int] = (1, 1, 1),
) -> Axes:
    """Patient coordinates along (z, y, x) of a grid, each voxel divided by the factors."""
    return tuple(
        np.asarray(c + (np.arange(n * f) - 0.5 * (n * f - 1)) * (s / f))
        for n, s, c, f in zip(shape, spacing_mm, centre_mm, factors, strict=True)
    )


@dataclass(frozen=True, eq=False)
class MappedLattice:
    """Atlas indices at coarse points of the patient, linear between them."""

    atlas: Atlas
    nodes: Axes
    index: Float32Array

    @classmethod
    def over(
        cls,
        axes: Axes,
        spacing_mm: tuple[float, float, float],
        step_mm: float,
        variation: Variation,
        atlas: Atlas,
    ) -> MappedLattice:
        """Map lattice points ``step_mm`` apart that cover a grid (LPS mm axes)."""
        nodes = tuple(
            nodes_over(axis[0] - s, axis[-1] + s, step_mm)
            for axis, s in zip(axes, spacing_mm, strict=True)
        )
        z, y, x = np.meshgrid(*nodes, indexing="ij")
        points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
        index = atlas.geometry.to_index(to_atlas(variation, points, atlas.landmarks))
        return cls(atlas, nodes, index.T.reshape(3, *z.shape).astype(np.float32))

    def look_up(self, axes: Axes) -> UInt8Array:
        """Atlas code (z, y, x) at the grid of patient axes; edges continue outwards."""
        matrices = tuple(interpolation_matrix(a, n) for a, n in zip(axes, self.nodes, strict=True))
        flat: npt.NDArray[np.int32] | None = None
        for component, size in zip(self.index, self.atlas.code.shape, strict=True):
            position = upsample(component, matrices)
            np.clip(position + np.float32(0.5), 0, size - 0.5, out=position)
            step = position.astype(np.int32)
            flat = step if flat is None else flat * np.int32(size) + step
        return self.atlas.code.reshape(-1)[flat]
