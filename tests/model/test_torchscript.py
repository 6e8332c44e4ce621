"""Networks of a bundle back in PyTorch: the same answers, the same form."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch

from pelvimets.errors import BundleError
from pelvimets.model.engine import NetworkFiles
from pelvimets.model.export import network_bytes, to_openvino
from pelvimets.model.openvino_backend import OpenVinoNetwork
from pelvimets.model.settings import NetworkSettings
from pelvimets.model.torchscript import bundle_network, form_of, state_bytes, torchscript_bytes
from pelvimets.model.variants import make_network

FORMS = [
    NetworkSettings(channels=(4, 6, 8), stem=(1, 2, 2), blocks=1),
    NetworkSettings(kind="residual", channels=(4, 8), stem=(1, 1, 1), residual_blocks=(1, 2)),
    NetworkSettings(channels=(4, 6, 8), stem=(1, 2, 2), fine=5),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.kind}-{form.fine}")
def test_form_is_read_off_the_weights(form: NetworkSettings) -> None:
    assert form_of(make_network(form, 3, 1).state_dict()) == form


def test_weights_of_no_known_network_are_refused() -> None:
    with pytest.raises(BundleError, match="cannot be read off"):
        form_of({"stem.weight": torch.zeros(4, 1, 1, 2, 2), "body.weight": torch.zeros(3)})


@pytest.mark.parametrize("form", [FORMS[0], FORMS[2]], ids=lambda form: f"fine-{form.fine}")
def test_torchscript_answers_as_the_bundle_does(form: NetworkSettings) -> None:
    torch.manual_seed(3)
    made = network_bytes(
        to_openvino(make_network(form, 1, 9).eval(), 1, 9, form.multiple_of), "bones"
    )
    files = NetworkFiles(made["bones.xml"], made["bones.bin"], form.multiple_of)
    network = bundle_network(files, 1, 9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.load(io.BytesIO(torchscript_bytes(network, 1, 9, form.multiple_of)))
    image = np.random.default_rng(0).normal(size=(1, 12, 24, 40)).astype(np.float32)
    with torch.no_grad():
        found = script(torch.from_numpy(image)[None])[0].numpy()
    np.testing.assert_allclose(found, OpenVinoNetwork(files)(image), atol=2e-4)
    state = torch.load(io.BytesIO(state_bytes(network)), weights_only=True)
    assert state.keys() == network.state_dict().keys()
