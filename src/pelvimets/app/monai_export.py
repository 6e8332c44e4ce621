"""A network of a bundle as a MONAI bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pelvimets import __version__
from pelvimets.app.exchange import MARKER
from pelvimets.config import settings_from_dict, settings_to_dict
from pelvimets.errors import BundleError
from pelvimets.io.exchange.monai_bundle import MonaiNetwork, write_monai_bundle
from pelvimets.io.record.bundle import CARD_NAME, LICENSE_NAME
from pelvimets.io.record.output import check_output, staged_folder, write_json
from pelvimets.labels import Sequence
from pelvimets.model.bundle import (
    DESCRIPTION_NAME,
    bundle_folder,
    load_segmenter,
    verified_contents,
)
from pelvimets.model.engine import NetworkFiles
from pelvimets.model.inputs import BONE_INPUTS, BONE_OUTPUTS, LESION_INPUTS, LESION_OUTPUTS
from pelvimets.model.openvino_backend import Network, OpenVinoNetwork, OpenVinoSegmenter
from pelvimets.model.settings import NetworkSettings

_OLDEST = {
    "monai": "1.4.0",
    "torch": "2.6.0",
    "numpy": "1.26.0",
    "scipy": "1.11.0",
    "nibabel": "5.3.0",
}


def export_monai(
    bundle: Path | None,
    out: Path,
    *,
    lesions_on: Sequence | None = None,
    overwrite: bool = False,
) -> None:
    """Write a network of a bundle as a MONAI bundle, with TorchScript and a configuration.

    Args:
        bundle: Folder of the bundle, or name of a shipped one; None takes the default.
        out: Folder of the MONAI bundle; it appears when all is written.
        lesions_on: Sequence of the lesion network to write; None writes the bone network.
        overwrite: Replace an earlier export.

    Raises:
        BundleError: if the bundle is damaged, or its networks are of no known form.
        OutputError: if it cannot be written there.
    """
    from pelvimets.model.torchscript import bundle_network, state_bytes, torchscript_bytes

    check_output(out, overwrite=overwrite, result_marker=MARKER)
    place = bundle_folder(bundle)
    segmenter, contents = _networks_of_one_image(place), verified_contents(place)
    description = json.loads(contents[DESCRIPTION_NAME])
    files = _files(segmenter.lesions if lesions_on else segmenter.bones, lesions_on)
    shape = (LESION_INPUTS, LESION_OUTPUTS) if lesions_on else (BONE_INPUTS, BONE_OUTPUTS)
    form = _form(description, lesions_on)
    network = bundle_network(files, *shape, form)
    models = {
        "model.ts": torchscript_bytes(network, *shape, files.multiple_of),
        "model.pt": state_bytes(network),
    }
    task = f"lesions_{lesions_on}" if lesions_on else "bones"
    described = MonaiNetwork(
        name=f"pelvimets_{description['name']}_{task}",
        version=str(description["version"]),
        summary=str(description.get("summary", "")),
        lesions_on=lesions_on,
        settings=segmenter.settings,
        multiple_of=files.multiple_of,
        smallest=files.smallest,
        architecture={
            "builder": "pelvimets.model.variants.make_network",
            "settings": settings_to_dict(form) if form else "read off the weights' shapes",
            "inputs": shape[0],
            "outputs": shape[1],
        },
        versions={name: _version(name) for name in _OLDEST},
    )
    with staged_folder(out, overwrite=overwrite, result_marker=MARKER) as work:
        card, license_text = contents[CARD_NAME].decode(), contents[LICENSE_NAME].decode()
        write_monai_bundle(work, described, models, card, license_text)
        source = {"name": segmenter.name, "weights_sha256": segmenter.weights_sha256}
        write_json(
            work / MARKER, {"pelvimets": __version__, "made_by": "export monai", "bundle": source}
        )


def _networks_of_one_image(bundle: Path) -> OpenVinoSegmenter:
    segmenter = load_segmenter(bundle)
    if segmenter.wanted:
        raise BundleError(
            "A network that sees further images is not written as a MONAI bundle",
            got=", ".join(sorted(segmenter.wanted)),
            remedy="Train one without network.inputs for the export",
        )
    return segmenter


def _files(networks: Mapping[Sequence, Network], lesions_on: Sequence | None) -> NetworkFiles:
    network = networks[lesions_on or Sequence.DWI]
    if not isinstance(network, OpenVinoNetwork):
        raise BundleError(
            "A network of someone else cannot be exported", remedy="Name a bundle of pelvimets"
        )
    return network.files


def _form(description: dict[str, Any], lesions_on: Sequence | None) -> NetworkSettings | None:
    """The form that the bundle itself gives; older bundles give none."""
    step, sequence = ("lesions", lesions_on) if lesions_on else ("bones", Sequence.DWI)
    try:
        file = description["networks"][step][sequence.value].removesuffix(".xml")
        form = description["runs"][file]["settings"]["network"]
    except (KeyError, TypeError):
        return None
    return settings_from_dict(NetworkSettings, form)


def _version(package: str) -> str:
    """What is installed here, or what the bundle needs at least."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return _OLDEST[package]
