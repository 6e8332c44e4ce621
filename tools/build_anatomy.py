"""Make the packaged anatomies from the raw sources.

    python tools/build_anatomy.py RAW_FOLDER [--cache FOLDER] [--only NAME ...]

RAW_FOLDER holds ``meshes/`` (bone surfaces of MyoSuite ``myo_sim``), ``ct-example/`` (test data
of TotalSegmentator) and ``people/`` (label maps). Needs ``trimesh``. Takes half an hour; with
``--cache`` the slow steps are kept.
"""

from __future__ import annotations

import argparse
import io
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
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
from anatomy_pelves import (
    Carrier,
    Donor,
    Pelves,
    Pelvis,
    donor_points,
    mean_shape,
    onto_donor,
    pelvis_skeleton,
    placed,
    read_pelves,
)
from anatomy_people import (
    LUMBAR,
    Loan,
    Person,
    lend,
    loan,
    read_ref,
    read_ts,
    ref_skeleton,
    ts_skeleton,
)
from anatomy_people_soft import soft_of
from anatomy_soft import _without_bone, lumbar_canal, soft_tissue

from pelvimets.phantom.anatomy.atlas import SOURCES, UNSEEN_SOURCES, WOMEN, load_atlas
from pelvimets.phantom.anatomy.convention import Part
from pelvimets.phantom.anatomy.tissues import Skeleton, atlas_code

OUT = Path(__file__).parents[1] / "src" / "pelvimets" / "resources" / "anatomy"
T = TypeVar("T")

LENDERS = {
    "ts-s0328": "ref-002",
    "ref-001": "ct",
    "ref-002": "ts-s0328",
    "ref-004": "ts-s0328",
    # Seen by no training; they borrow from each other alone.
    "ts-s0011": "ref-005",
    "ref-005": "ts-s0011",
}
"""Who lends each person what his source lacks."""


MEN_LENDERS = ("ref-002", "ts-s0328")
WOMAN_LENDER = "ref-004"
UNSEEN_LENDER = "ref-005"
LARGEST_OVERLAP_CM3 = 1.0
SMALL_HEAD_MM = 21.3
"""Femoral heads below it are lent by the woman, others by the men in turn."""


@dataclass(frozen=True)
class Raw:
    """Folders of the sources and of what is kept between runs."""

    folder: Path
    cache: Path | None

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """The result of a slow step, from the cache if it is there."""
        if self.cache is None:
            return make()
        path = self.cache / f"{name}.pickle"
        if path.exists():
            return pickle.loads(path.read_bytes())
        result = make()
        self.cache.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(result))
        return result


