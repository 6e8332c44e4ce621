"""Further images in the networks: channels in their order, in their place, left out by chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.config import IntensitySettings
from pelvimets.core.further import check_beside, registered
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import BundleError, GeometryError, SettingsError
from pelvimets.io.record.arrays import ArrayFolder
from pelvimets.io.record.bundle import write_bundle
from pelvimets.labels import FurtherInput, Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.export import network_bytes, to_openvino
from pelvimets.model.inputs import bone_input, further_channels, lesion_input
from pelvimets.model.network import UNet
from pelvimets.model.settings import NetworkSettings
from pelvimets.training.data import PatchDataset
from pelvimets.training.sample import Sample
from pelvimets.training.settings import Task
from pelvimets.training.start import Start, check_fits, take_weights
from pelvimets.training.store import SampleStore
from pelvimets.training.validation import whole_image
from tests.model.test_bundle import FORM, description
from tests.training.conftest import Samples, made_sample, tiny_settings

FAT, STIR, WATER = FurtherInput.FAT, FurtherInput.STIR, FurtherInput.WATER
INTENSITY = IntensitySettings(clip_percentiles=(0.0, 100.0))


def scene(grid: Geometry) -> Volume:
    """A smooth pattern that is fixed in the patient."""
    index = np.indices(grid.shape).reshape(3, -1).T
    x, y, z = grid.to_lps(index).T
    values = np.sin(x / 17) + np.cos(y / 23 + 1) + np.sin(z / 19 + 2) * np.cos(x / 31)
    return Volume((100 + 20 * values).reshape(grid.shape).astype(np.float32), grid)


@settings(deadline=None, max_examples=15)
@given(
    shift=st.tuples(*[st.integers(-15, 15)] * 3),
    degrees=st.integers(-25, 25),
    step=st.sampled_from([1.5, 2.0, 2.9]),
)
def test_a_further_image_on_another_grid_lands_in_its_place(shift, degrees, step) -> None:
    """Whatever affine map lies between the grids, each voxel shows the same place."""
    image = scene(Geometry.from_axes((20, 24, 28), (4.0, 4.0, 4.0)))
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    size = tuple(int(n * 4.0 / step) for n in (20, 24, 28))
    grid = Geometry.from_axes(size, (step,) * 3, shift, [[0, 0, 1], [-s, c, 0], [c, s, 0]])
    found = registered(scene(grid), image, INTENSITY)
    there = found != 0
    assert there.mean() > 0.3
    a, b = found[there], image.array[there]
    assert np.corrcoef(a, b)[0, 1] > 0.995
    assert abs(a.mean()) < 1e-3 and a.std() == pytest.approx(1, abs=1e-3)


def test_nothing_is_seen_outside_of_either_field() -> None:
    grid = Geometry.from_axes((8, 8, 8), (4.0, 4.0, 4.0))
    image = scene(grid)
    image.array[:2] = 0
    far = registered(
        scene(Geometry.from_axes((8, 8, 8), (4.0,) * 3, (0, 0, 500))), image, INTENSITY
    )
    assert not far.any()
    near = registered(scene(Geometry.from_axes((8, 8, 4), (4.0,) * 3)), image, INTENSITY)
    assert not near[:2].any() and not near[:, :, 4:].any() and near[2:, :, :4].all()


def test_images_of_another_place_are_refused() -> None:
    here = {Sequence.T1: Geometry.from_axes((8, 8, 8), (4.0,) * 3)}
    far = {FAT: Geometry.from_axes((8, 8, 8), (4.0,) * 3, (0, 0, 500))}
    with pytest.raises(GeometryError, match=r"patient p1: fat at .*z 498.*leave the further"):
        check_beside(far, here, "patient p1")
    check_beside({FAT: here[Sequence.T1]}, here, "patient p1")


def test_channels_follow_in_the_order_of_the_setting() -> None:
    image = np.ones((2, 2, 2), np.float32)
    images = {kind: np.full(image.shape, n, np.float32) for n, kind in enumerate((FAT, STIR), 2)}
    entries = ("stir", "water", "t1:fat")
    found = further_channels(entries, Sequence.T1, images, image.shape)
    assert [float(own.max()) for own in found] == [3, 0, 2]
    on_dwi = further_channels(entries, Sequence.DWI, images, image.shape)
    assert [float(own.max()) for own in on_dwi] == [3, 0, 0]
    assert bone_input(image, found)[:, 0, 0, 0].tolist() == [1, 3, 0, 2]
    assert lesion_input(image, image, Sequence.DWI, found)[:, 0, 0, 0].tolist() == [
        1,
        1,
        0,
        3,
        0,
        2,
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": ("fet",)}, "Unknown further image.*fet.*stir"),
        ({"inputs": ("t2w:fat",)}, "beside dwi or t1"),
        ({"inputs": ("fat", "t1:fat")}, "named twice"),
        ({"inputs": ("fat",), "input_dropout": 1.0}, "share below 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message) -> None:
    with pytest.raises(SettingsError, match=message):
        NetworkSettings(**changes)


def with_images(number: int = 0, sequence: Sequence = Sequence.T1) -> Sample:
    """Fat is the image itself, water its negative."""
    sample = made_sample(number, sequence)
    return replace(sample, further={FAT: sample.image, WATER: -sample.image})


def test_a_patch_shows_the_same_place_in_all_channels() -> None:
    tiny = replace(
        tiny_settings(), network=NetworkSettings(channels=(4, 8), inputs=("fat", "water"))
    )
    still = replace(tiny.augmentation, noise=0.0, blur_voxels=0.0, gamma=0.0, bias=0.0)
    tiny = replace(tiny, augmentation=still, network=replace(tiny.network, input_dropout=0.0))
    source = Samples(with_images(0), with_images(1))
    dataset = PatchDataset(source, tiny, tiny.stages[0], 0, source.names())
    for number in range(4):
        image, fat, water = dataset[number]["image"].numpy()
        inside = image != 0
        if inside.sum() > 30 and image[inside].std() > 0.1:
            assert np.corrcoef(image[inside], fat[inside])[0, 1] > 0.999
            assert np.corrcoef(image[inside], water[inside])[0, 1] < -0.999
            assert not fat[~inside].any() and not water[~inside].any()
    whole = whole_image(with_images(), (4.0, 4.0, 4.0))
    np.testing.assert_allclose(whole.further[FAT], whole.image, atol=1e-3)


def test_each_is_left_out_as_often_as_said() -> None:
    form = NetworkSettings(channels=(4, 8), inputs=("fat", "water"), input_dropout=0.25)
    tiny = replace(tiny_settings(), task=Task.LESIONS, network=form, steps_per_epoch=100)
    source = Samples(with_images())
    dataset = PatchDataset(source, tiny, tiny.stages[1], 0, source.names())
    there = np.array(
        [dataset[n]["image"][3:].abs().amax((1, 2, 3)).numpy() > 0 for n in range(200)]
    )
    assert np.abs(there.mean(axis=0) - 0.75).max() < 0.12  # three standard deviations and more
    assert (there[:, 0] != there[:, 1]).any()  # each by itself
    bare = Samples(made_sample(0))
    assert not PatchDataset(bare, tiny, tiny.stages[1], 0, bare.names())[0]["image"][3:].any()


def test_samples_keep_their_further_images(tmp_path: Path) -> None:
    store = SampleStore(ArrayFolder(tmp_path))
    store.write(with_images())
    store.write(made_sample(1))
    again = store.read("p0_t1")
    assert list(again.further) == [FAT, WATER]
    assert (again.further[WATER] == with_images().further[WATER]).all()
    assert store.read("p1_dwi").further == {}


def wide_network(inputs: int = 3) -> UNet:
    torch.manual_seed(2)
    return UNet(FORM, inputs, 9).eval()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Bones see fat and, beside T1 alone, STIR; lesions see one image."""
    files = network_bytes(to_openvino(wide_network(), 3, 9, FORM.multiple_of), "bones")
    files |= network_bytes(to_openvino(UNet(FORM, 3, 1).eval(), 3, 1, FORM.multiple_of), "lesions")
    given = description(format=3)
    given["networks"]["bones"]["inputs"] = {s.value: ["fat", "t1:stir"] for s in Sequence}  # type: ignore[index]
    write_bundle(tmp_path / "wide", given, files, "# wide\n")
    return tmp_path / "wide"


