from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
import torch
from openvino import opset13 as ops

from pelvimets.errors import BundleError
from pelvimets.model.engine import NetworkFiles
from pelvimets.model.export import network_bytes, to_openvino
from pelvimets.model.import_weights import network_weights
from pelvimets.model.settings import KINDS, NetworkSettings
from pelvimets.model.variants import make_network


@pytest.mark.parametrize("kind", KINDS)
def test_exported_weights_come_back(kind: str) -> None:
    form = NetworkSettings(kind=kind, channels=(4, 8), stem=(1, 2, 2), residual_blocks=(1,))
    network = make_network(form, 1, 9).eval()
    files = network_bytes(to_openvino(network, 1, 9, form.multiple_of), "bones")
    found = network_weights(NetworkFiles(files["bones.xml"], files["bones.bin"], (1, 1, 1)))
    assert set(found) == set(network.state_dict())
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(found[name], tensor, atol=1e-7, rtol=2**-10)


def test_a_network_made_by_other_means_is_refused() -> None:
    image = ops.parameter([1, 1], np.float32)
    files = network_bytes(ov.Model([ops.relu(image)], [image]), "other")
    with pytest.raises(BundleError, match="does not name its weights"):
        network_weights(NetworkFiles(files["other.xml"], files["other.bin"], (1, 1, 1)))
