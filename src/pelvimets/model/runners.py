"""One forward pass of a network in each format that others give away."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import openvino as ov

from pelvimets.errors import BundleError
from pelvimets.model.devices import RunDevice
from pelvimets.model.engine import Engine, device_options
from pelvimets.model.form import FloatArray, NetworkForm, Run

RUNNERS = (".onnx", ".ts", ".pt")
"""Endings of files that can be run."""


def runner_of(name: str, content: bytes, form: NetworkForm, engine: Engine) -> Run:
    """How one forward pass of a network is done.

    Args:
        name: Of the file; its ending says what it is.
        content: The file.
        form: What goes in and comes out.
        engine: How networks are run.

    Raises:
        BundleError: if the file is of another kind, damaged, or has other channels.
    """
    if name.endswith(".onnx"):
        return _onnx(content, form, engine)
    if name.endswith((".ts", ".pt")):
        return torchscript_run(content, engine.device)
    raise BundleError(
        "A network of this kind cannot be run",
        got=Path(name).suffix or name,
        remedy=f"Give ONNX or TorchScript: {', '.join(RUNNERS)}",
    )


def _onnx(content: bytes, form: NetworkForm, engine: Engine) -> Run:
    if engine.device.of_torch:
        raise not_there(engine.device, "An ONNX network", (RunDevice.CPU, RunDevice.GPU))
    core = ov.Core()
    try:
        model = core.read_model(io.BytesIO(content))
    except RuntimeError as error:
        raise BundleError("An ONNX file cannot be read", got=_last_line(error)) from error
    shape = model.input(0).get_partial_shape()
    if len(model.inputs) != 1 or shape.rank.is_dynamic or len(shape) != 5:
        raise BundleError(
            "An ONNX network has one input (batch, channels, three axes)",
            got=", ".join(str(i.get_partial_shape()) for i in model.inputs),
        )
    channels = shape[1]
    if channels.is_static and channels.get_length() != len(form.inputs):
        raise BundleError(
            "An ONNX network has other channels than its description says",
            got=f"{channels.get_length()} in the file, {len(form.inputs)} in 'inputs'",
            remedy="Name each input channel",
        )
    try:
        model.reshape({model.input(0): ov.PartialShape([1, len(form.inputs), -1, -1, -1])})
        compiled = core.compile_model(model, engine.device.name, device_options(engine))
    except RuntimeError as error:
        raise BundleError(
            "An ONNX network does not take images of any size",
            got=_last_line(error),
            remedy="Export it with free axes (torch.onnx.export: dynamic_axes of the input)",
        ) from error

    def run(image: FloatArray) -> FloatArray:
        try:
            return np.asarray(compiled(image[None])[0][0], dtype=np.float32)
        except RuntimeError as error:
            raise unusable(error) from error
        finally:
            compiled.release_memory()

    return run


def not_there(device: RunDevice, what: str, able: tuple[RunDevice, ...]) -> BundleError:
    """What to say of a network that cannot be run on a device."""
    return BundleError(
        f"{what} cannot be run on this device",
        got=device.value,
        remedy=f"Give --device {' or '.join(able)}",
    )


def torchscript_run(content: bytes, device: RunDevice = RunDevice.CPU) -> Run:
    """One forward pass of TorchScript.

    Raises:
        BundleError: if PyTorch is not there, the file holds something else, or PyTorch does not
            know the device.
    """
    if device is RunDevice.GPU:
        able = tuple(d for d in RunDevice if d.of_torch or d is RunDevice.CPU)
        raise not_there(device, "A TorchScript network", able)
    try:
        import torch
    except ImportError as error:
        raise BundleError(
            "A TorchScript network needs PyTorch",
            remedy="Install it (pip install 'pelvimets[train]'), or give the network as ONNX",
        ) from error
    try:
        with warnings.catch_warnings():  # the format is frozen, not gone
            warnings.simplefilter("ignore")
            network = torch.jit.load(io.BytesIO(content), map_location=device.value).eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise BundleError(
            "A file is no TorchScript network",
            got=_last_line(error),
            remedy="Save it with torch.jit.save; weights alone do not say what the network is",
        ) from error

    def run(image: FloatArray) -> FloatArray:
        try:
            with torch.inference_mode():
                answer = network(torch.from_numpy(image[None]).to(device.value))
            return np.asarray(answer[0].float().cpu().numpy())
        except (RuntimeError, AttributeError, TypeError) as error:
            raise unusable(error) from error

    return run


def unusable(error: Exception) -> BundleError:
    """What to say of a network that fails on an image."""
    return BundleError(
        "A network cannot be run on an image of this form",
        got=_last_line(error),
        remedy="Check 'inputs' and 'multiple_of' in its description",
    )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:160]
