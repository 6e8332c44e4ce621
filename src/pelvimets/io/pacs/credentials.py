"""Who signs in at a PACS, and with what: never from the command line.

In this order: a token in ``PELVIMETS_PACS_TOKEN``; the user of the address (or of
``PELVIMETS_PACS_USER``) with the password of ``PELVIMETS_PACS_PASSWORD``, of ``~/.netrc`` (or the
file named by ``NETRC``), or as typed when asked. Over TLS, the files of trusted certificates and of
this side's own are named by ``PELVIMETS_TLS_CA``, ``..._CERTIFICATE`` and ``..._KEY``.
"""

from __future__ import annotations

import base64
import netrc
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from pelvimets.errors import InputError
from pelvimets.io.pacs.nodes import DicomwebNode, Node, Tls

Ask = Callable[[str], str]
"""Asks the user for a password; its argument says whose."""

_CA, _CERTIFICATE, _KEY = "PELVIMETS_TLS_CA", "PELVIMETS_TLS_CERTIFICATE", "PELVIMETS_TLS_KEY"
TOKEN, USER, PASSWORD = "PELVIMETS_PACS_TOKEN", "PELVIMETS_PACS_USER", "PELVIMETS_PACS_PASSWORD"


def signed_in(node: Node, ask: Ask | None = None) -> Node:
    """The node with what signs in there; as it is where nothing is needed.

    Args:
        node: As parsed from an address.
        ask: Asks for a password that lies nowhere; None asks nobody.

    Raises:
        InputError: if a user is named and no password is found.
    """
    if not isinstance(node, DicomwebNode):
        return node if node.tls is None else replace(node, tls=tls_of_environment())
    if token := os.environ.get(TOKEN):
        return _with(node, f"Bearer {token}")
    user = node.user or os.environ.get(USER, "")
    if not user:
        return node
    password = _password(node, user, ask)
    packed = base64.b64encode(f"{user}:{password}".encode()).decode()
    return _with(node, f"Basic {packed}")


def tls_of_environment() -> Tls:
    """The files that the variables name."""
    return Tls(*(os.environ.get(name, "") for name in (_CA, _CERTIFICATE, _KEY)))


def _with(node: DicomwebNode, authorization: str) -> DicomwebNode:
    return replace(node, headers={**node.headers, "Authorization": authorization})


def _password(node: DicomwebNode, user: str, ask: Ask | None) -> str:
    host = urlsplit(node.url).hostname or ""
    found = os.environ.get(PASSWORD) or _of_netrc(host, user)
    if found is None and ask is not None:
        found = ask(f"Password of {user} at {host}")
    if found is None:
        raise InputError(
            "There is no password for the user of this PACS",
            got=f"{user} at {host}",
            remedy=f"Set the variable {PASSWORD}, or write it into ~/.netrc",
        )
    return found


def _of_netrc(host: str, user: str) -> str | None:
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        entry = netrc.netrc(str(path)).authenticators(host) if path.is_file() else None
    except (OSError, netrc.NetrcParseError) as error:
        raise InputError("The file of passwords cannot be read", got=path) from error
    return entry[2] if entry is not None and entry[0] == user else None
