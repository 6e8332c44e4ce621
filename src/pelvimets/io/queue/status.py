"""The queue as plain rows, and as a page on this machine; nothing in it is of the patient."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

import jinja2

from pelvimets.errors import OutputError
from pelvimets.io.queue.entries import QueuedStudy, StudyState

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_OLDEST_LAST = 200
_WAITING = (StudyState.RECEIVING, StudyState.READY, StudyState.READING, StudyState.READ)


@dataclass(frozen=True)
class Health:
    """Whether the listening goes its way.

    Attributes:
        room: Whether more objects can be taken in.
        faults: What goes wrong at the moment.
    """

    room: bool
    faults: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self.room and not self.faults


def queue_rows(studies: Sequence[QueuedStudy]) -> list[dict[str, Any]]:
    """Plain rows of studies, without their UIDs."""
    return [
        {
            "study": study.key,
            "state": study.state.value,
            "objects": study.objects,
            "megabytes": round((study.bytes + study.result_bytes * study.kept) / 1e6, 1),
            "round": study.round,
            "first_object": _moment(study.first_object),
            "changed": _moment(study.changed),
            "tries": study.tries,
            "reason": study.reason,
        }
        for study in studies
    ]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def queue_page(studies: Sequence[QueuedStudy], health: Health) -> str:
    """The status page, the latest change first."""
    text = resources.files("pelvimets.resources") / "templates" / "queue.html.j2"
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        text.read_text(encoding="utf-8")
    )
    latest = sorted(studies, key=lambda study: study.changed, reverse=True)[:_OLDEST_LAST]
    counts = {state.value: sum(s.state is state for s in studies) for state in StudyState}
    return template.render(rows=queue_rows(latest), counts=counts, health=health, all=len(studies))


def health_data(studies: Sequence[QueuedStudy], health: Health) -> dict[str, Any]:
    """What a health check reads."""
    return {
        "good": health.good,
        "room": health.room,
        "faults": list(health.faults),
        "waiting": sum(study.state in _WAITING for study in studies),
    }


@contextmanager
def serving_status(
    bind: str,
    port: int,
    studies: Callable[[], Sequence[QueuedStudy]],
    health: Callable[[], Health],
) -> Iterator[str]:
    """Serve ``/``, ``/queue.json`` and ``/health`` as long as this lasts; yields the address.

    Raises:
        OutputError: if the port is taken.
    """
    try:
        server = ThreadingHTTPServer((bind, port), partial(_Page, studies, health))
    except OSError as error:
        raise OutputError(
            "The status page cannot be served on this port",
            got=f"{port}: {error.strerror or error}",
            remedy="Choose another with --status-port, or none with --status-port 0",
        ) from error
    thread = threading.Thread(target=server.serve_forever, args=[0.1], name="status")
    thread.start()
    try:
        yield f"http://{bind}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Page(BaseHTTPRequestHandler):
    def __init__(
        self,
        studies: Callable[[], Sequence[QueuedStudy]],
        health: Callable[[], Health],
        *given: Any,
    ) -> None:
        self._studies, self._health = studies, health
        super().__init__(*given)

    def do_GET(self) -> None:
        """Answer one of three addresses."""
        studies, health = self._studies(), self._health()
        if self.path == "/":
            self._send(200, "text/html; charset=utf-8", queue_page(studies, health))
        elif self.path == "/queue.json":
            self._send(200, "application/json", json.dumps(queue_rows(studies)))
        elif self.path == "/health":
            text = json.dumps(health_data(studies, health))
            self._send(200 if health.good else 503, "application/json", text)
        else:
            self._send(404, "text/plain", "There is no such page.")

    def _send(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: Any) -> None:
        """Nothing is logged."""
