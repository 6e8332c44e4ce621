"""A network of a bundle as a MONAI bundle: folder, metadata, and a configuration that runs.

::

    FOLDER/configs/metadata.json            what goes in and comes out, versions, authors
    FOLDER/configs/inference.json           python -m monai.bundle run --config_file ...
    FOLDER/scripts/steps.py                 steps that MONAI has no transform for
    FOLDER/models/model.ts, model.pt        TorchScript with probabilities; the bare weights
    FOLDER/docs/README.md, data_license.txt the model card, and how to run it
    FOLDER/LICENSE

After the MONAI Bundle Specification (docs.monai.io, mb_specification). The steps before and
after the network are MONAI's own, with the settings of the bundle; ``scripts/steps.py``
(``resources/monai``) does what MONAI has no transform for: the grid over the field in patient
axes, smoothing before a coarser grid, and the largest parts of each bone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pelvimets.config import BoneSettings, GridSettings, IntensitySettings, ReadingSettings
from pelvimets.io.record.output import write_bytes, write_json, write_text
from pelvimets.labels import Bone, Sequence

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
_MARGIN_VOXELS = 8
_SPACE = "SPL"  # array axes towards superior, posterior, left


@dataclass(frozen=True)
class MonaiNetwork:
    """What is written.

    Attributes:
        name, version, summary: Of the bundle it comes from.
        lesions_on: Sequence of a lesion network; None for the bone network.
        settings: Of the bundle.
        multiple_of, smallest: Shapes that the network takes.
        architecture: Class and settings of the bare weights.
        versions: Of the packages that it was made with.
    """

    name: str
    version: str
    summary: str
    lesions_on: Sequence | None
    settings: ReadingSettings
    multiple_of: tuple[int, int, int]
    smallest: tuple[int, int, int]
    architecture: Mapping[str, Any]
    versions: Mapping[str, str]

    @property
    def grid(self) -> GridSettings:
        """Grid of the network."""
        return self.settings.lesion_grid if self.lesions_on else self.settings.bone_grid


def write_monai_bundle(
    folder: Path, network: MonaiNetwork, models: Mapping[str, bytes], card: str, license_text: str
) -> None:
    """Write all files into an empty folder.

    Args:
        folder: Where they go.
        network: What they describe.
        models: Files of ``models/`` by name.
        card: The model card of the bundle.
        license_text: Of the weights.
    """
    for part in ("configs", "models", "docs", "scripts"):
        (folder / part).mkdir()
    for name in ("__init__.py", "steps.py"):
        script = resources.files("pelvimets.resources") / "monai" / name
        write_text(folder / "scripts" / name, script.read_text(encoding="utf-8"))
    write_json(folder / "configs" / "metadata.json", metadata(network))
    write_json(folder / "configs" / "inference.json", inference(network))
    for name, data in models.items():
        write_bytes(folder / "models" / name, data)
    write_text(folder / "docs" / "README.md", readme(network, card))
    write_text(folder / "LICENSE", license_text)


def metadata(network: MonaiNetwork) -> dict[str, Any]:
    """Contents of ``metadata.json``."""
    lesions = network.lesions_on
    task = f"Bone metastases on {lesions.title}" if lesions else "Eight bony structures"
    return {
        "schema": SCHEMA,
        "version": _three_numbers(network.version),
        "changelog": {_three_numbers(network.version): f"Made of {network.name}"},
        "monai_version": network.versions["monai"],
        "pytorch_version": network.versions["torch"],
        "numpy_version": network.versions["numpy"],
        "required_packages_version": {
            "nibabel": network.versions["nibabel"],
            "scipy": network.versions["scipy"],
        },
        "supported_apps": {},
        "name": network.name,
        "task": f"{task} on pelvic MRI",
        "description": network.summary,
        "authors": "The pelvimets developers",
        "copyright": "Copyright the pelvimets developers; Apache License 2.0",
        "intended_use": "Research use only.",
        "data_type": "nifti",
        "references": [
            "Liu X. et al., Front Oncol 2021;11:773299. https://doi.org/10.3389/fonc.2021.773299"
        ],
        "network_architecture": dict(network.architecture),
        "network_data_format": _data_format(network),
    }


def _three_numbers(version: str) -> str:
    """MONAI writes versions with three numbers.

    >>> _three_numbers("0.1"), _three_numbers("2024-a")
    ('0.1.0', '0.0.0+2024-a')
    """
    numbers = version.split(".")
    if len(numbers) > 3 or not all(n.isdigit() for n in numbers):
        return f"0.0.0+{version}"
    return ".".join([*numbers, "0", "0"][:3])


def _data_format(network: MonaiNetwork) -> dict[str, Any]:
    shape = [f"{m}*{n}" for m, n in zip(network.multiple_of, "ijk", strict=True)]
    common = {"type": "image", "spatial_shape": shape, "dtype": "float32", "is_patch_data": False}
    names = _inputs(network.lesions_on)
    outputs = _outputs(network.lesions_on)
    return {
        "inputs": {
            "image": {
                **common,
                "format": "magnitude",
                "modality": "MR",
                "num_channels": len(names),
                "value_range": [],
                "channel_def": {str(n): name for n, name in enumerate(names)},
            }
        },
        "outputs": {
            "pred": {
                **common,
                "format": "probabilities" if network.lesions_on else "labels",
                "modality": "n/a",
                "num_channels": len(outputs),
                "value_range": [0, 1],
                "channel_def": {str(n): name for n, name in enumerate(outputs)},
            }
        },
    }


def _inputs(lesions_on: Sequence | None) -> list[str]:
    if lesions_on is None:
        return ["DWI (b 800-1000) or T1 in phase"]
    return {
        Sequence.DWI: ["DWI (b 800-1000)", "mask of any bone", "empty"],
        Sequence.T1: ["empty", "mask of any bone", "T1 in phase"],
    }[lesions_on]


def _outputs(lesions_on: Sequence | None) -> list[str]:
    return ["metastasis"] if lesions_on else ["background", *(bone.title for bone in Bone)]


def inference(network: MonaiNetwork) -> dict[str, Any]:
    """Contents of ``inference.json``: from NIfTI images to masks on the images' own grid.

    ``run`` needs no engine; ``evaluator`` is there for tools that ask for one, and needs
    pytorch-ignite only when it is asked for.
    """
    lesions = network.lesions_on is not None
    bones = ", @bones_dir" if lesions else ""
    return {
        "imports": ["$from scripts.steps import cases", "$from scripts.steps import read_all"],
        "bundle_root": ".",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "dataset_dir": "$@bundle_root + '/images'",
        **({"bones_dir": "$@bundle_root + '/bones'"} if lesions else {}),
        "output_dir": "$@bundle_root + '/eval'",
        "data": f"$cases(@dataset_dir{bones})",
        "grid": _grid(network.grid),
        "preprocessing": {"_target_": "Compose", "transforms": _before(network)},
        "postprocessing": {"_target_": "Compose", "transforms": _after(network)},
        **_MACHINE,
    }


_MACHINE: dict[str, Any] = {
    "network_def": {
        "_target_": "torch.jit.load",
        "f": "$@bundle_root + '/models/model.ts'",
        "map_location": "@device",
    },
    "network": "$@network_def.to(@device).eval()",
    "dataset": {"_target_": "Dataset", "data": "@data", "transform": "@preprocessing"},
    "dataloader": {
        "_target_": "DataLoader",
        "dataset": "@dataset",
        "batch_size": 1,
        "num_workers": 0,
    },
    "inferer": {"_target_": "SimpleInferer"},
    "evaluator": {
        "_target_": "SupervisedEvaluator",
        "device": "@device",
        "val_data_loader": "@dataloader",
        "network": "@network",
        "inferer": "@inferer",
        "postprocessing": "@postprocessing",
    },
    "run": ["$read_all(@dataset, @network, @inferer, @postprocessing, @device)"],
}
"""What runs the network, the same for all."""


def _grid(grid: GridSettings) -> dict[str, Any]:
    """As ``core.resample.network_grid``."""
    target = {"_target_": "scripts.steps.Grid"}
    if grid.spacing_mm is None:
        return {**target, "shape": list(grid.shape or ())}
    return {
        **target,
        "spacing_mm": list(grid.spacing_mm),
        "multiple_of": list(grid.multiple_of),
        "largest_field_mm": list(grid.largest_field_mm),
    }


def _kept(settings: BoneSettings) -> list[int]:
    """Parts that are kept of each bone, as ``core.bones.clean_bones``."""
    others = settings.keep_components_per_bone
    return [settings.keep_vertebrae if bone is Bone.LUMBAR_VERTEBRA else others for bone in Bone]


def _before(network: MonaiNetwork) -> list[dict[str, Any]]:
    lesions = network.lesions_on is not None
    keys = ["image", "bones"] if lesions else ["image"]
    onto = {"_target_": "scripts.steps.OntoGridd", "grid": "@grid"}
    bones = [{**onto, "keys": "bones", "mode": "nearest"}] if lesions else []
    steps: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": keys, "reader": "NibabelReader"},
        {"_target_": "EnsureChannelFirstd", "keys": keys},
        {"_target_": "Orientationd", "keys": keys, "axcodes": _SPACE},
        *bones,
        {**onto, "keys": "image", "smoothed": True},
        *_intensity(network.settings.intensity),
        {"_target_": "scripts.steps.PadToGridd", "keys": keys, "grid": "@grid"},
    ]
    if lesions:
        crop = {"keys": keys, "source_key": "bones", "margin": _MARGIN_VOXELS}
        steps.append({"_target_": "CropForegroundd", **crop, "allow_smaller": True})
    steps += [
        {"_target_": "SpatialPadd", "keys": keys, "spatial_size": list(network.smallest)},
        {"_target_": "DivisiblePadd", "keys": keys, "k": list(network.multiple_of)},
    ]
    if network.lesions_on is not None:
        order = _ORDERS[network.lesions_on]
        steps.append({"_target_": "scripts.steps.Channels", "order": list(order)})
    return steps


_ORDERS = {Sequence.DWI: ("image", "mask", "empty"), Sequence.T1: ("empty", "mask", "image")}


def _intensity(settings: IntensitySettings) -> list[dict[str, Any]]:
    (lower, upper), (start, end) = settings.clip_percentiles, settings.scale
    return [
        {
            "_target_": "ScaleIntensityRangePercentilesd",
            "keys": "image",
            "lower": lower,
            "upper": upper,
            "b_min": start,
            "b_max": end,
            "clip": True,
        },
        {"_target_": "NormalizeIntensityd", "keys": "image"},
    ]


def _after(network: MonaiNetwork) -> list[dict[str, Any]]:
    back = {"_target_": "scripts.steps.OffGrid"}
    saved = {
        "_target_": "SaveImaged",
        "keys": "pred",
        "output_dir": "@output_dir",
        "separate_folder": False,
        "resample": False,
    }
    if network.lesions_on is not None:
        return [back, {**saved, "output_postfix": "lesion_probability"}]
    bones = network.settings.bones
    return [
        back,
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        {
            "_target_": "scripts.steps.LargestPartsd",
            "keys": "pred",
            "kept": _kept(bones),
            "smallest_cm3": bones.smallest_component_cm3,
        },
        {**saved, "output_postfix": "bones", "output_dtype": "uint8"},
    ]


def readme(network: MonaiNetwork, card: str) -> str:
    """How to run it, and the model card."""
    lesions = network.lesions_on
    further = " --bones_dir BONES" if lesions else ""
    what = (
        f"It writes the probability of metastasis on {lesions.title}. BONES holds the masks of "
        "the bones, NAME_bones.nii.gz for NAME.nii.gz, as the bone network writes them. The "
        "rules that make lesions of probabilities (threshold, bone margin, smallest volume and "
        "score) are pelvimets's own and are not part of this bundle."
        if lesions
        else "It writes masks of the eight bones on the images' own grid, with the values "
        + ", ".join(f"{int(b)} {b.title}" for b in Bone)
        + "."
    )
    return (
        f"# {network.name}\n\nA network of pelvimets as a MONAI bundle. Research use only.\n\n"
        "## Run\n\nIn this folder, IMAGES being a folder of NIfTI images:\n\n"
        '    pip install "monai[nibabel,fire]" scipy\n'
        "    python -m monai.bundle run --config_file configs/inference.json \\\n"
        f"        --dataset_dir IMAGES --output_dir OUT{further}\n\n{what}\n\n"
        "Outside an oblique field the border is repeated, where pelvimets leaves the image\n"
        "empty, and large images are read whole, not in tiles; else the steps are the same.\n\n"
        f"## Model card\n\n{_deeper(card)}"
    )


def _deeper(card: str) -> str:
    """A Markdown text with its headings two levels down.

    >>> _deeper("# Data")
    '### Data'
    """
    lines = (f"##{line}" if line.startswith("#") else line for line in card.splitlines())
    return "\n".join(lines) + "\n" * card.endswith("\n")
