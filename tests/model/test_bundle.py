from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pelvimets.config import Arithmetic, GridSettings, ReadingSettings, settings_to_dict
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import BundleError, OutputError, ResourceError
from pelvimets.io.record.bundle import write_bundle
from pelvimets.io.record.compiled import CompiledFolder
from pelvimets.labels import Sequence
from pelvimets.model import engine as engine_module
from pelvimets.model.bundle import FORMAT, bundle_info, installed_bundles, load_segmenter
from pelvimets.model.engine import SMALL_TILE_VOXELS, Engine
from pelvimets.model.export import network_bytes, to_openvino
from pelvimets.model.network import UNet
from pelvimets.model.settings import NetworkSettings

FORM = NetworkSettings(channels=(4, 8), stem=(1, 2, 2))
READING = ReadingSettings(bone_grid=GridSettings(spacing_mm=(5.0, 4.0, 4.0)))


def networks() -> dict[str, UNet]:
    torch.manual_seed(1)
    return {"bones": UNet(FORM, 1, 9).eval(), "lesions": UNet(FORM, 3, 1).eval()}


def description(**changes: object) -> dict[str, object]:
    steps = {
        step: {"dwi": f"{step}.xml", "t1": f"{step}.xml", "multiple_of": FORM.multiple_of}
        for step in ("bones", "lesions")
    }
    plain = {"format": 1, "name": "tiny", "version": "3", "summary": "For a test."}
    return {**plain, "settings": settings_to_dict(READING), "networks": steps, **changes}


@pytest.fixture(scope="module")
def network_files() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for step, network in networks().items():
        inputs, outputs = (1, 9) if step == "bones" else (3, 1)
        files |= network_bytes(to_openvino(network, inputs, outputs, FORM.multiple_of), step)
    return files


@pytest.fixture
def bundle(network_files: dict[str, bytes], tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    write_bundle(folder, description(), network_files, "# tiny\n")
    return folder


def image(shape: tuple[int, int, int] = (7, 18, 21)) -> Volume:
    noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return Volume(noise, Geometry.from_axes(shape, (5.0, 4.0, 4.0)))


def sign_again(folder: Path) -> None:
    names = [p.name for p in folder.iterdir() if p.name != "SHA256SUMS"]
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}" for n in names]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def test_openvino_answers_as_pytorch_does(bundle: Path) -> None:
    segmenter = load_segmenter(bundle)
    here = image((8, 16, 20))
    with torch.no_grad():
        plain = torch.from_numpy(here.array)[None, None]
        both = [networks()["bones"](image).softmax(1)[0] for image in (plain, plain.flip(-1))]
    found = segmenter.bone_probabilities(here, Sequence.DWI)
    np.testing.assert_allclose(found, (both[0] + both[1].flip(-1)).numpy() / 2, atol=5e-3)


def test_the_mirrored_man_has_the_mirrored_bones(bundle: Path) -> None:
    segmenter, here = load_segmenter(bundle), image((8, 16, 20))
    mirrored = here.with_array(np.ascontiguousarray(here.array[..., ::-1]))
    found = segmenter.bone_probabilities(here, Sequence.DWI)
    of_mirrored = segmenter.bone_probabilities(mirrored, Sequence.DWI)
    np.testing.assert_allclose(of_mirrored[..., ::-1], found, atol=1e-5)


def test_any_shape_is_read_and_probabilities_add_up(bundle: Path) -> None:
    found = load_segmenter(bundle).bone_probabilities(image(), Sequence.T1)
    assert found.shape == (9, 7, 18, 21)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-4)


def test_two_loads_give_the_same_bytes(bundle: Path) -> None:
    answers = [load_segmenter(bundle).bone_probabilities(image(), Sequence.T1) for _ in range(2)]
    assert answers[0].tobytes() == answers[1].tobytes()


def test_lesions_depend_on_the_sequence_and_the_bones(bundle: Path) -> None:
    segmenter, here = load_segmenter(bundle), image((16, 40, 40))
    bones = np.zeros(here.array.shape, dtype=np.uint8)
    assert not segmenter.lesion_probabilities(here, here.with_array(bones), Sequence.T1).any()
    bones[2:5, 4:10, 4:10] = 3
    t1 = segmenter.lesion_probabilities(here, here.with_array(bones), Sequence.T1)
    dwi = segmenter.lesion_probabilities(here, here.with_array(bones), Sequence.DWI)
    assert t1[2:5, 4:10, 4:10].all()
    assert not t1[:, 30:].any()  # far from bone
    assert not np.allclose(t1, dwi)


def test_what_a_bundle_says_of_itself(bundle: Path) -> None:
    segmenter, info = load_segmenter(bundle), bundle_info(bundle)
    assert segmenter.name == "tiny 3"
    assert segmenter.settings == READING
    assert len(segmenter.weights_sha256) == 64
    assert (info.name, info.version, info.intact) == ("tiny", "3", True)
    assert 0 < info.size_mb < 1


def break_weights(folder: Path) -> None:
    data = bytearray((folder / "bones.bin").read_bytes())
    data[10] ^= 1
    (folder / "bones.bin").write_bytes(data)


def lose_weights(folder: Path) -> None:
    (folder / "lesions.bin").unlink()


