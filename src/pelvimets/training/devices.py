"""Devices by the names that users know, as Lightning calls them."""

from __future__ import annotations

import torch

from pelvimets.errors import SettingsError

AUTO = "auto"


def accelerator_of(device: str) -> str:
    """Lightning's name of a device, once it is known to be there.

    Raises:
        SettingsError: if it is not, with those that are.
    """
    xpu = getattr(torch, "xpu", None)
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "xpu": xpu is not None and xpu.is_available(),
    }
    if device == AUTO:
        return AUTO
    if not there[device]:
        known = ", ".join(name for name, found in there.items() if found)
        raise SettingsError(
            "This machine has no such device for training",
            got=device,
            remedy=f"Take auto or one of: {known}",
        )
    if device == "xpu":
        raise SettingsError(
            "Training does not run on this device",
            got=device,
            remedy="Lightning has no support of Intel GPUs; take cpu, and xpu for predict",
        )
    return device
