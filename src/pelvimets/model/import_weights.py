"""From OpenVINO's format back to the weights of a PyTorch network."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
import torch
from torch import Tensor

from pelvimets.errors import BundleError
from pelvimets.model.engine import NetworkFiles

_PREFIX, _HALF = "self.network.", "_compressed"


def network_weights(files: NetworkFiles) -> dict[str, Tensor]:
    """Weights by their names in the PyTorch network, as ``export`` left them there.

    They were kept in half precision and come back as float32.

    Raises:
        BundleError: if the file names no weights, having been made by other means.
    """
    model = ov.Core().read_model(model=files.model, weights=files.weights)
    found = {
        constant.get_friendly_name().removesuffix(_HALF).removeprefix(_PREFIX): _tensor(constant)
        for constant in model.get_ops()
        if constant.get_type_name() == "Constant"
        and constant.get_friendly_name().startswith(_PREFIX)
    }
    if not found:
        raise BundleError(
            "The network of this bundle does not name its weights",
            remedy="Start from the run that the bundle was made of",
        )
    return found


def _tensor(constant: Any) -> Tensor:
    return torch.from_numpy(np.array(constant.data, dtype=np.float32))
