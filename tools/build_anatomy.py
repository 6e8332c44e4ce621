"""Make the packaged anatomies from the raw sources.

    python tools/build_anatomy.py RAW_FOLDER [--cache FOLDER]

RAW_FOLDER holds ``meshes/`` (bone surfaces of MyoSuite ``myo_sim``) and ``ct-example/`` (test
data of TotalSegmentator). Needs ``trimesh``. Takes some minutes; with ``--cache`` the slow
steps are kept.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from anatomy_bones import (
    CT_BOTTOM_MM,
    GRID,
    ct_skeleton,
    mesh_skeleton,
    read_ct,
    read_mesh_windings,
    register,
    warp,
)
from anatomy_soft import lumbar_canal, soft_tissue

from pelvimets.phantom.anatomy.tissues import Skeleton, atlas_code

OUT = Path(__file__).parents[1] / "src" / "pelvimets" / "resources" / "anatomy"
T = TypeVar("T")


def main() -> None:
    """Parse and build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw", type=Path)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    build(arguments.raw, arguments.cache)


def build(raw: Path, cache: Path | None) -> None:
    """Write ``mesh.npz`` and ``ct.npz``."""
    windings = _kept(cache, "windings", lambda: read_mesh_windings(raw / "meshes"))
    mesh = mesh_skeleton(windings)
    ct = read_ct(raw / "ct-example")
    bones = _kept(cache, "ct_bones", lambda: ct_skeleton(ct, mesh))
    soft, canal = soft_tissue(ct, bones), lumbar_canal(bones)
    _save("ct", atlas_code(soft, bones, canal), bones, CT_BOTTOM_MM + 2.0)
    # Soft tissue of the CT, warped around the meshes: displacements from mesh to CT space.
    everywhere = np.ones(GRID.shape, bool)
    transform = _kept(
        cache,
        "mesh_to_ct",
        lambda: register(mesh.part > 0, bones.part > 0, everywhere, spline_mm=60.0),
    )
    soft = warp(soft, transform, nearest=True).astype(np.uint8)
    canal = warp(canal.astype(np.float32), transform, nearest=True) > 0.5
    _save("mesh", atlas_code(soft, mesh, canal), mesh, float(GRID.origin[2]))


def _kept(cache: Path | None, name: str, make: Callable[[], T]) -> T:
    """The result of a slow step, from the cache if it is there."""
    if cache is None:
        return make()
    path = cache / f"{name}.pickle"
    if path.exists():
        return pickle.loads(path.read_bytes())
    result = make()
    cache.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(result))
    return result


def _save(name: str, code: np.ndarray, skeleton: Skeleton, observed_above_mm: float) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        OUT / f"{name}.npz",
        code=code,
        spacing_mm=np.float64(GRID.spacing[0]),
        origin_lps_mm=np.array(GRID.origin),
        left_head_mm=np.array(skeleton.landmarks.left_head_mm),
        right_head_mm=np.array(skeleton.landmarks.right_head_mm),
        head_radius_mm=np.float64(skeleton.landmarks.head_radius_mm),
        observed_above_mm=np.float64(observed_above_mm),
    )


if __name__ == "__main__":
    main()
