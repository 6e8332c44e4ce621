"""What is installed, what works, and a small self-test; nothing leaves the machine."""

from __future__ import annotations

import importlib.util
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import psutil

from pelvimets import __version__
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import PelvimetsError, VerificationError
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.io.record.telemetry import remove_telemetry
from pelvimets.labels import Sequence
from pelvimets.model.bundle import installed_bundles, load_segmenter

Rows = tuple[tuple[str, str], ...]

_BASE = ("numpy", "scipy", "SimpleITK", "pydicom", "highdicom", "openvino", "edt")
_EXTRAS = {
    "study (evaluate, replicate)": ("matplotlib", "pandas", "sklearn"),
    "train": ("torch", "lightning", "monai", "optuna"),
    "view": ("fastapi", "uvicorn"),
}


@dataclass(frozen=True)
class Examination:
    """Tables to print, and whether all that is needed works."""

    groups: tuple[tuple[str, Rows], ...]
    healthy: bool

    @property
    def verdict(self) -> str:
        """One line for the end."""
        if self.healthy:
            return "All that is needed to read a study works."
        return "Something that is needed does not work: see the rows that say 'failed'."


def examine() -> Examination:
    """Look at the installation and run the self-test."""
    self_test = tuple((name, _outcome(check)) for name, check in _SELF_TEST)
    return Examination(
        groups=(
            ("Machine", _machine()),
            ("Packages", _packages()),
            ("Extras", _extras()),
            ("Bundles", _bundles()),
            ("Self-test", self_test),
        ),
        healthy=not any(state.startswith("failed") for _, state in self_test),
    )


def _machine() -> Rows:
    memory = psutil.virtual_memory()
    return (
        ("pelvimets", __version__),
        ("Python", platform.python_version()),
        ("System", f"{platform.system()} {platform.machine()}"),
        ("Cores", str(os.cpu_count())),
        ("Memory", f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB available"),
        ("Telemetry", _telemetry()),
    )


def _telemetry() -> str:
    removed = remove_telemetry()
    left = f"; removed what OpenVINO had left: {', '.join(removed)}" if removed else ""
    return f"off{left}"


def _packages() -> Rows:
    return tuple((name, _version(name)) for name in _BASE)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "failed: not installed"


def _extras() -> Rows:
    return tuple((name, _extra(modules)) for name, modules in _EXTRAS.items())


def _extra(modules: tuple[str, ...]) -> str:
    missing = [m for m in modules if importlib.util.find_spec(m) is None]
    return "installed" if not missing else f"not installed (missing: {', '.join(missing)})"


def _bundles() -> Rows:
    return tuple(
        (f"{b.name} {b.version}", ("intact" if b.intact else "damaged") + _beside(b.inputs))
        for b in installed_bundles()
    )


def _beside(inputs: tuple[str, ...]) -> str:
    return f"; also sees {', '.join(inputs)}" if inputs else ""


def _outcome(check: Callable[[], str]) -> str:
    try:
        return check()
    except (PelvimetsError, OSError, RuntimeError, ImportError) as error:
        return f"failed: {error}"


def _check_nifti() -> str:
    geometry = Geometry.from_axes((3, 4, 5), (5.0, 2.0, 1.5), (1.0, 2.0, 3.0))
    volume = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), geometry)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "check.nii.gz"
        write_nifti(path, volume)
        back = read_nifti(path)
    if not (back.geometry.matches(geometry) and (back.array == volume.array).all()):
        raise VerificationError("A volume came back changed from a NIfTI file")
    return "works"


def _check_networks() -> str:
    segmenter = load_segmenter(None)
    geometry = Geometry.from_axes((16, 32, 32), (4.0, 4.0, 4.0))
    noise = np.random.default_rng(0).normal(size=geometry.shape).astype(np.float32)
    image = Volume(noise, geometry)
    for sequence in Sequence:
        first = segmenter.bone_probabilities(image, sequence)
        if not np.allclose(first.sum(axis=0), 1, atol=1e-3):
            raise VerificationError("The bone network's probabilities do not add up to 1")
        if not np.array_equal(first, segmenter.bone_probabilities(image, sequence)):
            raise VerificationError("The bone network answers differently to the same image")
        bones = image.with_array(first.argmax(axis=0).astype(np.uint8))
        lesions = segmenter.lesion_probabilities(image, bones, sequence)
        if lesions.shape != geometry.shape or not ((lesions >= 0) & (lesions <= 1)).all():
            raise VerificationError("The lesion network's answer is no probability map")
    return f"works ({segmenter.name})"


_SELF_TEST: tuple[tuple[str, Callable[[], str]], ...] = (
    ("NIfTI in and out", _check_nifti),
    ("Networks on OpenVINO", _check_networks),
)
