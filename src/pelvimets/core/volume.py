"""An image or label map with its place in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry, Turn, closest_canonical, closest_turn
from pelvimets.errors import GeometryError

if TYPE_CHECKING:
    import SimpleITK as sitk

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


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

    def __repr__(self) -> str:
        """Size, spacing and kind of number, without the voxels.

        >>> Volume(np.zeros((2, 3, 4), np.uint8), Geometry.from_axes((2, 3, 4), (5.0, 1.5, 1.5)))
        Volume(2 x 3 x 4 voxels of 5 x 1.5 x 1.5 mm, uint8)
        """
        voxels = " x ".join(map(str, self.array.shape))
        spacing = " x ".join(f"{mm:.4g}" for mm in self.geometry.spacing)
        return f"Volume({voxels} voxels of {spacing} mm, {self.array.dtype})"

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """4 x 4, from voxel indices (x, y, z) to RAS mm, as NIfTI has it.

        ``nibabel.Nifti1Image(volume.array.T, volume.affine)`` is the same image.
        """
        to_lps = self.geometry.matrix[:, [2, 1, 0, 3]]
        return np.asarray(_TO_RAS @ to_lps)

    def to_sitk(self) -> sitk.Image:
        """SimpleITK image with the same voxels in the same place (both are LPS)."""
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(self.array)
        image.SetOrigin(self.geometry.origin)
        image.SetSpacing(self.geometry.spacing[::-1])
        image.SetDirection(self.geometry.direction)
        return image

    def with_array(self, array: npt.NDArray[Any]) -> Volume:
        """Another array on the same grid."""
        return Volume(array, self.geometry)

    def cut(self, box: tuple[slice, slice, slice]) -> Volume:
        """The part inside a box of voxels, in its place."""
        matrix = self.geometry.matrix.copy()
        matrix[:3, 3] = self.geometry.to_lps(np.array([[part.start for part in box]]))[0]
        array = self.array[box]
        z, y, x = array.shape
        return Volume(array, Geometry((z, y, x), matrix))

    def canonical(self) -> Volume:
        """The same voxels with axes nearest to (superior, posterior, left); no resampling."""
        return self._turned(closest_canonical(self.geometry))

    def turned_to(self, grid: Geometry) -> Volume:
        """The same voxels in the order in which a grid has them; itself if the grids differ.

        Another tool may store an image along other axes; its voxels lie where they lay.
        """
        if self.geometry.matches(grid):
            return self
        turned = self._turned(closest_turn(self.geometry, grid.axes))
        return turned if turned.geometry.matches(grid) else self

    def _turned(self, turn: Turn) -> Volume:
        order, flips = turn
        array = self.array.transpose(order)
        array = array[tuple(slice(None, None, -1) if f else slice(None) for f in flips)]
        return Volume(np.ascontiguousarray(array), self.geometry.reoriented(order, flips))
