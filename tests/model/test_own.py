"""Networks of someone else: known functions in each format, called as the cascade calls its own."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import BundleError
from pelvimets.labels import Bone, LearnedFrom, Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.form import NetworkForm

torch = pytest.importorskip("torch")
GRID = Geometry.from_axes((24, 32, 40), (4.0, 2.0, 2.0), (0.0, 0.0, 0.0))


class Threshold(torch.nn.Module):
    """Logits: 0 for background, 8 (image - 1) for what is bright."""

    def forward(self, image):
        bright = 8 * (image[:, :1] - 1)
        return torch.cat([0 * bright, bright], dim=1)


class FirstBefore(torch.nn.Module):
    """One logit: the image one voxel further along the first axis, where any bone is."""

    def forward(self, both):
        image, bones = both[:, :1], both[:, 1:2]
        later = torch.cat([image[:, :, 1:], 0 * image[:, :, :1]], dim=2)
        return 8 * (later - 1) * bones - 8 * (1 - bones)


def as_onnx(network: Any, channels: int, path: Path, *, fixed: bool = False) -> Path:
    axes = {} if fixed else {"image": {2: "z", 3: "y", 4: "x"}}
    with warnings.catch_warnings():  # the other exporter needs one more package
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, channels, 16, 16, 16),),
            str(path),
            input_names=["image"],
            dynamic_axes=axes,
            dynamo=False,
        )
    return path


def as_torchscript(network: Any, channels: int, path: Path) -> Path:
    with warnings.catch_warnings():  # the format is frozen, not gone
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(network.eval(), torch.zeros(1, channels, 16, 16, 16)), path)
    return path


def bones_of(name: str, **more: Any) -> dict[str, Any]:
    form = {
        "inputs": ["image"],
        "outputs": ["background", "ilium"],
        "spacing_mm": [4, 2, 2],
        "multiple_of": [1, 1, 1],
    }
    return {"file": name, **form, **more}


def described(folder: Path, **steps: Any) -> Path:
    path = folder / "ours.json"
    path.write_text(json.dumps({"name": "ours", "version": "2", **steps}))
    return path


def bright_image() -> Volume:
    array = np.zeros(GRID.shape, np.float32)
    array[8:16, 5:20, 10:30] = 3.0
    return Volume(array, GRID)


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_bones_of_someone_else_beside_the_shipped_lesions(form: str, tmp_path: Path) -> None:
    if form == "onnx":
        as_onnx(Threshold(), 1, tmp_path / "bones.onnx")
        place = described(tmp_path, bones=bones_of("bones.onnx"), learned_from="real")
    else:
        as_torchscript(Threshold(), 1, tmp_path / "bones.ts")
        place = described(tmp_path, bones=bones_of("bones.ts"), learned_from="real")
    shipped, own = load_segmenter(), load_segmenter(place)
    image = bright_image()
    found = own.bone_probabilities(image, Sequence.T1)
    assert found.shape == (9, *GRID.shape)
    assert ((found[Bone.ILIUM] > 0.5) == (image.array > 1)).all()
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    assert not found[Bone.PUBIS].any()
    assert (
        own.name == "ours 2"
        and own.lesions[Sequence.T1].files == shipped.lesions[Sequence.T1].files
    )
    assert own.learned_from is LearnedFrom.MIXED
    assert own.weights_sha256 != shipped.weights_sha256
    assert own.settings.bone_grid.spacing_mm == (4, 2, 2)
    assert own.settings.bones.other_in_dwi == 0 < shipped.settings.bones.other_in_dwi
    assert own.settings.lesions == shipped.settings.lesions


def test_lesions_of_someone_else_are_turned_to_his_axes_and_not_weighed_by_ours(
    tmp_path: Path,
) -> None:
    """Along his first axis, R, one voxel further is one voxel less to the left."""
    as_onnx(FirstBefore(), 2, tmp_path / "lesions.onnx")
    lesions = {
        "file": "lesions.onnx",
        "inputs": ["image", "bones"],
        "outputs": ["lesion"],
        "spacing_mm": [4, 2, 2],
        "multiple_of": [1, 1, 1],
        "axes": "RAS",
    }
    own = load_segmenter(described(tmp_path, lesions={**lesions, "sequences": ["t1"]}))
    image = bright_image()
    bones = image.with_array(np.ones(GRID.shape, np.uint8))
    found = own.lesion_probabilities(image, bones, Sequence.T1) > 0.5
    expected = np.zeros(GRID.shape, bool)
    expected[:, :, 1:] = (image.array > 1)[:, :, :-1]
    assert (found == expected).all()
    assert own.settings.lesions.on(Sequence.T1).threshold == 0.5
    assert own.lesions[Sequence.DWI] is not own.lesions[Sequence.T1]
    shipped = load_segmenter()
    assert own.settings.lesions != shipped.settings.lesions
    assert own.learned_from is LearnedFrom.UNKNOWN


def test_axes_turn_there_and_back() -> None:
    array = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    for axes in ("SPL", "RAS", "LPS", "AIR"):
        form = NetworkForm(("image",), ("lesion",), axes=axes)
        assert (form.turned_back(form.turned(array)) == array).all()
    assert NetworkForm(("image",), ("lesion",), axes="RAS").turned(array).shape == (2, 5, 4, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outputs": ["background", "liver"]}, "liver.*Known.*femoral_head"),
        ({"outputs": ["background", "lesion"]}, "gives nothing of the kind"),
        ({"outputs": ["background", "ilium", "pubis"]}, "another shape"),
        ({"inputs": ["image", "bones"]}, "other channels.*1 in the file, 2"),
        ({"inputs": ["t2"]}, "Inputs.*t2"),
        ({"axes": "RLS"}, "three directions"),
        ({"gives": "scores"}, "logits, probabilities"),
        ({"spacing_mm": [0, 2, 2]}, "grid"),
        ({"sequences": ["t2"]}, "dwi and t1"),
        ({"file": "missing.onnx"}, "cannot be read"),
        ({"file": "../bones.onnx"}, "beside its description"),
        ({"file": "bones.h5"}, "ONNX or TorchScript"),
        ({"patch": 3}, "patch"),
    ],
)
def test_a_description_that_cannot_be_used_is_refused_with_a_reason(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    as_onnx(Threshold(), 1, tmp_path / "bones.onnx")
    (tmp_path / "bones.h5").write_bytes(b"x")
    place = described(tmp_path, bones=bones_of("bones.onnx", **change))
    with pytest.raises(BundleError, match=rf"(?s).*{words}"):
        load_segmenter(place).bone_probabilities(bright_image(), Sequence.T1)


def test_files_that_are_no_networks_are_refused(tmp_path: Path) -> None:
    for name in ("bones.onnx", "bones.ts"):
        (tmp_path / name).write_bytes(b"no network at all")
        with pytest.raises(BundleError, match=r"cannot be read|no TorchScript"):
            load_segmenter(described(tmp_path, bones=bones_of(name)))
    torch.save({"weights": torch.zeros(3)}, tmp_path / "weights.pt")
    with pytest.raises(BundleError, match="weights alone"):
        load_segmenter(described(tmp_path, bones=bones_of("weights.pt")))
    with pytest.raises(BundleError, match="names no network"):
        load_segmenter(described(tmp_path))
    with pytest.raises(BundleError, match=r"Unknown entry.*bone"):
        load_segmenter(described(tmp_path, bone={}))


def test_a_network_beside_its_description_may_be_named_itself(tmp_path: Path) -> None:
    as_onnx(Threshold(), 1, tmp_path / "ours.onnx")
    described(tmp_path, bones=bones_of("ours.onnx"))
    assert load_segmenter(tmp_path / "ours.onnx").name == "ours 2"
    as_onnx(Threshold(), 1, tmp_path / "alone.onnx")
    with pytest.raises(BundleError, match=r"alone.json.*own-networks"):
        load_segmenter(tmp_path / "alone.onnx")


def monai_folder(folder: Path) -> Path:
    for part in ("configs", "models"):
        (folder / part).mkdir(parents=True)
    as_torchscript(Threshold(), 1, folder / "models" / "model.ts")
    channels = {"0": "background", "1": "Ilium"}
    data_format = {
        "inputs": {"image": {"num_channels": 1, "channel_def": {"0": "image"}}},
        "outputs": {"pred": {"num_channels": 2, "channel_def": channels}},
    }
    metadata = {"network_data_format": data_format}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    transforms = [
        {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": "image", "pixdim": [2.0, 2.0, 4.0]},
    ]
    (folder / "configs" / "inference.json").write_text(json.dumps({"preprocessing": transforms}))
    return folder


def test_a_monai_bundle_serves_as_it_is_or_with_a_description(tmp_path: Path) -> None:
    folder = monai_folder(tmp_path / "monai")
    with pytest.raises(BundleError, match="no multiple_of"):
        load_segmenter(folder)
    bones = {"file": "monai", "multiple_of": [1, 1, 1]}
    own = load_segmenter(described(tmp_path, bones=bones))
    assert own.settings.bone_grid.spacing_mm == (4.0, 2.0, 2.0)
    image = bright_image()
    found = own.bone_probabilities(image, Sequence.DWI)
    assert ((found[Bone.ILIUM] > 0.5) == (image.array > 1)).all()
    (folder / "models" / "model.ts").unlink()
    with pytest.raises(BundleError, match="ckpt_export"):
        load_segmenter(described(tmp_path, bones=bones))


def nnunet_folder(folder: Path) -> Path:
    place = folder / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    place.mkdir(parents=True)
    dataset = {"labels": {"background": 0, "ilium": 1}, "channel_names": {"0": "T1"}}
    (place / "dataset.json").write_text(json.dumps(dataset))
    plans = {"configurations": {"3d_fullres": {"spacing": [4.0, 2.0, 2.0]}}}
    (place / "plans.json").write_text(json.dumps(plans))
    return place


def trained_nnunet(place: Path) -> None:
    """Plans and a checkpoint as nnU-Net writes them, of a small network with random weights."""
    pytest.importorskip("nnunetv2")
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    conv, norm = "torch.nn.modules.conv.Conv3d", "torch.nn.modules.instancenorm.InstanceNorm3d"
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 2,
            "features_per_stage": [4, 8],
            "conv_op": conv,
            "kernel_sizes": [[3, 3, 3]] * 2,
            "strides": [[1, 1, 1], [2, 2, 2]],
            "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1],
            "conv_bias": True,
            "norm_op": norm,
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "nonlin"],
    }
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "x",
        "preprocessor_name": "DefaultPreprocessor",
        "spacing": [4.0, 2.0, 2.0],
        "patch_size": [16, 32, 32],
        "batch_size": 2,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling,
        "architecture": architecture,
        "batch_dice": False,
    }
    plans = {
        "dataset_name": "Dataset001_Pelvis",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {}},
        "configurations": {"3d_fullres": configuration},
    }
    (place / "plans.json").write_text(json.dumps(plans))
    manager = PlansManager(plans)
    made = manager.get_configuration("3d_fullres")
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    torch.manual_seed(0)
    network = get_network_from_plans(
        made.network_arch_class_name,
        made.network_arch_init_kwargs,
        made.network_arch_init_kwargs_req_import,
        1,
        2,
        deep_supervision=False,
    )
    (place / "fold_0").mkdir()
    checkpoint = {
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": None,
        "network_weights": network.state_dict(),
    }
    torch.save(checkpoint, place / "fold_0" / "checkpoint_final.pth")


def test_results_of_nnunet_are_run_by_nnunet(tmp_path: Path) -> None:
    place = nnunet_folder(tmp_path)
    trained_nnunet(place)
    own = load_segmenter(place)
    found = own.bone_probabilities(bright_image(), Sequence.T1)
    assert found.shape == (9, *GRID.shape)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-4)
    assert 0.05 < found[Bone.ILIUM].std() + found[Bone.ILIUM].mean() < 1
    assert not found[Bone.PUBIS].any()
    again = load_segmenter(place).bone_probabilities(bright_image(), Sequence.T1)
    assert (found == again).all()


def test_what_cannot_be_run_of_nnunet_is_said(tmp_path: Path) -> None:
    place = nnunet_folder(tmp_path)
    with pytest.raises(BundleError, match=r"not installed|no finished training"):
        load_segmenter(place)
    place.rename(tmp_path / "renamed")
    with pytest.raises(BundleError, match="name that nnU-Net gave"):
        load_segmenter(tmp_path / "renamed")
