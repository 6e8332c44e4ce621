"""From surfaces to voxels: filling, poses, distances."""

from __future__ import annotations

import numpy as np
import pytest

from pelvimets.core.geometry import Geometry
from pelvimets.phantom.anatomy.assembly import (
    fill_surface,
    mesh_poses,
    mesh_to_lps_mm,
    posed_triangles,
    winding_number,
)
from pelvimets.phantom.anatomy.distances import depth_mm, distance_to_mm


def cube(half: float) -> np.ndarray:
    """Twelve outward triangles (12, 3, 3) of a cube around the origin."""
    faces = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
            if sign < 0:
                square = square[::-1]
            corners = np.insert(square, 0, sign, axis=1)
            corners = np.roll(corners, axis, axis=1) * half
            faces += [corners[[0, 1, 2]], corners[[0, 2, 3]]]
    return np.array(faces)


def test_winding_number_is_one_inside_and_zero_outside() -> None:
    points = np.array([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0], [11.0, 0.0, 0.0], [50.0, 3.0, 1.0]])
    assert winding_number(cube(10.0), points) == pytest.approx([1.0, 1.0, 0.0, 0.0], abs=1e-9)


def test_orientation_of_the_surface_does_not_matter() -> None:
    inside = winding_number(cube(10.0)[:, ::-1], np.zeros((1, 3)))
    assert inside == pytest.approx([1.0])


def test_a_surface_with_a_hole_is_still_filled() -> None:
    geometry = Geometry.from_axes((16, 16, 16), (2.0, 2.0, 2.0), (-15.0, -15.0, -15.0))
    closed = fill_surface(cube(10.0), geometry) > 0.5
    open_surface = fill_surface(cube(10.0)[1:], geometry) > 0.5
    assert closed.sum() == 10**3
    assert (closed & ~open_surface).sum() < 0.15 * closed.sum()
    assert not (open_surface & ~closed).any()


def test_a_surface_outside_the_grid_fills_nothing() -> None:
    geometry = Geometry.from_axes((4, 4, 4), (1.0, 1.0, 1.0), (100.0, 100.0, 100.0))
    assert not fill_surface(cube(10.0), geometry).any()


def test_femoral_heads_lie_left_and_right_of_the_origin() -> None:
    poses = mesh_poses()
    right, left = (mesh_to_lps_mm(poses[n][:3, 3]) for n in ("r_femur", "l_femur"))
    assert right == pytest.approx([-77.26, 0.0, 0.0])
    assert left == pytest.approx([77.26, 0.0, 0.0])


def test_the_lumbar_chain_climbs() -> None:
    poses = mesh_poses()
    heights = [mesh_to_lps_mm(poses[f"lumbar{n}"][:3, 3])[2] for n in (5, 4, 3, 2, 1)]
    assert (np.diff(heights) > 20.0).all()


def test_posed_triangles_keep_their_size() -> None:
    triangle = np.array([[[0.0, 0.0, 0.0], [0.01, 0.0, 0.0], [0.0, 0.01, 0.0]]])
    placed = posed_triangles(triangle, mesh_poses()["lumbar3"])
    edges = np.linalg.norm(placed[0, 1:] - placed[0, 0], axis=1)
    assert edges == pytest.approx([10.0, 10.0])


def test_distances_are_in_mm_along_each_axis() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[4, 4, 4] = True
    distance = distance_to_mm(mask, (3.0, 2.0, 1.0))
    assert distance[5, 4, 4] == pytest.approx(3.0)
    assert distance[4, 5, 4] == pytest.approx(2.0)
    assert distance[4, 4, 5] == pytest.approx(1.0)
    assert depth_mm(mask, (3.0, 2.0, 1.0))[4, 4, 4] == pytest.approx(1.0)
