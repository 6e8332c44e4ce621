"""What an image is, as a hash of its voxels and their place."""

from __future__ import annotations

import hashlib

import numpy as np

from pelvimets.core.study import Study
from pelvimets.core.volume import Volume


def volume_digest(volume: Volume) -> str:
    """SHA-256 of one image: number type, shape, place and voxels."""
    digest = hashlib.sha256(f"{volume.array.dtype.str}{volume.array.shape}".encode())
    digest.update(np.round(volume.geometry.matrix, 6).tobytes())
    digest.update(np.ascontiguousarray(volume.array).data)
    return digest.hexdigest()


def study_digest(study: Study) -> str:
    """SHA-256 of the images read: voxels and their place, not names or files."""
    digest = hashlib.sha256()
    for acquisition in (*study.acquisitions.values(), *study.further.values()):
        digest.update(volume_digest(acquisition.volume).encode())
    return digest.hexdigest()