def main() -> None:
    """Parse and build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    arguments = parser.parse_args()
    raw = Raw(arguments.raw, arguments.cache)
    wanted = arguments.only or SOURCES
    if {"mesh-2", "ct-2"} & set(wanted):
        build_first(raw)
    for name in wanted:
        if name in LENDERS:
            build_person(raw, name)
        elif name.startswith("jhu-"):
            build_pelvis(raw, name)


def build_first(raw: Raw) -> None:
    """Write ``mesh-2.npz`` and ``ct-2.npz``."""
    bones = _ct_bones(raw)
    ct = read_ct(raw.folder / "ct-example")
    mesh = mesh_skeleton(_windings(raw))
    soft, canal = soft_tissue(ct, bones), lumbar_canal(bones)
    _save("ct-2", atlas_code(soft, bones, canal), bones, CT_BOTTOM_MM + 2.0)
    # Soft tissue of the CT, warped around the meshes: displacements from mesh to CT space.
    everywhere = np.ones(GRID.shape, bool)
    transform = raw.kept(
        "mesh_to_ct",
        lambda: register(mesh.part > 0, bones.part > 0, everywhere, spline_mm=60.0),
    )
    soft = warp(soft, transform, nearest=True).astype(np.uint8)
    canal = warp(canal.astype(np.float32), transform, nearest=True) > 0.5
    _save("mesh-2", atlas_code(soft, mesh, canal), mesh, float(GRID.origin[2]))


def _windings(raw: Raw) -> dict[str, np.ndarray]:
    return raw.kept("windings", lambda: read_mesh_windings(raw.folder / "meshes"))


def _ct_bones(raw: Raw) -> Skeleton:
    def make() -> Skeleton:
        return ct_skeleton(read_ct(raw.folder / "ct-example"), mesh_skeleton(_windings(raw)))

    return raw.kept("ct_bones", make)


def build_person(raw: Raw, name: str) -> None:
    """Write the anatomy of one person of ``people/``."""
    whole = raw.kept(f"whole_{name}", lambda: _whole_person(raw, name))
    bottom = max(read_person(raw, name).bottom_mm + 2.0, float(GRID.origin[2]))
    code = atlas_code(whole.soft, whole.skeleton, whole.canal)
    _save(name, code, whole.skeleton, bottom)


def _whole_person(raw: Raw, name: str) -> Donor:
    person, borrowed = read_person(raw, name), _borrowed(raw, name)
    make = ts_skeleton if name.startswith("ts-") else ref_skeleton
    bones = make(person, borrowed)
    soft = soft_of(person, borrowed, bones, woman=name in WOMEN)
    return Donor(bones, soft, lumbar_canal(bones))


def build_pelvis(raw: Raw, name: str) -> None:
    """Write the anatomy of one pelvis of ``pelves/``."""
    pelves = read_pelves(raw.folder / "pelves" / "jhu.npz")
    pelvis = placed(pelves.points[pelves.ids.index(int(name.removeprefix("jhu-")))], pelves)
    lender = pelvis_lender(name, pelvis)
    donor = raw.kept(f"whole_{lender}", lambda: _whole_person(raw, lender))
    carrier = Carrier(pelvis, _on_donor(raw, pelves, lender, donor), donor)
    bones, shared = pelvis_skeleton(pelvis, pelves, carrier, donor)
    if shared > LARGEST_OVERLAP_CM3:
        raise ValueError(f"{name} from {lender}: femora and hips share {shared:.2f} cm3")
    soft = _without_bone(carrier.nearest(donor.soft), bones)
    code = atlas_code(soft, bones, carrier.nearest(donor.canal))
    _save(name, code, bones, float(pelvis.points[:, 2].min()))


def pelvis_lender(name: str, pelvis: Pelvis) -> str:
    """Who lends a pelvis femora, lower sacrum, spine and soft tissue."""
    if name in UNSEEN_SOURCES:
        return UNSEEN_LENDER
    if pelvis.landmarks.head_radius_mm < SMALL_HEAD_MM:
        return WOMAN_LENDER
    return MEN_LENDERS[int(name.removeprefix("jhu-")) % len(MEN_LENDERS)]


def _on_donor(raw: Raw, pelves: Pelves, lender: str, donor: Donor) -> np.ndarray:
    """Every vertex on the lender's bones, by way of the mean pelvis."""

    def make() -> np.ndarray:
        mean = placed(mean_shape(pelves.points), pelves)
        transform = onto_donor(mean, pelves, donor.skeleton)
        return donor_points(mean, transform, donor.skeleton)

    return raw.kept(f"mean_on_{lender}", make)


def read_person(raw: Raw, name: str) -> Person:
    """One person on the atlas grid."""
    if name == "ct":
        return raw.kept("person_ct", lambda: _ct_person(raw))
    kind, _, number = name.partition("-")
    folder = raw.folder / "people"
    if kind == "ts":
        return raw.kept(f"person_{name}", lambda: read_ts(folder, name))
    return raw.kept(f"person_{name}", lambda: read_ref(folder, number))


def _ct_person(raw: Raw) -> Person:
    """The CT, its bones as packaged."""
    ct, atlas = read_ct(raw.folder / "ct-example"), load_atlas("ct")
    masks = {name: ct.labels[name] & ct.inside for name in LUMBAR}
    for name, part in (("sacrum", Part.SACRUM), ("hip", Part.HIP), ("femur", Part.FEMUR)):
        masks[name] = atlas.part == part
    bone_names = ("hip_", "femur_", "vertebrae_", "sacrum")
    soft = {n: m & ct.inside for n, m in ct.labels.items() if not n.startswith(bone_names)}
    return Person(masks, soft, atlas.landmarks, CT_BOTTOM_MM)


def _borrowed(raw: Raw, name: str) -> Loan:
    lender = read_person(raw, LENDERS[name])
    transform = raw.kept(f"loan_{name}", lambda: lend(lender, read_person(raw, name)))
    return loan(lender, transform)


def _save(name: str, code: np.ndarray, skeleton: Skeleton, observed_above_mm: float) -> None:
    """Write an ``npz`` that ``numpy.load`` reads, with a stronger compression than its own."""
    OUT.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, npt.ArrayLike] = {
        "code": code,
        "spacing_mm": np.float64(GRID.spacing[0]),
        "origin_lps_mm": np.array(GRID.origin),
        "left_head_mm": np.array(skeleton.landmarks.left_head_mm, float),
        "right_head_mm": np.array(skeleton.landmarks.right_head_mm, float),
        "head_radius_mm": np.float64(skeleton.landmarks.head_radius_mm),
        "observed_above_mm": np.float64(observed_above_mm),
    }
    with zipfile.ZipFile(OUT / f"{name}.npz", "w", zipfile.ZIP_LZMA) as archive:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{key}.npy")
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_LZMA)


if __name__ == "__main__":
    main()
