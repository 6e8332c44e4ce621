"""How the images of a run were made: in its record, and read from there again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

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
        decisions=tuple(_decision(row) for row in record["series"]),
        notes=tuple(record["notes"]),
        **read,
    )


def _acquisition(out: Path, name: str, data: Mapping[str, Any]) -> Acquisition:
    known = {f.name for f in fields(Acquisition)} - {"volume", "source", "notes", "role"}
    source = data["source"]
    return Acquisition(
        volume=read_nifti(out / "images" / image_name(name)),
        role=SeriesRole(data["role"]),
        notes=tuple(data["notes"]),
        source=_source(source) if source else None,
        **{key: data[key] for key in known if key in data},  # records of earlier versions lack some
    )


def _source(data: Mapping[str, Any]) -> SourceReference:
    frames = data["frame_numbers"]
    reference = SourceReference(**data)
    return replace(
        reference,
        sop_instance_uids=tuple(data["sop_instance_uids"]),
        frame_numbers=None if frames is None else tuple(frames),
        other_series=tuple(data.get("other_series", ())),
    )


def _decision(row: Mapping[str, Any]) -> SeriesDecision:
    values = {**row, "role": SeriesRole(row["role"])}
    values["b_values_s_per_mm2"] = tuple(row["b_values_s_per_mm2"])
    return SeriesDecision(**values)
