"""From and to a PACS: fetch a study to read, store what was found in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pelvimets.errors import InputError
from pelvimets.io.pacs.credentials import Ask, signed_in
from pelvimets.io.pacs.nodes import parse_node
from pelvimets.io.pacs.transfer import Stored, fetch, save, store
from pelvimets.io.record.output import check_output, staged_folder, tidy

DICOM_FOLDER = "dicom"


def push_results(out: Path, address: str, ask: Ask | None = None) -> Stored:
    """Store the DICOM results of a run in a PACS.

    Args:
        out: Output folder of a run with ``--dicom``.
        address: ``http(s)://...`` of a DICOMweb service, or ``dicom://AET@host:port``.
        ask: Asks for the password of a user named in the address, if it lies nowhere.

    Returns:
        What was stored, with what the PACS remarked on it.

    Raises:
        InputError: if there are no DICOM results, or the address is none.
        OutputError: if the PACS cannot be reached, or does not confirm that it stored each of them.
    """
    node = signed_in(parse_node(address), ask)
    tidy(Path(out).absolute().parent)
    files = sorted((Path(out) / DICOM_FOLDER).glob("*.dcm"))
    if not files:
        raise InputError(
            "There are no DICOM results in this folder",
            remedy="Run 'pelvimets predict' with --dicom first",
        )
    return store(files, node)


@dataclass(frozen=True)
class FetchedStudy:
    """How many objects of a study came, and what did not."""

    files: int
    missing: tuple[str, ...] = ()


def fetch_study(
    study_instance_uid: str, address: str, folder: Path, ask: Ask | None = None
) -> FetchedStudy:
    """Fetch a study from a PACS into a new folder, one file per object.

    What the PACS cannot hand over does not cost the rest.

    Raises:
        InputError: if the PACS cannot be reached, refuses, or does not hold the study.
        OutputError: if the folder exists already or cannot be written.
    """
    node = signed_in(parse_node(address), ask)
    check_output(folder, overwrite=False)
    fetched = fetch(study_instance_uid, node)
    with staged_folder(folder) as work:
        save(fetched.objects, work)
    return FetchedStudy(len(fetched.objects), fetched.missing)
