"""Trains into a folder; kills itself while it writes its third checkpoint, or is left alone.

python -m tests.training.killed FOLDER [left-alone]
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from pelvimets.training.run import train
from tests.training.conftest import three_samples, tiny_settings


def main(folder: Path, *, dies: bool) -> None:
    torch.set_num_threads(1)  # as the run that it is compared with
    if dies:
        torch.save, whole = dying_save(at=3), torch.save
        dying_save.whole = whole  # type: ignore[attr-defined]
    train(tiny_settings(), three_samples(), three_samples(), folder, quiet=True)


def dying_save(at: int) -> Any:
    calls = 0

    def save(checkpoint: Any, path: Path) -> None:
        nonlocal calls
        calls += 1
        dying_save.whole(checkpoint, path)  # type: ignore[attr-defined]
        if calls == at:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    return save


if __name__ == "__main__":
    main(Path(sys.argv[1]), dies=len(sys.argv) < 3)
