"""What networks in INT8 would cost and save: DSC against float32, on digital patients (in silico).

    python -m benchmarks.int8 --calibrate FOLDER ... --measure FOLDER ... [--quick bones|lesions]

Needs OpenVINO's NNCF (pip install nncf, best in an environment of its own). Folders are what
'pelvimets phantom -o FOLDER' left, or patients of a digital cohort; those to calibrate on must be
others than those to measure. Each network is quantised after training, on the inputs that it
sees in the first; the second are read with all in float32, with one of the two steps in INT8, and
with both. Seconds are those of the processors, of the networks alone.

--quick looks at one step alone, on the middle of each field and on the networks' grid, lesions
inside the true bones: a minute instead of many.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pelvimets.core.pipeline import process_study
from pelvimets.core.resample import prepare, resample_labels
from pelvimets.evaluation.measures.overlap import dice
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.nifti.study import read_nifti_study
from pelvimets.labels import Bone, Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.engine import NetworkFiles
from pelvimets.model.inputs import bone_input, lesion_input
from pelvimets.model.openvino_backend import OpenVinoNetwork, OpenVinoSegmenter

STEPS = ("bones", "lesions")
LIMIT = 0.002
BLOCK = (40, 96, 96)


@dataclass
class Timed:
    """A network that adds up the seconds of the processors that it takes."""

    network: OpenVinoNetwork
    seconds: float = 0.0

    def __call__(self, channels: Any) -> Any:
        began = time.process_time()
        try:
            return self.network(channels)
        finally:
            self.seconds += time.process_time() - began

    def compile(self) -> None:
        self.network.compile()


def read(study: Path, segmenter: OpenVinoSegmenter) -> Any:
    """Bones and lesions of every image, as reading draws them."""
    images = {s.value: study / f"{s}.nii.gz" for s in Sequence}
    adc = study / "adc.nii.gz"
    opened = read_nifti_study(**images, adc=adc if adc.is_file() else None)
    return process_study(opened, segmenter)


def noted(networks: list[OpenVinoNetwork]) -> dict[int, list[Any]]:
    """Gets what each network is shown from now on."""
    shown: dict[int, list[Any]] = {id(network): [] for network in networks}
    for network in networks:
        run = network._run

        def noting(channels: Any, run: Any = run, key: int = id(network)) -> Any:
            shown[key].append(np.ascontiguousarray(channels[None], dtype=np.float32))
            return run(channels)

        network._run = noting  # type: ignore[method-assign]
    return shown


def quantised(network: OpenVinoNetwork, inputs: list[Any]) -> OpenVinoNetwork:
    """The network in INT8."""
    import nncf
    import openvino as ov

    model = ov.Core().read_model(model=network.files.model, weights=network.files.weights)
    found = nncf.quantize(model, nncf.Dataset(inputs), subset_size=len(inputs))
    return OpenVinoNetwork(files_of(found, network.files), network.engine)


def files_of(model: Any, like: NetworkFiles) -> NetworkFiles:
    import tempfile

    import openvino as ov

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.xml"
        ov.save_model(model, path, compress_to_fp16=False)
        weights = path.with_suffix(".bin").read_bytes()
        return replace(like, model=path.read_bytes(), weights=weights)


def networks_of(segmenter: OpenVinoSegmenter, step: str) -> dict[int, OpenVinoNetwork]:
    return {id(network): network for network in getattr(segmenter, step).values()}


def with_int8(
    segmenter: OpenVinoSegmenter, int8: dict[int, OpenVinoNetwork], steps: tuple[str, ...]
) -> tuple[OpenVinoSegmenter, dict[str, list[Timed]]]:
    """The cascade with the networks of some steps in INT8, and its clocks by step."""
    taken: dict[int, Timed] = {}
    parts: dict[str, dict[Sequence, Any]] = {}
    for step in STEPS:
        parts[step] = {}
        for sequence, network in getattr(segmenter, step).items():
            chosen = int8[id(network)] if step in steps else network
            parts[step][sequence] = taken.setdefault(id(chosen), Timed(chosen))
    clocks = {step: list({id(t): t for t in parts[step].values()}.values()) for step in STEPS}
    return replace(segmenter, bones=parts["bones"], lesions=parts["lesions"]), clocks


def scores(study: Path, result: Any) -> Iterator[tuple[str, float]]:
    """DSC against the truth; of bones the mean over those present."""
    for sequence in Sequence:
        truth = read_nifti(study / f"{sequence}_bones.nii.gz").array
        found = result.bones[sequence].array
        present = [b for b in Bone if (truth == b).any()]
        values = [dice(truth == b, found == b) for b in present]
        yield f"{sequence} bones", float(np.mean(values))
        lesions = read_nifti(study / f"{sequence}_lesions.nii.gz").array
        if lesions.any():
            yield f"{sequence} lesions", dice(lesions > 0, result.lesions[sequence].array > 0)


def middle(study: Path, sequence: Sequence, step: str) -> tuple[Any, Any]:
    """Input of a network from the middle of a field, and the truth there."""
    settings = load_segmenter().settings
    grid = settings.bone_grid if step == "bones" else settings.lesion_grid
    image = prepare(read_nifti(study / f"{sequence}.nii.gz"), grid, settings.intensity)
    bones, lesions = (
        resample_labels(read_nifti(study / f"{sequence}_{kind}.nii.gz"), image.geometry).array
        for kind in STEPS
    )
    block = tuple(
        slice(max(0, n // 2 - size // 2), n // 2 + size // 2)
        for n, size in zip(image.array.shape, BLOCK, strict=True)
    )
    if step == "bones":
        return bone_input(image.array[block])[None], bones[block]
    channels = lesion_input(image.array[block], bones[block] > 0, sequence)
    return channels[None], np.where(bones[block] > 0, lesions[block] > 0, 0)


def quick(step: str, calibrate: list[Path], measure: list[Path]) -> None:
    """Print DSC against the truth and seconds of one step in both kinds of numbers."""
    segmenter = load_segmenter()
    for network in networks_of(segmenter, step).values():
        own = [s for s in Sequence if getattr(segmenter, step)[s] is network]
        inputs = [middle(study, s, step)[0].astype(np.float32) for study in calibrate for s in own]
        both = {"float32": network, "INT8": quantised(network, inputs)}
        for study in measure:
            for sequence in own:
                image, truth = middle(study, sequence, step)
                if not truth.any():
                    continue
                print(f"{study.name} {sequence} {step}: {compared(both, image, truth)}", flush=True)


def compared(both: dict[str, OpenVinoNetwork], image: Any, truth: Any) -> str:
    told = []
    for words, network in both.items():
        network.compile()
        began = time.process_time()
        found = network._compiled(image.astype(np.float32))[0][0]
        seconds = time.process_time() - began
        bones = image[0, 1] > 0 if len(found) == 1 else np.ones(truth.shape, bool)
        mask = found.argmax(0) if len(found) > 1 else (found[0] >= 0.5) & bones
        values = [v for v in np.unique(truth) if v]
        score = np.mean([dice(truth == v, mask == v) for v in values])
        told.append(f"{words} DSC {score:.4f}, {seconds:.2f} s")
    return "; ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calibrate", type=Path, nargs="+", required=True)
    parser.add_argument("--measure", type=Path, nargs="+", required=True)
    parser.add_argument("--quick", choices=STEPS)
    options = parser.parse_args()
    if options.quick:
        quick(options.quick, options.calibrate, options.measure)
        return
    segmenter = load_segmenter()
    networks = {**networks_of(segmenter, "bones"), **networks_of(segmenter, "lesions")}
    shown = noted(list(networks.values()))
    for study in options.calibrate:
        read(study, segmenter)
    int8 = {key: quantised(network, shown[key]) for key, network in networks.items()}
    segmenter = load_segmenter()  # without the notes
    fresh = {**networks_of(segmenter, "bones"), **networks_of(segmenter, "lesions")}
    int8 = dict(zip(fresh, int8.values(), strict=True))
    found: dict[str, dict[str, list[float]]] = {}
    for words, steps in {
        "float32": (),
        "bones in INT8": ("bones",),
        "lesions in INT8": ("lesions",),
        "both in INT8": STEPS,
    }.items():
        chosen, clocks = with_int8(segmenter, int8, steps)
        values: dict[str, list[float]] = {}
        for study in options.measure:
            for name, value in scores(study, read(study, chosen)):
                values.setdefault(name, []).append(value)
        found[words] = values
        seconds = {s: sum(t.seconds for t in clocks[s]) / len(options.measure) for s in STEPS}
        told = ", ".join(f"{name} {np.mean(v):.4f}" for name, v in values.items())
        print(
            f"{words}: bones {seconds['bones']:.1f} s, lesions {seconds['lesions']:.1f} s; {told}"
        )
    for words, values in list(found.items())[1:]:
        changes = {name: np.subtract(own, found["float32"][name]) for name, own in values.items()}
        told = ", ".join(f"{n} {c.mean():+.4f} (worst {c.min():+.4f})" for n, c in changes.items())
        kept = all(np.abs(c.mean()) <= LIMIT for c in changes.values())
        print(f"{words} against float32: {told}; {'within' if kept else 'beyond'} {LIMIT}")


if __name__ == "__main__":
    main()