def test_openvino_sees_further_images_as_pytorch_does(bundle: Path) -> None:
    """On another grid, in the order of the channels; a missing one is a channel of zeros."""
    segmenter = load_segmenter(bundle)
    assert segmenter.wanted == {FAT, STIR}
    image = scene(Geometry.from_axes((8, 16, 20), (5.0, 4.0, 4.0)))
    image = image.with_array((image.array - 100) / 20)
    finer = Geometry.from_axes((24, 40, 50), (2.0, 2.0, 2.0), (-3.0, -2.0, -4.0))
    fat, stir = scene(finer), scene(finer)
    stir = stir.with_array(stir.array**2)
    seen = segmenter.with_further({FAT: fat, STIR: stir})
    placed = [registered(own, image, segmenter.settings.intensity) for own in (fat, stir)]
    nothing = np.zeros_like(placed[0])
    cases = [
        (seen, Sequence.T1, placed),
        (seen, Sequence.DWI, [placed[0], nothing]),
        (segmenter.with_further({STIR: stir}), Sequence.T1, [nothing, placed[1]]),
        (segmenter, Sequence.T1, [nothing, nothing]),
    ]
    answers = [networks.bone_probabilities(image, sequence) for networks, sequence, _ in cases]
    for answer, (_, _, further) in zip(answers, cases, strict=True):
        channels = torch.from_numpy(np.stack([image.array, *further]))[None]
        with torch.no_grad():
            both = [wide_network()(own).softmax(1)[0] for own in (channels, channels.flip(-1))]
        wanted = (both[0] + both[1].flip(-1)).numpy() / 2
        np.testing.assert_allclose(answer, wanted, atol=5e-3)
    assert np.abs(answers[0] - answers[3]).max() > 0.01


