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
from pelvimets.io.pacs.dimse import fetch_dimse, store_dimse
from pelvimets.io.pacs.nodes import DicomwebNode, Node
from pelvimets.io.pacs.outcome import FetchOutcome, Received, StoreOutcome
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


def store(files: Sequence[Path], node: Node) -> Stored:
    """Store DICOM files in a PACS.

    Args:
        files: DICOM files; all are read before the first is sent.
        node: Where to.

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
    if isinstance(node, DicomwebNode):
        outcome = store_web(datasets, node)
    else:
        outcome = store_dimse(datasets, node)
    uids = {path.name: str(d.SOPInstanceUID) for path, d in zip(files, datasets, strict=True)}
    _check_all_stored(uids, outcome, node)
    notes = [f"{name}: stored, but {w}" for name, u in uids.items() if (w := outcome.warnings[u])]
    return Stored(tuple(uids.values()), tuple(notes))


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
    study_instance_uid: str, node: Node, series_instance_uid: str | None = None
) -> FetchOutcome:
    """Fetch all objects of a study, or of one series of it, as they are stored.

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
    if isinstance(node, DicomwebNode):
        found = fetch_web(study_instance_uid, series_instance_uid, node)
    else:
        found = fetch_dimse(study_instance_uid, series_instance_uid, node)
    if not found.objects:
        raise InputError(
            "The PACS holds nothing of this study", got=f"{node.title}: {study_instance_uid}"
        )
    return _sound(found, node, study_instance_uid, series_instance_uid)


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


def _read(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path)
    except (OSError, InvalidDicomError) as error:
        raise InputError("The file is not DICOM", got=path) from error
