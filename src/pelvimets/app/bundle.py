"""Bundles: export the networks of finished runs and write the card; add a test to the card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pelvimets.config import ReadingSettings, settings_to_dict
from pelvimets.errors import InputError
from pelvimets.io.record.bundle import write_bundle
from pelvimets.io.record.run_folder import RunFolder
from pelvimets.labels import LearnedFrom, Sequence
from pelvimets.model.bundle import FORMAT
from pelvimets.training.card import model_card
from pelvimets.training.settings import Task, TrainingSettings, training_settings
from pelvimets.training.splits import Splits, check_splits


@dataclass(frozen=True)
class BundleRequest:
    """What to bundle.

    Attributes:
        bones, lesions: Runs of the two networks.
        out: Folder of the bundle.
        name, version, summary: Of the bundle.
        lesions_t1: Run of a lesion network of its own for T1; None takes the same for both.
        notes: Further lines of the card on training and limits.
        overwrite: Replace an older bundle.
        learned_from: What the networks learned from; None takes what the runs say.
    """

    bones: Path
    lesions: Path
    out: Path
    name: str
    version: str
    summary: str
    lesions_t1: Path | None = None
    notes: tuple[str, ...] = ()
    overwrite: bool = False
    learned_from: LearnedFrom | None = None

    def runs(self) -> dict[str, RunFolder]:
        """Runs by the name of their file in the bundle."""
        runs = {"bones": self.bones, "lesions": self.lesions}
        if self.lesions_t1 is not None:
            runs["lesions_t1"] = self.lesions_t1
        return {name: RunFolder(folder) for name, folder in runs.items()}


def make_bundle(request: BundleRequest) -> Path:
    """Make a bundle from a run of each network.

    Returns:
        The folder of the bundle.

    Raises:
        CohortError: if a patient taught one network and is set aside for the other.
        InputError: if a run has no checkpoint, or it is not known what a run learned from.
        OutputError: if the bundle exists and is not to be replaced.
    """
    _check_patients(request)
    facts: dict[str, Any] = {}
    networks: dict[str, bytes] = {}
    settings: dict[str, TrainingSettings] = {}
    for file, run in request.runs().items():
        settings[file] = training_settings(run.read_settings())
        facts[file], exported = _exported(file, run, settings[file])
        networks |= exported
    description = {
        **_described(request, settings),
        "learned_from": _learned_from(request),
        "runs": facts,
        "notes": list(request.notes),
    }
    card = model_card(description)
    write_bundle(request.out, description, networks, card, overwrite=request.overwrite)
    return request.out


def _check_patients(request: BundleRequest) -> None:
    kept = {f"run of {file}": run.read_splits() for file, run in request.runs().items()}
    check_splits({name: Splits(**splits) for name, splits in kept.items() if splits is not None})


def _learned_from(request: BundleRequest) -> LearnedFrom:
    if request.learned_from is not None:
        return request.learned_from
    kinds = [run.read_learned_from() for run in request.runs().values()]
    known = kinds[0].with_others(*kinds)
    if known is LearnedFrom.UNKNOWN:
        raise InputError(
            "It is not known what the networks learned from",
            got=", ".join(
                f"{name}: {kind}" for name, kind in zip(request.runs(), kinds, strict=True)
            ),
            remedy="Say it with --learned-from digital, real or mixed: every report repeats it",
        )
    return known


def _described(request: BundleRequest, settings: dict[str, TrainingSettings]) -> dict[str, Any]:
    reading = ReadingSettings(
        bone_grid=settings["bones"].grid,
        lesion_grid=settings["lesions"].grid,
        intensity=settings["bones"].intensity,
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
        "name": request.name,
        "version": request.version,
        "summary": request.summary,
        "settings": settings_to_dict(reading),
        "networks": networks,
    }


def _exported(
    file: str, run: RunFolder, settings: TrainingSettings
) -> tuple[dict[str, Any], dict[str, bytes]]:
    from pelvimets.model.export import network_bytes, to_openvino
    from pelvimets.training.run import load_trained

    network, steps, minutes = load_trained(settings, run.checkpoint)
    model = to_openvino(network, *settings.task.channels, settings.network.multiple_of)
    grid = settings.grid.spacing_mm or settings.grid.shape or ()
    unit = "mm" if settings.grid.spacing_mm else "voxels"
    facts = {
        "channels": settings.network.channels,
        "grid": f"{' x '.join(f'{v:g}' for v in grid)} {unit}",
        "data": run.read_data(),
        "steps": steps,
        "minutes": round(minutes, 1),
        "curve": run.read_curve(),
        "settings": settings_to_dict(settings),
    }
    return facts, network_bytes(model, file)
