"""How the images of a run were made: in its record, and read from there again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import msgspec

from pelvimets.core.study import Acquisition, SeriesDecision, SeriesRole, SourceReference, Study
from pelvimets.io.nifti.files import read_nifti
from pelvimets.io.nifti.names import image_name


def acquisition_to_dict(acquisition: Acquisition) -> dict[str, Any]:
    """Plain data of an acquisition, without its voxels."""
    return {f.name: _plain(acquisition, f.name) for f in fields(acquisition) if f.name != "volume"}


def _plain(acquisition: Acquisition, name: str) -> Any:
    value = getattr(acquisition, name)
    return asdict(value) if isinstance(value, SourceReference) else value


def read_study_of_run(out: Path, record: Mapping[str, Any], patient_key: str) -> Study:
    """The study that a run read, from its record and the images kept beside it.

    Raises:
        InputError: if an image cannot be read.
    """
    read: dict[str, Any] = {n: _acquisition(out, n, data) for n, data in record["inputs"].items()}
    return Study(
        patient_key=patient_key,
        decisions=msgspec.convert(record["series"], tuple[SeriesDecision, ...]),
        notes=tuple(record["notes"]),
        **read,
    )


def _acquisition(out: Path, name: str, data: Mapping[str, Any]) -> Acquisition:
    known = {f.name for f in fields(Acquisition)} & data.keys()  # earlier records lack some
    values = {key: data[key] for key in known}
    values |= {"role": SeriesRole(data["role"]), "notes": tuple(data["notes"])}
    if data["source"]:
        values["source"] = msgspec.convert(data["source"], SourceReference)
    return Acquisition(read_nifti(out / "images" / image_name(name)), **values)
