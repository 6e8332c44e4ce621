"""Two small series, as ``tests/io/dicom_samples.py`` makes them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset


def _samples() -> Any:
    """That folder is no package: its modules are found by name where its own tests run."""
    if "dicom_samples" not in sys.modules:
        path = Path(__file__).parent.parent / "io" / "dicom_samples.py"
        spec = importlib.util.spec_from_file_location("dicom_samples", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["dicom_samples"] = module
        spec.loader.exec_module(module)
    return sys.modules["dicom_samples"]


def diffusion() -> list[Dataset]:
    return list(_samples().dwi(_samples().block(), 800))


def in_phase() -> list[Dataset]:
    return list(_samples().t1(_samples().block(seed=1)))
