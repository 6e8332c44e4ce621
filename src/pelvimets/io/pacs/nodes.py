"""The address of a PACS, as a user writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from pelvimets.errors import InputError

DEFAULT_AE_TITLE = "PELVIMETS"
WHOLE_S = 3600.0
_LONGEST_AE_TITLE = 16  # PS3.5 6.2, value representation AE


@dataclass(frozen=True)
class DicomwebNode:
    """A DICOMweb service.

    Attributes:
        url: Base URL, e.g. ``http://localhost:8042/dicom-web``.
        user: Who signs in, if anybody.
        headers: Extra HTTP headers, e.g. ``Authorization``.
        timeout_s: For the connection and each silence in an answer.
        whole_s: For a whole answer, however steadily it comes.
    """

    url: str
    user: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 60.0
    whole_s: float = WHOLE_S

    @property
    def title(self) -> str:
        """The address as messages show it."""
        return self.url


@dataclass(frozen=True)
class Tls:
    """How this side speaks TLS.

    Attributes:
        authorities: File of the certificates that are trusted (PEM); empty takes the system's.
        certificate: File of this side's own certificate, for nodes that ask for one.
        key: File of its key.
    """

    authorities: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class DimseNode:
    """A DICOM network node.

    Attributes:
        host: Name or address.
        port: TCP port.
        called_ae_title: The node's application entity.
        calling_ae_title: This side's application entity; a PACS may have to know it.
        timeout_s: For the association and each message.
        whole_s: For a whole study, however steadily it comes.
        tls: None speaks in the clear.
    """

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str = DEFAULT_AE_TITLE
    timeout_s: float = 60.0
    whole_s: float = WHOLE_S
    tls: Tls | None = None

    @property
    def title(self) -> str:
        """The address as messages show it."""
        return f"{self.called_ae_title} at {self.host}:{self.port}"


Node = DicomwebNode | DimseNode


def check_ae_title(title: str) -> None:
    """Refuse what is no AE title.

    Raises:
        InputError: with what is wrong.
    """
    plain = title.isascii() and title.isprintable() and "\\" not in title
    if not plain or not title.strip() or len(title) > _LONGEST_AE_TITLE:
        raise InputError(
            f"An AE title has 1 to {_LONGEST_AE_TITLE} plain characters",
            got=f"{len(title)} characters: {title!r}",
            remedy="Write dicom://AETITLE@host:port with the title that is set in the PACS",
        )


def parse_node(text: str) -> Node:
    """A node as a user writes it.

    Args:
        text: ``http(s)://...`` for DICOMweb, where somebody signs in ``http(s)://USER@...``;
            ``dicom://AET@host:port`` for DIMSE, ``dicoms://`` for DIMSE over TLS.

    Raises:
        InputError: if it is neither, or holds a password.

    >>> parse_node("dicom://ORTHANC@localhost:4242").port
    4242
    """
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.password is not None:
        raise InputError(
            "A password does not belong into an address, where others on this machine can read it",
            got=without_password(text),
            remedy="Leave it out and set the variable PELVIMETS_PACS_PASSWORD, write it into "
            "~/.netrc, or wait until you are asked for it",
        )
    if parts.scheme in ("http", "https") and parts.hostname and port != -1:
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return DicomwebNode(plain.rstrip("/"), unquote(parts.username or ""))
    if parts.scheme in ("dicom", "dicoms") and parts.hostname and (port or 0) > 0:
        check_ae_title(unquote(parts.username or ""))
        tls = Tls() if parts.scheme == "dicoms" else None
        return DimseNode(parts.hostname, port or 0, unquote(parts.username or ""), tls=tls)
    raise InputError(
        "This is no address of a PACS",
        got=without_password(text),
        remedy="Write http(s)://host/dicom-web, dicom://AETITLE@host:port, or dicoms:// over TLS",
    )


def without_password(text: str) -> str:
    """An address as it may be shown, whatever else is wrong with it.

    >>> without_password("ftp://ann:a/b@c@host/x")
    'ftp://ann@host/x'
    """
    return re.sub(r"//([^:/@]*):.*@", r"//\1@", text)
