"""The picture of the networks in the documentation, against the bundle that is shipped."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from pelvimets.config import LesionSettings, ReadingSettings, settings_to_dict
from pelvimets.errors import BundleError
from pelvimets.labels import Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.export import network_bytes, to_openvino
from pelvimets.model.settings import NetworkSettings
from pelvimets.model.variants import make_network

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
sys.path.insert(0, str(PICTURES))

import network_facts  # noqa: E402
import networks  # noqa: E402
from network_scene import View  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
FORM = NetworkSettings(channels=(4, 6, 8), stem=(1, 2, 2), blocks=3)


def exported(settings: NetworkSettings, inputs: int, outputs: int, name: str) -> dict[str, bytes]:
    torch.manual_seed(0)
    network = make_network(settings, inputs, outputs).eval()
    return network_bytes(to_openvino(network, inputs, outputs, settings.multiple_of), name)


def description(reading: ReadingSettings | None = None) -> dict[str, object]:
    files = {"bones": "bones.xml", "lesions": "lesions.xml"}
    return {
        "settings": settings_to_dict(reading or ReadingSettings()),
        "networks": {step: {"dwi": file, "t1": file} for step, file in files.items()},
    }


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return exported(FORM, 1, 9, "bones") | exported(FORM, 3, 1, "lesions")


def test_the_committed_picture_shows_the_shipped_bundle() -> None:
    path = PICTURES / "networks.svg"
    drawn = json.loads(ElementTree.parse(path).getroot().findtext(f"{SVG}metadata") or "{}")
    facts = network_facts.bundle_facts(networks.shipped_folder(load_segmenter().name))
    assert drawn == json.loads(networks.metadata(facts)), "run: python docs/pictures/networks.py"
    assert path.stat().st_size < 400_000


def test_weights_tell_the_form(files: dict[str, bytes]) -> None:
    form = network_facts.facts_of(description(), files).bones
    network = make_network(FORM, 1, 9)
    assert (form.inputs, form.outputs, form.stem) == (1, 9, FORM.stem)
    assert form.channels == FORM.channels
    assert (form.down, form.up) == ((3, 3, 3), (3, 3))
    assert form.weights == sum(p.numel() for p in network.parameters())
    assert form.cell_mm(2) == (16.0, 24.0, 24.0)
    assert not form.own_per_sequence


def test_a_network_that_is_no_u_is_refused(files: dict[str, bytes]) -> None:
    """Weights under other names, as those of the Attention U-Net are."""
    other = {name: data.replace(b"network.down.", b"network.body.") for name, data in files.items()}
    with pytest.raises(BundleError, match="Only U-Nets"):
        network_facts.facts_of(description(), other)


def test_the_drawing_follows_the_settings(files: dict[str, bytes]) -> None:
    lesions = LesionSettings(drop_below_cm3=0.3, operating_point=0.37)
    reading = replace(ReadingSettings(), lesions=lesions)
    facts = network_facts.facts_of(description(reading), files)
    black = np.zeros((4, 5, 3), dtype=np.uint8)
    views = dict.fromkeys(Sequence, View(black, black, black, black))
    page = ElementTree.fromstring(networks.drawn(facts, views).svg())
    words = [text.text or "" for text in page.iter(f"{SVG}text")]
    for level, channels in enumerate(FORM.channels):
        assert str(channels) in words
        assert networks.mm(facts.bones.cell_mm(level)) in words
    assert "from 0.3 cm³," in words
    assert "from a score of 0.37" in words
    width, height = (float(page.attrib[side]) for side in ("width", "height"))
    for text in page.iter(f"{SVG}text"):
        assert 0 < float(text.attrib["x"]) < width
        assert 0 < float(text.attrib["y"]) < height
