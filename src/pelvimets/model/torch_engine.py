"""Networks of a bundle run by PyTorch, on devices that OpenVINO does not know."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pelvimets.config import Arithmetic
from pelvimets.model.engine import NetworkFiles
from pelvimets.model.export import WithProbabilities
from pelvimets.model.import_weights import network_weights
from pelvimets.model.torchscript import bundle_network

_INPUTS_OF, _OUTPUTS_OF = "stem.weight", "head.weight"


class TorchCompiled:
    """One network on one device, called as OpenVINO's compiled models are.

    Args:
        files: From the bundle.
        device: PyTorch's name of the device.
        arithmetic: Numbers in which it reckons.

    Raises:
        BundleError: if the file names no weights, or they fit no known network.
    """

    def __init__(self, files: NetworkFiles, device: str, arithmetic: Arithmetic) -> None:
        weights = network_weights(files)
        inputs, outputs = (
            int(weights[name].shape[1]) if name in weights else 1
            for name in (_INPUTS_OF, _OUTPUTS_OF)
        )
        network = bundle_network(files, inputs, outputs)
        self._network = WithProbabilities(network, outputs).eval().to(device)
        self._device, self._half = device, arithmetic is Arithmetic.BFLOAT16

    def __call__(self, image: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        """Probabilities, as the only one of its outputs, (1, outputs, z, y, x)."""
        numbers: Any = nullcontext()
        if self._half:
            numbers = torch.autocast(self._device, dtype=torch.bfloat16)
        with torch.inference_mode(), numbers:
            found = self._network(torch.from_numpy(image).to(self._device))
        return [np.asarray(found.float().cpu().numpy())]

    def release_memory(self) -> None:
        """Give back what the device keeps for the next call."""
        if self._device == "cuda":
            torch.cuda.empty_cache()
