"""What a node holds: studies, and the objects of a study (C-FIND, PS3.4 C; QIDO-RS, PS3.18)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom.dataset import Dataset

from pelvimets.errors import InputError
from pelvimets.io.pacs.association import PENDING, SUCCESS, association, broke_off, network
from pelvimets.io.pacs.nodes import DicomwebNode, DimseNode, Node
from pelvimets.io.pacs.outcome import MayPassError, reason_text, refused
from pelvimets.io.pacs.web import ask_web

_STUDY_KEYS = (
    "StudyInstanceUID",
    "StudyDate",
    "ModalitiesInStudy",
    "StudyDescription",
    "NumberOfStudyRelatedInstances",
)
_MR = "MR"


@dataclass(frozen=True)
class Wanted:
    """Which studies to look for; what is empty does not matter.

    Attributes:
        patient_id: As the PACS has it.
        accession: Accession number.
        modality: Of any of its series, such as ``MR``.
        since: Day of the study, this one or later.
        study: Study Instance UID.
    """

    patient_id: str = ""
    accession: str = ""
    modality: str = ""
    since: date | None = None
    study: str = ""

    def keys(self) -> dict[str, str]:
        """Matching keys by keyword (PS3.4 C.2.2.2)."""
        keys = {
            "PatientID": self.patient_id,
            "AccessionNumber": self.accession,
            "ModalitiesInStudy": self.modality,
            "StudyDate": f"{self.since:%Y%m%d}-" if self.since else "",
            "StudyInstanceUID": self.study,
        }
        return {keyword: value for keyword, value in keys.items() if value}


@dataclass(frozen=True)
class FoundStudy:
    """A study that a node holds: nothing in it names the patient.

    Attributes:
        uid: Study Instance UID.
        day: ``YYYYMMDD``, empty where it is not known.
        modalities: Such as ``MR``.
        description: As the scanner wrote it.
        objects: How many, None where the node does not say.
    """

    uid: str
    day: str = ""
    modalities: tuple[str, ...] = ()
    description: str = ""
    objects: int | None = None


def find_studies(node: Node, wanted: Wanted) -> tuple[FoundStudy, ...]:
    """Studies that a node holds, the latest first.

    Raises:
        InputError: if the node cannot be reached or cannot be searched.
    """
    found = _studies_web(node, wanted) if isinstance(node, DicomwebNode) else _cfind(node, wanted)
    return tuple(sorted(found, key=lambda study: (study.day, study.uid), reverse=True))


def _cfind(node: DimseNode, wanted: Wanted) -> list[FoundStudy]:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    for keyword in _STUDY_KEYS:
        setattr(query, keyword, "")
    for keyword, value in wanted.keys().items():
        setattr(query, keyword, value)
    with _asking(node) as called:
        rows = list(_answers(called, query, node))
    return [_study(row) for row in rows]


def _study(row: Dataset) -> FoundStudy:
    kinds = row.get("ModalitiesInStudy") or ()
    count = row.get("NumberOfStudyRelatedInstances")
    return FoundStudy(
        uid=str(row.get("StudyInstanceUID", "")),
        day=str(row.get("StudyDate") or ""),
        modalities=(kinds,) if isinstance(kinds, str) else tuple(kinds),
        description=str(row.get("StudyDescription") or ""),
        objects=None if count in (None, "") else int(count),
    )


def _studies_web(node: DicomwebNode, wanted: Wanted) -> list[FoundStudy]:
    fields = ",".join(("StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"))
    parameters = {**wanted.keys(), "includefield": fields}
    return [_study(Dataset.from_json(row)) for row in ask_web(node, "/studies", parameters)]


def objects_of(node: Node, study: str, *, mr_only: bool = False) -> dict[str, str]:
    """Objects that a node lists of a study: series by SOP Instance UID.

    Args:
        node: Whom to ask.
        study: Study Instance UID.
        mr_only: MR series alone, not what workstations have added.

    Raises:
        InputError: if the node cannot be reached or cannot be searched.
    """
    modality = _MR if mr_only else ""
    if isinstance(node, DicomwebNode):
        return _objects_web(node, study, modality)
    with _asking(node) as called:
        listed = _objects_on(called, study, None, modality)
    if listed is None:
        raise refused(InputError, node.title, "it cannot be searched")
    return listed


def _objects_web(node: DicomwebNode, study: str, modality: str) -> dict[str, str]:
    asked = {"Modality": modality} if modality else {}
    found = {}
    for row in ask_web(node, f"/studies/{study}/series", asked):
        series = str(Dataset.from_json(row).SeriesInstanceUID)
        for item in ask_web(node, f"/studies/{study}/series/{series}/instances", {}):
            found[str(Dataset.from_json(item).SOPInstanceUID)] = series
    return found


def objects_if_listed(node: DimseNode, study: str, series: str | None) -> dict[str, str] | None:
    """Objects of a study or a series as for ``objects_of``; None where the node lists none.

    Raises:
        InputError: if the node does not answer.
    """
    try:
        with _asking(node) as called:
            return _objects_on(called, study, series, "")
    except MayPassError:
        raise
    except InputError:  # it takes no searches
        return None


def _objects_on(
    called: Any, study: str, series: str | None, modality: str
) -> dict[str, str] | None:
    """Level by level; None where a search fails."""
    try:
        listed = {}
        for row in list(_pages(called, _series_query(study, series, modality))):
            uid = str(row.get("SeriesInstanceUID", ""))
            if uid and modality in ("", str(row.get("Modality") or modality)):
                for item in _pages(called, _image_query(study, uid)):
                    listed[str(item.get("SOPInstanceUID", ""))] = uid
    except (ValueError, _NoAnswerError):  # no such context, or a search that failed
        return None
    return listed


def _series_query(study: str, series: str | None, modality: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = study
    query.SeriesInstanceUID = series or ""
    query.Modality = modality
    return query


def _image_query(study: str, series: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = study
    query.SeriesInstanceUID = series
    query.SOPInstanceUID = ""
    return query


class _NoAnswerError(Exception):
    """A search that did not end well; the argument is its status."""


def _pages(called: Any, query: Dataset) -> Iterator[Dataset]:
    model = network().sop_class.StudyRootQueryRetrieveInformationModelFind
    for status, row in called.send_c_find(query, model):
        code = status.get("Status")
        if code in PENDING and row is not None:
            yield row
        elif code != SUCCESS:
            raise _NoAnswerError(code)


def _answers(called: Any, query: Dataset, node: DimseNode) -> Iterator[Dataset]:
    try:
        yield from _pages(called, query)
    except ValueError as error:
        raise refused(InputError, node.title, "it does not offer C-FIND") from error
    except _NoAnswerError as error:
        code = error.args[0]
        if code is None:
            raise broke_off(node) from error
        raise refused(InputError, node.title, f"status {reason_text(code)}") from error


def _asking(node: DimseNode) -> Any:
    """An association that can search."""
    entity = network().AE(ae_title=node.calling_ae_title)
    entity.add_requested_context(network().sop_class.StudyRootQueryRetrieveInformationModelFind)
    return association(node, entity, InputError)
