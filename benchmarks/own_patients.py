"""What a group gains by annotating: the shipped network taught by 2 to 20 patients (in silico).

    pelvimets phantom cohort -o OWN --patients 20 --seed 11 --scanner avanto \
        --anatomy ts-s0011 --anatomy jhu-10 --anatomy jhu-14 --anatomy jhu-15
    pelvimets phantom cohort -o TEST --patients 8 --seed 12 --scanner avanto \
        --anatomy ref-005 --anatomy jhu-24 --anatomy jhu-37 --anatomy jhu-44
    python -m benchmarks.own_patients OWN TEST [--out build/own_patients] [--steps 100]

Neither those who teach nor those who are measured were seen by the shipped networks, nor was the
scanner; nobody stands on both sides. Each run starts from the lesion network of the bundle
``first``, with the settings that ``train --from first`` takes by itself and a fixed number of
steps, whatever the number of patients; its last weights are measured, nothing is chosen by the
test patients. Bones are those that the shipped network finds; a lesion is what is at least 0.5
probable there, without calibration, for all alike. The folder ``OUT`` keeps each run; what is
there is not made again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pelvimets.config import LesionSettings
from pelvimets.core.lesions import label_lesions
from pelvimets.core.segmentation import lesion_probability, segment_bones
from pelvimets.core.splits import Splits
from pelvimets.core.volume import Volume
from pelvimets.io.cohort.folder import CohortPatient, read_cohort
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.labels import Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.model.engine import NetworkFiles
from pelvimets.model.openvino_backend import OpenVinoNetwork, OpenVinoSegmenter
from pelvimets.model_development.samples import prepare_cohort, sample_store
from pelvimets.model_development.start import adopted, load_start, start_source
from pelvimets.training.fine_tuning import fine_tuned
from pelvimets.training.presets import preset_settings
from pelvimets.training.settings import TrainingSettings
from pelvimets.training.store import SampleStore
from pelvimets.training.validation import Measures, lesion_measures, mean_measures

BUNDLE, TASK = "first", "lesions"
COUNTS = (2, 5, 10, 20)
Probability = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Study:
    """Own patients, test patients, and how they are used.

    Attributes:
        own, test: Cohorts.
        out: Gets all that is made.
        sequence: Image that is learned from and read.
        steps: Of each run.
    """

    own: Path
    test: Path
    out: Path
    sequence: Sequence = Sequence.DWI
    steps: int = 100

    @cached_property
    def cohort(self) -> Path:
        """Own patients as if imported: the images of one sequence with their masks."""
        folder = self.out / f"cohort-{self.sequence.value}"
        for patient in read_cohort(self.own).patients:
            place = folder / patient.key
            place.mkdir(parents=True, exist_ok=True)
            for path in patient.folder.glob(f"{self.sequence.value}*.nii.gz"):
                if not (place / path.name).exists():
                    (place / path.name).symlink_to(path.absolute())
        keys = sorted(path.name for path in folder.iterdir() if path.is_dir())
        (folder / "patients.csv").write_text("patient\n" + "".join(f"{key}\n" for key in keys))
        return folder

    @cached_property
    def shipped(self) -> OpenVinoSegmenter:
        """The shipped networks."""
        return load_segmenter(start_source(BUNDLE).place)

    def order(self, seed: int) -> list[str]:
        """Own patients in an order of chance that begins with one who has a metastasis."""
        patients = read_cohort(self.cohort).patients
        drawn = [patients[i] for i in np.random.default_rng(seed).permutation(len(patients))]
        first = next(p for p in drawn if truth_of(p, self.sequence).any())
        return [first.key, *(p.key for p in drawn if p is not first)]

    def taught(self, name: str, patients: Ordered[str], seed: int = 0) -> OpenVinoSegmenter:
        """The shipped networks, that of the lesions taught further by these patients."""
        from pelvimets.training.run import train

        folder, settings = self.out / name, self._settings(seed)
        if not (folder / "done").is_file():
            print(f"{name}: {len(patients)} patients, {self.steps} steps", flush=True)
            train(
                settings,
                self._samples("train", patients, settings),
                self._samples("validation", (), settings),
                folder,
                start=load_start(start_source(BUNDLE), settings, self.sequence),
                devices="cpu",
                quiet=True,
            )
            (folder / "done").touch()
        lesions = dict(self.shipped.lesions)
        lesions[self.sequence] = OpenVinoNetwork(exported(settings, folder / "last.ckpt"))
        return replace(self.shipped, lesions=lesions)

    def _samples(
        self, part: str, patients: Ordered[str], settings: TrainingSettings
    ) -> SampleStore:
        """Prepared samples of these patients; validation, from which nothing is chosen, has one."""
        store, keys = self.out / "samples", [p.key for p in read_cohort(self.cohort).patients]
        names = prepare_cohort(
            read_cohort(self.cohort), settings, store, Splits(tuple(keys), (keys[0],))
        )[part]
        chosen = tuple(n for n in names if n.rsplit("_", 1)[0] in patients) or names
        return replace(sample_store(store / part, chosen), sequences=settings.sequences)

    def _settings(self, seed: int) -> TrainingSettings:
        settings = adopted(preset_settings(TASK, "default"), start_source(BUNDLE))
        return replace(
            fine_tuned(settings),
            sequences=(self.sequence.value,),
            epochs=1,
            steps_per_epoch=self.steps,
            warmup_steps=min(50, self.steps // 4),
            seed=seed,
            precision="32-true",
        )

    def bones_of(self, patient: CohortPatient) -> Volume:
        """Bones that the shipped network finds; kept."""
        kept = self.out / "bones" / patient.folder.parent.name / f"{patient.key}.nii.gz"
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            image = read_nifti(patient.image_path(self.sequence))
            write_nifti(kept, segment_bones(image, self.sequence, self.shipped))
        return read_nifti(kept)

    def measured(self, segmenter: OpenVinoSegmenter) -> list[Measures]:
        """Lesions of each test patient against the truth."""
        return [self._measured(p, segmenter) for p in read_cohort(self.test).patients]

    def _measured(self, patient: CohortPatient, segmenter: OpenVinoSegmenter) -> Measures:
        image, bones = read_nifti(patient.image_path(self.sequence)), self.bones_of(patient)
        bones = image.with_array(bones.array.astype(np.uint8))
        probability = lesion_probability(image, bones, self.sequence, segmenter)
        plain = LesionSettings().on(self.sequence)
        found = label_lesions(probability, bones, plain).array > 0
        truth = truth_of(patient, self.sequence)
        return lesion_measures(found, truth, self.sequence, image.geometry.voxel_volume_mm3)


def truth_of(patient: CohortPatient, sequence: Sequence) -> Probability:
    return np.asarray(read_nifti(patient.mask_path(sequence, "lesions")).array > 0)


def exported(settings: TrainingSettings, checkpoint: Path) -> NetworkFiles:
    """The network of a checkpoint, as it stands in a bundle."""
    from pelvimets.model.export import network_bytes, to_openvino
    from pelvimets.training.run import load_trained

    network, _, _ = load_trained(settings, checkpoint)
    multiple_of, smallest = settings.network.multiple_of, settings.stages[-1].shape
    model = to_openvino(network, *settings.task.channels, multiple_of)
    files = network_bytes(model, "lesions")
    return NetworkFiles(files["lesions.xml"], files["lesions.bin"], multiple_of, smallest)


def figures(measured: list[Measures], sequence: Sequence) -> dict[str, float]:
    """DSC over all lesion voxels, recall and precision of single lesions, how many there are."""
    means, names = mean_measures(measured), ("dice", "recall", "precision")
    lesions = sum(one[f"recall_{sequence.value}"][1] for one in measured)
    return {**{name: means[f"{name}_{sequence.value}"] for name in names}, "lesions": lesions}


def kept(path: Path, make: Any) -> Any:
    """A result that was kept, or a new one."""
    if not path.is_file():
        path.write_text(json.dumps(make(), indent=2) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def study_of(arguments: argparse.Namespace) -> Study:
    """What the command line asks for."""
    import torch

    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    return Study(
        arguments.own,
        arguments.test,
        arguments.out,
        Sequence(arguments.sequence),
        arguments.steps,
    )


def parser_of(words: str | None, out: str) -> argparse.ArgumentParser:
    """Arguments that both studies on own patients take."""
    parser = argparse.ArgumentParser(description=(words or "").splitlines()[0])
    parser.add_argument("own", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--sequence", choices=[s.value for s in Sequence], default="dwi")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--orders", type=int, default=1, help="orders of chance")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def main() -> None:
    arguments = parser_of(__doc__, "build/own_patients").parse_args()
    study = study_of(arguments)
    found: dict[int, list[dict[str, float]]] = {}

    def result(name: str, segmenter: Any) -> dict[str, float]:
        path = study.out / f"{name}.json"
        return dict(kept(path, lambda: figures(study.measured(segmenter()), study.sequence)))

    found[0] = [result(f"first-{study.sequence.value}", lambda: study.shipped)]
    for seed in range(arguments.orders):
        order = study.order(seed)
        for n in (count for count in COUNTS if count <= len(order)):
            name = f"{study.sequence.value}-{n}-{seed}"
            taught = lambda name=name, n=n: study.taught(name, order[:n], seed)  # noqa: B023, E731
            found.setdefault(n, []).append(result(name, taught))
    text = table(found) + f"\n{found[0][0]['lesions']:g} true lesions\n"
    (study.out / f"{study.sequence.value}.md").write_text(text, encoding="utf-8")
    print(text)


def table(found: dict[int, list[dict[str, float]]]) -> str:
    """A line for each number of patients; of several orders the mean and the range."""
    lines = ["| own patients | DSC | recall | precision |", "|---|---|---|---|"]
    for n, runs in found.items():
        cells = [_cell([run[name] for run in runs]) for name in ("dice", "recall", "precision")]
        lines.append(f"| {n or '0, as shipped'} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(values: list[float]) -> str:
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
