"""The viewer on the loopback address: a socket, a token, and uvicorn."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from pelvimets.errors import OutputError
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.reading_room.worklist import Worklist
from pelvimets.web.guard import Guard, new_token
from pelvimets.web.pages import viewer
from pelvimets.web.worklist import WorklistApp

_HOST = "127.0.0.1"
_START_WITHIN_S = 30.0
_LARGEST_TEXT = 1 << 18  # notes and remarks of 20,000 letters
_LARGEST_DRAWING = 1 << 28  # a byte for each voxel of any patient's images


@dataclass(frozen=True)
class ViewerServer:
    """A viewer bound to a port, not yet serving.

    Attributes:
        address: What the browser opens; it carries the token.
        server: The HTTP server.
        listening: The bound socket.
    """

    address: str
    server: uvicorn.Server
    listening: socket.socket

    def serve(self) -> None:
        """Serve until interrupted or stopped."""
        self.server.run(sockets=[self.listening])

    def start(self) -> threading.Thread:
        """Serve in a thread; returns once requests are answered."""
        thread = threading.Thread(target=self.serve, name="viewer", daemon=True)
        thread.start()
        until = time.monotonic() + _START_WITHIN_S
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.01)
        return thread

    def stop(self) -> None:
        """Ask it to end; open requests are answered first."""
        self.server.should_exit = True


def bind_viewer(desk: ReviewDesk, port: int = 0) -> ViewerServer:
    """Bind a viewer to the loopback address.

    Args:
        desk: The study under review.
        port: 0 takes any free port.

    Raises:
        OutputError: if the port is taken.
    """
    return _bind(viewer(desk), largest_body(desk), port)


def bind_worklist(worklist: Worklist, port: int = 0) -> ViewerServer:
    """Bind a worklist with its viewers to the loopback address.

    Raises:
        OutputError: if the port is taken.
    """
    return _bind(WorklistApp(worklist), _LARGEST_DRAWING, port)


def _bind(app: ASGIApp, largest: int, port: int) -> ViewerServer:
    listening = _bound(port)
    port = listening.getsockname()[1]
    token = new_token()
    config = uvicorn.Config(
        Guard(app, token, port, largest),
        log_level="warning",
        access_log=False,
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return ViewerServer(f"http://{_HOST}:{port}/?token={token}", uvicorn.Server(config), listening)


def largest_body(desk: ReviewDesk) -> int:
    """Bytes of the largest request that makes sense: a drawing has one for each voxel."""
    return max(_LARGEST_TEXT, *(desk.geometry(s).n_voxels for s in desk.sequences))


def _bound(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
        listening.listen()  # a browser opened before the server runs waits instead of failing
    except OSError as error:
        listening.close()
        raise OutputError(
            "The viewer cannot listen on this port",
            got=f"{port}: {error}",
            remedy="Choose another with --port, or leave it out",
        ) from error
    return listening
