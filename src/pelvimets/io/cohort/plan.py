"""A cohort to be: which file serves for what of which patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pelvimets.core.annotation import ValueMap
from pelvimets.io.cohort.folder import CohortPatient
from pelvimets.labels import FurtherInput, Sequence, Split

KINDS = ("bones", "lesions")


@dataclass(frozen=True)
class MaskSource:
    """A file of masks.

    Attributes:
        path: The file.
        values: What its values mean; None: every value but 0 is a lesion.
        unjudged: Further values of voxels that nobody judged.
        resample: Bring it to the grid of its image, if it lies on another.
    """

    path: Path
    values: ValueMap | None
    unjudged: frozenset[int] = frozenset()
    resample: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """``bones``, ``lesions`` or both."""
        return ("lesions",) if self.values is None else self.values.kinds


@dataclass(frozen=True)
class ImageSource:
    """One sequence of a patient.

    Attributes:
        path: The image.
        masks: Files of its masks; several of one kind are several readers'.
        same_as: Further files that must hold the same image.
        no_lesion: Write an empty mask of the lesions.
        annotated: Bones that a person drew; None: all.
        from_values: They are those whose values occur in the mask.
    """

    path: Path
    masks: tuple[MaskSource, ...] = ()
    same_as: tuple[Path, ...] = ()
    no_lesion: bool = False
    annotated: frozenset[str] | None = None
    from_values: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of mask that will be there."""
        found = {kind for mask in self.masks for kind in mask.kinds}
        return tuple(k for k in KINDS if k in found or (k == "lesions" and self.no_lesion))


@dataclass(frozen=True)
class PlannedPatient:
    """One row and folder of the cohort to be.

    Attributes:
        key: Name of the patient and of the folder.
        images: Of each sequence that there is.
        adc: Map on the grid of the DWI.
        split: Where the source puts him; None if it does not say.
        further: Further images, each on its own grid.
        person: The man, where several keys belong to one; his keys stay in one split.
    """

    key: str
    images: Mapping[Sequence, ImageSource]
    adc: Path | None = None
    split: Split | None = None
    person: str | None = None
    further: Mapping[FurtherInput, Path] = field(default_factory=dict)

    @property
    def man(self) -> str:
        """Whose images these are."""
        return self.person or self.key


@dataclass(frozen=True)
class ImportPlan:
    """All patients, and what the user should know before they are written."""

    patients: tuple[PlannedPatient, ...]
    notes: tuple[str, ...] = ()
    table: Mapping[str, CohortPatient] = field(default_factory=dict)
