"""Debian's chromium, driven by Playwright; WebGL2 in software, nothing but the page itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
_DRIVER_CHATTER = "GL Driver Message"  # of the software renderer, on speed
READY_MS = 300_000  # a busy machine draws slowly
_UNTIL = """limit => new Promise((done, late) => {
  const end = performance.now() + limit, look = () => {
    if (%s) done();
    else if (performance.now() > end) late(new Error("never came true"));
    else setTimeout(look, 50);
  };
  look();
})"""


def missing() -> str | None:
    """Why no browser test can run here, or None."""
    if not Path(CHROMIUM).exists():
        return "no chromium (apt-get install chromium)"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "no playwright (pip install playwright)"
    return None


@dataclass
class Watched:
    """A page and what it complained of or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def open(self, address: str) -> None:
        """Load the viewer and wait until all is shown."""
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready=true]")

    def until(self, true: str) -> None:
        """Wait until an expression is true; unlike Playwright's own way it evaluates but once, as
        the viewer's content security policy asks."""
        self.page.evaluate(_UNTIL % true, READY_MS)

    def first_image_ms(self) -> float:
        """From the start of the navigation until the first image was drawn."""
        return float(self.page.evaluate("performance.getEntriesByName('first-image')[0].startTime"))


@contextmanager
def browser() -> Iterator[Browser]:
    """A running browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield running
        running.close()


@contextmanager
def fresh_page(running: Browser, width: int = 1440, height: int = 900) -> Iterator[Watched]:
    """A page that shares nothing with earlier ones."""
    context = running.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(READY_MS)
    watched = Watched(context.new_page())
    _watch(watched)
    yield watched
    context.close()


def _watch(watched: Watched) -> None:
    page, complaints = watched.page, watched.complaints

    def heard(kind: str, text: str) -> None:
        if kind in ("error", "warning") and _DRIVER_CHATTER not in text:
            complaints.append(f"{kind}: {text}")

    page.on("console", lambda message: heard(message.type, message.text))
    page.on("pageerror", lambda error: heard("error", str(error)))
    page.on("requestfailed", lambda request: heard(*_failed(request.url, request.failure)))
    page.on("request", lambda request: watched.hosts.add(urlsplit(request.url).netloc))


def _failed(address: str, reason: str | None) -> tuple[str, str]:
    """A request that the page itself dropped, as on leaving it, is no error."""
    return ("debug" if reason == "net::ERR_ABORTED" else "error"), f"{address}: {reason}"
