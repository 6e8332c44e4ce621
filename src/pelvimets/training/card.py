"""The model card of a bundle, filled from its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pelvimets.labels import Bone, Sequence
from pelvimets.training.settings import Task, TrainingSettings


@dataclass(frozen=True)
class RunFacts:
    """What a run tells of itself.

    Attributes:
        settings: Of the run.
        data: Its data, in words.
        steps: Optimiser steps done.
        minutes: Time trained.
        curve: (step, score) of each validation.
    """

    settings: TrainingSettings
    data: str
    steps: int
    minutes: float
    curve: tuple[tuple[int, float], ...]


def model_card(
    name: str,
    version: str,
    runs: Mapping[str, RunFacts],
    measured: Mapping[Task, Mapping[str, float]],
    measured_on: str,
    command: str,
    notes: tuple[str, ...] = (),
) -> str:
    """Markdown: use, data, how it was trained, what was measured, limits, licence.

    Args:
        name: Of the bundle.
        version: Of the bundle.
        runs: Per network.
        measured: Measures per network, see ``validation``.
        measured_on: The images measured on, in words.
        command: Command that measures again.
        notes: Further lines on this bundle's training and limits.
    """
    parts = [
        f"# {name} {version}",
        "",
        "Two 3D U-Nets that read pelvic MRI of men with prostate cancer: eight bony structures,",
        "then metastases inside them, on DWI (b 800-1000) and T1 in phase. Research use only.",
        "",
        "## Training",
        "",
        *_training_lines(runs),
        "",
        "## Measured (in silico)",
        "",
        f"On {measured_on}. The command:",
        "",
        f"    {command}",
        "",
        *_measured_lines(measured),
        "",
        "Per image, the Dice coefficient counts bones of at least 1 cm3 in the field. A lesion of",
        "at least 0.2 cm3 is found if the prediction touches it; a predicted one is right if it",
        "touches a true one. Lesions are looked for inside the predicted bones.",
        "",
        *_curve_lines(runs),
        "## Limits",
        "",
        "- Trained on digital patients alone. No figure here says how it does on patients.",
        "- Two anatomies stand behind all digital patients, one of them with built soft tissue.",
        "- Patients with implants, fractures or operated bones were not simulated.",
        "- Scores are not calibrated.",
        *(f"- {note}" for note in notes),
        "",
        "## Data and licence",
        "",
        "Digital patients are drawn from two public anatomies, both under Apache-2.0: bone",
        "surfaces of MyoSuite `MyoHub/myo_sim`, and the CT example of",
        "`wasserth/TotalSegmentator`. The weights are under Apache-2.0 (`LICENSE`).",
    ]
    return "\n".join(parts) + "\n"


def _training_lines(runs: Mapping[str, RunFacts]) -> list[str]:
    lines = [
        "| network | channels | grid (z, y, x) | data | steps | minutes |",
        "|---|---|---|---|---|---|",
    ]
    for name, facts in runs.items():
        grid = facts.settings.grid
        size = grid.spacing_mm or grid.shape
        text = " x ".join(f"{v:g}" for v in size or ())
        unit = "mm" if grid.spacing_mm else "voxels"
        channels = ", ".join(str(c) for c in facts.settings.network.channels)
        lines.append(
            f"| {name} | {channels} | {text} {unit} | {facts.data} | {facts.steps} "
            f"| {facts.minutes:.0f} |"
        )
    return lines


def _measured_lines(measured: Mapping[Task, Mapping[str, float]]) -> list[str]:
    bones = measured.get(Task.BONES, {})
    lesions = measured.get(Task.LESIONS, {})
    titles = [sequence.title for sequence in Sequence]
    lines = [f"| | {' | '.join(titles)} |", "|---|---|---|"]
    for bone in Bone:
        lines.append(_row(f"{bone.title}, DSC", bones, f"_{bone.key}", "dice"))
    lines.append(_row("mean of the eight bones, DSC", bones, "", "dice"))
    lines.append(_row("lesions, recall", lesions, "", "recall"))
    lines.append(_row("lesions, precision", lesions, "", "precision"))
    lines.append(_row("lesion voxels over all images, DSC", lesions, "", "dice"))
    return lines


def _row(title: str, values: Mapping[str, float], ending: str, measure: str) -> str:
    found = [values.get(f"{measure}_{sequence.value}{ending}") for sequence in Sequence]
    cells = ["-" if value is None else f"{value:.3f}" for value in found]
    return f"| {title} | {' | '.join(cells)} |"


def _curve_lines(runs: Mapping[str, RunFacts]) -> list[str]:
    lines = ["## Learning curve", "", "On the validation images, at the grid of the stage:", ""]
    for name, facts in runs.items():
        points = ", ".join(f"{step}: {score:.3f}" for step, score in facts.curve)
        lines += [f"- {name}, step: mean DSC: {points}", ""]
    return lines
