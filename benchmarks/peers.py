"""The same work done by pelvimets and by its peers, in one run on one machine.

    python -m benchmarks.peers [--python PYTHON] [--only reading overlap ...] [--write]

Every row is a process of its own: seconds of the processors, seconds of the clock, MiB at most,
and how far the answer is from that of pelvimets where both do the same. What this environment has
not may be installed apart, in one that can import pelvimets, too; --python names its interpreter:

    python -m venv PEERS
    PEERS/bin/pip install '.[study,train]' medpy surface-distance dicom2nifti picai-eval \\
        panoptica blosc2
    PEERS/bin/pip install --no-deps TotalSegmentator nnunetv2 dynamic-network-architectures \\
        batchgenerators batchgeneratorsv2 acvl-utils

A peer that cannot be imported, or that takes more than --limit seconds, is named in the table as
such. --write puts the table into docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import SPEED, machine, markdown, write_between

SHAPE, PATCH, SPACING = (48, 128, 160), (48, 128, 128), (5.0, 1.6, 1.6)
FIELD = (60, 256, 256)
Work = Callable[[Path], Any]


def volume(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def balls(shape: tuple[int, int, int] = FIELD, shift: int = 0) -> np.ndarray:
    """Twelve numbered balls; with a shift, those of another reader."""
    at = np.indices(shape)
    labels = np.zeros(shape, dtype=np.uint8)
    for n in range(12):
        z, y, x = 10 + 20 * (n % 3), 40 + 50 * (n // 3 % 4), 60 + 12 * n + shift
        labels[(at[0] - z) ** 2 * 9 + (at[1] - y) ** 2 + (at[2] - x) ** 2 < 200] = n + 1
    return labels


# --- reading: the T1 series of a DICOM study ---------------------------------------------------


def series_of(study: Path) -> list[str]:
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    found = [
        reader.GetGDCMSeriesFileNames(str(folder), uid)
        for folder in {p.parent for p in study.rglob("*") if p.is_file()}
        for uid in reader.GetGDCMSeriesIDs(str(folder))
    ]
    wanted = json.loads((study.absolute().parent / "t1_uid.json").read_text())
    return next(list(names) for names in found if wanted in _uid(names[0]))


def _uid(path: str) -> str:
    import pydicom

    return str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)


def read_pelvimets(study: Path) -> Any:
    from pelvimets.io.study import read_study

    taken = read_study(study).t1
    assert taken is not None and taken.source is not None
    (study.absolute().parent / "t1_uid.json").write_text(
        json.dumps(taken.source.series_instance_uid)
    )
    return taken.volume.canonical().array


def read_simpleitk(study: Path) -> Any:
    import SimpleITK as sitk

    from pelvimets.core.resample import from_sitk

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(series_of(study))
    return from_sitk(reader.Execute()).canonical().array


def read_dicom2nifti(study: Path) -> Any:
    from dicom2nifti.convert_dicom import dicom_array_to_nifti
    from pydicom import dcmread

    from pelvimets.io.nifti.files import read_nifti

    out = study.parent / "d2n.nii.gz"
    dicom_array_to_nifti([dcmread(p) for p in series_of(study)], str(out), reorient_nifti=True)
    return read_nifti(out).canonical().array


# --- networks -------------------------------------------------------------------------------------


def network_pelvimets(_: Path) -> Any:
    from pelvimets.labels import Sequence
    from pelvimets.model.bundle import load_segmenter

    return load_segmenter().bones[Sequence.DWI](volume()[None])


def network_monai(_: Path) -> Any:
    """MONAI's sliding window around the same compiled network."""
    import torch
    from monai.inferers.utils import sliding_window_inference

    from pelvimets.labels import Sequence
    from pelvimets.model.bundle import load_segmenter
    from pelvimets.model.engine import compile_network
    from pelvimets.model.openvino_backend import OpenVinoNetwork

    network = load_segmenter().bones[Sequence.DWI]
    assert isinstance(network, OpenVinoNetwork)
    compiled = compile_network(network.files)
    image = torch.from_numpy(volume()[None, None])

    def predict(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.array(compiled(x.numpy())[0]))

    found = sliding_window_inference(image, PATCH, 1, predict, overlap=0.25, mode="gaussian")
    return np.asarray(found)[0]


def network_nnunet(_: Path) -> Any:
    """nnU-Net's predictor around its default network with random weights, without mirroring."""
    from types import SimpleNamespace

    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    from benchmarks.nnunet_network import nnunet_network, plan
    from pelvimets.labels import Bone

    torch.manual_seed(0)
    labels = len(Bone) + 1
    predictor = nnUNetPredictor(
        use_mirroring=False,
        device=torch.device("cpu"),
        perform_everything_on_device=False,
        allow_tqdm=False,
    )
    predictor.network = nnunet_network(1, labels, plan(PATCH, SPACING)).eval()
    predictor.configuration_manager = SimpleNamespace(patch_size=PATCH)
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=labels)
    predictor.allowed_mirroring_axes = None
    return predictor.predict_sliding_window_return_logits(torch.from_numpy(volume()[None])).numpy()