def lose_checksums(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()


def rewrite(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "bundle.json").write_text(json.dumps(description(**changes)))
        sign_again(folder)

    return change


def point_outside(folder: Path) -> None:
    with (folder / "SHA256SUMS").open("a") as stream:
        stream.write(f"{'0' * 64}  ../secret\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_weights, "damaged"),
        (lose_weights, "missing"),
        (lose_checksums, "missing"),
        (rewrite(format=FORMAT + 1), "later version"),
        (rewrite(networks={"bones": {}}), "not as described"),
        (rewrite(settings={"colour": 1}), "settings do not fit"),
        (point_outside, "cannot be read"),
    ],
)
def test_a_bad_bundle_is_refused(
    bundle: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(bundle)
    with pytest.raises(BundleError, match=message):
        load_segmenter(bundle)


def test_an_empty_folder_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle here"):
        load_segmenter(tmp_path)


def test_a_shipped_bundle_has_a_name_but_a_folder_goes_first(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = installed_bundles()[0]
    monkeypatch.chdir(bundle.parent)
    assert load_segmenter(Path(shipped.name)).name == f"{shipped.name} {shipped.version}"
    bundle.rename(shipped.name)
    assert load_segmenter(Path(shipped.name)).name == "tiny 3"
    with pytest.raises(BundleError, match="shipped bundle"):
        load_segmenter(Path("unknown"))


def test_a_bundle_is_not_overwritten_by_chance(
    bundle: Path, network_files: dict[str, bytes]
) -> None:
    with pytest.raises(OutputError, match="exists already"):
        write_bundle(bundle, description(), network_files, "# new\n")
    write_bundle(bundle, description(version="4"), network_files, "# new\n", overwrite=True)
    assert load_segmenter(bundle).name == "tiny 4"


def test_a_bundle_that_cannot_be_loaded_is_not_written(
    network_files: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(BundleError):
        write_bundle(tmp_path / "bad", description(networks={}), network_files, "")
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_bundle_is_intact_and_complete() -> None:
    shipped = installed_bundles()
    assert all(info.intact for info in shipped)
    assert "first" in {info.name for info in shipped}
    assert sum(info.size_mb for info in shipped) < 25
    for info in shipped:
        card = (info.folder / "model_card.md").read_text()
        assert "in silico" in card
        assert (info.folder / "LICENSE").stat().st_size > 1000


def test_the_shipped_bundle_moves(tmp_path: Path) -> None:
    """A copy works wherever it lies."""
    copy = tmp_path / "elsewhere"
    shutil.copytree(installed_bundles()[0].folder, copy)
    assert load_segmenter(copy).settings == load_segmenter().settings


@pytest.mark.parametrize("error", [RuntimeError("x\nFailed to allocate 9 bytes"), MemoryError()])
def test_a_network_without_memory_says_how_much_and_names_small_tiles(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(files: object, engine: object) -> None:
        raise error

    monkeypatch.setattr("pelvimets.model.openvino_backend.compile_network", fails)
    grid = Geometry.from_axes((16, 32, 32), (5.0, 4.0, 4.0))
    image = Volume(np.zeros(grid.shape, np.float32), grid)
    with pytest.raises(ResourceError, match=r"about 310 MiB.*ulimit -v.*--small-tiles"):
        load_segmenter(bundle).bone_probabilities(image, Sequence.DWI)
    with pytest.raises(ResourceError) as caught:
        load_segmenter(bundle, Engine(SMALL_TILE_VOXELS)).bone_probabilities(image, Sequence.DWI)
    assert "--small-tiles" not in str(caught.value)


def test_a_network_kept_compiled_answers_the_same(bundle: Path, tmp_path: Path) -> None:
    engine = Engine(store=CompiledFolder(tmp_path / "networks"))
    answers = [load_segmenter(bundle, engine) for _ in range(2)]
    assert not (tmp_path / "networks").exists()
    first, kept = (a.bone_probabilities(image(), Sequence.T1) for a in answers)
    plain = load_segmenter(bundle).bone_probabilities(image(), Sequence.T1)
    assert len(list((tmp_path / "networks").iterdir())) == 1
    assert np.array_equal(first, kept) and np.array_equal(first, plain)


def test_a_kept_network_that_openvino_does_not_take_is_compiled_anew(
    bundle: Path, tmp_path: Path
) -> None:
    store = CompiledFolder(tmp_path / "networks")
    wanted = load_segmenter(bundle, Engine(store=store)).bone_probabilities(image(), Sequence.T1)
    key = next(store.folder.iterdir()).stem
    store.write(key, b"of another version")
    found = load_segmenter(bundle, Engine(store=store)).bone_probabilities(image(), Sequence.T1)
    assert np.array_equal(wanted, found)
    assert len(store.read(key) or b"") > 1000


def test_networks_compiled_beside_other_work_answer_the_same(bundle: Path) -> None:
    ahead = load_segmenter(bundle)
    ahead.compile_beside().join()
    assert ahead.bones[Sequence.T1]._compiled is not None
    wanted = load_segmenter(bundle).bone_probabilities(image(), Sequence.T1)
    assert np.array_equal(ahead.bone_probabilities(image(), Sequence.T1), wanted)


def test_bfloat16_is_refused_where_the_processor_has_no_units_for_it(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Old:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(engine_module, "_core", Old)
    segmenter = load_segmenter(bundle, Engine(arithmetic=Arithmetic.BFLOAT16))
    with pytest.raises(ResourceError, match=r"no units for bfloat16 \(got FP32, INT8\)"):
        segmenter.bone_probabilities(image(), Sequence.T1)


def test_bfloat16_answers_nearly_the_same(bundle: Path) -> None:
    if "BF16" not in engine_module._core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no units for bfloat16")
    rough = load_segmenter(bundle, Engine(arithmetic=Arithmetic.BFLOAT16))
    exact = load_segmenter(bundle).bone_probabilities(image(), Sequence.T1)
    assert np.allclose(rough.bone_probabilities(image(), Sequence.T1), exact, atol=0.05)
