"""Notes each look-up of a host and each connection of a Python process, native code excepted.

Put on PYTHONPATH; the notes go to the file named by PELVIMETS_NETWORK_LOG.
"""

import os
import sys
import traceback

_EVENTS = ("socket.getaddrinfo", "socket.gethostby", "socket.connect", "socket.sendto", "urllib")
_LOG = os.environ.get("PELVIMETS_NETWORK_LOG")


def _note(event: str, arguments: tuple) -> None:
    if not event.startswith(_EVENTS) or _is_local_pipe(event, arguments):
        return
    with open(_LOG, "a", encoding="utf-8") as log:  # noqa: PTH123
        where = [f"{f.filename}:{f.lineno}" for f in traceback.extract_stack()[-6:-1]]
        log.write(f"{event} {arguments} {' '.join(where)}\n")


def _is_local_pipe(event: str, arguments: tuple) -> bool:
    """Sockets between processes of this machine have a path, not a host."""
    return event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], str | bytes)


if _LOG:
    sys.addaudithook(_note)