def test_a_bundle_that_names_unknown_images_is_refused(tmp_path: Path, bundle: Path) -> None:
    files = {p.name: p.read_bytes() for p in bundle.iterdir() if p.suffix in (".xml", ".bin")}
    given = description(format=3)
    given["networks"]["bones"]["inputs"] = {"t1": ["fet"]}  # type: ignore[index]
    with pytest.raises(BundleError, match=r"further images of a bundle.*fet"):
        write_bundle(tmp_path / "other", given, files, "# other\n")
    assert not (tmp_path / "other").exists()


def test_a_network_begins_with_what_one_of_a_single_image_knew() -> None:
    """New channels begin at 0: whatever they show, the answer is that of the other network."""
    from pelvimets.training.module import SegmentationModule

    torch.manual_seed(5)
    tiny = replace(tiny_settings(), network=NetworkSettings(channels=(4, 8), stem=(1, 2, 2)))
    source = Samples(made_sample(0))
    plain = SegmentationModule(tiny, source, source)
    wide = replace(tiny, network=replace(tiny.network, inputs=("fat", "water")))
    module = SegmentationModule(wide, source, source)
    start = Start("bundle plain 1", Task.BONES, plain.network.state_dict())
    assert check_fits(start, wide) == () and take_weights(module, start) == ()
    channels = torch.randn(1, 3, 8, 8, 8)
    with torch.no_grad():
        wanted = plain.network(channels[:, :1])
        torch.testing.assert_close(module.network(channels), wanted)
