"""From a PyTorch network to OpenVINO's format; nothing is sent or fetched on the way."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from pelvimets.errors import ResourceError

_NAME = "image"


class WithProbabilities(nn.Module):
    """Probabilities (softmax, or sigmoid of a single output), the mean over both mirror images.

    Labels have no sides, so the image mirrored left to right has the mirrored answer.
    """

    def __init__(self, network: nn.Module, outputs: int) -> None:
        super().__init__()
        self.network, self.several = network, outputs > 1

    def forward(self, image: Tensor) -> Tensor:
        """Probabilities (batch, outputs, z, y, x)."""
        mirrored = self._probabilities(image.flip(-1)).flip(-1)
        return 0.5 * (self._probabilities(image) + mirrored)

    def _probabilities(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image)
        return logits.softmax(dim=1) if self.several else logits.sigmoid()


def to_openvino(
    network: nn.Module, inputs: int, outputs: int, multiple_of: tuple[int, int, int]
) -> ov.Model:
    """Convert a trained network; its input (1, inputs, z, y, x) has free z, y and x.

    Args:
        network: Gives logits.
        inputs: Input channels.
        outputs: Output channels.
        multiple_of: Of the shapes that it takes.
    """
    z, y, x = (4 * m for m in multiple_of)
    whole: nn.Module = WithProbabilities(network, outputs).eval().float()
    whole.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with warnings.catch_warnings():  # OpenVINO's front end still reads traces
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            whole, torch.zeros(1, inputs, z, y, x)
        )
        front_end = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)  # must outlive the conversion
        model = front_end.convert(front_end.load(decoder))
    model.reshape({model.input(0): ov.PartialShape([1, inputs, -1, -1, -1])})
    model.input(0).get_tensor().set_names({_NAME})
    return model


def network_bytes(model: ov.Model, name: str) -> dict[str, bytes]:
    """The files ``name.xml`` and ``name.bin``, weights in half precision."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.xml"
        ov.save_model(model, path, compress_to_fp16=True)
        written = {p.name: p.read_bytes() for p in (path, path.with_suffix(".bin"))}
    _check_written(*written.values())
    return written


def _check_written(description: bytes, weights: bytes) -> None:
    """OpenVINO writes to a full disk in silence.

    Raises:
        ResourceError: if the network cannot be read again.
    """
    try:
        ov.Core().read_model(model=description, weights=weights)
    except RuntimeError as error:
        raise ResourceError(
            "The network could not be written whole to the temporary folder",
            got=tempfile.gettempdir(),
            remedy="Free some disk, or set TMPDIR to a larger one",
        ) from error
