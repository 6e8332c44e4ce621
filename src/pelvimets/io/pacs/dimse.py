"""Store (C-STORE) and retrieve (C-GET, C-MOVE) over DIMSE (PS3.4 B and C)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pelvimets.errors import InputError, OutputError
from pelvimets.io.pacs.association import (
    PENDING,
    SUCCESS,
    association,
    broke_off,
    network,
    storage_classes,
)
from pelvimets.io.pacs.nodes import DimseNode
from pelvimets.io.pacs.outcome import (
    FetchOutcome,
    Received,
    StoreOutcome,
    reason_text,
    refused,
)
from pelvimets.io.pacs.patience import Watch, unwatched
from pelvimets.io.pacs.query import objects_if_listed

_READABLE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_PARTLY = (0xB000, 0xA702)
_UNKNOWN_DESTINATION = 0xA801
_MAY_PASS = (0x0110, *range(0xA700, 0xA800))  # processing failure, out of resources


def store_dimse(
    datasets: Sequence[Dataset], node: DimseNode, watch: Watch = unwatched
) -> StoreOutcome:
    """Send objects one after the other; a refused one does not stop the others.

    Raises:
        OutputError: if the node cannot be reached.
    """
    entity = network().AE(ae_title=node.calling_ae_title)
    kinds = {(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for d in datasets}
    for sop_class, syntax in sorted(kinds):
        entity.add_requested_context(sop_class, syntax)
    outcome = StoreOutcome()
    with association(node, entity, OutputError) as called:
        for number, dataset in enumerate(datasets, start=1):
            if not called.is_established:
                outcome.stopped = "the connection broke off"
                break
            _send(called, dataset, outcome)
            watch(number, len(datasets), "objects")
    return outcome


def _send(called: Any, dataset: Dataset, outcome: StoreOutcome) -> None:
    uid = str(dataset.SOPInstanceUID)
    try:
        code = called.send_c_store(dataset).get("Status")
    except ValueError:  # no presentation context of this kind was accepted
        outcome.failures[uid] = reason_text(0x0122)
        return
    category = "" if code is None else network().status.code_to_category(code)
    if category in ("Success", "Warning"):
        outcome.warnings[uid] = "" if category == "Success" else reason_text(code)
        return
    outcome.failures[uid] = "no answer" if code is None else reason_text(code)
    if code is None or code in _MAY_PASS:
        outcome.passing.add(uid)


@dataclass
class _Basket:
    """What came so far, and until when more may come."""

    whole_s: float
    watch: Watch
    expected: int | None = None
    found: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.whole_s
        self._lock = threading.Lock()

    @property
    def too_late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._deadline

    def keep(self, event: Any) -> int:
        """Take in what a C-STORE brings."""
        if self.too_late:
            event.assoc.abort()
        with self._lock:
            self.found[str(event.request.AffectedSOPInstanceUID)] = event.encoded_dataset()
            self.watch(len(self.found), self.expected, "objects")
        return SUCCESS

    def check_time(self, node: DimseNode) -> None:
        """Refuse what took too long."""
        if self.too_late:
            raise InputError(
                "The PACS takes too long to hand over the study",
                got=f"{node.title}: {len(self.found)} objects in {self.whole_s:g} s",
                remedy="Try again when network and PACS are less busy",
            )


def get_dimse(
    study: str, series: str | None, node: DimseNode, watch: Watch = unwatched
) -> FetchOutcome:
    """Retrieve what the node hands over of a study or a series on the same association (C-GET).

    Before, the node is asked what there is (C-FIND), where it can be.

    Raises:
        InputError: if the node cannot be reached or refuses, or the connection breaks off.
    """
    retrieve = network().sop_class.StudyRootQueryRetrieveInformationModelGet
    entity = network().AE(ae_title=node.calling_ae_title)
    entity.add_requested_context(retrieve)
    roles = []
    for sop_class in storage_classes(beside=1):
        entity.add_requested_context(sop_class, _READABLE)
        roles.append(network().build_role(sop_class, scp_role=True))
    listed = objects_if_listed(node, study, series)
    basket = _Basket(node.whole_s, watch, None if listed is None else len(listed))
    handlers = [(network().evt.EVT_C_STORE, basket.keep)]
    options: dict[str, Any] = {"ext_neg": roles, "evt_handlers": handlers}
    with association(node, entity, InputError, **options) as called:
        try:
            last = list(called.send_c_get(retrieval(study, series), retrieve))[-1]
        except ValueError as error:
            raise _does_not(node, "C-GET", "Let it send by C-MOVE: add --move-port") from error
    basket.check_time(node)
    return _outcome(basket, listed, last, node)


def move_dimse(
    study: str, series: str | None, node: DimseNode, port: int, watch: Watch = unwatched
) -> FetchOutcome:
    """Let a node send a study or a series to a port of this machine (C-MOVE).

    The node has to know this side's AE title with this machine's address and the port.

    Raises:
        InputError: if the port is taken, or the node cannot be reached or refuses.
    """
    model = network().sop_class.StudyRootQueryRetrieveInformationModelMove
    entity = network().AE(ae_title=node.calling_ae_title)
    entity.add_requested_context(model)
    listed = objects_if_listed(node, study, series)
    basket = _Basket(node.whole_s, watch, None if listed is None else len(listed))
    with (
        _receiving(node.calling_ae_title, port, basket.keep),
        association(node, entity, InputError) as called,
    ):
        request = retrieval(study, series)
        try:
            last = list(called.send_c_move(request, node.calling_ae_title, model))[-1]
        except ValueError as error:
            raise _does_not(node, "C-MOVE", "Leave out --move-port") from error
    basket.check_time(node)
    if last[0].get("Status") is None and not basket.found:  # some break off at a stranger
        raise refused(InputError, node.title, "the connection broke off", _introduce(node))
    return _outcome(basket, listed, last, node)


@contextmanager
def _receiving(ae_title: str, port: int, keep: Callable[[Any], int]) -> Iterator[None]:
    """Take in by C-STORE what a node sends, as long as this lasts."""
    entity = network().AE(ae_title=ae_title)
    entity.require_called_aet = True
    syntaxes = network().ALL_TRANSFER_SYNTAXES
    for context in network().AllStoragePresentationContexts:
        entity.add_supported_context(context.abstract_syntax, syntaxes)
    handlers = [(network().evt.EVT_C_STORE, keep)]
    try:
        server = entity.start_server(("", port), block=False, evt_handlers=handlers)
    except OSError as error:
        raise InputError(
            "Nothing can be received on this port",
            got=f"{port}: {error.strerror or error}",
            remedy="Choose the port under which the PACS knows this machine, when it is free",
        ) from error
    try:
        yield
    finally:
        server.shutdown()


def retrieval(study: str, series: str | None) -> Dataset:
    """The identifier of a request for a study, or for a series of it."""
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY" if series is None else "SERIES"
    query.StudyInstanceUID = study
    if series is not None:
        query.SeriesInstanceUID = series
    return query


def _does_not(node: DimseNode, service: str, remedy: str) -> InputError:
    error = refused(InputError, node.title, f"it does not offer {service}", remedy)
    assert isinstance(error, InputError)
    return error


def _outcome(
    basket: _Basket,
    listed: dict[str, str] | None,
    last: tuple[Dataset, Dataset | None],
    node: DimseNode,
) -> FetchOutcome:
    found = tuple(Received(*item) for item in basket.found.items())
    missing = _not_handed_over(*last, bool(found), node)
    unsent = [uid for uid in listed or () if uid not in basket.found]
    named = [f"object {uid} did not come" for uid in unsent if not any(uid in m for m in missing)]
    return FetchOutcome(found, (*missing, *named), passing=bool(unsent))


def _not_handed_over(
    status: Dataset, identifier: Dataset | None, found: bool, node: DimseNode
) -> tuple[str, ...]:
    """What the node could not send, from its last answer."""
    code = status.get("Status")
    if code == SUCCESS:
        return ()
    if code is None or code in PENDING:
        raise broke_off(node)
    if not found or code not in _PARTLY:
        raise _refusal(code, node)
    named = (identifier or Dataset()).get("FailedSOPInstanceUIDList") or []
    uids = [str(uid) for uid in ([named] if isinstance(named, str) else named)]
    if uids:
        return tuple(f"object {uid}" for uid in uids)
    count = status.get("NumberOfFailedSuboperations")
    return (f"{count or 'some'} objects that the PACS does not name",) if count != 0 else ()


def _refusal(code: int, node: DimseNode) -> InputError:
    unknown = code == _UNKNOWN_DESTINATION
    return InputError(
        "The PACS did not hand over the study",
        got=f"{node.title}: status {reason_text(code)}",
        remedy=_introduce(node) if unknown else None,
    )


def _introduce(node: DimseNode) -> str:
    return (
        f"Enter {node.calling_ae_title} in the PACS, with this machine's address and the port "
        "given with --move-port"
    )
