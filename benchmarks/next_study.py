"""Whether ``pelvimets next`` teaches more than chance (in silico).

    python -m benchmarks.next_study OWN TEST [--out build/next_study] [--steps 60] [--orders 2]

OWN and TEST are those of ``benchmarks.own_patients``, whose rules hold here, too. Four own patients
are annotated; one network learns from two of them, one from the other two, and the rest of OWN is
ranked by how far these two disagree, as ``pelvimets next`` ranks. Four more are then annotated:
those ranked first, or four of chance (``--draws`` times). Each time a network learns from all
eight, from the shipped weights on, and is measured on TEST.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.own_patients import Study, figures, kept, parser_of, study_of
from pelvimets.core.disagreement import disagreement_cm3
from pelvimets.core.lesions import near_bone
from pelvimets.core.segmentation import lesion_probability
from pelvimets.io.cohort.folder import read_cohort
from pelvimets.io.nifti.files import read_nifti
from pelvimets.model.openvino_backend import OpenVinoSegmenter

ANNOTATED = ADDED = 4
Figures = dict[str, float]


def main() -> None:
    parser = parser_of(__doc__, "build/next_study")
    parser.add_argument("--draws", type=int, default=2, help="of chance, for each order")
    arguments = parser.parse_args()
    study = study_of(arguments)
    runs: dict[str, list[Figures]] = {"next": [], "chance": []}
    for seed in range(arguments.orders):
        order = study.order(seed)
        known, pool = order[:ANNOTATED], order[ANNOTATED:]
        ranked = kept(study.out / f"ranked-{seed}.json", partial(ranking, study, known, seed))
        first = [name for name, _ in ranked[:ADDED]]
        runs["next"].append(taught(study, f"next-{seed}", [*known, *first]))
        for draw in range(arguments.draws):
            drawn = np.random.default_rng([2021, seed, draw]).permutation(len(pool))[:ADDED]
            chosen = [pool[i] for i in drawn]
            runs["chance"].append(taught(study, f"chance-{seed}-{draw}", [*known, *chosen]))
    text = table(runs)
    (study.out / "next_study.md").write_text(text, encoding="utf-8")
    (study.out / "next_study.json").write_text(json.dumps(runs, indent=2) + "\n")
    print(text)


def taught(study: Study, name: str, patients: list[str]) -> Figures:
    """What the network measures after these patients."""

    def made() -> Figures:
        return figures(study.measured(study.taught(name, patients)), study.sequence)

    return dict(kept(study.out / f"{name}.json", made))


def ranking(study: Study, known: list[str], seed: int) -> list[tuple[str, float]]:
    """Own patients that are not annotated, with the disagreement of two networks, most first."""
    halves = known[::2], known[1::2]
    networks = [study.taught(f"half-{seed}-{n}", half, n) for n, half in enumerate(halves)]
    found = {
        patient.key: disagreement(study, patient.key, networks)
        for patient in read_cohort(study.cohort).patients
        if patient.key not in known
    }
    return sorted(found.items(), key=lambda one: -one[1])


def disagreement(study: Study, key: str, networks: list[OpenVinoSegmenter]) -> float:
    """Of the networks on one patient, nats times cm3."""
    patient = read_cohort(study.cohort).patient(key)
    image = read_nifti(patient.image_path(study.sequence))
    bones = image.with_array(study.bones_of(patient).array.astype(np.uint8))
    near = near_bone(bones, study.shipped.settings.lesions.bone_margin_mm)
    read: Callable[[OpenVinoSegmenter], np.ndarray] = lambda own: (  # noqa: E731
        lesion_probability(image, bones, study.sequence, own).array * near
    )
    return disagreement_cm3([read(own) for own in networks], image.geometry.voxel_volume_mm3 / 1000)


def table(runs: dict[str, list[Figures]]) -> str:
    """Mean and range of each way of choosing."""
    words = {"next": "those on whom the networks disagree most", "chance": "chance"}
    lines = ["| four more | runs | DSC | recall | precision |", "|---|---|---|---|---|"]
    for name, found in runs.items():
        cells = [
            f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
            for values in ([run[what] for run in found] for what in ("dice", "recall", "precision"))
        ]
        lines.append(f"| {words[name]} | {len(found)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
