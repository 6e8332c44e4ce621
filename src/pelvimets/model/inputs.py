"""What each network sees: the channels, built one way for training and reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.errors import SettingsError
from pelvimets.labels import Bone, FurtherInput, Sequence

FloatArray = npt.NDArray[np.float32]

BONE_INPUTS = 1
BONE_OUTPUTS = len(Bone) + 1
LESION_INPUTS = 3
LESION_OUTPUTS = 1


def bone_input(image: npt.NDArray[Any], further: Iterable[npt.NDArray[Any]] = ()) -> FloatArray:
    """(1, z, y, x) from a normalised image (z, y, x), and a channel for each further image."""
    return np.ascontiguousarray(np.stack([image, *further]), dtype=np.float32)


def lesion_input(
    image: npt.NDArray[Any],
    bones: npt.NDArray[Any],
    sequence: Sequence,
    further: Iterable[npt.NDArray[Any]] = (),
) -> FloatArray:
    """(3, z, y, x): the image if DWI, mask of any bone, the image if T1; the other image is 0.

    Further images follow, a channel each.

    A metastasis is bright on DWI and dark on T1, so each sequence has its own channel. (A
    constant channel that names the sequence would be lost in instance normalisation.)
    """
    plain = np.asarray(image, dtype=np.float32)
    nothing = np.zeros_like(plain)
    mask = np.asarray(bones > 0, dtype=np.float32)
    pair = (plain, mask, nothing) if sequence is Sequence.DWI else (nothing, mask, plain)
    return np.stack([*pair, *(np.asarray(array, dtype=np.float32) for array in further)])


def beside(entries: Iterable[str], sequence: Sequence) -> tuple[FurtherInput | None, ...]:
    """The further image in each channel beside a sequence; None: that channel is 0 there.

    Args:
        entries: ``fat`` stands beside both sequences, ``t1:fat`` beside T1 alone.
        sequence: What is read.

    Raises:
        SettingsError: if a name is unknown.

    >>> beside(["stir", "t1:fat"], Sequence.DWI)
    (<FurtherInput.STIR: 'stir'>, None)
    """
    found = []
    for entry in entries:
        of, parted, name = entry.partition(":")
        if parted and of not in list(Sequence):
            raise SettingsError(
                "A further image stands beside dwi or t1", got=entry, remedy="Write t1:fat or fat"
            )
        (kind,) = FurtherInput.named([name if parted else of])
        found.append(kind if not parted or of == sequence else None)
    return tuple(found)


def further_channels(
    entries: Iterable[str],
    sequence: Sequence,
    images: Mapping[FurtherInput, npt.NDArray[Any]],
    shape: tuple[int, ...],
) -> list[npt.NDArray[Any]]:
    """A channel (z, y, x) for each entry, in their order; 0 where there is no such image."""
    nothing = np.zeros(shape, dtype=np.float32)
    return [
        nothing if kind is None else images.get(kind, nothing) for kind in beside(entries, sequence)
    ]
