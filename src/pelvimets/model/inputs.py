"""What each network sees: the channels, built one way for training and reading."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.labels import Bone, Sequence

FloatArray = npt.NDArray[np.float32]

BONE_INPUTS = 1
BONE_OUTPUTS = len(Bone) + 1
LESION_INPUTS = 3
LESION_OUTPUTS = 1

_SEQUENCE_VALUE = {Sequence.DWI: 1.0, Sequence.T1: -1.0}


def bone_input(image: npt.NDArray[Any]) -> FloatArray:
    """(1, z, y, x) from a normalised image (z, y, x)."""
    return np.ascontiguousarray(image[None], dtype=np.float32)


def lesion_input(
    image: npt.NDArray[Any], bones: npt.NDArray[Any], sequence: Sequence
) -> FloatArray:
    """(3, z, y, x): normalised image, mask of any bone, and the sequence (+1 DWI, -1 T1)."""
    mask = np.asarray(bones > 0, dtype=np.float32)
    which = np.full(image.shape, _SEQUENCE_VALUE[sequence], dtype=np.float32)
    return np.stack([np.asarray(image, dtype=np.float32), mask, which])
