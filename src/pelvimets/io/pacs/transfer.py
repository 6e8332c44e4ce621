"""Results to a PACS and back, over DICOMweb or DIMSE, only when asked to.

Nothing here runs by itself: a user names the node. Needs the ``pacs`` extra.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pelvimets.errors import InputError, MissingExtraError, OutputError

DEFAULT_AE_TITLE = "PELVIMETS"
_ALL_TRANSFER_SYNTAXES = "*"


@dataclass(frozen=True)
class DicomwebNode:
    """A DICOMweb service.

    Attributes:
        url: Base URL, e.g. ``http://localhost:8042/dicom-web``.
        headers: Extra HTTP headers, e.g. ``Authorization``.
        timeout_s: For each request.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 60.0


@dataclass(frozen=True)
class DimseNode:
    """A DICOM network node.

    Attributes:
        host: Name or address.
        port: TCP port.
        called_ae_title: The node's application entity.
        calling_ae_title: This side's application entity; a PACS may have to know it.
        timeout_s: For the association and each message.
    """

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str = DEFAULT_AE_TITLE
    timeout_s: float = 60.0


Node = DicomwebNode | DimseNode


def parse_node(text: str) -> Node:
    """A node as a user writes it.

    Args:
        text: ``http(s)://...`` for DICOMweb, ``dicom://AET@host:port`` for DIMSE.

    Raises:
        InputError: if it is neither.

    >>> parse_node("dicom://ORTHANC@localhost:4242").port
    4242
    """
    parts = urlsplit(text)
    if parts.scheme in ("http", "https") and parts.hostname:
        return DicomwebNode(text.rstrip("/"))
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme == "dicom" and parts.hostname and port and parts.username:
        return DimseNode(parts.hostname, port, parts.username)
    raise InputError(
        "This is no address of a PACS",
        got=text,
        remedy="Write http(s)://host/dicom-web, or dicom://AETITLE@host:port",
    )


def store(files: Sequence[Path], node: Node) -> tuple[str, ...]:
    """Store DICOM files in a PACS.

    Args:
        files: DICOM files; all are read before the first is sent.
        node: Where to.

    Returns:
        SOP Instance UIDs of what was stored, in the order of ``files``.

    Raises:
        InputError: if a file is not DICOM, or there is none.
        OutputError: if the node cannot be reached, or refuses one of them.
        MissingExtraError: without the ``pacs`` extra.
    """
    datasets = [_read(path) for path in files]
    if not datasets:
        raise InputError("There is nothing to store", remedy="Run 'predict' with --dicom first")
    if isinstance(node, DicomwebNode):
        _store_web(datasets, node)
    else:
        _store_dimse(datasets, node)
    return tuple(str(d.SOPInstanceUID) for d in datasets)


def fetch(
    study_instance_uid: str, node: Node, series_instance_uid: str | None = None
) -> list[Dataset]:
    """Fetch all instances of a study, or of one series of it.

    Returns:
        Datasets with file meta information, ready to be saved, by SOP Instance UID.

    Raises:
        InputError: if the node cannot be reached, refuses, or has nothing of the kind.
        MissingExtraError: without the ``pacs`` extra.
    """
    if isinstance(node, DicomwebNode):
        found = _fetch_web(study_instance_uid, series_instance_uid, node)
    else:
        found = _fetch_dimse(study_instance_uid, series_instance_uid, node)
    if not found:
        raise InputError("The PACS holds nothing of this study", got=study_instance_uid)
    return sorted(found, key=lambda dataset: str(dataset.SOPInstanceUID))


def save(datasets: Sequence[Dataset], folder: Path) -> None:
    """Write fetched instances as numbered DICOM files.

    Raises:
        OutputError: if one cannot be written.
    """
    for number, dataset in enumerate(datasets, start=1):
        try:
            dataset.save_as(folder / f"{number:05d}.dcm", enforce_file_format=True)
        except OSError as error:
            raise OutputError("A fetched image cannot be written", got=error) from error


def _read(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path)
    except (OSError, InvalidDicomError) as error:
        raise InputError("The file is not DICOM", got=f"{path}: {error}") from error


def _missing(error: ImportError) -> MissingExtraError:
    return MissingExtraError(
        "The connection to a PACS is not installed",
        got=error.name,
        remedy="Install it with: pip install 'pelvimets[pacs]'",
    )


