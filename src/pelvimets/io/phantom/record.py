"""The records beside digital patients: what was ordered and what was drawn, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pelvimets.errors import CohortError
from pelvimets.io.record.output import write_json
from pelvimets.phantom.anatomy.atlas import TRAINING_SOURCES, UNSEEN_SOURCES

PATIENT_RECORD = "patient.json"
COHORT_RECORD = "cohort.json"
INSERTED_RECORD = "inserted.json"
"""Of real images into which metastases were put."""


def read_record(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises:
        CohortError: if it is missing or damaged.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CohortError(
            "A record of digital patients cannot be read",
            got=f"{path}: {error}",
            remedy="Delete that patient's folder and make the cohort again: it goes on there",
        ) from error
    if not isinstance(record, dict):
        raise CohortError("A record of digital patients holds something else", got=path)
    return record


def open_cohort_folder(folder: Path, order: dict[str, Any]) -> None:
    """Start a cohort in a new folder, or go on with the same one.

    Args:
        folder: Empty, not there yet, or holding an interrupted run of the same order.
        order: Plain data that decides the cohort.

    Raises:
        CohortError: if it holds another cohort, or something else.
        OutputError: if it cannot be written.
    """
    path = folder / COHORT_RECORD
    if path.is_file():
        if read_record(path) != json.loads(json.dumps(order)):
            raise CohortError(
                "The folder holds a cohort made with other settings",
                got=folder,
                remedy=f"Choose another folder, or repeat the settings in its {COHORT_RECORD}",
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CohortError(
            "A cohort is made in a new folder", got=folder, remedy="Choose a folder that is empty"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, order)


def is_digital(folder: Path) -> bool:
    """Whether a cohort was made of digital patients: its record holds the order."""
    try:
        order = read_record(folder / COHORT_RECORD).get("order")
    except CohortError:
        return False
    return isinstance(order, dict) and "population" in order


def refuse_unseen(folder: Path) -> None:
    """Refuse a cohort of people on whom nothing may be trained, tuned or selected.

    Raises:
        CohortError: if one of its anatomies is kept for measuring.
    """
    path = folder / COHORT_RECORD
    if not path.is_file():
        return
    sources = read_record(path)["order"]["settings"]["anatomy"]["sources"]
    unseen = [name for name in sources if name in UNSEEN_SOURCES]
    if unseen:
        raise CohortError(
            "Nothing is trained or calibrated on the anatomies kept for measuring",
            got=", ".join(unseen),
            remedy="Make a cohort without --anatomy, or evaluate on this one",
        )


def phantom_command(folder: Path) -> str | None:
    """The command that made a cohort of digital patients, without its folder; None for others."""
    inserted = folder / INSERTED_RECORD
    if inserted.is_file():
        order = read_record(inserted)
        copies = f"--copies {order['copies']} --seed {order['seed']}"
        return f"pelvimets phantom insert {order['images']} {copies}"
    path = folder / COHORT_RECORD
    if not path.is_file():
        return None
    order = read_record(path)["order"]
    words = [f"--like {order['population']} --patients {order['patients']} --seed {order['seed']}"]
    words += [f"--scanner {order['scanner']}"] if order["scanner"] else []
    changed = {name: v for name, v in order["artefacts"].items() if v != 1.0}
    words += [f"--artefact {name}={strength:g}" for name, strength in changed.items()]
    sources = order["settings"]["anatomy"]["sources"]
    words += (
        [f"--anatomy {source}" for source in sources] if tuple(sources) != TRAINING_SOURCES else []
    )
    return " ".join(["pelvimets phantom cohort", *words])
