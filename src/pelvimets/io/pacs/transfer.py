"""Results to a PACS and back, over DICOMweb or DIMSE, only when asked to.

Nothing here runs by itself: a user names the node. Needs the ``pacs`` extra. What a node does
not confirm counts as not stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from pelvimets.errors import InputError, OutputError
from pelvimets.io.pacs.dimse import get_dimse, move_dimse, store_dimse
from pelvimets.io.pacs.nodes import DicomwebNode, Node
from pelvimets.io.pacs.outcome import FetchOutcome, MayPassError, Received, StoreOutcome
from pelvimets.io.pacs.patience import ONCE, Patience, Watch, unwatched
from pelvimets.io.pacs.sound import fault_of
from pelvimets.io.pacs.web import fetch_web, store_web
from pelvimets.io.record.output import write_bytes


@dataclass(frozen=True)
class Stored:
    """Objects that a PACS has stored.

    Attributes:
        sop_instance_uids: In the order of the files.
        notes: Warnings of the PACS, by the name of the file.
    """

    sop_instance_uids: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class How:
    """How to go about a transfer.

    Attributes:
        patience: Tries where a node does not answer, breaks off or is short of something.
        watch: Told of the progress.
        move_port: Fetch by C-MOVE to this port of this machine; None fetches by C-GET.
    """

    patience: Patience = ONCE
    watch: Watch = unwatched
    move_port: int | None = None


_PLAINLY = How()


def store(files: Sequence[Path], node: Node, how: How = _PLAINLY) -> Stored:
    """Store DICOM files in a PACS.

    Tried again, only what is not confirmed is sent.

    Args:
        files: DICOM files; all are read before the first is sent.
        node: Where to.
        how: Tries and progress.

    Returns:
        What was stored: every file.

    Raises:
        InputError: if a file is not DICOM, or there is none.
        OutputError: if the node cannot be reached, or does not confirm each of them.
        MissingExtraError: without the ``pacs`` extra.
    """
    datasets = [_read(path) for path in files]
    if not datasets:
        raise InputError("There is nothing to store", remedy="Run 'predict' with --dicom first")
    outcome = StoreOutcome()
    for last in how.patience.each():
        waiting = [d for d in datasets if str(d.SOPInstanceUID) not in outcome.warnings]
        part = _store_once(waiting, node, how.watch, last)
        outcome.warnings |= part.warnings
        outcome.failures, outcome.stopped = part.failures, part.stopped
        if not (part.passing or part.stopped):
            break
    uids = {path.name: str(d.SOPInstanceUID) for path, d in zip(files, datasets, strict=True)}
    _check_all_stored(uids, outcome, node)
    notes = [f"{name}: stored, but {w}" for name, u in uids.items() if (w := outcome.warnings[u])]
    return Stored(tuple(uids.values()), tuple(notes))


def _store_once(datasets: Sequence[Dataset], node: Node, watch: Watch, last: bool) -> StoreOutcome:
    try:
        if isinstance(node, DicomwebNode):
            return store_web(datasets, node, watch)
        return store_dimse(datasets, node, watch)
    except MayPassError as error:
        if last:
            raise
        return StoreOutcome(stopped=str(error))


def _check_all_stored(uids: dict[str, str], outcome: StoreOutcome, node: Node) -> None:
    lost = {
        name: outcome.failures.get(uid) or outcome.stopped or "not confirmed"
        for name, uid in uids.items()
        if uid not in outcome.warnings
    }
    if lost:
        listed = "; ".join(f"{name}: {reason}" for name, reason in lost.items())
        raise OutputError(
            f"The PACS stored {len(uids) - len(lost)} of {len(uids)} objects",
            got=f"{node.title}, not stored: {listed}",
            remedy="Push again when the cause is gone; what is stored already stays as it is",
        )


def fetch(
    study_instance_uid: str,
    node: Node,
    series_instance_uid: str | None = None,
    how: How = _PLAINLY,
) -> FetchOutcome:
    """Fetch all objects of a study, or of one series of it, as they are stored.

    Tried again, what came before is kept.

    Returns:
        What came whole, by SOP Instance UID, and what did not, with the reason.

    Raises:
        InputError: if a UID is none, or the node cannot be reached, refuses, or has nothing
            of the kind, or nothing that can be used, or takes longer than it may.
        MissingExtraError: without the ``pacs`` extra.
    """
    for uid in (study_instance_uid, series_instance_uid):
        if uid is not None and not re.fullmatch(r"[0-9.]{1,64}", uid):
            raise InputError(
                "This is no UID", got=repr(uid), remedy="Give the Study Instance UID, as 1.2.840..."
            )
    found = _fetched(study_instance_uid, series_instance_uid, node, how)
    if not found.objects:
        raise InputError(
            "The PACS holds nothing of this study", got=f"{node.title}: {study_instance_uid}"
        )
    return _sound(found, node, study_instance_uid, series_instance_uid)


def _fetched(study: str, series: str | None, node: Node, how: How) -> FetchOutcome:
    came: dict[str, Received] = {}
    missing: tuple[str, ...] = ()
    for last in how.patience.each():
        try:
            part = _fetch_once(study, series, node, how)
        except MayPassError:
            if last:
                raise
            continue
        came |= {item.sop_instance_uid: item for item in part.objects}
        missing = tuple(m for m in part.missing if not any(uid in m.split() for uid in came))
        if not (part.passing and missing):
            break
    return FetchOutcome(tuple(came.values()), missing)


def _fetch_once(study: str, series: str | None, node: Node, how: How) -> FetchOutcome:
    if isinstance(node, DicomwebNode):
        return fetch_web(study, series, node, how.watch)
    if how.move_port is not None:
        return move_dimse(study, series, node, how.move_port, how.watch)
    return get_dimse(study, series, node, how.watch)


def _sound(found: FetchOutcome, node: Node, study: str, series: str | None) -> FetchOutcome:
    """What came whole and belongs to the study, each object once; the rest is missing."""
    objects, missing = {}, list(found.missing)
    for item in found.objects:
        fault = fault_of(item, study, series)
        if fault:
            missing.append(f"object {item.sop_instance_uid} {fault}")
        else:
            objects[item.sop_instance_uid] = item
    if not objects:
        raise InputError(
            "Nothing that the PACS handed over can be used",
            got=f"{node.title}: {missing[0]}" + (f", {n} more" if (n := len(missing) - 1) else ""),
            remedy="Fetch the study again; if it stays so, export it from the PACS by hand",
        )
    return FetchOutcome(tuple(objects[uid] for uid in sorted(objects)), tuple(missing))


def save(objects: Sequence[Received], folder: Path) -> None:
    """Write fetched objects as numbered DICOM files, byte for byte as they came.

    Raises:
        OutputError: if one cannot be written.
    """
    for number, item in enumerate(objects, start=1):
        write_bytes(folder / f"{number:05d}.dcm", item.content)


def object_uid(path: Path) -> str:
    """SOP Instance UID of a DICOM file.

    Raises:
        InputError: if it is not DICOM.
    """
    return str(_read(path).SOPInstanceUID)


def _read(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path)
    except (OSError, InvalidDicomError) as error:
        raise InputError("The file is not DICOM", got=path) from error