# --- resampling: an image to the networks' grid --------------------------------------------------


def target_shape() -> tuple[int, int, int]:
    sizes = (n * step for n, step in zip(FIELD, SPACING, strict=True))
    z, y, x = (round(size / step) for size, step in zip(sizes, (4.0, 3.2, 3.2), strict=True))
    return z, y, x


def smooth() -> np.ndarray:
    from scipy import ndimage

    return ndimage.gaussian_filter(volume(FIELD), 3).astype(np.float32)


def resample_pelvimets(_: Path) -> Any:
    from pelvimets.core.geometry import Geometry
    from pelvimets.core.resample import resample_image
    from pelvimets.core.volume import Volume

    grid = Geometry.from_axes(FIELD, SPACING)
    matrix = grid.matrix.copy()
    scale = np.asarray(FIELD) / np.asarray(target_shape())
    matrix[:3, :3] *= scale
    matrix[:3, 3] = grid.to_lps((scale - 1) / 2)
    return resample_image(Volume(smooth(), grid), Geometry(target_shape(), matrix)).array


def resample_totalsegmentator(_: Path) -> Any:
    from totalsegmentator.resampling import resample_img

    zoom = np.asarray(target_shape()) / np.asarray(FIELD)
    return resample_img(smooth(), zoom=zoom, order=3, nr_cpus=1)


# --- measures of two masks -----------------------------------------------------------------------


def masks() -> tuple[np.ndarray, np.ndarray]:
    return balls(), balls(shift=3)


def surface_pelvimets(_: Path) -> Any:
    from pelvimets.evaluation.measures.distances import Surface, surface_distances

    first, second = (labels > 0 for labels in masks())
    found = surface_distances(first, second, SPACING, Surface.ELEMENTS)
    return [found.hausdorff_mm(95.0)]


def surface_deepmind(_: Path) -> Any:
    import surface_distance

    first, second = (labels > 0 for labels in masks())
    found = surface_distance.compute_surface_distances(first, second, SPACING)
    return [surface_distance.compute_robust_hausdorff(found, 95.0)]


def overlap_pelvimets(_: Path) -> Any:
    from pelvimets.evaluation.measures.distances import (
        average_symmetric_surface_distance,
        hausdorff_distance,
    )
    from pelvimets.evaluation.measures.overlap import dice

    first, second = (labels > 0 for labels in masks())
    return [
        dice(first, second),
        hausdorff_distance(first, second, SPACING),
        average_symmetric_surface_distance(first, second, SPACING),
    ]


def overlap_medpy(_: Path) -> Any:
    from medpy.metric import binary

    first, second = (labels > 0 for labels in masks())
    return [
        binary.dc(second, first),
        binary.hd(second, first, SPACING, connectivity=1),
        binary.assd(second, first, SPACING, connectivity=1),
    ]


def lesions_pelvimets(_: Path) -> Any:
    """Lesions matched one to one at an IoU of 0.5: true, false and missed ones."""
    from pelvimets.evaluation.measures.lesions import find_overlaps

    first, second = (labels.astype(np.int32) for labels in masks())
    hits = sum(overlap.iou >= 0.5 for overlap in find_overlaps(first, second))
    return [hits, int(second.max()) - hits, int(first.max()) - hits]


def lesions_panoptica(_: Path) -> Any:
    from panoptica import InputType, NaiveThresholdMatching, Panoptica_Evaluator

    judge = Panoptica_Evaluator(
        expected_input=InputType.UNMATCHED_INSTANCE,
        instance_matcher=NaiveThresholdMatching(matching_threshold=0.5),
    )
    first, second = masks()
    found = judge.evaluate(second, first, verbose=False)
    result = next(iter(found.values()))
    result = result[0] if isinstance(result, tuple) else result
    return [int(result.tp), int(result.fp), int(result.fn)]


def lesions_picai(_: Path) -> Any:
    """The same by the challenge's evaluation; its hit is an overlap of 0.5 here."""
    from picai_eval.eval import evaluate_case

    first, second = masks()
    listed, *_ = evaluate_case(
        second.astype(np.float32) / 20, (first > 0).astype(np.int32), min_overlap=0.5
    )
    real = [one for one in listed if one[0] == 1]
    hits = sum(one[1] > 0 for one in real)
    return [hits, sum(one[0] == 0 for one in listed), len(real) - hits]


