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


def bone_input(image: npt.NDArray[Any]) -> FloatArray:
    """(1, z, y, x) from a normalised image (z, y, x)."""
    return np.ascontiguousarray(image[None], dtype=np.float32)


def lesion_input(
    image: npt.NDArray[Any], bones: npt.NDArray[Any], sequence: Sequence
) -> FloatArray:
    """(3, z, y, x): the image if DWI, mask of any bone, the image if T1; the other image is 0.

    A metastasis is bright on DWI and dark on T1, so each sequence has its own channel. (A
    constant channel that names the sequence would be lost in instance normalisation.)
    """
    plain = np.asarray(image, dtype=np.float32)
    nothing = np.zeros_like(plain)
    mask = np.asarray(bones > 0, dtype=np.float32)
    pair = (plain, mask, nothing) if sequence is Sequence.DWI else (nothing, mask, plain)
    return np.stack(pair)
