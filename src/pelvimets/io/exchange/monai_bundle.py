"""A network of a bundle as a MONAI bundle: folder, metadata, and a configuration that runs.

::

    FOLDER/configs/metadata.json            what goes in and comes out, versions, authors
    FOLDER/configs/inference.json           python -m monai.bundle run --config_file ...
    FOLDER/models/model.ts, model.pt        TorchScript with probabilities; the bare weights
    FOLDER/docs/README.md, data_license.txt the model card, and how to run it
    FOLDER/LICENSE

After the MONAI Bundle Specification (docs.monai.io, mb_specification). The steps before and
after the network are MONAI's own, with the settings of the bundle; a few expressions in the
configuration do what MONAI has no transform for: the grid over the field in patient axes,
smoothing before a coarser grid, and the largest parts of each bone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    for part in ("configs", "models", "docs"):
        (folder / part).mkdir()
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
    return {
        "imports": [
            "$import glob",
            "$import os",
            "$import itertools",
            "$import numpy as np",
            "$from scipy import ndimage",
            "$import monai",
        ],
        "bundle_root": ".",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        **_data(network),
        "network_def": {
            "_target_": "torch.jit.load",
            "f": "$@bundle_root + '/models/model.ts'",
            "map_location": "@device",
        },
        "network": "$@network_def.to(@device).eval()",
        **_expressions(network),
        "preprocessing": {"_target_": "Compose", "transforms": _before(network)},
        "dataset": {"_target_": "Dataset", "data": "@data", "transform": "@preprocessing"},
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "num_workers": 0,
        },
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Compose", "transforms": _after(network)},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "infer": "$torch.no_grad()(lambda item: {**item, "
        "'pred': @inferer(item['image'][None].to(@device), @network)[0].cpu()})",
        "run": ["$[@postprocessing(@infer(item)) for item in @dataset] and None"],
    }


def _data(network: MonaiNetwork) -> dict[str, Any]:
    images = "$sorted(glob.glob(os.path.join(@dataset_dir, '*.nii*')))"
    if network.lesions_on is None:
        return {"datalist": images, "data": "$[{'image': path} for path in @datalist]"}
    bones = "os.path.join(@bones_dir, os.path.basename(path).split('.nii')[0] + '_bones.nii.gz')"
    return {
        "bones_dir": "$@bundle_root + '/bones'",
        "datalist": images,
        "data": f"$[{{'image': path, 'bones': {bones}}} for path in @datalist]",
    }


def _expressions(network: MonaiNetwork) -> dict[str, Any]:
    """Named steps that MONAI has no transform for; ``low`` and ``high`` are (z, y, x) in LPS mm."""
    expressions = {
        "box": "$lambda image: (lambda spl: (spl.min(axis=0), spl.max(axis=0)))("
        "np.array([(*ends, 1) for ends in itertools.product(*((-0.5, int(n) - 0.5) "
        "for n in image.meta['spatial_shape']))])"
        ".dot(np.asarray(image.meta['original_affine'])[:3].T)"
        ".dot([[0, 0, -1], [0, -1, 0], [1, 0, 0]]))",
        **_grid(network.grid),
        "affine": "$lambda step, start: np.array([[0, 0, -step[2], -start[2]], "
        "[0, -step[1], 0, -start[1]], [step[0], 0, 0, start[0]], [0, 0, 0, 1]])",
        "grid": "$lambda low, high: {'spatial_size': @cells(low, high).astype(int).tolist(), "
        "'dst_affine': torch.as_tensor(@affine(@step(low, high), (low + high) / 2 - "
        "@step(low, high) * (@cells(low, high) - 1) / 2))}",
        "pad": "$lambda image: monai.transforms.SpatialPad("
        "spatial_size=@whole(*@box(image)).astype(int).tolist())(image)",
        "smooth": "$lambda image: monai.utils.convert_to_dst_type(ndimage.gaussian_filter("
        "image.numpy(), [0, *(0.42 * max(r * r - 1, 0) ** 0.5 if r > 1.2 else 0 "
        "for r in @step(*@box(image)) / np.array(image.pixdim))], "
        "mode='nearest', truncate=2.0), image)[0]",
        **_resamplers("image", "bilinear"),
        "off_grid": "$lambda item: {**item, 'pred': @resample_image("
        "monai.data.MetaTensor(torch.as_tensor(item['pred']), meta={**item['image'].meta, "
        "'affine': item['image'].affine}), dst_affine=item['image'].meta['original_affine'], "
        "spatial_size=[int(n) for n in item['image'].meta['spatial_shape']], "
        "padding_mode='zeros')}",
    }
    if network.lesions_on is not None:
        nearest = _resamplers("bones", "nearest")
        return {**expressions, **nearest, "channels": _channels(network.lesions_on)}
    return {**expressions, **_cleaning(network.settings.bones)}


def _resamplers(key: str, mode: str) -> dict[str, Any]:
    return {
        f"resample_{key}": {"_target_": "SpatialResample", "mode": mode},
        f"onto_grid_{key}": f"$lambda image: @resample_{key}(image, **@grid(*@box(image)), "
        "padding_mode='border')",
    }


def _grid(grid: GridSettings) -> dict[str, str]:
    """Voxel size, whole shape and voxels inside a field, as ``core.resample.network_grid``.

    Only voxels inside are filled and normalised; the others are padded with 0 afterwards.
    """
    if grid.spacing_mm is None:
        shape = f"np.array({list(grid.shape or ())})"
        step = f"$lambda low, high: (high - low) / {shape}"
        return {"step": step, "whole": f"$lambda *_: {shape}", "cells": f"$lambda *_: {shape}"}
    step, multiple = f"np.array({list(grid.spacing_mm)})", f"np.array({list(grid.multiple_of)})"
    return {
        "step": f"$lambda *_: {step}",
        "whole": f"$lambda low, high: {multiple} * np.ceil(np.maximum(np.ceil(np.minimum("
        f"high - low, np.array({list(grid.largest_field_mm)})) / {step} - 1e-6), 1) / {multiple})",
        "cells": "$lambda low, high: np.minimum(@whole(low, high), "
        f"2 * np.floor(((high - low) / {step} + 1 + 1e-6) / 2))",
    }


def _cleaning(settings: BoneSettings) -> dict[str, str]:
    """The largest parts of each bone, as ``core.bones.clean_bones``."""
    return {
        "largest": "$lambda mask, count, smallest: (lambda parts: (lambda sizes: np.isin(parts, "
        "[n for n in 1 + np.argsort(-sizes[1:], kind='stable')[:count] if sizes[n] >= smallest]"
        "))(np.bincount(parts.ravel())))(ndimage.label(mask, np.ones((3, 3, 3)))[0])",
        "clean": "$lambda labels: monai.utils.convert_to_dst_type(sum(bone * @largest("
        f"labels.numpy()[0] == bone, {settings.keep_vertebrae} if bone == 1 else "
        f"{settings.keep_components_per_bone}, {1000 * settings.smallest_component_cm3:g} / "
        "float(np.prod(np.array(labels.pixdim)))) "
        f"for bone in range(1, {len(Bone) + 1}))[None], labels)[0]",
    }


def _channels(sequence: Sequence) -> str:
    order = "image, mask, empty" if sequence is Sequence.DWI else "empty, mask, image"
    return (
        "$lambda item: {**item, 'image': (lambda image, mask, empty: "
        f"torch.cat([{order}]))(item['image'], (item['bones'] > 0).float(), "
        "torch.zeros_like(item['image']))}"
    )


def _before(network: MonaiNetwork) -> list[dict[str, Any]]:
    lesions = network.lesions_on is not None
    keys = ["image", "bones"] if lesions else ["image"]
    steps: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": keys, "reader": "NibabelReader"},
        {"_target_": "EnsureChannelFirstd", "keys": keys},
        {"_target_": "Orientationd", "keys": keys, "axcodes": _SPACE},
        {"_target_": "Lambdad", "keys": "image", "func": "@smooth"},
        *({"_target_": "Lambdad", "keys": k, "func": f"@onto_grid_{k}"} for k in reversed(keys)),
        *_intensity(network.settings.intensity),
    ]
    steps.append({"_target_": "Lambdad", "keys": keys, "func": "@pad"})
    if lesions:
        steps.append(
            {
                "_target_": "CropForegroundd",
                "keys": keys,
                "source_key": "bones",
                "margin": _MARGIN_VOXELS,
                "allow_smaller": True,
            }
        )
    steps += [
        {"_target_": "SpatialPadd", "keys": keys, "spatial_size": list(network.smallest)},
        {"_target_": "DivisiblePadd", "keys": keys, "k": list(network.multiple_of)},
    ]
    return [*steps, {"_target_": "Lambda", "func": "@channels"}] if lesions else steps


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
    back = {"_target_": "Lambda", "func": "@off_grid"}
    saved = {
        "_target_": "SaveImaged",
        "keys": "pred",
        "output_dir": "@output_dir",
        "separate_folder": False,
        "resample": False,
    }
    if network.lesions_on is not None:
        return [back, {**saved, "output_postfix": "lesion_probability"}]
    return [
        back,
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        {"_target_": "Lambdad", "keys": "pred", "func": "@clean"},
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
