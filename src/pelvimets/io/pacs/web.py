"""Store and retrieve over DICOMweb (PS3.18).

Redirects are not followed: a store request that is redirected arrives as a request for a page,
and a login page answers 200.
"""

from __future__ import annotations

import re
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pydicom
from pydicom.dataset import Dataset

from pelvimets.errors import InputError, OutputError
from pelvimets.io.pacs.answer import NoStoreAnswerError, parse_store_answer
from pelvimets.io.pacs.nodes import DicomwebNode
from pelvimets.io.pacs.outcome import (
    FetchOutcome,
    Received,
    StoreOutcome,
    missing_extra,
    refused,
    unreachable,
)
from pelvimets.io.pacs.patience import Watch, unwatched

_JSON = "application/dicom+json"
_DICOM = 'multipart/related; type="application/dicom"'
_INSTANCE = "00080018"
_BLOCK = 1 << 16
_NOTHING_THERE = (204, 404)
_NOT_SENT_ON = (301, 302, 303, 307, 308)
_BUSY = (408, 425, 429, 502, 503, 504)


def store_web(
    datasets: Sequence[Dataset], node: DicomwebNode, watch: Watch = unwatched
) -> StoreOutcome:
    """Send objects in one request, and read what the service says of each.

    Raises:
        OutputError: if the service cannot be reached, refuses, or gives no answer that says
            what it stored.
    """
    boundary = uuid.uuid4().hex
    body = _Body(_multipart(datasets, boundary), watch)
    sent = f'{_DICOM}; boundary="{boundary}"'
    answer = _request(_Call(f"{node.url}/studies", sent=sent, body=body), node)
    if answer.status_code in _BUSY:
        raise _refused(OutputError, node, answer)
    try:
        outcome = parse_store_answer(answer.content, answer.headers.get("Content-Type", ""))
    except NoStoreAnswerError as error:
        raise OutputError(
            "The PACS did not say that it stored anything",
            got=f"{node.title}: HTTP {answer.status_code} with {error}",
            remedy="Check the address, which often ends in /dicom-web, and whether it asks for a "
            "login; then look in the PACS what arrived",
        ) from error
    if not (outcome.warnings or outcome.failures) and answer.status_code >= 400:
        raise _refused(OutputError, node, answer)
    return outcome


def fetch_web(
    study: str, series: str | None, node: DicomwebNode, watch: Watch = unwatched
) -> FetchOutcome:
    """Retrieve all objects of a study or a series as they are stored.

    Raises:
        InputError: if the service cannot be reached, refuses, or answers with something else.
    """
    address = f"{node.url}/studies/{study}" + ("" if series is None else f"/series/{series}")
    answer = _request(_Call(address, accept=f"{_DICOM}; transfer-syntax=*"), node, watch)
    if answer.status_code in _NOTHING_THERE:
        return FetchOutcome(())
    if not answer.ok:
        raise _refused(InputError, node, answer)
    objects, unreadable = [], 0
    for part in _parts(answer, node):
        uid = _uid_of(part)
        if uid:
            objects.append(Received(uid, part))
        else:
            unreadable += 1
    missing = [f"{unreadable} parts of the answer are no DICOM objects"] if unreadable else []
    came = {item.sop_instance_uid for item in objects}
    lost = [f"object {uid} did not come" for uid in _listed(address, node) if uid not in came]
    return FetchOutcome(tuple(objects), (*missing, *lost), passing=bool(lost))


def ask_web(node: DicomwebNode, path: str, parameters: dict[str, str]) -> list[Any]:
    """Rows of a search, as DICOM JSON.

    Raises:
        InputError: if the service cannot be reached or cannot be searched.
    """
    question = f"?{urlencode(parameters)}" if parameters else ""
    answer = _request(_Call(f"{node.url}{path}{question}"), node)
    if answer.status_code == 204:
        return []
    try:
        rows = answer.json() if answer.ok else None
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise _refused(InputError, node, answer)
    return rows


def _listed(address: str, node: DicomwebNode) -> list[str]:
    """Objects that the service lists where it can be searched (PS3.18 10.6), else none."""
    try:
        answer = _request(_Call(f"{address}/instances"), node)
        return [str(item[_INSTANCE]["Value"][0]) for item in answer.json()] if answer.ok else []
    except (InputError, ValueError, LookupError, TypeError, AttributeError):
        return []


@dataclass(frozen=True)
class _Call:
    """A request to a service; without a body it asks for something."""

    address: str
    accept: str = _JSON
    sent: str | None = None
    body: _Body | None = None

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    @property
    def headers(self) -> dict[str, str]:
        sent = {} if self.sent is None else {"Content-Type": self.sent}
        return {**sent, "Accept": self.accept}

    @property
    def problem(self) -> type[InputError | OutputError]:
        """What is raised where it does not come through."""
        return InputError if self.body is None else OutputError


