"""What networks are run on: chosen by name, refused where it is not there, the same by PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import pelvimets
from pelvimets.app.predict import predict
from pelvimets.config import Arithmetic
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import BundleError, ResourceError, SettingsError
from pelvimets.io.nifti.files import write_nifti
from pelvimets.labels import Sequence
from pelvimets.model import devices
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.devices import RunDevice, chosen_device, device_name, devices_here
from pelvimets.model.engine import Engine, compile_network, device_options
from pelvimets.model.openvino_backend import OpenVinoNetwork
from pelvimets.requests.predict import RunOptions, StudyInput

torch = pytest.importorskip("torch")


def only(monkeypatch: pytest.MonkeyPatch, *there: RunDevice) -> None:
    monkeypatch.setattr(devices, "devices_here", lambda: there)


def test_the_processor_is_always_there_and_has_a_name() -> None:
    assert devices_here()[0] is RunDevice.CPU
    assert chosen_device(RunDevice.CPU) is RunDevice.CPU
    assert chosen_device(RunDevice.AUTO) in devices_here()
    assert device_name(RunDevice.CPU)


def test_auto_takes_the_best_and_xpu_is_openvinos_where_pytorch_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, RunDevice.CPU, RunDevice.GPU)
    assert chosen_device(RunDevice.AUTO) is RunDevice.GPU
    assert chosen_device(RunDevice.XPU) is RunDevice.GPU
    only(monkeypatch, RunDevice.CPU, RunDevice.CUDA, RunDevice.GPU)
    assert chosen_device(RunDevice.AUTO) is RunDevice.CUDA


def test_a_device_that_is_not_there_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only(monkeypatch, RunDevice.CPU, RunDevice.XPU)
    image = tmp_path / "dwi.nii.gz"
    volume = Volume(np.ones((8, 16, 16), np.float32), Geometry.from_axes((8, 16, 16), (5, 3, 3)))
    write_nifti(image, volume)
    with pytest.raises(SettingsError, match=r"no such device.*got cuda.*auto or one of: cpu, xpu"):
        predict(StudyInput(dwi=image), tmp_path / "out", RunOptions(device=RunDevice.CUDA))
    assert not (tmp_path / "out").exists()
    with pytest.raises(SettingsError, match="got mps"):
        pelvimets.predict(pelvimets.read_study(dwi=image), device="mps")
    with pytest.raises(SettingsError, match=r"no such kind of device.*got tpu.*Take auto, cpu"):
        pelvimets.predict(pelvimets.read_study(dwi=image), device="tpu")


def test_without_pytorch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_has_torch", lambda: False)
    with pytest.raises(SettingsError, match=r"need PyTorch \(pip install"):
        chosen_device(RunDevice.CUDA)


@pytest.mark.parametrize("arithmetic", list(Arithmetic))
def test_pytorch_answers_as_openvino(
    monkeypatch: pytest.MonkeyPatch, arithmetic: Arithmetic
) -> None:
    """PyTorch on the processor stands for PyTorch on a GPU."""
    from pelvimets.model.torch_engine import TorchCompiled

    files = load_segmenter().lesions[Sequence.DWI].files  # type: ignore[attr-defined]
    shape = tuple(2 * m for m in files.multiple_of)
    image = np.random.default_rng(0).normal(size=(1, 3, *shape)).astype(np.float32)
    expected = compile_network(files)(image)[0]
    found = TorchCompiled(files, "cpu", arithmetic)(image)[0]
    assert found.shape == expected.shape == (1, 1, *shape)
    np.testing.assert_allclose(
        found, expected, atol=1e-4 if arithmetic is Arithmetic.FLOAT32 else 0.1
    )
    asked: list[tuple[str, Arithmetic]] = []
    monkeypatch.setattr(
        "pelvimets.model.torch_engine.TorchCompiled",
        lambda files, device, arithmetic: asked.append((device, arithmetic)),
    )
    OpenVinoNetwork(files, Engine(arithmetic=arithmetic, device=RunDevice.CUDA)).compile()
    assert asked == [("cuda", arithmetic)]


def test_networks_of_others_say_on_what_they_run(tmp_path: Path) -> None:
    form = {
        "inputs": ["image"],
        "outputs": ["background", "ilium"],
        "spacing_mm": [4, 2, 2],
        "multiple_of": [1, 1, 1],
    }
    described = tmp_path / "ours.json"
    for name, device, able in (
        ("bones.onnx", RunDevice.CUDA, "cpu or gpu"),
        ("bones.ts", RunDevice.GPU, "cpu or cuda or mps or xpu"),
    ):
        (tmp_path / name).write_bytes(b"never read")
        described.write_text(json.dumps({"name": "ours", "bones": {"file": name, **form}}))
        with pytest.raises(BundleError, match=rf"on this device.*got {device}.*--device {able}"):
            load_segmenter(described, Engine(device=device))


def test_graphics_have_no_bfloat16() -> None:
    engine = Engine(arithmetic=Arithmetic.BFLOAT16, device=RunDevice.GPU)
    with pytest.raises(ResourceError, match="no bfloat16 on graphics"):
        device_options(engine)
