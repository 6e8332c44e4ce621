from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.web import ViewerServer, bind_viewer
from tests.web.output import write_output


class Ticking:
    """A clock that moves on by a second at each look."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "out"
    write_output(folder)
    return folder


@pytest.fixture
def out(finished_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished_run, tmp_path / "out")


@pytest.fixture
def desk(out: Path) -> ReviewDesk:
    return ReviewDesk(out, clock=Ticking())


@pytest.fixture
def server(desk: ReviewDesk) -> Iterator[ViewerServer]:
    bound = bind_viewer(desk)
    thread = bound.start()
    yield bound
    bound.stop()
    thread.join(10)
    bound.listening.close()
    assert not thread.is_alive()
