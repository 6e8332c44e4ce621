"""An association with a node over the DICOM network protocol, in the clear or over TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from pydicom.uid import UID

from pelvimets.errors import InputError, OutputError
from pelvimets.io.pacs.nodes import DimseNode, Tls
from pelvimets.io.pacs.outcome import missing_extra, refused, unreachable

SUCCESS, PENDING = 0x0000, (0xFF00, 0xFF01)
_ACCEPTED, _REJECTED_FOR_GOOD = 0, 1  # PS3.8 9.3.3 and 9.3.4
_MOST_CONTEXTS = 128

Problem = type[InputError | OutputError]


def network() -> ModuleType:
    """The library of the protocol.

    Raises:
        MissingExtraError: without the ``pacs`` extra.
    """
    try:
        import pynetdicom
    except ImportError as error:
        raise missing_extra(error) from error
    return pynetdicom


@contextmanager
def association(node: DimseNode, entity: Any, problem: Problem, **options: Any) -> Iterator[Any]:
    """Call a node; the association is released at the end.

    Args:
        node: Whom to call.
        entity: This side, with the contexts that it wants.
        problem: What to raise: input or output.
        options: More for pynetdicom's ``associate``.

    Raises:
        InputError, OutputError: if the node cannot be reached or refuses.
    """
    _check_reachable(node, problem)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = node.timeout_s
    if node.tls is not None:
        options["tls_args"] = (client_context(node.tls), node.host)
    called = entity.associate(node.host, node.port, ae_title=node.called_ae_title, **options)
    if not called.is_established:
        raise _not_established(node, called, problem)
    try:
        yield called
    finally:
        called.release()


def client_context(tls: Tls) -> ssl.SSLContext:
    """How this side speaks TLS to a node: its certificate is checked, its name too.

    Raises:
        InputError: if a file of certificates cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=tls.authorities or None)
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key or None)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            "The certificates for TLS cannot be used",
            got=type(error).__name__,
            remedy="Check PELVIMETS_TLS_CA, PELVIMETS_TLS_CERTIFICATE and PELVIMETS_TLS_KEY: "
            "files in PEM format, the key without a password",
        ) from error
    return context


def storage_classes(beside: int) -> list[UID]:
    """Kinds of object to accept, those that serve here first.

    Args:
        beside: How many other contexts the same association proposes.
    """
    common = [context.abstract_syntax for context in network().StoragePresentationContexts]
    return list(dict.fromkeys([*_WANTED_CLASSES, *common]))[: _MOST_CONTEXTS - beside]


def _not_established(node: DimseNode, called: Any, problem: Problem) -> Exception:
    answer = getattr(called.acceptor, "primitive", None)
    if getattr(answer, "result", None) == _ACCEPTED:  # but none of the contexts
        return refused(problem, node.title, "it offers nothing of what was asked for")
    if called.is_rejected and getattr(answer, "result", None) == _REJECTED_FOR_GOOD:
        words = getattr(answer, "reason_str", "") or "for good"
        return refused(
            problem,
            node.title,
            f"association rejected: {words}",
            f"Check both AE titles; this side calls itself {node.calling_ae_title}, and the PACS "
            "has to know it",
        )
    return unreachable(problem, node.title, "association rejected")


def _check_reachable(node: DimseNode, problem: Problem) -> None:
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


def broke_off(node: DimseNode) -> InputError | OutputError:
    """The error where a node breaks off as it is asked: some do so at a stranger."""
    remedy = (
        f"Try again. If it stays so, enter {node.calling_ae_title} in the PACS as one who may "
        "search and fetch"
    )
    return unreachable(InputError, node.title, "the connection broke off", remedy)
