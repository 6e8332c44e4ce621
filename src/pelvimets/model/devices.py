"""What networks can be run on: devices of OpenVINO and of PyTorch, by the names that users know.

Importing this loads neither.
"""

from __future__ import annotations

import importlib.util
import platform
from enum import StrEnum

from pelvimets.errors import SettingsError


class RunDevice(StrEnum):
    """What to run networks on.

    ``gpu`` is Intel graphics by OpenVINO, ``xpu`` the same by PyTorch or, where that has no
    support of it, by OpenVINO; ``cuda`` and ``mps`` are PyTorch's. ``auto`` is the first that is
    there of cuda, xpu, gpu, mps and cpu.
    """

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"
    XPU = "xpu"
    GPU = "gpu"

    @property
    def of_torch(self) -> bool:
        """Whether PyTorch runs the networks there; else OpenVINO."""
        return self in (RunDevice.CUDA, RunDevice.MPS, RunDevice.XPU)


_BEST_FIRST = (RunDevice.CUDA, RunDevice.XPU, RunDevice.GPU, RunDevice.MPS, RunDevice.CPU)


def chosen_device(asked: RunDevice) -> RunDevice:
    """The device that is meant, once it is known to be there; never ``auto``.

    Raises:
        SettingsError: if it is not there, with those that are.
    """
    if asked is RunDevice.CPU:
        return asked
    there = devices_here()
    if asked is RunDevice.AUTO:
        return next(device for device in _BEST_FIRST if device in there)
    if asked is RunDevice.XPU and asked not in there and RunDevice.GPU in there:
        return RunDevice.GPU
    if asked not in there:
        raise SettingsError(
            "This machine has no such device for reading",
            got=asked.value,
            remedy=f"Take auto or one of: {', '.join(there)}{_hint(asked)}",
        )
    return asked


def devices_here() -> tuple[RunDevice, ...]:
    """All devices of this machine; the processor is always one."""
    import openvino as ov

    found = {RunDevice.CPU, *_torch_devices()}
    if any(name.split(".")[0] == "GPU" for name in ov.Core().available_devices):
        found.add(RunDevice.GPU)
    return tuple(device for device in RunDevice if device in found)


def device_name(device: RunDevice) -> str:
    """Its maker's name, for records."""
    if device is RunDevice.CUDA:
        import torch

        return str(torch.cuda.get_device_name())
    if device is RunDevice.XPU:
        import torch

        return str(torch.xpu.get_device_name())
    if device is RunDevice.MPS:
        return platform.processor()
    import openvino as ov

    return str(ov.Core().get_property(device.name, "FULL_DEVICE_NAME"))


def _has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _torch_devices() -> set[RunDevice]:
    if not _has_torch():
        return set()
    import torch

    there = {
        RunDevice.CUDA: torch.cuda.is_available(),
        RunDevice.MPS: torch.backends.mps.is_available(),
        RunDevice.XPU: hasattr(torch, "xpu") and torch.xpu.is_available(),
    }
    return {device for device, found in there.items() if found}


def _hint(asked: RunDevice) -> str:
    if not asked.of_torch or _has_torch():
        return ""
    return "; cuda, mps and xpu need PyTorch (pip install 'pelvimets[train]')"
