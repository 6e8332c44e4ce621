"""A MONAI bundle of a bundle's network: run by MONAI, it gives the masks that pelvimets gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pelvimets.app.monai_export import export_monai
from pelvimets.core.geometry import Geometry
from pelvimets.core.segmentation import lesion_probability, segment_bones
from pelvimets.core.volume import Volume
from pelvimets.errors import BundleError, OutputError
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.io.record.bundle import write_bundle
from pelvimets.labels import Bone, Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.export import network_bytes, to_openvino
from tests.model.test_bundle import FORM, description, networks

RUN = (
    "import sys, monai.bundle; monai.bundle.run(config_file='configs/inference.json', "
    "**dict(zip(('dataset_dir', 'output_dir', 'bones_dir'), sys.argv[1:])))"
)
REQUIRED = (
    *("version", "changelog", "monai_version", "pytorch_version", "numpy_version"),
    *("required_packages_version", "task", "description", "authors", "copyright"),
)
TENSOR = (
    *("type", "format", "modality", "num_channels", "spatial_shape", "dtype"),
    *("value_range", "is_patch_data", "channel_def"),
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    files: dict[str, bytes] = {}
    for step, network in networks().items():
        inputs, outputs = (1, 9) if step == "bones" else (3, 1)
        files |= network_bytes(to_openvino(network, inputs, outputs, FORM.multiple_of), step)
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    write_bundle(folder, description(), files, "# tiny\n\n## Limits\nNone known.\n")
    return folder


@pytest.fixture(scope="module")
def exported(bundle: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("monai") / "tiny_bones"
    export_monai(bundle, folder)
    return folder


def image() -> Volume:
    """Blobs on thick axial slices, its axes turned and flipped as scanners leave them."""
    rng = np.random.default_rng(5)
    grid = Geometry.from_axes(
        (20, 13, 22), (2.5, 9.0, 3.0), (20.0, 0.0, 5.0), [[0, -1, 0], [0, 0, 1], [-1, 0, 0]]
    )
    coarse = rng.gamma(2, 100, (5, 5, 6)).astype(np.float32)
    array = np.kron(coarse, np.ones((4, 3, 4), np.float32))[:20, :13, :22]
    return Volume(array + rng.normal(0, 5, (20, 15, 24)).astype(np.float32)[:, :13, :22], grid)


def test_metadata_holds_what_monai_asks_for(exported: Path) -> None:
    metadata = json.loads((exported / "configs" / "metadata.json").read_text())
    assert set(REQUIRED) <= metadata.keys() and metadata["version"] == "3.0.0"
    flow = metadata["network_data_format"]
    assert set(TENSOR) <= flow["inputs"]["image"].keys()
    assert set(TENSOR) <= flow["outputs"]["pred"].keys()
    assert flow["inputs"]["image"]["spatial_shape"] == ["2*i", "4*j", "4*k"]
    names = list(flow["outputs"]["pred"]["channel_def"].values())
    assert names == ["background", *(bone.title for bone in Bone)]
    assert (exported / "LICENSE").read_text().lstrip().startswith("Apache License")
    text = (exported / "docs" / "README.md").read_text()
    assert "#### Limits\nNone known." in text and "monai.bundle run" in text


def run_by_monai(folder: Path, *places: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, *places],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_monai_gives_the_same_masks(exported: Path, bundle: Path, tmp_path: Path) -> None:
    volume = image()
    (tmp_path / "images").mkdir()
    write_nifti(tmp_path / "images" / "man.nii.gz", volume)
    run_by_monai(exported, tmp_path / "images", tmp_path / "out")
    found = read_nifti(tmp_path / "out" / "man_bones.nii.gz")
    wanted = segment_bones(volume, Sequence.DWI, load_segmenter(bundle))
    assert found.geometry.matches(volume.geometry)
    assert len(np.unique(wanted.array)) > 2
    assert (found.array == wanted.array).mean() > 0.995


def test_lesion_networks_have_their_own_channels(bundle: Path, tmp_path: Path) -> None:
    """And MONAI gives the probabilities that pelvimets gives, inside the bones."""
    export_monai(bundle, tmp_path / "t1", lesions_on=Sequence.T1)
    volume, networks = image(), load_segmenter(bundle)
    bones = segment_bones(volume, Sequence.T1, networks)
    for folder, name, one in (("images", "man", volume), ("bones", "man_bones", bones)):
        (tmp_path / folder).mkdir()
        write_nifti(tmp_path / folder / f"{name}.nii.gz", one)
    run_by_monai(tmp_path / "t1", *(tmp_path / name for name in ("images", "out", "bones")))
    found = read_nifti(tmp_path / "out" / "man_lesion_probability.nii.gz").array
    wanted = lesion_probability(volume, bones, Sequence.T1, networks).array
    inside = bones.array > 0
    assert np.corrcoef(found[inside], wanted[inside])[0, 1] > 0.9
    assert np.abs(found - wanted)[inside].mean() < 0.05
    metadata = json.loads((tmp_path / "t1" / "configs" / "metadata.json").read_text())
    given = metadata["network_data_format"]["inputs"]["image"]
    assert given["num_channels"] == 3 and given["channel_def"]["2"] == "T1 in phase"
    config = json.loads((tmp_path / "t1" / "configs" / "inference.json").read_text())
    steps = config["preprocessing"]["transforms"]
    assert steps[-1]["order"] == ["empty", "mask", "image"] and "bones_dir" in config


def test_damaged_bundles_and_taken_folders_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        export_monai(tmp_path / "absent", tmp_path / "out")
    export_monai(Path("first"), tmp_path / "shipped")  # by its name
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        export_monai(bundle, tmp_path / "taken")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shipped", "taken"]
