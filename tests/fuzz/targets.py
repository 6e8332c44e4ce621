"""What is damaged, and who reads it."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pelvimets.config import GridSettings, ReadingSettings, settings_to_dict
from pelvimets.core.geometry import Geometry
from pelvimets.core.segmentation import segment_study
from pelvimets.core.volume import Volume
from pelvimets.io.nifti.files import nifti_geometry, read_nifti, write_nifti
from pelvimets.io.study import inspect, read_study
from pelvimets.labels import Sequence
from pelvimets.model.bundle import CHECKSUMS_NAME, DESCRIPTION_NAME, checksums_text, load_segmenter
from pelvimets.report.data import findings_from_dict
from tests.fuzz import mutators
from tests.fuzz.findings import findings_document
from tests.fuzz.mutators import Rng
from tests.fuzz.series import diffusion, in_phase
from tests.model.test_bundle import FORM, network_bytes, networks, to_openvino


class Target(Protocol):
    """One kind of input."""

    def damaged(self, rng: Rng) -> Path:
        """A damaged input, on the disk."""
        ...

    def read(self, path: Path) -> None:
        """Read it as the product does."""
        ...


class Nifti:
    """An image, packed or not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        rng = np.random.default_rng(1)
        path = folder / "image.nii"
        self._plain = {}
        for kind in ("uint16", "float32"):
            array = rng.integers(0, 900, (6, 9, 8)).astype(kind)
            write_nifti(path, Volume(array, Geometry.from_axes((6, 9, 8), (5.0, 20.0, 20.0))))
            self._plain[kind] = path.read_bytes()

    def damaged(self, rng: Rng) -> Path:
        data = mutators.nifti(rng, self._plain[("uint16", "float32")[int(rng.integers(2))]])
        if rng.random() < 0.3:
            data = gzip.compress(data, 1, mtime=0)
            if rng.random() < 0.5:
                data = mutators.damaged_bytes(rng, data)
            path = self._folder / "image.nii.gz"
        else:
            path = self._folder / "image.nii"
        path.write_bytes(data)
        return path

    def read(self, path: Path) -> None:
        nifti_geometry(path)
        read_nifti(path)


def _series() -> list[Any]:
    return [*diffusion(), *in_phase()]


class Dicom:
    """A folder with a DWI and a T1."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._images = folder, _series()

    def damaged(self, rng: Rng) -> Path:
        path = self._folder / "study"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        for number, data in enumerate(mutators.dicom(rng, self._images)):
            (path / f"{number:03d}").write_bytes(data)
        return path

    def read(self, path: Path) -> None:
        inspect(path)
        read_study(path)


class Zip:
    """The same in a zip of any packing."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "study.zip"
        self._files = [mutators.encoded(image) for image in _series()]

    def damaged(self, rng: Rng) -> Path:
        self._path.write_bytes(mutators.zipped(rng, self._files))
        return self._path

    def read(self, path: Path) -> None:
        read_study(path)


class Json:
    """``findings.json``."""

    def __init__(self, folder: Path) -> None:
        self._path, self._document = folder / "findings.json", findings_document()

    def damaged(self, rng: Rng) -> Path:
        self._path.write_text(json.dumps(mutators.json_document(rng, self._document)))
        return self._path

    def read(self, path: Path) -> None:
        findings_from_dict(json.loads(path.read_text()))


class Bundle:
    """A bundle whose checksums are right and whose content is not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "bundle"
        self._networks: dict[str, bytes] = {}
        for step, network in networks().items():
            channels = (1, 9) if step == "bones" else (3, 1)
            made = to_openvino(network, *channels, FORM.multiple_of)
            self._networks |= network_bytes(made, step)
        grid = GridSettings(spacing_mm=(8.0, 8.0, 8.0), largest_field_mm=(64.0, 128.0, 128.0))
        steps = {
            step: {"dwi": f"{step}.xml", "t1": f"{step}.xml", "multiple_of": [8, 16, 16]}
            for step in ("bones", "lesions")
        }
        self._description = {
            "format": 1,
            "name": "tiny",
            "version": "3",
            "summary": "For a test.",
            "settings": settings_to_dict(ReadingSettings(bone_grid=grid, lesion_grid=grid)),
            "networks": steps,
        }
        array = np.random.default_rng(2).normal(100, 20, (8, 16, 16)).astype(np.float32)
        self._image = Volume(array, Geometry.from_axes((8, 16, 16), (8.0, 8.0, 8.0)))

    def damaged(self, rng: Rng) -> Path:
        networks = dict(self._networks)
        description = json.dumps(self._description).encode()
        way = rng.random()
        if way < 0.75:
            changed = mutators.json_document(rng, self._description)
            description = json.dumps(changed).encode()
        elif way < 0.85:
            description = mutators.damaged_bytes(rng, description)
        else:
            name = sorted(networks)[int(rng.integers(len(networks)))]
            networks[name] = mutators.damaged_bytes(rng, networks[name])
        contents = {DESCRIPTION_NAME: description, **networks}
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for name, data in contents.items():
            (self._folder / name).write_bytes(data)
        (self._folder / CHECKSUMS_NAME).write_text(checksums_text(contents))
        return self._folder

    def read(self, path: Path) -> None:
        segment_study({Sequence.DWI: self._image}, load_segmenter(path))


TARGETS: dict[str, Callable[[Path], Target]] = {
    "bundle": Bundle,
    "dicom": Dicom,
    "json": Json,
    "nifti": Nifti,
    "zip": Zip,
}
