"""The worklist in the browser: the patients of a cohort, each with his own viewer.

The list lies at ``/``, the viewer of patient n at ``/p/n/``. A patient's result is opened when he
is first asked for; the few opened last stay open.
"""

from __future__ import annotations

import html
import re
import threading
from collections import OrderedDict

from fastapi import FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pelvimets.errors import PelvimetsError
from pelvimets.reading_room.worklist import Worklist
from pelvimets.web.pages import static_router, viewer

_PATIENT = re.compile(r"^/p/(\d+)(/.*)?$")
_KEPT_OPEN = 3
_REFUSED = (
    '<!doctype html><meta charset="utf-8"><title>Not opened</title>'
    '<link rel="icon" href="../../static/icon.svg" type="image/svg+xml">'
    "<h1>This patient cannot be opened</h1><p>{}</p>"
    '<p><a href="../../">Back to the worklist</a></p>'
)


class WorklistApp:
    """ASGI: the list, and behind it a viewer for each patient; served behind a ``guard.Guard``."""

    def __init__(self, worklist: Worklist) -> None:
        self._worklist, self._list = worklist, _list(worklist)
        self._open: OrderedDict[int, ASGIApp] = OrderedDict()
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand over to the list or to a patient's viewer."""
        patient = _PATIENT.match(scope.get("path", "")) if scope["type"] == "http" else None
        if patient is None:
            await self._list(scope, receive, send)
            return
        if patient.group(2) is None:
            await Response(status_code=307, headers={"Location": f"{scope['path']}/"})(
                scope, receive, send
            )
            return
        number = int(patient.group(1))
        app = await run_in_threadpool(self._viewer, number)
        prefix = f"{scope.get('root_path', '')}/p/{number}"
        await app({**scope, "root_path": prefix}, receive, send)

    def _viewer(self, number: int) -> ASGIApp:
        with self._lock:
            if number not in self._open:
                try:
                    self._open[number] = viewer(self._worklist.desk(number), in_worklist=True)
                except IndexError:
                    return Response("There is no such patient.", 404)
                except PelvimetsError as error:
                    return HTMLResponse(_REFUSED.format(html.escape(str(error))), 409)
                while len(self._open) > _KEPT_OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(number)
            return self._open[number]


def _list(worklist: Worklist) -> FastAPI:
    app = FastAPI(title="pelvimets worklist", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(static_router())

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(worklist.page())

    @app.get("/thumbnails/{number}.png")
    def picture(number: int) -> Response:
        content = worklist.thumbnail(number) if number < len(worklist.folders) else None
        if content is None:
            raise HTTPException(404)
        return Response(content, media_type="image/png")

    return app
