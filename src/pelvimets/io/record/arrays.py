"""Named sets of arrays in a folder, one archive each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pelvimets.errors import InputError

_SUFFIX, _UNFINISHED = ".npz", ".part"


@dataclass(frozen=True)
class ArrayFolder:
    """A folder of array sets; it may be filled while others read from it.

    Attributes:
        folder: Where.
        compressed: Whether to save space; uncompressed sets are cheap to read.
    """

    folder: Path
    compressed: bool = False

    def names(self) -> tuple[str, ...]:
        """Names of the sets there are now, sorted."""
        return tuple(sorted(p.name.removesuffix(_SUFFIX) for p in self.folder.glob(f"*{_SUFFIX}")))

    def write(self, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Keep a set; it appears whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / f".{name}.{os.getpid()}{_UNFINISHED}"  # others may write the same
        with aside.open("wb") as stream:
            save = np.savez_compressed if self.compressed else np.savez
            save(stream, **arrays)  # type: ignore[arg-type]
        aside.replace(self.folder / f"{name}{_SUFFIX}")

    def remove_unfinished(self) -> None:
        """Remove what processes left that died while they wrote; nobody may be writing now."""
        for aside in self.folder.glob(f".*{_UNFINISHED}"):
            aside.unlink(missing_ok=True)

    def read(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Read a set.

        Raises:
            InputError: if it is missing or damaged.
        """
        path = self.folder / f"{name}{_SUFFIX}"
        try:
            with np.load(path, allow_pickle=False) as kept:
                return {key: kept[key] for key in kept.files}
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                "A kept set of arrays cannot be read",
                got=f"{path}: {error}",
                remedy="Delete its folder; it is made again",
            ) from error
