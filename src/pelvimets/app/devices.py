"""Devices by the names that users know."""

from __future__ import annotations

from pelvimets.errors import SettingsError
from pelvimets.requests.train import Device


def accelerator_of(device: Device) -> str:
    """Lightning's name of a device, once it is known to be there.

    Raises:
        SettingsError: if it is not, with those that are.
    """
    import torch

    xpu = getattr(torch, "xpu", None)
    there = {
        Device.CPU: True,
        Device.CUDA: torch.cuda.is_available(),
        Device.MPS: torch.backends.mps.is_available(),
        Device.XPU: xpu is not None and xpu.is_available(),
    }
    if device is Device.AUTO:
        return "auto"
    if not there[device]:
        known = ", ".join(name.value for name, found in there.items() if found)
        raise SettingsError(
            "This machine has no such device for training",
            got=device.value,
            remedy=f"Take auto or one of: {known}",
        )
    if device is Device.XPU:
        raise SettingsError(
            "Training does not run on this device",
            got=device.value,
            remedy="Lightning has no support of Intel GPUs; take cpu, and xpu for predict",
        )
    return device.value
