"""A node that takes in objects by C-STORE from those it knows (PS3.4 B), and answers C-ECHO."""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pelvimets.errors import OutputError, SettingsError
from pelvimets.io.pacs.association import network
from pelvimets.io.pacs.nodes import Tls
from pelvimets.io.pacs.outcome import Received

NO_ROOM, NOT_UNDERSTOOD, NOT_AUTHORISED = 0xA700, 0xC000, 0x0124
_AT_A_TIME = 4  # each holds one object in memory
_BY_NAME_AND_PASSWORD = 2  # PS3.7 D.3.3.7

Take = Callable[[str, Received], int]
"""Takes an object of a study in; returns the status that the sender is told."""


@dataclass(frozen=True)
class Listening:
    """How to listen.

    Attributes:
        ae_title: Callers must call this title.
        bind: Address; empty listens on all.
        port: 0 takes a free one.
        allow: Titles of those who may call.
        tls: This side's certificate; with authorities, callers must show one of theirs.
        users: Passwords by user; with any, callers must sign in.
    """

    ae_title: str
    bind: str
    port: int
    allow: tuple[str, ...]
    tls: Tls | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)


@contextmanager
def receiving(how: Listening, take: Take) -> Iterator[int]:
    """Listen as long as this lasts; yields the port.

    Raises:
        OutputError: if the port is taken.
        SettingsError: if the certificates cannot be used.
        MissingExtraError: without the ``pacs`` extra.
    """
    events = network().evt
    entity = network().AE(ae_title=how.ae_title)
    entity.maximum_associations = _AT_A_TIME
    entity.require_called_aet = True
    entity.require_calling_aet = list(how.allow)
    for context in network().AllStoragePresentationContexts:
        entity.add_supported_context(context.abstract_syntax, network().ALL_TRANSFER_SYNTAXES)
    entity.add_supported_context(network().sop_class.Verification)
    handlers = [
        (events.EVT_C_STORE, _stored, [how, take]),
        (events.EVT_USER_ID, _identified, [how]),
    ]
    tls = None if how.tls is None else server_context(how.tls)
    try:
        server = entity.start_server(
            (how.bind, how.port), block=False, ssl_context=tls, evt_handlers=handlers
        )
    except OSError as error:
        raise OutputError(
            "Nothing can listen on this port",
            got=f"{how.port}: {error.strerror or error}",
            remedy="Choose another with --port, or end what listens there",
        ) from error
    try:
        yield int(server.socket.getsockname()[1])
    finally:
        server.shutdown()


def server_context(tls: Tls) -> ssl.SSLContext:
    """How this side answers over TLS.

    Raises:
        SettingsError: if a file cannot be used.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.authorities:
            context.load_verify_locations(tls.authorities)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            "The certificates for TLS cannot be used",
            got=type(error).__name__,
            remedy="Check the files in [tls] of the settings: PEM, the key without a password",
        ) from error
    return context


def _identified(event: Any, how: Listening) -> tuple[bool, bytes | None]:
    """Who signs in: without users nobody has to, and nobody is turned away."""
    if not how.users:
        return True, None
    return _knows(how, event.user_id_type, event.primary_field, event.secondary_field), None


def _knows(how: Listening, kind: int, name: bytes, password: bytes) -> bool:
    wanted = how.users.get((name or b"").decode("utf-8", "replace"))
    if kind != _BY_NAME_AND_PASSWORD or wanted is None:
        return False
    return hmac.compare_digest(wanted.encode(), password or b"")


def _stored(event: Any, how: Listening, take: Take) -> int:
    if how.users and event.assoc.requestor.user_identity is None:
        return NOT_AUTHORISED  # one that does not sign in is not turned away by the library
    try:
        uid = str(event.request.AffectedSOPInstanceUID)
        item = Received(uid, event.encoded_dataset())
        study = str(item.dataset().get("StudyInstanceUID", ""))
        if not study or str(item.dataset().SOPInstanceUID) != uid:
            return NOT_UNDERSTOOD
    except Exception:  # the parser raises almost anything on damaged bytes
        return NOT_UNDERSTOOD
    return take(study, item)
