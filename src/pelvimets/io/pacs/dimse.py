"""Store (C-STORE) and retrieve (C-GET) over DIMSE (PS3.4 B and C)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pelvimets.errors import InputError, OutputError
from pelvimets.io.pacs.nodes import DimseNode
from pelvimets.io.pacs.outcome import (
    FetchOutcome,
    Received,
    StoreOutcome,
    missing_extra,
    reason_text,
    unreachable,
)

_READABLE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_MOST_CONTEXTS = 127  # of 128, one is C-GET's own
_SUCCESS, _PARTLY = 0x0000, (0xB000, 0xA702)


def store_dimse(datasets: Sequence[Dataset], node: DimseNode) -> StoreOutcome:
    """Send objects one after the other; a refused one does not stop the others.

    Raises:
        OutputError: if the node cannot be reached.
    """
    network = _network()
    entity = network.AE(ae_title=node.calling_ae_title)
    kinds = {(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for d in datasets}
    for sop_class, syntax in sorted(kinds):
        entity.add_requested_context(sop_class, syntax)
    outcome = StoreOutcome()
    with _association(node, entity, OutputError) as association:
        for dataset in datasets:
            if not association.is_established:
                outcome.stopped = "the connection broke off"
                break
            _send(association, dataset, network, outcome)
    return outcome


def _send(association: Any, dataset: Dataset, network: Any, outcome: StoreOutcome) -> None:
    uid = str(dataset.SOPInstanceUID)
    try:
        code = association.send_c_store(dataset).get("Status")
    except ValueError:  # no presentation context of this kind was accepted
        outcome.failures[uid] = reason_text(0x0122)
        return
    category = "" if code is None else network.status.code_to_category(code)
    if category in ("Success", "Warning"):
        outcome.warnings[uid] = "" if category == "Success" else reason_text(code)
    else:
        outcome.failures[uid] = "no answer" if code is None else reason_text(code)


def fetch_dimse(study: str, series: str | None, node: DimseNode) -> FetchOutcome:
    """Retrieve what the node hands over of a study or a series, of any kind of object.

    Raises:
        InputError: if the node cannot be reached or refuses, or the connection breaks off.
    """
    network = _network()
    retrieve = network.sop_class.StudyRootQueryRetrieveInformationModelGet
    entity = network.AE(ae_title=node.calling_ae_title)
    entity.add_requested_context(retrieve)
    roles = []
    for sop_class in _storage_classes(network):
        entity.add_requested_context(sop_class, _READABLE)
        roles.append(network.build_role(sop_class, scp_role=True))
    found: dict[str, bytes] = {}
    deadline = time.monotonic() + node.whole_s

    def keep(event: Any) -> int:
        if time.monotonic() > deadline:
            event.assoc.abort()
        found[str(event.request.AffectedSOPInstanceUID)] = event.encoded_dataset()
        return _SUCCESS

    handlers = [(network.evt.EVT_C_STORE, keep)]
    with _association(
        node, entity, InputError, ext_neg=roles, evt_handlers=handlers
    ) as association:
        responses = association.send_c_get(_query(study, series), retrieve)
        status, identifier = list(responses)[-1]
    if time.monotonic() > deadline:
        raise InputError(
            "The PACS takes too long to hand over the study",
            got=f"{node.title}: {len(found)} objects in {node.whole_s:g} s",
            remedy="Try again when network and PACS are less busy",
        )
    missing = _not_handed_over(status, identifier, bool(found), node)
    return FetchOutcome(tuple(Received(*item) for item in found.items()), missing)


def _query(study: str, series: str | None) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY" if series is None else "SERIES"
    query.StudyInstanceUID = study
    if series is not None:
        query.SeriesInstanceUID = series
    return query


def _not_handed_over(
    status: Dataset, identifier: Dataset | None, found: bool, node: DimseNode
) -> tuple[str, ...]:
    """What the node could not send, from its last answer."""
    code = status.get("Status")
    if code == _SUCCESS:
        return ()
    if code is None:
        raise unreachable(InputError, node.title, "the connection broke off")
    if not found or code not in _PARTLY:
        raise InputError(
            "The PACS did not hand over the study",
            got=f"{node.title}: status {reason_text(code)}",
        )
    named = (identifier or Dataset()).get("FailedSOPInstanceUIDList") or []
    uids = [str(uid) for uid in ([named] if isinstance(named, str) else named)]
    if uids:
        return tuple(f"object {uid}" for uid in uids)
    count = status.get("NumberOfFailedSuboperations")
    return (f"{count or 'some'} objects that the PACS does not name",) if count != 0 else ()


def _storage_classes(network: Any) -> list[UID]:
    """Kinds of object to accept, those that serve here first, as many as may be proposed."""
    common = [context.abstract_syntax for context in network.StoragePresentationContexts]
    return list(dict.fromkeys([*_WANTED_CLASSES, *common]))[:_MOST_CONTEXTS]


def _network() -> ModuleType:
    try:
        import pynetdicom
    except ImportError as error:
        raise missing_extra(error) from error
    return pynetdicom


@contextmanager
def _association(
    node: DimseNode, entity: Any, problem: type[InputError | OutputError], **options: Any
) -> Iterator[Any]:
    _check_reachable(node, problem)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = node.timeout_s
    association = entity.associate(node.host, node.port, ae_title=node.called_ae_title, **options)
    if not association.is_established:
        raise unreachable(problem, node.title, "association rejected")
    try:
        yield association
    finally:
        association.release()


def _check_reachable(node: DimseNode, problem: type[InputError | OutputError]) -> None:
    """Whether anything listens; pynetdicom leaves its socket open where nothing does."""
    try:
        socket.create_connection((node.host, node.port), node.timeout_s).close()
    except OSError as error:
        raise unreachable(problem, node.title, error) from error


_WANTED_CLASSES = tuple(
    UID(uid)
    for uid in (
        "1.2.840.10008.5.1.4.1.1.4",  # MR Image
        "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image
        "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image
        "1.2.840.10008.5.1.4.1.1.4.3",  # Enhanced MR Color Image
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
        "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
        "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
    )
)
