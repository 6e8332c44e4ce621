"""Where voxels lie: a grid in patient space (LPS, mm), arrays in (z, y, x) order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pelvimets.errors import GeometryError

FloatArray = npt.NDArray[np.float64]
_VOXEL_MM = 0.05, 50.0
_SMALLEST_FIELD_MM = 10.0


@dataclass(frozen=True, eq=False)
class Geometry:
    """A regular grid of voxel centres in patient space.

    Attributes:
        shape: Number of voxels along the array axes (z, y, x), that is slices, rows, columns.
        matrix: 4 x 4; maps a homogeneous array index (k, j, i, 1), in array axis order, to
            the voxel centre in LPS mm (x to the left, y posterior, z superior).

    Raises:
        GeometryError: if the axes are not orthogonal or the matrix is singular.
    """

    shape: tuple[int, int, int]
    matrix: FloatArray

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError("A grid needs three axes of at least one voxel", got=shape)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise GeometryError("A grid needs a finite 4 x 4 matrix", got=matrix.tolist())
        _check_orthogonal(matrix)
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "shape", shape)

    @classmethod
    def from_axes(
        cls,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float],
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
        axes: npt.ArrayLike | None = None,
    ) -> Geometry:
        """Build from spacing, origin and unit axes.

        Args:
            shape: Voxels (z, y, x).
            spacing: Voxel distance in mm (z, y, x).
            origin: LPS mm of voxel (0, 0, 0).
            axes: 3 x 3, row n = LPS unit vector of array axis n; default axial, head-up:
                z superior, y posterior, x left.
        """
        directions = _AXIAL if axes is None else np.asarray(axes, dtype=np.float64)
        matrix = np.eye(4)
        matrix[:3, :3] = directions.T * np.asarray(spacing, dtype=np.float64)
        matrix[:3, 3] = origin
        return cls(shape, matrix)

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels in mm, (z, y, x)."""
        z, y, x = np.linalg.norm(self.matrix[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def origin(self) -> tuple[float, float, float]:
        """LPS mm of the centre of voxel (0, 0, 0)."""
        x, y, z = self.matrix[:3, 3]
        return float(x), float(y), float(z)

    @property
    def direction(self) -> tuple[float, ...]:
        """The nine direction cosines as ITK orders them."""
        return tuple(float(v) for v in self.axes[::-1].T.ravel())

    @property
    def axes(self) -> FloatArray:
        """3 x 3; row n is the LPS unit vector of array axis n."""
        return np.asarray((self.matrix[:3, :3] / np.asarray(self.spacing)).T, dtype=np.float64)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing))

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @cached_property
    def inverse(self) -> FloatArray:
        """4 x 4; LPS mm to array index."""
        return np.asarray(np.linalg.inv(self.matrix), dtype=np.float64)

    def to_lps(self, index: npt.ArrayLike) -> FloatArray:
        """Map array indices (..., 3) in (z, y, x) order to LPS mm (..., 3).

        >>> grid = Geometry.from_axes((2, 3, 4), (5.0, 2.0, 1.0), origin=(10.0, 20.0, 30.0))
        >>> grid.to_lps([1, 2, 3]).tolist()
        [13.0, 24.0, 35.0]
        """
        points = np.asarray(index, dtype=np.float64)
        return np.asarray(points @ self.matrix[:3, :3].T + self.matrix[:3, 3], dtype=np.float64)

    def to_index(self, lps: npt.ArrayLike) -> FloatArray:
        """Map LPS mm (..., 3) to fractional array indices (..., 3) in (z, y, x) order."""
        points = np.asarray(lps, dtype=np.float64)
        return np.asarray(points @ self.inverse[:3, :3].T + self.inverse[:3, 3], dtype=np.float64)

    def corners(self) -> FloatArray:
        """LPS mm (8, 3) of the outer corners: voxel borders, not centres."""
        unit = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T
        return self.to_lps(unit * np.asarray(self.shape) - 0.5)

    def extent_mm(self) -> tuple[float, float, float]:
        """Size of the field along the array axes (z, y, x) in mm, voxel borders included."""
        z, y, x = np.asarray(self.shape) * np.asarray(self.spacing)
        return float(z), float(y), float(x)

    def matches(self, other: Geometry, tolerance_mm: float = 1e-2) -> bool:
        """Whether both grids have the same voxels: every corner agrees within the tolerance."""
        return self.shape == other.shape and bool(
            np.abs(self.corners() - other.corners()).max() <= tolerance_mm
        )

    def meets(self, other: Geometry) -> bool:
        """Whether both fields share any place, as boxes along the patient's axes."""
        a, b = self.corners(), other.corners()
        return bool((np.maximum(a.min(0), b.min(0)) < np.minimum(a.max(0), b.max(0))).all())

    def reoriented(self, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Geometry:
        """Grid of ``array.transpose(order)`` with the marked new axes reversed."""
        columns = self.matrix[:3, list(order)].copy()
        origin = self.matrix[:3, 3].copy()
        shape = tuple(self.shape[axis] for axis in order)
        for axis, flipped in enumerate(flips):
            if flipped:
                origin += columns[:, axis] * (shape[axis] - 1)
                columns[:, axis] *= -1
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = columns, origin
        return Geometry((shape[0], shape[1], shape[2]), matrix)


_AXIAL = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def check_scale(geometry: Geometry) -> None:
    """Refuse voxels and fields of a size that no MR image of a body has, as of a wrong unit.

    Raises:
        GeometryError: with the size.
    """
    extent = geometry.extent_mm()
    voxel_mm = geometry.spacing
    low, high = _VOXEL_MM
    if min(extent) < _SMALLEST_FIELD_MM or min(voxel_mm) < low or max(voxel_mm) > high:
        voxel = " x ".join(f"{mm:.3g}" for mm in voxel_mm)
        field = " x ".join(f"{mm:.3g}" for mm in extent)
        raise GeometryError(
            "The image is no picture of a pelvis by its size",
            got=f"voxels of {voxel} mm, field of {field} mm",
            remedy="Check the voxel size and its unit; lengths are in mm",
        )


def _check_orthogonal(matrix: FloatArray, tolerance: float = 1e-3) -> None:
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if (lengths <= 0).any():
        raise GeometryError("A grid needs positive spacing", got=lengths.tolist())
    unit = matrix[:3, :3] / lengths
    skew = np.abs(unit.T @ unit - np.eye(3)).max()
    if skew > tolerance:
        raise GeometryError(
            "The image axes are not at right angles",
            got=f"cosine {skew:.4f}",
            remedy="Resample a sheared volume (gantry tilt) to a regular grid first",
        )


Turn = tuple[tuple[int, int, int], tuple[bool, bool, bool]]


def closest_canonical(geometry: Geometry) -> Turn:
    """Order and flips that bring array axes nearest to (superior, posterior, left).

    Returns:
        ``order`` and ``flips`` for ``array.transpose(order)`` and ``Geometry.reoriented``.
    """
    return closest_turn(geometry, _AXIAL)


def closest_turn(geometry: Geometry, axes: FloatArray) -> Turn:
    """Order and flips that bring array axes nearest to others, given as 3 x 3 unit vectors."""
    wanted = axes @ geometry.axes.T  # wanted axis x array axis
    order = _best_permutation(np.abs(wanted))
    flips = tuple(bool(wanted[row, axis] < 0) for row, axis in enumerate(order))
    return order, (flips[0], flips[1], flips[2])


def _best_permutation(weight: FloatArray) -> tuple[int, int, int]:
    permutations = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    return max(permutations, key=lambda p: sum(weight[row, axis] for row, axis in enumerate(p)))
