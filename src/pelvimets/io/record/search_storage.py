"""The database of a search: SQLite in its folder, or a server that many workers share."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelvimets.errors import MissingExtraError, ResourceError, SettingsError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import URL

HEARTBEAT_SECONDS, GRACE_SECONDS = 20, 90
_STARTS, _PAUSE_SECONDS = 10, 0.5
_MADE_MEANWHILE = ("already exists", "duplicate key", "UNIQUE")


def sqlite_url(file: Path) -> str:
    """The URL of a database file."""
    return f"sqlite:///{file.absolute()}"


def masked_url(url: str) -> str:
    """The URL as it may be shown: without password and options.

    >>> masked_url("postgresql://ann:secret@db.example/search?password=secret")
    'postgresql+psycopg://ann@db.example/search'
    """
    from sqlalchemy.engine import URL

    given = _parsed(url)
    shown = URL.create(
        given.drivername, given.username, None, given.host, given.port, given.database
    )
    return shown.render_as_string()


@contextmanager
def open_storage(
    url: str,
    *,
    heartbeat_seconds: int = HEARTBEAT_SECONDS,
    grace_seconds: int = GRACE_SECONDS,
) -> Iterator[RDBStorage]:
    """Open the database and close it at the end; its tables are made where there are none.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/DATABASE``.
        heartbeat_seconds: A worker says so often that it is alive.
        grace_seconds: A silent worker is given up after this.

    Raises:
        SettingsError: if the URL cannot be read.
        MissingExtraError: if the driver of the database is missing.
        ResourceError: if the database does not answer, now or later.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    storage = None
    try:
        storage = _opened(_parsed(url), heartbeat_seconds, grace_seconds)
        yield storage
    except (SQLAlchemyError, StorageInternalError) as error:
        raise _unreachable(url, error) from None
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _opened(parsed: URL, heartbeat_seconds: int, grace_seconds: int) -> RDBStorage:
    """Open it; again if another worker made the tables at the same moment."""
    from sqlalchemy.exc import SQLAlchemyError

    for _ in range(_STARTS):
        try:
            return _open(parsed, heartbeat_seconds, grace_seconds)
        except ImportError as error:
            raise MissingExtraError(
                "The driver of this database is not installed",
                got=parsed.drivername,
                remedy="pip install 'pelvimets[train]'",
            ) from error
        except SQLAlchemyError as error:
            if not any(words in str(error) for words in _MADE_MEANWHILE):
                raise
            time.sleep(_PAUSE_SECONDS)
    return _open(parsed, heartbeat_seconds, grace_seconds)


def _open(parsed: URL, heartbeat_seconds: int, grace_seconds: int) -> RDBStorage:
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import RDBStorage

    options: dict[str, Any] = {"pool_pre_ping": True}
    if parsed.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": 60}
    plain = parsed.render_as_string(hide_password=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RDBStorage(
            plain.replace("{", "{{").replace("}", "}}"),  # Optuna takes the URL as a template
            engine_kwargs=options,
            heartbeat_interval=heartbeat_seconds,
            grace_period=grace_seconds,
        )


def _unreachable(url: str, error: Exception) -> ResourceError:
    """The error of a database that does not answer, without a password."""
    reason = str(getattr(error, "orig", None) or error.__cause__ or error).splitlines()[0]
    password = _parsed(url).password
    if password:
        reason = reason.replace(str(password), "***")
    return ResourceError(
        "The database of the search does not answer",
        got=f"{masked_url(url)}: {reason}",
        remedy="Start the same command again when it does; finished trials are kept",
    )


def _parsed(url: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "The URL of the storage cannot be read",
            remedy="Write sqlite:///FILE or postgresql://USER@HOST:PORT/DATABASE",
        ) from None
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise SettingsError(
            "A search is kept in SQLite or PostgreSQL", got=parsed.get_backend_name()
        )
    return parsed
