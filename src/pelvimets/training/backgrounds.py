"""Training samples of real images without metastases: as they are, and with some put in.

What no simulation has, real discs, joints, ligaments, vessels and coils, is learned as what it
is: not a metastasis.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from pelvimets.config import GridSettings, IntensitySettings
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence
from pelvimets.phantom.disease.insertion import insert_metastases
from pelvimets.training.sample import REAL, AnnotatedImage, Sample, prepare_sample

COPIES = 12


def background_name(key: str, copy: int, sequence: Sequence) -> str:
    """Name of a sample."""
    return f"{REAL}{key}-{copy}_{sequence.value}"


def background_samples(
    key: str,
    sequence: Sequence,
    image: Volume,
    bones: Volume,
    grid: GridSettings,
    intensity: IntensitySettings,
) -> Iterator[Sample]:
    """Copies of one real image, each with metastases of its own or none.

    Args:
        key: Whose image it is; with the number of the copy the seed of what is put in.
        sequence: What it is.
        image: As acquired.
        bones: Its bone mask, on its grid.
        grid, intensity: Of the samples, as in reading.

    Yields:
        ``COPIES`` samples; where nothing was put in, the truth has no lesion.

    Raises:
        InputError: if the mask is empty.
    """
    for copy in range(COPIES):
        rng = np.random.default_rng([zlib.crc32(key.encode()), copy])
        changed, lesions = insert_metastases(
            rng, image.array, bones.array, image.geometry.spacing, sequence
        )
        yield prepare_sample(
            background_name(key, copy, sequence),
            sequence,
            AnnotatedImage(
                image.with_array(changed), bones, image.with_array(lesions.astype(np.uint8))
            ),
            grid,
            intensity,
        )
