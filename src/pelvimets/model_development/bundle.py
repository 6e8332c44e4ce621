"""Bundles: the networks of finished runs or of other bundles, under one card."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pelvimets.config import (
    GridSettings,
    IntensitySettings,
    ReadingSettings,
    settings_to_dict,
)
from pelvimets.core.splits import Splits, check_splits
from pelvimets.errors import InputError
from pelvimets.io.record.bundle import read_description, write_bundle
from pelvimets.io.record.fold_folder import FoldFolder
from pelvimets.io.record.run_folder import RunFolder
from pelvimets.labels import LearnedFrom, Sequence
from pelvimets.model.bundle import DESCRIPTION_NAME, FORMAT, bundle_folder, load_segmenter
from pelvimets.model.openvino_backend import OpenVinoNetwork
from pelvimets.report.card import model_card
from pelvimets.training.settings import Task, training_settings


@dataclass(frozen=True)
class BundleRequest:
    """What to bundle.

    Attributes:
        bones, lesions: Where the two networks come from: runs, or bundles by folder or name.
        out: Folder of the bundle.
        name, version, summary: Of the bundle.
        lesions_t1: Where a lesion network of its own for T1 comes from; None takes the same
            for both.
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

    def sources(self) -> dict[str, Path]:
        """Runs and bundles by the name of the file that comes of each."""
        sources = {"bones": self.bones, "lesions": self.lesions}
        if self.lesions_t1 is not None:
            sources["lesions_t1"] = self.lesions_t1
        return {name: bundle_folder(place) for name, place in sources.items()}


