"""The viewer's routes: the page and its parts, the study's images, and what the reader changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import resources
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, FastAPI, Header, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, StringConstraints

from pelvimets.core.review import Remarks, Verdict
from pelvimets.errors import PelvimetsError, ReviewConflictError
from pelvimets.labels import Bone, Sequence
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.web.guard import REPORT_POLICY
from pelvimets.web.payload import study_payload

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_FOLDERS = ("viewer", "cohort")

Text = Annotated[str, StringConstraints(max_length=20_000)]
Name = Annotated[str, StringConstraints(max_length=200)]
Organisation = Annotated[str, StringConstraints(max_length=64)]
Known = Annotated[str | None, Header(alias="If-Match")]
"""The version of the study that the page shows."""
T = TypeVar("T")
Changed = Callable[[str | None, Callable[[], Any]], tuple[dict[str, Any], Any]]
"""Does a step on the state that a page knows; the study after it, and what the step gave."""


class LesionChange(BaseModel):
    """A verdict, a note or both; what is absent stays."""

    verdict: Verdict | None = None
    note: Text | None = None


class ReviewChange(BaseModel):
    """What the reader says of the whole study; what is absent stays."""

    reader: Name | None = None
    comment: Text | None = None
    verified: bool | None = None
    organisation: Organisation | None = None


def viewer(desk: ReviewDesk, *, in_worklist: bool = False) -> FastAPI:
    """The viewer of one study; to be served behind a ``guard.Guard``.

    Args:
        desk: The study under review.
        in_worklist: Whether it was opened from a worklist, to which the page leads back.
    """
    app = FastAPI(title="pelvimets viewer", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/")
    def page() -> Response:
        return _part("viewer", "index.html")

    app.include_router(static_router())
    app.include_router(_study(desk, in_worklist))
    app.include_router(_changes(desk, in_worklist), prefix="/api")
    app.add_exception_handler(PelvimetsError, _refused)
    return app


async def _refused(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse(
        {"detail": str(error), "conflict": isinstance(error, ReviewConflictError)}, 409
    )


def static_router() -> APIRouter:
    """Scripts, styles and icons, by their names."""
    router = APIRouter()
    places = {
        item.name: folder
        for folder in _FOLDERS
        for item in _folder(folder).iterdir()
        if _suffix(item.name) in _TYPES
    }

    @router.get("/static/{name}")
    def part(name: str) -> Response:
        if name not in places:
            raise HTTPException(404)
        return _part(places[name], name)

    return router


def _part(folder: str, name: str) -> Response:
    content = (_folder(folder) / name).read_bytes()
    return Response(content, media_type=_TYPES[_suffix(name)])


def _folder(name: str) -> Any:
    return resources.files("pelvimets.resources") / name


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _study(desk: ReviewDesk, in_worklist: bool) -> APIRouter:
    router = APIRouter()

    @router.get("/api/study")
    def study() -> dict[str, Any]:
        desk.refresh()
        return study_payload(desk, in_worklist)

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


def _changes(desk: ReviewDesk, in_worklist: bool) -> APIRouter:
    """Each change answers with the study as it stands after it.

    A change that was made on another state than the present one is refused: 409, ``conflict``.
    """
    router = APIRouter()

    def changed(known: str | None, step: Callable[[], T]) -> tuple[dict[str, Any], T]:
        with desk.changing(known):
            done = step()
            return study_payload(desk, in_worklist), done

    for routes in (_lesion_routes, _bone_routes, _review_routes):
        routes(router, desk, changed)
    return router


def _lesion_routes(router: APIRouter, desk: ReviewDesk, changed: Changed) -> None:
    @router.patch("/lesions/{number}")
    def decide(number: int, change: LesionChange, known: Known = None) -> dict[str, Any]:
        return changed(known, lambda: desk.decide(number, change.verdict, change.note))[0]

    @router.put("/lesions/{number}/shape/{sequence}")
    async def draw(
        number: int, sequence: Sequence, request: Request, known: Known = None
    ) -> dict[str, Any]:
        voxels = await request.body()
        step = partial(desk.draw, number, sequence, voxels)
        return (await run_in_threadpool(changed, known, step))[0]

    @router.delete("/lesions/{number}/shape")
    def restore(number: int, known: Known = None) -> dict[str, Any]:
        return changed(known, lambda: desk.restore(number))[0]

    @router.post("/lesions/{sequence}")
    async def add(sequence: Sequence, request: Request, known: Known = None) -> dict[str, Any]:
        step = partial(desk.add, sequence, await request.body())
        study, number = await run_in_threadpool(changed, known, step)
        return {**study, "added": number}

    @router.post("/lesions/{number}/adopt/{reader}")
    def adopt(number: int, reader: str, known: Known = None) -> dict[str, Any]:
        return changed(known, lambda: desk.adopt(number, reader))[0]

    @router.delete("/lesions/{number}")
    def remove(number: int, known: Known = None) -> dict[str, Any]:
        return changed(known, lambda: desk.remove(number))[0]


def _bone_routes(router: APIRouter, desk: ReviewDesk, changed: Changed) -> None:
    @router.put("/bones/{bone}/{sequence}")
    async def draw_bone(
        bone: Bone, sequence: Sequence, request: Request, known: Known = None
    ) -> dict[str, Any]:
        step = partial(desk.draw_bone, bone, sequence, await request.body())
        return (await run_in_threadpool(changed, known, step))[0]

    @router.delete("/bones/{sequence}")
    def restore_bones(sequence: Sequence, known: Known = None) -> dict[str, Any]:
        return changed(known, lambda: desk.restore_bones(sequence))[0]


def _review_routes(router: APIRouter, desk: ReviewDesk, changed: Changed) -> None:
    @router.patch("/review")
    def remark(change: ReviewChange, known: Known = None) -> dict[str, Any]:
        return changed(known, lambda: desk.remark(Remarks(**change.model_dump())))[0]

    @router.post("/review/{step}")
    def step(step: str, known: Known = None) -> dict[str, Any]:
        steps = {"sign": desk.sign, "reopen": desk.reopen, "update": desk.update_outputs}
        if step not in steps:
            raise HTTPException(404)
        return changed(known, steps[step])[0]
