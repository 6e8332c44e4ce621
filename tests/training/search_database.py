"""Databases for tests of the search, made without waiting for tables and disk."""

from __future__ import annotations

import functools
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from pelvimets.io.record.search_storage import open_storage, sqlite_url


def empty_database(file: Path) -> str:
    """A study database with its tables and nothing in it; its URL."""
    file.write_bytes(_tables())
    return sqlite_url(file)


@functools.cache
def _tables() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.db"
        with open_storage(sqlite_url(file)):
            pass
        return file.read_bytes()


@contextmanager
def no_wait_for_the_disk() -> Iterator[None]:
    """SQLite leaves it to the system when to write; no test pulls the plug."""

    def relax(connection: Any, record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", relax)
    try:
        yield
    finally:
        event.remove(Engine, "connect", relax)
