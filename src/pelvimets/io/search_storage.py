"""The database of a search: SQLite in its folder, or a server that many workers share."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelvimets.errors import MissingExtraError, ResourceError, SettingsError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import URL

HEARTBEAT_SECONDS, GRACE_SECONDS = 20, 90
_STARTS = 10


def sqlite_url(file: Path) -> str:
    """The URL of a database file."""
    return f"sqlite:///{file.absolute()}"


def masked_url(url: str) -> str:
    """The URL as it may be shown: without password and options.

    >>> masked_url("postgresql://ann:secret@db.example/search?password=secret")
    'postgresql+psycopg://ann@db.example/search'
    """
    return _parsed(url).set(password=None, query={}).render_as_string()


def open_storage(
    url: str,
    *,
    heartbeat_seconds: int = HEARTBEAT_SECONDS,
    grace_seconds: int = GRACE_SECONDS,
) -> RDBStorage:
    """Open the database; its tables are made where there are none.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/DATABASE``.
        heartbeat_seconds: A worker says so often that it is alive.
        grace_seconds: A silent worker is given up after this.

    Raises:
        SettingsError: if the URL cannot be read.
        MissingExtraError: if the driver of the database is missing.
        ResourceError: if the database does not answer.
    """
    from sqlalchemy.exc import SQLAlchemyError

    parsed = _parsed(url)
    for start in range(1, _STARTS + 1):
        try:
            return _open(parsed, heartbeat_seconds, grace_seconds)
        except ImportError as error:
            raise MissingExtraError(
                "The driver of this database is not installed",
                got=parsed.drivername,
                remedy="pip install 'pelvimets[train]'",
            ) from error
        except SQLAlchemyError as error:
            if start == _STARTS or not _made_by_another(error):
                raise unreachable(url, error) from None
            time.sleep(0.5)
    raise AssertionError("unreachable")


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


def _made_by_another(error: Exception) -> bool:
    """Whether two workers made the tables at the same moment, and one came second."""
    return any(words in str(error) for words in ("already exists", "duplicate key", "UNIQUE"))


def unreachable(url: str, error: Exception) -> ResourceError:
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
