"""Who may speak to the viewer: this machine's browser that was given the token, and no page else.

The server listens on the loopback address alone. Beyond that each request must name the server
in its Host header (against DNS rebinding), carry the token that the terminal printed (in the
address once, then in a cookie), and, where it changes something, come from the page itself.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
REPORT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "sandbox",
    )
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SAFE = ("GET", "HEAD")
_NOT_ALLOWED = "This page belongs to the user who started 'pelvimets view'. Open the address "
_NOT_ALLOWED += "that the terminal printed."
_TOO_LARGE = "The request is larger than any drawing of this study."


def new_token() -> str:
    """A token of 256 random bits from the system's source."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Guard:
    """ASGI middleware around the viewer.

    Attributes:
        app: The viewer.
        token: What the address or the cookie must carry.
        port: The server's port, for the Host header and the cookie's name.
        largest_body: Bytes that a request may bring; more is refused before it is kept.
    """

    app: ASGIApp
    token: str
    port: int
    largest_body: int

    @property
    def cookie(self) -> str:
        """Cookies do not tell ports apart, so their name does."""
        return f"pelvimets_{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names under which the page may be asked for."""
        return (f"127.0.0.1:{self.port}", f"localhost:{self.port}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or hand over to the viewer."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope) if scope["type"] == "http" else PlainTextResponse("", 403)
        guarded = _with_headers(send)
        await (refusal or self.app)(scope, self._limited(receive), guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self.hosts:
            return PlainTextResponse("Unknown host.", 421)
        offered = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token")
        if offered is not None:
            return self._first_visit(offered, scope)
        if not self._same(cookie_parser(headers.get("cookie", "")).get(self.cookie, "")):
            return PlainTextResponse(_NOT_ALLOWED, 403)
        if int(headers.get("content-length", 0)) > self.largest_body:
            return PlainTextResponse(_TOO_LARGE, 413)
        if scope["method"] not in _SAFE and headers.get("origin") != f"http://{host}":
            return PlainTextResponse("Changes are made from the page alone.", 403)
        return None

    def _limited(self, receive: Receive) -> Receive:
        """A body that names no length, or lies about it, is counted as it comes."""
        left = self.largest_body

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, _TOO_LARGE)
            return message

        return limited

    def _first_visit(self, offered: str, scope: Scope) -> Response:
        """Trade the token in the address for a cookie, so that it leaves address and history."""
        if scope["method"] != "GET" or scope["path"] != "/" or not self._same(offered):
            return PlainTextResponse(_NOT_ALLOWED, 403)
        response = RedirectResponse("/", 303)
        response.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
        return response

    def _same(self, offered: str) -> bool:
        return secrets.compare_digest(offered.encode(), self.token.encode())


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            wanted = {**_HEADERS, "Content-Security-Policy": PAGE_POLICY}
            message["headers"] = [
                *message["headers"],
                *(
                    (name.lower().encode(), value.encode())
                    for name, value in wanted.items()
                    if name.lower().encode() not in present
                ),
            ]
        await send(message)

    return guarded