def _web_client(node: DicomwebNode) -> tuple[Any, type[Exception]]:
    try:
        from dicomweb_client.api import DICOMwebClient
        from requests import RequestException
    except ImportError as error:
        raise _missing(error) from error
    client = DICOMwebClient(node.url, headers=dict(node.headers), timeout=node.timeout_s)
    client.set_http_retry_params(retry=False)
    return client, RequestException


def _store_web(datasets: Sequence[Dataset], node: DicomwebNode) -> None:
    client, problems = _web_client(node)
    try:
        answer = client.store_instances(datasets)
    except problems as error:
        raise _unreachable(OutputError, node.url, error) from error
    failed = answer.get("FailedSOPSequence", [])
    if failed:
        raise OutputError(
            "The PACS refused to store a result",
            got=f"{len(failed)} of {len(datasets)}, reason {failed[0].get('FailureReason')}",
        )


def _fetch_web(study: str, series: str | None, node: DicomwebNode) -> list[Dataset]:
    client, problems = _web_client(node)
    media = (("application/dicom", _ALL_TRANSFER_SYNTAXES),)
    try:
        if series is None:
            return list(client.retrieve_study(study, media_types=media))
        return list(client.retrieve_series(study, series, media_types=media))
    except problems as error:
        raise _unreachable(InputError, node.url, error) from error


def _unreachable(kind: type[Any], where: str, reason: object) -> Any:
    return kind("The PACS did not do what it was asked", got=f"{where}: {reason}")


def _network() -> ModuleType:
    try:
        import pynetdicom
    except ImportError as error:
        raise _missing(error) from error
    return pynetdicom


@contextmanager
def _association(
    node: DimseNode, entity: Any, problem: type[Exception], **options: Any
) -> Iterator[Any]:
    where = f"{node.called_ae_title} at {node.host}:{node.port}"
    _check_reachable(node, where, problem)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = node.timeout_s
    association = entity.associate(node.host, node.port, ae_title=node.called_ae_title, **options)
    if not association.is_established:
        raise _unreachable(problem, where, "association rejected")
    try:
        yield association
    finally:
        association.release()


def _check_reachable(node: DimseNode, where: str, problem: type[Exception]) -> None:
    """Whether anything listens; pynetdicom leaves its socket open where nothing does."""
    try:
        socket.create_connection((node.host, node.port), node.timeout_s).close()
    except OSError as error:
        raise _unreachable(problem, where, error) from error


def _store_dimse(datasets: Sequence[Dataset], node: DimseNode) -> None:
    entity = _network().AE(ae_title=node.calling_ae_title)
    kinds = {(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for d in datasets}
    for sop_class, syntax in sorted(kinds):
        entity.add_requested_context(sop_class, syntax)
    with _association(node, entity, OutputError) as association:
        for dataset in datasets:
            try:
                status = association.send_c_store(dataset).get("Status")
            except ValueError as error:  # the node accepts no such object
                raise OutputError("The PACS refused to store a result", got=error) from error
            if status != 0x0000:
                raise OutputError(
                    "The PACS refused to store a result",
                    got="no answer" if status is None else f"status 0x{status:04X}",
                )


def _fetch_dimse(study: str, series: str | None, node: DimseNode) -> list[Dataset]:
    network = _network()
    retrieve = network.sop_class.StudyRootQueryRetrieveInformationModelGet
    entity = network.AE(ae_title=node.calling_ae_title)
    entity.add_requested_context(retrieve)
    roles = []
    for sop_class in _STORED_CLASSES:
        entity.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        roles.append(network.build_role(sop_class, scp_role=True))
    found: list[Dataset] = []

    def keep(event: Any) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        found.append(dataset)
        return 0x0000

    query = Dataset()
    query.QueryRetrieveLevel = "STUDY" if series is None else "SERIES"
    query.StudyInstanceUID = study
    if series is not None:
        query.SeriesInstanceUID = series
    handlers = [(network.evt.EVT_C_STORE, keep)]
    with _association(
        node, entity, InputError, ext_neg=roles, evt_handlers=handlers
    ) as association:
        for status, _ in association.send_c_get(query, retrieve):
            if status.get("Status") not in (0x0000, 0xFF00):
                raise InputError(
                    "The PACS did not hand over the study",
                    got=f"status 0x{status.get('Status', 0):04X}",
                )
    return found


_STORED_CLASSES = tuple(
    UID(uid)
    for uid in (
        "1.2.840.10008.5.1.4.1.1.4",  # MR Image
        "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
        "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
        "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
    )
)
