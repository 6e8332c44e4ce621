"""What an image is, as a hash of its voxels and their place."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from pelvimets.core.volume import Volume

if TYPE_CHECKING:
    pass


def volume_digest(volume: Volume) -> str:
    """SHA-256 of one image: number type, shape, place and voxels."""
    digest = hashlib.sha256(f"{volume.array.dtype.str}{volume.array.shape}".encode())
    digest.update(np.round(volume.geometry.matrix, 6).tobytes())
    digest.update(np.ascontiguousarray(volume.array).data)
    return digest.hexdigest()
