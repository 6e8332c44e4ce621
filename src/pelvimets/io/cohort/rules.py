"""What a user says of annotations that their files do not say: who drew what, and who counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pelvimets.core.judged import structure_names
from pelvimets.errors import CohortError, InputError
from pelvimets.io.cohort.plan import KINDS, ImageSource, ImportPlan, MaskSource, PlannedPatient
from pelvimets.labels import UNIONS, Readers

ANNOTATED_COLUMN = "annotated"
"""Column of the table of patients that names the structures drawn in each, by spaces or ';'."""


@dataclass(frozen=True)
class ImportRules:
    """Options of every import.

    Attributes:
        annotated: Structures that were drawn; None takes what the labels say.
        from_values: Structures that were drawn are those whose values occur in a mask.
        unjudged: Further values of voxels that nobody judged.
        leave_out: Patients to leave out.
        resample: Bring masks on another grid to that of their image.
        readers: What becomes of several masks of one image.
    """

    annotated: frozenset[str] | None = None
    from_values: bool = False
    unjudged: frozenset[int] = frozenset()
    leave_out: tuple[str, ...] = ()
    resample: bool = False
    readers: Readers = Readers.REFUSE

    def kept(
        self, patients: Iterable[PlannedPatient], named: Iterable[str]
    ) -> tuple[PlannedPatient, ...]:
        """The patients that are not left out, each reader's apart where all count.

        Args:
            patients: Of the source.
            named: All names there are, of those already left out, too.

        Raises:
            CohortError: if one to leave out is not there, or none is left.
        """
        unknown = sorted(set(self.leave_out) - set(named))
        left = tuple(p for p in patients if p.key not in self.leave_out)
        if unknown or not left:
            raise CohortError(
                "The patients to leave out are not as named" if unknown else "No patient is left",
                got=", ".join(unknown or self.leave_out),
                remedy="Name them as the table of --dry-run does",
            )
        if self.readers is Readers.ALL:
            left = tuple(own for patient in left for own in _by_reader(patient))
        return left

    def applied(self, plan: ImportPlan) -> ImportPlan:
        """The plan with what was drawn in each image.

        Raises:
            InputError: if a name is unknown, or an image has several masks of one kind.
        """
        patients = tuple(self._with_rules(patient, plan) for patient in plan.patients)
        _check_labels(patients)
        return replace(plan, patients=patients)

    def _with_rules(self, patient: PlannedPatient, plan: ImportPlan) -> PlannedPatient:
        row = plan.table.get(patient.key) or plan.table.get(patient.man)
        cell = row.details.get(ANNOTATED_COLUMN, "") if row else ""
        drawn = structure_names(cell.replace(";", " ").split()) if cell else self.annotated
        images = {
            sequence: self._image(patient.key, image, drawn)
            for sequence, image in patient.images.items()
        }
        return replace(patient, images=images)

    def _image(self, key: str, image: ImageSource, drawn: frozenset[str] | None) -> ImageSource:
        counts = Counter(kind for mask in image.masks for kind in mask.kinds)
        twice = [kind for kind, count in counts.items() if count > 1]
        if twice and self.readers is Readers.REFUSE:
            raise CohortError(
                f"Patient {key} has several masks of one image",
                got=f"{', '.join(twice)}: {', '.join(mask.path.name for mask in image.masks)}",
                remedy="Say what they are with --readers consensus or --readers all, or choose "
                "one with --pattern",
            )
        masks = tuple(
            replace(mask, unjudged=mask.unjudged | self.unjudged, resample=self.resample)
            for mask in image.masks
        )
        drawn = _declared(image) if drawn is None else drawn
        return replace(image, masks=masks, annotated=drawn, from_values=self.from_values)


def _declared(image: ImageSource) -> frozenset[str] | None:
    """Structures that have a label at all, where some bone has none; None where all have."""
    maps = [mask.values for mask in image.masks if mask.values is not None and mask.values.bones]
    if not any(values.missing_bones or _has_union(values.structures) for values in maps):
        return None
    return frozenset().union(*(values.structures for values in maps))


def _has_union(structures: frozenset[str]) -> bool:
    return any(union.key in structures for union in UNIONS)


def _check_labels(patients: Iterable[PlannedPatient]) -> None:
    """Refuse structures that are said to be drawn and have no label."""
    for patient in patients:
        for image in patient.images.values():
            labels = {
                key
                for mask in image.masks
                for key in (mask.values.structures if mask.values else ())
            }
            absent = sorted((image.annotated or frozenset()) - labels) if labels else []
            if absent:
                raise InputError(
                    "Structures that were drawn have no label",
                    got=f"patient {patient.key}: {', '.join(absent)}",
                    remedy=f"Labels there are for {', '.join(sorted(labels))}; correct --annotated "
                    "or say with --map which label it is",
                )


def _by_reader(patient: PlannedPatient) -> list[PlannedPatient]:
    """A patient of each reader's masks, all of one man."""
    most = max(
        (len(masks) for i in patient.images.values() for masks in _of_kind(i).values()), default=1
    )
    if most < 2:
        return [patient]
    return [
        replace(
            patient,
            key=f"{patient.key}-reader{number + 1}",
            person=patient.man,
            images={s: _of_reader(image, number) for s, image in patient.images.items()},
        )
        for number in range(most)
    ]


def _of_kind(image: ImageSource) -> dict[str, list[MaskSource]]:
    return {kind: [m for m in image.masks if kind in m.kinds] for kind in KINDS}


def _of_reader(image: ImageSource, number: int) -> ImageSource:
    """The image with the masks of one reader; what only one drew serves all."""
    chosen = [masks[min(number, len(masks) - 1)] for masks in _of_kind(image).values() if masks]
    return replace(image, masks=tuple({mask.path: mask for mask in chosen}.values()))