@dataclass(frozen=True, eq=False)
class _Part:
    """One network with what the bundle must know of it.

    Attributes:
        facts: Row of the card.
        files: Its files under their new names.
        grid, intensity: How images are prepared for it.
        multiple_of, smallest: Shapes that it takes.
        learned_from: What it was trained on.
        inputs: Further images that it sees, in the order of its channels.
        splits: Of the patients that it knew; None if there is no word of them.
        fold_of: Of each patient of a cross-validation, the fold that was measured on him.
    """

    facts: dict[str, Any]
    files: dict[str, bytes]
    grid: GridSettings
    intensity: IntensitySettings
    multiple_of: tuple[int, int, int]
    smallest: tuple[int, int, int]
    learned_from: LearnedFrom
    splits: Splits | None
    fold_of: dict[str, int] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Files of the networks, in the order of the folds."""
        return [name for name in self.files if name.endswith(".xml")]


def make_bundle(request: BundleRequest) -> Path:
    """Make a bundle of a network for the bones and one or two for the lesions.

    Returns:
        The folder of the bundle.

    Raises:
        CohortError: if a patient taught one network and is set aside for the other.
        InputError: if a run has no checkpoint, the networks of the lesions do not fit each
            other, or it is not known what a network learned from.
        BundleError: if a bundle is missing or damaged.
        OutputError: if the bundle exists and is not to be replaced.
    """
    parts = {file: _part(file, place) for file, place in request.sources().items()}
    known = {f"run of {file}": part.splits for file, part in parts.items()}
    check_splits({name: splits for name, splits in known.items() if splits is not None})
    _check_fits(parts)
    description = {
        **_described(request, parts),
        "learned_from": request.learned_from or _learned_from(parts),
        "runs": {file: part.facts for file, part in parts.items()},
        "notes": [*_ensemble_notes(parts), *request.notes],
    }
    folds = _fold_of_each(parts)
    if any(len(part.names) > 1 for part in parts.values()):
        description |= {"format": 2, "folds": folds}
    if any(part.inputs for part in parts.values()):
        description |= {"format": FORMAT}
    networks = {name: data for part in parts.values() for name, data in part.files.items()}
    card = model_card(description)
    write_bundle(request.out, description, networks, card, overwrite=request.overwrite)
    return request.out


def _fold_of_each(parts: dict[str, _Part]) -> dict[str, dict[str, int]]:
    """Fold of each patient by step; the networks of T1 must know the same folds."""
    own, t1 = (parts[file].fold_of if file in parts else None for file in ("lesions", "lesions_t1"))
    if t1 is not None and own != t1:
        raise InputError(
            "The lesion networks of DWI and T1 know different folds",
            remedy="Train the second with --split-of the first",
        )
    return {task.value: parts[task.value].fold_of for task in Task if parts[task.value].fold_of}


def _ensemble_notes(parts: dict[str, _Part]) -> list[str]:
    """What averaging costs, for the card."""
    counts = {file: len(part.names) for file, part in parts.items() if len(part.names) > 1}
    return [
        f"The probabilities of {count} networks ({file}) are averaged, one of each fold of a "
        f"cross-validation; this step takes {count} times as long as with one."
        for file, count in counts.items()
    ]


def _check_fits(parts: dict[str, _Part]) -> None:
    """All networks read the same intensities, those of the lesions one grid."""
    lesions = [part for file, part in parts.items() if file != "bones"]
    if len({part.grid for part in lesions}) > 1:
        raise InputError(
            "The lesion networks of DWI and T1 read on different grids",
            got=" and ".join(part.facts["grid"] for part in lesions),
            remedy="Train both on one grid (setting grid)",
        )
    if len({part.intensity for part in parts.values()}) > 1:
        raise InputError(
            "The networks were trained on differently scaled intensities",
            got="; ".join(f"{file}: {part.intensity}" for file, part in parts.items()),
            remedy="Train them with the same setting of intensity",
        )


def _learned_from(parts: dict[str, _Part]) -> LearnedFrom:
    kinds = {file: part.learned_from for file, part in parts.items()}
    known = kinds["bones"].with_others(*kinds.values())
    if known is LearnedFrom.UNKNOWN:
        raise InputError(
            "It is not known what the networks learned from",
            got=", ".join(f"{file}: {kind}" for file, kind in kinds.items()),
            remedy="Say it with --learned-from digital, real or mixed: every report repeats it",
        )
    return known


def _described(request: BundleRequest, parts: dict[str, _Part]) -> dict[str, Any]:
    reading = ReadingSettings(
        bone_grid=parts["bones"].grid,
        lesion_grid=parts["lesions"].grid,
        intensity=parts["bones"].intensity,
    )
    networks = {
        task.value: {
            Sequence.DWI.value: _listed(parts[task.value]),
            Sequence.T1.value: _listed(parts.get(f"{task.value}_t1", parts[task.value])),
            "multiple_of": parts[task.value].multiple_of,
            "smallest": parts[task.value].smallest,
            **_inputs(parts[task.value], parts.get(f"{task.value}_t1", parts[task.value])),
        }
        for task in Task
    }
    return {
        "format": 1,
        "name": request.name,
        "version": request.version,
        "summary": request.summary,
        "settings": settings_to_dict(reading),
        "networks": networks,
    }


def _inputs(dwi: _Part, t1: _Part) -> dict[str, dict[str, tuple[str, ...]]]:
    """Further images of each sequence, where there are any."""
    given = {Sequence.DWI.value: dwi.inputs, Sequence.T1.value: t1.inputs}
    return {"inputs": given} if any(given.values()) else {}


def _listed(part: _Part) -> str | list[str]:
    return part.names[0] if len(part.names) == 1 else part.names


def _part(file: str, place: Path) -> _Part:
    if FoldFolder(place).is_there:
        return _part_of_folds(file, FoldFolder(place))
    if (place / DESCRIPTION_NAME).is_file():
        return _part_of_bundle(file, place)
    return _part_of_run(file, RunFolder(place))


def _part_of_bundle(file: str, place: Path) -> _Part:
    """A network of a bundle; its own calibration stays behind."""
    segmenter, description = load_segmenter(place), read_description(place)
    step, sequence = Task(file.removesuffix("_t1")), Sequence.DWI
    if file.endswith("_t1"):
        sequence = Sequence.T1
    network: OpenVinoNetwork = getattr(segmenter, step.value)[sequence]
    reading = segmenter.settings
    grid = reading.bone_grid if step is Task.BONES else reading.lesion_grid
    name = Path(description["networks"][step.value][sequence.value]).stem
    nothing = {"channels": (), "data": "not stated", "steps": "-", "minutes": 0.0, "curve": ()}
    facts = {**nothing, **description.get("runs", {}).get(name, {}), "grid": _grid_words(grid)}
    return _Part(
        facts={**facts, "data": f"{facts['data']} (network of bundle {segmenter.name})"},
        files={f"{file}.xml": network.files.model, f"{file}.bin": network.files.weights},
        grid=grid,
        intensity=reading.intensity,
        multiple_of=network.files.multiple_of,
        smallest=network.files.smallest,
        learned_from=segmenter.learned_from,
        splits=None,
        inputs=segmenter.inputs.get(step.value, {}).get(sequence, ()),
    )


def _part_of_folds(file: str, folder: FoldFolder) -> _Part:
    """The networks of all folds.

    Raises:
        InputError: if a fold was not trained, or they read on different grids.
    """
    fold_of = folder.read() or {}
    folds = sorted(set(fold_of.values()))
    missing = [n for n in folds if not RunFolder(folder.run(n)).has_trained]
    if missing:
        raise InputError(
            "Some folds were not trained",
            got=", ".join(f"fold {n}" for n in missing),
            remedy="Go on with train --folds, or name one fold: --lesions RUN/fold-1",
        )
    parts = [_part_of_run(f"{file}-{n}", RunFolder(folder.run(n))) for n in folds]
    differing = {(part.grid, part.intensity, part.multiple_of, part.inputs) for part in parts}
    if len(differing) > 1:
        raise InputError(
            "The networks of the folds read on different grids or see different images",
            got="; ".join(
                f"fold {n}: {p.facts['grid']}" for n, p in zip(folds, parts, strict=True)
            ),
            remedy="Train all folds with the same settings",
        )
    first = parts[0]
    facts = {
        **first.facts,
        "data": f"{first.facts['data']}, {len(folds)} folds",
        "steps": sum(part.facts["steps"] for part in parts),
        "minutes": round(sum(part.facts["minutes"] for part in parts), 1),
    }
    files = {name: data for part in parts for name, data in part.files.items()}
    return replace(first, facts=facts, files=files, splits=None, fold_of=fold_of)


def _part_of_run(file: str, run: RunFolder) -> _Part:
    from pelvimets.model.export import network_bytes, to_openvino
    from pelvimets.training.run import load_trained

    settings = training_settings(run.read_settings())
    network, steps, minutes = load_trained(settings, run.chosen_checkpoint)
    model = to_openvino(network, *settings.channels, settings.network.multiple_of)
    facts = {
        "channels": settings.network.channels,
        "grid": _grid_words(settings.grid),
        "data": run.read_data(),
        "steps": steps,
        "minutes": round(minutes, 1),
        "curve": run.read_curve(),
        "settings": settings_to_dict(settings),
        **({"inputs": settings.network.inputs} if settings.network.inputs else {}),
    }
    kept = run.read_splits()
    return _Part(
        facts=facts,
        files=network_bytes(model, file),
        grid=settings.grid,
        intensity=settings.intensity,
        multiple_of=settings.network.multiple_of,
        smallest=settings.stages[-1].shape,
        learned_from=run.read_learned_from(),
        splits=None if kept is None else Splits(**kept),
        inputs=settings.network.inputs,
    )


def _grid_words(grid: GridSettings) -> str:
    size = grid.spacing_mm or grid.shape or ()
    return f"{' x '.join(f'{v:g}' for v in size)} {'mm' if grid.spacing_mm else 'voxels'}"
