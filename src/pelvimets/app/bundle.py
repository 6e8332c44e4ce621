"""Bundles: export the networks of finished runs, measure them, write the card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pelvimets.config import LesionSettings, ReadingSettings, settings_to_dict
from pelvimets.io.bundle import write_bundle
from pelvimets.io.run_folder import RunFolder
from pelvimets.labels import Sequence
from pelvimets.model.bundle import FORMAT, build_segmenter
from pelvimets.training.card import RunFacts, model_card
from pelvimets.training.settings import Task, TrainingSettings, training_settings


def make_bundle(
    bones: Path,
    lesions: Path,
    out: Path,
    *,
    name: str,
    version: str,
    summary: str,
    lesions_t1: Path | None = None,
    patients: int = 20,
    smallest_score: float = 0.0,
    notes: tuple[str, ...] = (),
    overwrite: bool = False,
) -> dict[Task, dict[str, float]]:
    """Make a bundle from a run of each network, measure it, and write its card.

    Args:
        bones: Run of the bone network.
        lesions: Run of the lesion network.
        lesions_t1: Run of a lesion network of its own for T1; None takes the same for both.
        out: Folder of the bundle.
        name, version, summary: Of the bundle.
        patients: Unseen digital patients of each sequence to measure on.
        smallest_score: Lesions with a lower score are dropped when reading.
        notes: Further lines of the card on training and limits.
        overwrite: Replace an older bundle.

    Returns:
        What was measured, per network.
    """
    from pelvimets.training.measuring import measure_cascade

    runs = {"bones": RunFolder(bones), "lesions": RunFolder(lesions)}
    if lesions_t1 is not None:
        runs["lesions_t1"] = RunFolder(lesions_t1)
    facts: dict[str, RunFacts] = {}
    networks: dict[str, bytes] = {}
    for file, run in runs.items():
        facts[file], exported = _exported(file, run)
        networks |= exported
    settings = {file: one.settings for file, one in facts.items()}
    description = _described(name, version, summary, settings, smallest_score)
    segmenter = build_segmenter(description, networks)
    measured = measure_cascade(segmenter, patients)
    card = model_card(
        name,
        version,
        facts,
        measured,
        measured_on=f"{patients} unseen digital patients of each sequence, the whole cascade",
        command=f"python -m benchmarks.bundle_accuracy --bundle FOLDER --patients {patients}",
        notes=notes,
    )
    write_bundle(out, description, networks, card, overwrite=overwrite)
    return measured


def _described(
    name: str,
    version: str,
    summary: str,
    settings: dict[str, TrainingSettings],
    smallest_score: float,
) -> dict[str, Any]:
    reading = ReadingSettings(
        bone_grid=settings["bones"].grid,
        lesion_grid=settings["lesions"].grid,
        intensity=settings["bones"].intensity,
        lesions=LesionSettings(smallest_score=smallest_score),
    )
    networks = {
        task.value: {
            Sequence.DWI.value: f"{task.value}.xml",
            Sequence.T1.value: f"{task.value}{'_t1' if f'{task.value}_t1' in settings else ''}.xml",
            "multiple_of": settings[task.value].network.multiple_of,
            "smallest": settings[task.value].stages[-1].shape,
        }
        for task in Task
    }
    return {
        "format": FORMAT,
        "name": name,
        "version": version,
        "summary": summary,
        "settings": settings_to_dict(reading),
        "networks": networks,
    }


def _exported(file: str, run: RunFolder) -> tuple[RunFacts, dict[str, bytes]]:
    from pelvimets.model.export import network_bytes, to_openvino
    from pelvimets.training.run import load_trained

    settings = training_settings(run.read_settings())
    network, steps, minutes = load_trained(settings, run.checkpoint)
    model = to_openvino(network, *settings.task.channels, settings.network.multiple_of)
    facts = RunFacts(settings, run.read_data(), steps, minutes, run.read_curve())
    return facts, network_bytes(model, file)