def _request(call: _Call, node: DicomwebNode, watch: Watch = unwatched) -> Any:
    try:
        import requests
        from urllib3.exceptions import HTTPError
    except ImportError as error:
        raise missing_extra(error) from error
    deadline = time.monotonic() + node.whole_s
    try:
        answer = requests.request(
            call.method,
            call.address,
            headers={**call.headers, **node.headers},
            auth=_as_given if "Authorization" in node.headers else None,
            data=call.body,
            timeout=node.timeout_s,
            allow_redirects=False,
            stream=True,
        )
        _receive(answer, deadline, node, call.problem, watch)
    except (requests.RequestException, HTTPError) as error:
        raise unreachable(call.problem, node.title, error) from error
    if answer.status_code in _NOT_SENT_ON:
        raise call.problem(
            "The PACS sends on to another address",
            got=f"{node.title}: HTTP {answer.status_code} to {_target(answer)}",
            remedy="Give that address if it is the PACS itself; a login page means that the "
            "service wants a login",
        )
    return answer


def _receive(
    answer: Any,
    deadline: float,
    node: DicomwebNode,
    problem: type[InputError | OutputError],
    watch: Watch,
) -> None:
    """Take the whole answer in, within the time it may take; a drip is no silence."""
    blocks, came, length = [], 0, answer.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    with answer:
        while block := answer.raw.read1(_BLOCK, decode_content=True):
            blocks.append(block)
            came += len(block)
            watch(came, total, "bytes")
            if time.monotonic() > deadline:
                raise problem(
                    "The PACS takes too long to answer",
                    got=f"{node.title}: {came} bytes in {node.whole_s:g} s",
                    remedy="Try again when network and PACS are less busy",
                )
    answer._content = b"".join(blocks)


def _refused(kind: type[InputError | OutputError], node: DicomwebNode, answer: Any) -> Exception:
    said = f"HTTP {answer.status_code} {answer.reason or ''}".strip()
    make = unreachable if answer.status_code in _BUSY else refused
    return make(kind, node.title, said)


class _Body(BytesIO):
    """The body of a request, that tells how much of it has gone out."""

    def __init__(self, content: bytes, watch: Watch) -> None:
        super().__init__(content)
        self._watch, self._length = watch, len(content)

    def __len__(self) -> int:
        return self._length

    def read(self, size: int | None = -1) -> bytes:
        block = super().read(size)
        self._watch(self.tell(), self._length, "bytes")
        return block


def _as_given(request: Any) -> Any:
    """In place of what requests would find in ``~/.netrc``."""
    return request


def _target(answer: Any) -> str:
    """Where a redirect points, without what a login page is told."""
    return re.sub(r"//[^/@]*@", "//", str(answer.headers.get("Location", "?"))).partition("?")[0]


def _multipart(datasets: Sequence[Dataset], boundary: str) -> bytes:
    body = BytesIO()
    for dataset in datasets:
        body.write(f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode())
        content = BytesIO()
        pydicom.dcmwrite(content, dataset, enforce_file_format=True)
        body.write(content.getvalue() + b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return body.getvalue()


def _parts(answer: Any, node: DicomwebNode) -> Iterator[bytes]:
    """The objects of an answer; some services send a single one without an envelope."""
    kind = answer.headers.get("Content-Type", "")
    content = bytes(answer.content)
    boundary = re.search(r'boundary="?([^";]+)"?', kind)
    if kind.lower().startswith("application/dicom") and "json" not in kind.lower():
        yield content
        return
    if not (kind.lower().startswith("multipart/related") and boundary):
        raise InputError(
            "The PACS answered with something else than DICOM objects",
            got=f"{node.title}: {kind.partition(';')[0] or 'no type'}",
            remedy="Check the address, which often ends in /dicom-web, and whether it asks for a "
            "login",
        )
    for part in (b"\r\n" + content).split(b"\r\n--" + boundary[1].encode())[1:]:
        if part.startswith(b"--"):
            return
        yield part.partition(b"\r\n\r\n")[2]
    raise InputError(
        "The answer of the PACS breaks off", got=node.title, remedy="Fetch the study again"
    )


def _uid_of(content: bytes) -> str:
    """SOP Instance UID of a DICOM file; empty if it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(
                BytesIO(content), stop_before_pixels=True, specific_tags=["SOPInstanceUID"]
            )
            return str(header.get("SOPInstanceUID", ""))
    except Exception:  # the parser raises almost anything on damaged bytes
        return ""
