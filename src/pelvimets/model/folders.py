"""Networks that come as folders: results of nnU-Net, and MONAI bundles."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pelvimets.errors import BundleError
from pelvimets.labels import Bone
from pelvimets.model.form import BACKGROUND, IGNORED, INPUTS, LESION, FloatArray, Run
from pelvimets.model.runners import torchscript_run, unusable

_CHECKPOINT = "checkpoint_final.pth"
_LESION_WORDS = re.compile(r"lesion|metasta|tumou?r", re.IGNORECASE)


@dataclass(frozen=True)
class Folder:
    """A folder that holds a network.

    Attributes:
        place: Where it is.
        form: What it says of its form; a description may add to it.
        whole: Whether it cuts images into tiles itself.
    """

    place: Path
    form: Mapping[str, Any]
    whole: bool

    def run(self) -> Run:
        """One forward pass.

        Raises:
            BundleError: if the network cannot be loaded.
        """
        return _nnunet_run(self.place) if self.whole else _monai_run(self.place)

    def digest(self) -> bytes:
        """Of what decides the answers."""
        names = [f"fold_*/{_CHECKPOINT}", "plans.json"] if self.whole else ["models/model.ts"]
        digest = hashlib.sha256()
        for path in sorted(path for name in names for path in self.place.glob(name)):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.digest()


def network_folder(place: Path) -> Folder | None:
    """A folder of one of the known kinds, or None.

    Raises:
        BundleError: if its description cannot be used.
    """
    if (place / "plans.json").is_file() and (place / "dataset.json").is_file():
        return Folder(place, _nnunet_form(place), whole=True)
    if (place / "configs" / "metadata.json").is_file():
        return Folder(place, _monai_form(place), whole=False)
    return None


def named_output(name: str) -> str:
    """Output of a network by someone's name for it.

    >>> named_output("Femoral head"), named_output("bone metastasis"), named_output("bladder")
    ('femoral_head', 'lesion', 'other')
    """
    plain = re.sub(r"[^a-z]+", "_", name.lower()).strip("_")
    if plain in (BACKGROUND, *(bone.key for bone in Bone)):
        return plain
    return LESION if _LESION_WORDS.search(name) else IGNORED


def _named_input(name: str, count: int) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return plain if plain in INPUTS and count > 1 else "image"


def read_described(path: Path, remedy: str | None = None) -> dict[str, Any]:
    """A description of a network.

    Raises:
        BundleError: if it is no JSON object.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(
            "The description of a network cannot be read", got=f"{path}: {error}", remedy=remedy
        ) from error
    if not isinstance(found, dict):
        raise BundleError("The description of a network is no JSON object", got=path)
    return found


def _nnunet_form(place: Path) -> dict[str, Any]:
    """From ``dataset.json`` and ``plans.json``; the configuration is in the folder's name."""
    dataset, plans = read_described(place / "dataset.json"), read_described(place / "plans.json")
    configuration = place.name.split("__")[-1]
    known = plans.get("configurations", {})
    if configuration not in known:
        raise BundleError(
            "A folder of nnU-Net's results has the name that nnU-Net gave it",
            got=place.name,
            remedy=f"Such as nnUNetTrainer__nnUNetPlans__{next(iter(known), '3d_fullres')}",
        )
    spacing = known[configuration].get("spacing") or ()
    if len(spacing) != 3:
        raise BundleError(
            "A network of nnU-Net serves if it is 3D and states its spacing", got=configuration
        )
    try:
        labels = {int(value): str(name) for name, value in dataset["labels"].items()}
        channels = [str(name) for _, name in sorted(dataset["channel_names"].items())]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            "Labels or channels of nnU-Net's dataset.json cannot be used",
            got=repr(error),
            remedy="Networks of regions, where a label is a list, are not supported",
        ) from error
    ignored = [value for value, name in labels.items() if name == "ignore"]
    outputs = [named_output(labels[value]) for value in sorted(set(labels) - set(ignored))]
    return {
        "inputs": [_named_input(name, len(channels)) for name in channels],
        "outputs": outputs,
        "gives": "probabilities",
        "spacing_mm": [float(step) for step in spacing],
        "multiple_of": [1, 1, 1],
    }


def _nnunet_run(place: Path) -> Run:
    try:
        import torch
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    except ImportError as error:
        raise BundleError(
            "Results of nnU-Net are run by nnU-Net itself, which is not installed",
            got=str(error),
            remedy="pip install nnunetv2, or give the network as ONNX",
        ) from error
    if not any(place.glob(f"fold_*/{_CHECKPOINT}")):
        raise BundleError(
            "Results of nnU-Net hold no finished training", got=f"no fold_*/{_CHECKPOINT}"
        )
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it tells of every fold
            predictor = nnUNetPredictor(
                device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False
            )
            predictor.initialize_from_trained_model_folder(str(place), None, _CHECKPOINT)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise BundleError("Results of nnU-Net cannot be loaded", got=str(error)[:160]) from error
    spacing = [float(step) for step in predictor.configuration_manager.spacing]

    def run(image: FloatArray) -> FloatArray:
        try:
            _, answer = predictor.predict_single_npy_array(
                image, {"spacing": spacing}, None, None, True
            )
        except RuntimeError as error:
            raise unusable(error) from error
        return np.asarray(answer, dtype=np.float32)

    return run


def _monai_form(place: Path) -> dict[str, Any]:
    """From ``metadata.json``, and the spacing and axes of the transforms where they say them."""
    try:
        known = read_described(place / "configs" / "metadata.json")["network_data_format"]
        inputs = next(iter(known["inputs"].values()))
        outputs = next(iter(known["outputs"].values()))["channel_def"]
        names = [named_output(str(outputs[n])) for n in sorted(outputs, key=int)]
        channels = inputs.get("channel_def") or {
            str(n): "image" for n in range(inputs["num_channels"])
        }
        given = [_named_input(str(channels[n]), len(channels)) for n in sorted(channels, key=int)]
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise BundleError(
            "The metadata of a MONAI bundle do not say what goes in and comes out",
            got=repr(error),
            remedy="network_data_format needs inputs and outputs with channel_def",
        ) from error
    return {"inputs": given, "outputs": names, **_monai_transforms(place)}


def _monai_transforms(place: Path) -> dict[str, Any]:
    """Axes and spacing, from ``Orientationd`` and ``Spacingd`` of the inference configuration."""
    path = place / "configs" / "inference.json"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found: dict[str, Any] = {}
    axes = re.search(r'"axcodes"\s*:\s*"([A-Z]{3})"', text)
    pixdim = re.search(r'"pixdim"\s*:\s*\[([^\]]*)\]', text)
    if axes:
        found["axes"] = axes.group(1)
    if pixdim and axes:
        steps = [float(number) for number in pixdim.group(1).split(",")]
        order = [("SI", "PA", "LR")[n] for n in range(3)]
        by_axis = dict(zip(axes.group(1), steps, strict=True))
        found["spacing_mm"] = [
            next(step for letter, step in by_axis.items() if letter in pair) for pair in order
        ]
    return found


def _monai_run(place: Path) -> Run:
    path = place / "models" / "model.ts"
    if not path.is_file():
        raise BundleError(
            "A MONAI bundle is run by its TorchScript",
            got=f"no models/{path.name} in {place.name}",
            remedy="python -m monai.bundle ckpt_export makes it of models/model.pt",
        )
    return torchscript_run(path.read_bytes())
