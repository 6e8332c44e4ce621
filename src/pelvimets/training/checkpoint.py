"""Checkpoints on disk: written whole, and read as data, never as a program."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from pelvimets.errors import InputError, OutputError
from pelvimets.training.settings import Task

_PARTS: dict[str, type | tuple[type, ...]] = {
    "state_dict": dict,
    "global_step": int,
    "seconds": (int, float),
}
_UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    pickle.PickleError,
    zipfile.BadZipFile,
)


class WholeFiles(TorchCheckpointIO):
    """Checkpoints that replace the one before only when they are completely written."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write beside, then move; both are in one folder, so that moving is one step.

        Raises:
            OutputError: if it cannot be written; the one before stays.
        """
        whole = Path(path)
        aside = whole.with_name(f".{whole.name}.part")
        try:
            whole.parent.mkdir(parents=True, exist_ok=True)
            torch.save(checkpoint, aside)
            aside.replace(whole)
        except (OSError, RuntimeError) as error:  # torch says RuntimeError of a full disk
            aside.unlink(missing_ok=True)
            raise OutputError(
                "A checkpoint cannot be written",
                got=f"{whole}: {error}",
                remedy="Free some space; the same command goes on from the checkpoint before",
            ) from error

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read as ``read_checkpoint`` does, whatever the caller says of trust."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Weights, states and settings of a run, into the CPU's memory.

    A pickle can name any function to be called while it is read; here only tensors, plain
    values and ``Task``, which older checkpoints hold, are let through.

    Raises:
        InputError: if the file is missing, damaged, no checkpoint of a run, or holds anything else.
    """
    try:
        with torch.serialization.safe_globals([Task]):
            kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        _check_parts(kept)
    except _UNREADABLE as error:
        raise InputError(
            "A checkpoint cannot be read",
            got=f"{path}: {_reason(error)}",
            remedy="Name a run that has finished an epoch, or a bundle; a checkpoint that holds "
            "more than weights and settings is not opened, as it could run a program",
        ) from error
    return kept


def _check_parts(kept: Any) -> None:
    for name, kind in _PARTS.items():
        if not isinstance(kept, dict) or not isinstance(kept.get(name), kind):
            raise TypeError(f"no {name} in it")
    if not all(isinstance(weight, torch.Tensor) for weight in kept["state_dict"].values()):
        raise TypeError("its weights are no tensors")
    task_of(kept)


def task_of(checkpoint: dict[str, Any]) -> Task | None:
    """Network that was trained; None of early checkpoints, which do not say."""
    settings = checkpoint.get("settings", {})
    return Task(settings["task"]) if "task" in settings else None


def _reason(error: Exception) -> str:
    """In a few words; torch's own advise the reader to trust the file."""
    if isinstance(error, OSError):
        return error.strerror or "cannot be opened"
    if isinstance(error, TypeError):
        return str(error)
    return "damaged, or not weights and plain values alone"
