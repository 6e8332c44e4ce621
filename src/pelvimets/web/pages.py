"""The viewer's routes: the page and its parts, the study's images, and what the reader changes."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, StringConstraints

from pelvimets.app.view import ReviewDesk
from pelvimets.core.review import Verdict
from pelvimets.errors import PelvimetsError
from pelvimets.labels import Sequence
from pelvimets.web.guard import REPORT_POLICY
from pelvimets.web.payload import study_payload

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_LARGEST_DRAWING_BYTES = 1 << 30

Text = Annotated[str, StringConstraints(max_length=20_000)]
Name = Annotated[str, StringConstraints(max_length=200)]


class LesionChange(BaseModel):
    """A verdict, a note or both; what is absent stays."""

    verdict: Verdict | None = None
    note: Text | None = None


class ReviewChange(BaseModel):
    """The reader's name, the remark on the study or both; what is absent stays."""

    reader: Name | None = None
    comment: Text | None = None


def viewer(desk: ReviewDesk) -> FastAPI:
    """The viewer of one study; to be served behind a ``guard.Guard``."""
    app = FastAPI(title="pelvimets viewer", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(_static())
    app.include_router(_study(desk))
    app.include_router(_changes(desk), prefix="/api")
    app.add_exception_handler(PelvimetsError, _refused)
    return app


async def _refused(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 409)


def _static() -> APIRouter:
    router = APIRouter()
    names = {item.name for item in _folder().iterdir() if _suffix(item.name) in _TYPES}

    @router.get("/")
    def page() -> Response:
        return _part("index.html")

    @router.get("/static/{name}")
    def part(name: str) -> Response:
        if name not in names:
            raise HTTPException(404)
        return _part(name)

    return router


def _part(name: str) -> Response:
    return Response((_folder() / name).read_bytes(), media_type=_TYPES[_suffix(name)])


def _folder() -> Any:
    return resources.files("pelvimets.resources") / "viewer"


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _study(desk: ReviewDesk) -> APIRouter:
    router = APIRouter()

    @router.get("/api/study")
    def study() -> dict[str, Any]:
        return study_payload(desk)

    @router.get("/api/images/{key}.nii.gz")
    def image(key: str) -> Response:
        try:
            return Response(desk.image_bytes(key), media_type="application/octet-stream")
        except KeyError:
            raise HTTPException(404) from None

    @router.get("/report")
    def report() -> Response:
        content = desk.report_bytes()
        if content is None:
            raise HTTPException(404)
        headers = {"Content-Security-Policy": REPORT_POLICY}
        return Response(content, media_type=_TYPES[".html"], headers=headers)

    return router


def _changes(desk: ReviewDesk) -> APIRouter:
    """Each change answers with the study as it stands after it."""
    router = APIRouter()

    @router.patch("/lesions/{number}")
    def decide(number: int, change: LesionChange) -> dict[str, Any]:
        desk.decide(number, change.verdict, change.note)
        return study_payload(desk)

    @router.put("/lesions/{number}/shape/{sequence}")
    async def draw(number: int, sequence: Sequence, request: Request) -> dict[str, Any]:
        await run_in_threadpool(desk.draw, number, sequence, await _drawing(request))
        return await run_in_threadpool(study_payload, desk)

    @router.delete("/lesions/{number}/shape")
    def restore(number: int) -> dict[str, Any]:
        desk.restore(number)
        return study_payload(desk)

    @router.post("/lesions/{sequence}")
    async def add(sequence: Sequence, request: Request) -> dict[str, Any]:
        number = await run_in_threadpool(desk.add, sequence, await _drawing(request))
        return {**await run_in_threadpool(study_payload, desk), "added": number}

    @router.delete("/lesions/{number}")
    def remove(number: int) -> dict[str, Any]:
        desk.remove(number)
        return study_payload(desk)

    @router.patch("/review")
    def remark(change: ReviewChange) -> dict[str, Any]:
        desk.remark(change.reader, change.comment)
        return study_payload(desk)

    @router.post("/review/{step}")
    def step(step: str) -> dict[str, Any]:
        steps = {"sign": desk.sign, "reopen": desk.reopen, "update": desk.update_outputs}
        if step not in steps:
            raise HTTPException(404)
        steps[step]()
        return study_payload(desk)

    return router


async def _drawing(request: Request) -> bytes:
    """The body, refused before it is read if it is larger than any image."""
    if int(request.headers.get("content-length", _LARGEST_DRAWING_BYTES)) >= _LARGEST_DRAWING_BYTES:
        raise HTTPException(413)
    return await request.body()
