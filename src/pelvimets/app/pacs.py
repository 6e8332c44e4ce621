"""From and to a PACS: fetch a study to read, store what was found in it."""

from __future__ import annotations

from pathlib import Path

from pelvimets.errors import InputError
from pelvimets.io.pacs.transfer import fetch, parse_node, save, store
from pelvimets.io.record.output import staged_folder

DICOM_FOLDER = "dicom"


def push_results(out: Path, address: str) -> tuple[str, ...]:
    """Store the DICOM results of a run in a PACS.

    Args:
        out: Output folder of a run with ``--dicom``.
        address: ``http(s)://...`` of a DICOMweb service, or ``dicom://AET@host:port``.

    Returns:
        SOP Instance UIDs of what was stored.

    Raises:
        InputError: if there are no DICOM results, or the address is none.
        OutputError: if the PACS cannot be reached or refuses.
    """
    node = parse_node(address)
    files = sorted((Path(out) / DICOM_FOLDER).glob("*.dcm"))
    if not files:
        raise InputError(
            "There are no DICOM results in this folder",
            got=out,
            remedy="Run 'pelvimets predict' with --dicom first",
        )
    return store(files, node)


def fetch_study(study_instance_uid: str, address: str, folder: Path) -> int:
    """Fetch a study from a PACS into a new folder, one file per instance.

    Returns:
        Number of files.

    Raises:
        InputError: if the PACS cannot be reached, refuses, or does not hold the study.
        OutputError: if the folder exists already or cannot be written.
    """
    datasets = fetch(study_instance_uid, parse_node(address))
    with staged_folder(folder) as work:
        save(datasets, work)
    return len(datasets)
