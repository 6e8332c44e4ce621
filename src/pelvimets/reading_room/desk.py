"""A study under a reader's eyes: what the viewer shows, and what becomes of a correction.

Every change is saved at once in ``OUT/review.json`` and ``OUT/review``; ``update_outputs``
carries it into ``findings.json``, ``lesions.csv`` and whatever ``regenerate`` makes of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pelvimets.core import bone_review, settling
from pelvimets.core import review as steps
from pelvimets.core.corrected import ReviewedStudy, ReviewMeasure
from pelvimets.core.findings import Findings, Lesion
from pelvimets.core.geometry import Geometry
from pelvimets.core.measure import tracking_uid
from pelvimets.core.review import Drawing, Remarks, Review, Verdict
from pelvimets.core.settling import Opinion
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError, ReviewConflictError, ReviewError
from pelvimets.io.record import review as store
from pelvimets.io.record.output import write_text
from pelvimets.io.record.review import ReviewFolder
from pelvimets.labels import Bone, Sequence
from pelvimets.reading_room.beside import Beside
from pelvimets.reading_room.output import (
    image_titles,
    lesion_settings,
    reviewed_findings_to_dict,
)
from pelvimets.reading_room.readers import ReadAs
from pelvimets.report.data import findings_from_dict, lesions_csv

Regenerate = Callable[[Path, ReviewedStudy], None]
"""Makes the report and the DICOM outputs in OUT anew from a reviewed study."""

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now().astimezone()  # by the clock of the place, with its distance from UTC


class ReviewDesk:
    """One run's output folder with its review, as this reader saw it last.

    Another viewer may have the same folder open: a step is saved only if nobody else has
    changed the review since, and no two viewers save at once.

    Attributes:
        read_as: As whom it is read.
        version: Changes with every change of the review, whoever made it.
        titles: Names of the images by key.

    Args:
        out: The output folder of a run.
        read_as: As whom it is read.
        regenerate: Called by ``update_outputs`` before findings.json is written.
        clock: Gives the time of changes.
        beside: What is shown beside the study.

    Raises:
        InputError: if the folder is not the output of a run, or a part of it is damaged, or
            the review belongs to other findings.
        GeometryError: if masks and images lie on different grids.
    """

    def __init__(
        self,
        out: Path,
        read_as: ReadAs = ReadAs(),  # noqa: B008  frozen
        *,
        regenerate: Regenerate | None = None,
        clock: Clock = _now,
        beside: Beside | None = None,
    ) -> None:
        self.beside = beside or Beside()
        self.read_as, self._folder = read_as, ReviewFolder(out, read_as.key)
        self._regenerate, self._clock = regenerate, clock
        self._lock, self._writing = threading.RLock(), False
        self._load()

    def _load(self) -> None:
        self.version = store.review_version(self._folder)
        run = store.read_run_output(self._folder)
        self.findings: Findings = findings_from_dict(run.findings)
        self.images = run.images
        self.titles = image_titles(run.run)
        self._model_lesions = run.lesions
        settings = lesion_settings(run.run)
        self._model_bones, self._bones = run.bones, store.read_bones(self._folder, run.bones)
        self._measure = ReviewMeasure(self.findings, self._bones, run.adc, settings)
        self._drawn = store.read_drawn(self._folder, run.lesions)
        self.readings = self.read_as.readings(self.out)
        self._review = self._opened(run.findings_sha256)
        self._lesions = self._measure.lesions(self._review, self._drawn)

    def refresh(self) -> None:
        """Read all again if another viewer has changed it.

        Raises:
            InputError, GeometryError: as when it was opened.
        """
        with self._lock:
            if store.review_version(self._folder) != self.version:
                self._load()

    @contextmanager
    def changing(self, version: str | None = None) -> Iterator[None]:
        """Steps within are saved on top of the state that the caller knows, or not at all.

        Args:
            version: That state; None takes the one this desk knows.

        Raises:
            ReviewConflictError: if the review has been changed since.
            OutputError: if another viewer is saving for too long.
        """
        with self._lock:
            if self._writing:
                yield
                return
            with store.one_writer(self._folder):
                self._check_known(version)
                self._writing = True
                try:
                    yield
                finally:
                    self._writing = False

    def _check_known(self, version: str | None) -> None:
        found = store.review_version(self._folder)
        if found != self.version or version not in (None, found):
            raise ReviewConflictError(
                "The review was changed elsewhere since this page read it; nothing was saved",
                remedy="Look at the newer state first",
            )

    def _opened(self, findings_sha256: str) -> Review:
        review = store.read_review(self._folder)
        if review is None and self.read_as.settle:
            return self._begin_settled(findings_sha256)
        if review is None:
            begun = steps.begin_review(self.findings, findings_sha256, self._time())
            return replace(begun, reader=self.read_as.reader or "")
        if review.findings_sha256 != findings_sha256:
            raise InputError(
                "The review was made of other findings",
                got=self._folder.review,
                remedy="Move review.json and the folder review away to begin anew",
            )
        return review

    def _begin_settled(self, findings_sha256: str) -> Review:
        drawing = settling.begin_settled(
            self.findings, findings_sha256, self._drawn, self.readings, self._time()
        )
        self._drawn = drawing.drawn
        with store.one_writer(self._folder):
            self._save(drawing.review, drawing.drawn)
        return drawing.review

    def opinions(self, number: int) -> dict[str, Opinion]:
        """What the readers shown here say of a lesion, by their keys."""
        return settling.opinions(self._review.lesion(number), self._drawn, self.readings)

    def differs(self, number: int) -> bool:
        """Whether the readers differ on a lesion; asked only where their reviews are settled."""
        entry = self._review.lesion(number)
        return self.read_as.settle and settling.differ(entry, self._drawn, self.readings)

    def adopt(self, number: int, reader: str) -> None:
        """Take a reader's verdict and shape of a lesion.

        Raises:
            ReviewError: if there is no such reader here, or the step is refused.
        """
        with self.changing():
            reading = next((r for r in self.readings if r.key == reader), None)
            if reading is None or not self.read_as.settle:
                raise ReviewError("There is no such reader to take a reading from", got=reader)
            drawing = Drawing(self._review, dict(self._drawn))
            self._keep(settling.adopt(drawing, number, reading, self._time()))

    @property
    def out(self) -> Path:
        """The output folder."""
        return self._folder.out

    @property
    def review(self) -> Review:
        """The review as it stands."""
        return self._review

    @property
    def lesions(self) -> tuple[Lesion, ...]:
        """Every lesion as drawn and measured, rejected ones too."""
        return self._lesions

    @property
    def sequences(self) -> tuple[Sequence, ...]:
        """The sequences that were read."""
        return tuple(self._drawn)

    def geometry(self, sequence: Sequence) -> Geometry:
        """Grid of a sequence."""
        return self._drawn[sequence].geometry

    def decide(self, number: int, verdict: Verdict | None = None, note: str | None = None) -> None:
        """Judge a lesion or note something about it."""
        with self.changing():
            self._save(
                steps.decide(self._review, number, self._time(), verdict=verdict, note=note),
                None if verdict is None else self._drawn,
            )

    def remark(self, remarks: Remarks) -> None:
        """Set the reader's name, the remark on the study, or whether the report is verified."""
        with self.changing():
            self._save(steps.remark(self._review, self._time(), remarks))

    def draw(self, number: int, sequence: Sequence, voxels: bytes) -> None:
        """Give a lesion a new shape.

        Args:
            number: The lesion.
            sequence: Where it is drawn.
            voxels: One byte per voxel in file order (x fastest); not 0 means lesion.
        """
        with self.changing():
            mask = self._mask(sequence, voxels)
            self._keep(steps.draw(self._review, self._drawn, number, sequence, mask, self._time()))

    def add(self, sequence: Sequence, voxels: bytes) -> int:
        """Add a lesion of the reader, drawn as in ``draw``; returns its number."""
        with self.changing():
            mask, now = self._mask(sequence, voxels), self._time()
            uid = tracking_uid(f"{self._review.findings_sha256}/{sequence}/{now}")
            drawing = steps.add_lesion(self._review, self._drawn, sequence, mask, now, uid)
            self._keep(drawing)
            return drawing.review.lesions[-1].number

    def remove(self, number: int) -> None:
        """Take back a lesion that the reader had added."""
        with self.changing():
            self._keep(steps.remove_added(self._review, self._drawn, number, self._time()))

    def restore(self, number: int) -> None:
        """Give a lesion of the model its first shape back."""
        with self.changing():
            self._keep(
                steps.restore(
                    self._review,
                    self._drawn,
                    self._model_lesions,
                    self.findings,
                    number,
                    self._time(),
                )
            )

    def draw_bone(self, bone: Bone, sequence: Sequence, voxels: bytes) -> None:
        """Give a structure a new shape on one sequence, drawn as in ``draw``."""
        with self.changing():
            mask, now = self._mask(sequence, voxels), self._time()
            drawing = bone_review.draw_bone(self._review, self._bones, bone, sequence, mask, now)
            self._keep_bones(drawing.review, sequence, drawing.bones[sequence])

    def restore_bones(self, sequence: Sequence) -> None:
        """Take the bones of a sequence as the model left them."""
        with self.changing():
            review = bone_review.restore_bones(self._review, sequence, self._time())
            self._keep_bones(review, sequence, None)

    def _keep_bones(self, review: Review, sequence: Sequence, bones: Volume | None) -> None:
        kept = {**self._bones, sequence: bones or self._model_bones[sequence]}
        store.write_bones(self._folder, sequence, bones)
        self._save(review)
        self._bones = kept
        self._measure.use_bones(kept)
        self._lesions = self._measure.lesions(review, self._drawn)

    def sign(self) -> None:
        """Sign the review, complete it as a case of a cohort, update the outputs."""
        with self.changing():
            self._save(steps.sign(self._review, self._time()), self._drawn)
            store.complete_as_case(self._folder)
            self.update_outputs()

    def reopen(self) -> None:
        """Take the signature back."""
        with self.changing():
            self._save(steps.reopen(self._review, self._time()))

    def update_outputs(self) -> None:
        """Carry the review into findings.json, lesions.csv, the report and DICOM.

        Of one of several readers nothing is carried: the outputs follow the settled review.
        """
        if self._folder.reader is not None:
            return
        with self.changing():
            store.keep_model_findings(self._folder)
            self._save(self._review, self._drawn)
            reviewed = self._measure.apply(self._review, self._drawn)
            if self._regenerate is not None:
                self._regenerate(self.out, reviewed)
            write_text(self.out / "lesions.csv", lesions_csv(reviewed.findings))
            store.write_findings(self._folder, reviewed_findings_to_dict(reviewed))

    @property
    def outputs_current(self) -> bool:
        """Whether findings.json shows the review as it stands."""
        if self._folder.reader is not None or not self._folder.review.is_file():
            return True
        return store.reviewed_at(self._folder) == self._review.changed

    def image_bytes(self, key: str) -> bytes:
        """A packed NIfTI file for the viewer.

        Args:
            key: ``dwi``, ``t1``, ``adc``, or a sequence with ``_bones`` or ``_lesions`` (as
                drawn); or one of what lies beside.

        Raises:
            KeyError: for any other key, or one that this study lacks.
        """
        with self._lock:
            path = self._paths().get(key)
            return self.beside.image_bytes(key) if path is None else store.read_whole(path)

    def report_bytes(self) -> bytes | None:
        """The report as it stands on disk, or None."""
        report = self._folder.report
        return store.read_whole(report) if report.is_file() else None

    @property
    def has_report(self) -> bool:
        """Whether the run has a report."""
        return self._folder.report.is_file()

    def _paths(self) -> dict[str, Path]:
        folder = self._folder
        paths = {key: folder.image(key) for key in self.images}
        for sequence in self.sequences:
            drawn = folder.drawn(sequence)
            bones = folder.drawn_bones(sequence)
            paths[f"{sequence}_bones"] = bones if bones.is_file() else folder.bones(sequence)
            paths[f"{sequence}_lesions"] = drawn if drawn.is_file() else folder.lesions(sequence)
        return paths

    def _mask(self, sequence: Sequence, voxels: bytes) -> np.ndarray[Any, np.dtype[np.bool_]]:
        if sequence not in self._drawn:
            raise ReviewError("The study has no such sequence", got=sequence.value)
        geometry = self.geometry(sequence)
        if len(voxels) != geometry.n_voxels:
            raise ReviewError(
                "The drawing does not fit the image",
                got=f"{len(voxels)} voxels, image {geometry.n_voxels}",
            )
        return np.frombuffer(voxels, np.uint8).reshape(geometry.shape) > 0

    def _keep(self, drawing: Drawing) -> None:
        measured = self._measure.lesions(drawing.review, drawing.drawn)
        self._save(drawing.review, drawing.drawn)
        self._drawn, self._lesions = drawing.drawn, measured

    def _save(self, review: Review, drawn: steps.Drawn | None = None) -> None:
        store.keep_model_findings(self._folder)
        if drawn is not None:
            store.write_masks(self._folder, drawn, steps.corrected_masks(review, drawn))
        store.write_review(self._folder, review)
        self._review, self.version = review, store.review_version(self._folder)

    def _time(self) -> str:
        return self._clock().isoformat(timespec="milliseconds")
