"""What a new run starts with: another run, a bundle, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pelvimets.config import GridSettings, ReadingSettings
from pelvimets.core.splits import Splits
from pelvimets.errors import InputError, SettingsError
from pelvimets.io.record.run_folder import RunFolder
from pelvimets.labels import LearnedFrom, Sequence
from pelvimets.model.bundle import (
    DESCRIPTION_NAME,
    bundle_folder,
    installed_bundles,
    load_segmenter,
)
from pelvimets.training.settings import Task, TrainingSettings

if TYPE_CHECKING:
    from pelvimets.training.start import Start


@dataclass(frozen=True)
class StartSource:
    """Where the weights of a new run come from.

    Attributes:
        place: Folder of a run or of a bundle, or a checkpoint.
        words: What it is called in messages and in the run's record.
    """

    place: Path
    words: str

    @property
    def is_bundle(self) -> bool:
        """Whether it is a bundle."""
        return (self.place / DESCRIPTION_NAME).is_file()

    def has_network_of(self, task: Task) -> bool:
        """Whether it holds a network of this task; of a bare checkpoint that is not looked up."""
        if self.is_bundle:
            return True
        run = RunFolder(self.place)
        return run.is_run and run.read_settings().get("task") == task.value

    @property
    def learned_from(self) -> LearnedFrom:
        """What its networks were trained on."""
        if self.is_bundle:
            return load_segmenter(self.place).learned_from
        return RunFolder(self.place).read_learned_from()

    @property
    def splits(self) -> Splits | None:
        """Of the patients that its run knew; None if there is no word of them."""
        kept = None if self.is_bundle else RunFolder(self.place).read_splits()
        return None if kept is None else Splits(**kept)


def start_source(given: str | Path) -> StartSource:
    """Find a run, a checkpoint or a bundle by its path, or a shipped bundle by its name.

    Raises:
        InputError: if it is none of these.
    """
    place = bundle_folder(Path(given))
    if (place / DESCRIPTION_NAME).is_file():
        return StartSource(place, f"bundle {load_segmenter(place).name}")
    if RunFolder(place).has_trained:
        return StartSource(place, f"run {place.absolute().name}")
    if place.is_file():
        return StartSource(place, f"checkpoint {place.name}")
    raise InputError(
        "There is nothing to start from",
        got=given,
        remedy="Name the folder of a run that has finished an epoch, the folder of a bundle, or "
        f"a shipped bundle: {', '.join(bundle.name for bundle in installed_bundles())}",
    )


def load_start(
    source: StartSource, settings: TrainingSettings, sequence: Sequence | None = None
) -> Start:
    """The weights, once it is clear that they fit.

    Args:
        source: Where they are.
        settings: Of the run that is to start from them.
        sequence: Which network, where a bundle has one for each; None takes that of the one
            sequence that is learned, else of DWI.

    Raises:
        InputError: if they cannot be read or do not fit.
        BundleError: if a bundle is damaged or does not name its weights.
    """
    from pelvimets.training.start import check_fits

    alone = settings.sequences[0] if len(settings.sequences) == 1 else Sequence.DWI
    start = _read(source, settings.task, sequence or Sequence(alone))
    check_fits(start, settings)
    return start


def start_notes(source: StartSource, settings: TrainingSettings) -> tuple[str, ...]:
    """What to know of the weights to start with: of two networks in a bundle one is left."""
    if not source.is_bundle or len(settings.sequences) < 2:
        return ()
    networks = getattr(load_segmenter(source.place), settings.task.value)
    if networks[Sequence.DWI] is networks[Sequence.T1]:
        return ()
    return (
        f"the {source.words} has a network of the {settings.task.value} for each sequence, and one "
        "network cannot start from both; better train two, --sequence dwi and --sequence t1, "
        "for bundle --lesions and --lesions-t1",
    )


def _read(source: StartSource, task: Task, sequence: Sequence) -> Start:
    from pelvimets.training.start import start_of_bundle, start_of_checkpoint

    if source.is_bundle:
        networks = getattr(load_segmenter(source.place), task.value)
        return start_of_bundle(networks[sequence].files, task, source.words)
    run = RunFolder(source.place)
    return start_of_checkpoint(run.checkpoint if run.is_run else source.place, source.words)


def adopted(settings: TrainingSettings, source: StartSource) -> TrainingSettings:
    """The settings with the grid and the intensities that a bundle's networks know.

    Raises:
        SettingsError: if the one works by spacing and the other by shape.
    """
    if not source.is_bundle:
        return settings
    reading: ReadingSettings = load_segmenter(source.place).settings
    grid = reading.bone_grid if settings.task is Task.BONES else reading.lesion_grid
    if (grid.shape is None) != (settings.grid.shape is None):
        raise SettingsError(
            f"The {source.words} reads on another kind of grid",
            got=f"{_words(grid)}, the preset {_words(settings.grid)}",
            remedy="Take another preset",
        )
    return replace(settings, grid=grid, intensity=reading.intensity)


def _words(grid: GridSettings) -> str:
    if grid.shape is not None:
        return f"{' x '.join(map(str, grid.shape))} voxels"
    return f"{' x '.join(f'{v:g}' for v in grid.spacing_mm or ())} mm"