ROWS: dict[str, list[tuple[str, str, Work]]] = {
    "reading": [
        ("pelvimets, all series judged", "pelvimets", read_pelvimets),
        ("SimpleITK, one series", "SimpleITK", read_simpleitk),
        ("dicom2nifti, one series", "dicom2nifti", read_dicom2nifti),
    ],
    "networks": [
        ("pelvimets, bone network", "pelvimets", network_pelvimets),
        ("MONAI sliding window, same network", "monai", network_monai),
        ("nnU-Net predictor, its network", "nnunetv2", network_nnunet),
    ],
    "resampling": [
        ("pelvimets, smoothed and linear", "pelvimets", resample_pelvimets),
        ("TotalSegmentator, cubic", "totalsegmentator", resample_totalsegmentator),
    ],
    "surface": [
        ("pelvimets, HD95 of elements", "pelvimets", surface_pelvimets),
        ("surface-distance, HD95", "surface_distance", surface_deepmind),
    ],
    "overlap": [
        ("pelvimets, DSC, HD, ASSD", "pelvimets", overlap_pelvimets),
        ("MedPy, DSC, HD, ASSD", "medpy", overlap_medpy),
    ],
    "lesions": [
        ("pelvimets, lesions matched", "pelvimets", lesions_pelvimets),
        ("panoptica", "panoptica", lesions_panoptica),
        ("picai_eval", "picai_eval", lesions_picai),
    ],
}


def one(group: str, row: int, folder: Path) -> None:
    """In a process of its own: run, and leave the answer and what it took beside it."""
    import resource

    _, module, work = ROWS[group][row]
    __import__(module)  # the time to load it is not counted
    cpu, clock = time.process_time(), time.perf_counter()
    answer = np.asarray(work(folder / "dicom"))
    took = {"cpu": time.process_time() - cpu, "clock": time.perf_counter() - clock}
    took["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.save(folder / f"{group}-{row}.npy", answer)
    print(json.dumps(took))


def agreement(group: str, row: int, folder: Path) -> str:
    """How far an answer is from the first row's of its group."""
    base, answer = (folder / f"{group}-{n}.npy" for n in (0, row))
    if row == 0 or not base.is_file():
        return "-"
    if ROWS[group][row][1] == "nnunetv2":
        return "another network, random weights"
    first, own = np.load(base), np.load(answer)
    if own.size <= 3:
        pairs = zip(own.tolist(), first.tolist(), strict=True)
        return ", ".join(f"{value:.4g} ({value - base:+.2g})" for value, base in pairs)
    if own.shape != first.shape:
        return f"shape {own.shape} for {first.shape}"
    if group == "networks":
        same = float((own.argmax(0) == first.argmax(0)).mean())
        return f"same class in {same:.1%} of the voxels"
    correlation = np.corrcoef(first.ravel().astype(float), own.ravel().astype(float))[0, 1]
    return f"largest difference {np.abs(first - own).max():.3g}, correlation {correlation:.5f}"


def measured(apart: str, group: str, row: int, folder: Path, limit_s: float) -> list[str]:
    """One row of the table, by this interpreter if it has the peer, else by the other."""
    title, module, _ = ROWS[group][row]
    python = sys.executable if find_spec(module) else apart
    call = [python, "-m", "benchmarks.peers", "--row", group, str(row), str(folder)]
    try:
        ended = subprocess.run(call, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return [group, title, "-", f"> {limit_s:g}", "-", "not within the limit"]
    except OSError as error:
        return [group, title, "-", "-", "-", f"could not be had: {error}"]
    if ended.returncode:
        why = (ended.stderr.strip().splitlines() or ["killed"])[-1][:90]
        return [group, title, "-", "-", "-", f"could not be had: {why}"]
    took = json.loads(ended.stdout.strip().splitlines()[-1])
    figures = [f"{took['cpu']:.2f}", f"{took['clock']:.2f}", f"{took['mib']:.0f}"]
    return [group, title, *figures, agreement(group, row, folder)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--study", type=Path, help="What 'pelvimets phantom --dicom' left.")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds for a row")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        one(options.row[0], int(options.row[1]), Path(options.row[2]))
        return
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "reading" in options.only:
            study(options.study, folder)
        for group in options.only:
            for row in range(len(ROWS[group])):
                rows.append(measured(options.python, group, row, folder, options.limit))
                print("; ".join(rows[-1]), flush=True)
    heads = ("work", "by", "s CPU", "s clock", "MiB", "against the first row of the work")
    table = f"{markdown(heads, rows)}\n\n{machine()}; the load was {_load()} at the end."
    print(table)
    if options.write:
        write_between(SPEED, "peers", table)


def _load() -> str:
    """How many processes wanted a core in the last minutes."""
    import os

    return f"{os.getloadavg()[1]:.1f}" if hasattr(os, "getloadavg") else "not known"


def study(given: Path | None, folder: Path) -> None:
    if given is not None:
        (folder / "dicom").symlink_to(given.resolve() / "dicom")
        return
    call = ["phantom", "--seed", "7", "--dicom", "ge", "-o", str(folder / "man")]
    subprocess.run([sys.executable, "-m", "pelvimets", *call], check=True, capture_output=True)
    (folder / "man" / "dicom").rename(folder / "dicom")


if __name__ == "__main__":
    main()
