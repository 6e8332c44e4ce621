"""How a folder listens: a settings file (TOML) whose names are those of the options."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pelvimets.errors import SettingsError, reason
from pelvimets.io.pacs.nodes import DEFAULT_AE_TITLE, Tls, check_ae_title

_TABLES = ("tls", "users")
_TLS_FILES = ("certificate", "key", "authorities")


@dataclass(frozen=True)
class ListenSettings:
    """Who may send, where results go, and the limits.

    Attributes:
        folder: Where the queue, the studies and the results lie.
        ae_title: What this side is called.
        port: Where it listens; 0 takes a free one.
        bind: Address to listen on; all by default, as senders are elsewhere.
        allow: AE titles that may send.
        send_to: Addresses that results go to.
        poll: Address of a PACS that is asked for new studies.
        poll_seconds: Between two questions.
        poll_days: Studies of the last days are asked for.
        quiet_seconds: A study is complete when nothing came for so long.
        bundle: Networks; None takes the shipped ones.
        memory_limit_mib: A study that takes more is refused.
        disk_limit_gb: Nothing more is taken in when the folder holds so much.
        least_free_gb: Nothing more is taken in when the disk has less left.
        keep_days: Images and results of a finished study are removed after.
        status_port: Of the status page; 0 shows none.
        status_bind: Address of the status page; it has no login, so this machine alone.
        tls: This side's certificate and key, and whom callers must be certified by.
        users: Passwords by user; with any, callers must sign in.
    """

    folder: Path = Path("listen")
    ae_title: str = DEFAULT_AE_TITLE
    port: int = 11112
    bind: str = ""
    allow: tuple[str, ...] = ()
    send_to: tuple[str, ...] = ()
    poll: str = ""
    poll_seconds: float = 60.0
    poll_days: int = 1
    quiet_seconds: float = 30.0
    bundle: Path | None = None
    memory_limit_mib: int | None = None
    disk_limit_gb: float = 100.0
    least_free_gb: float = 2.0
    keep_days: float = 7.0
    status_port: int = 8098
    status_bind: str = "127.0.0.1"
    tls: Tls | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        check_ae_title(self.ae_title)
        for title in self.allow:
            check_ae_title(title)
        for name in ("quiet_seconds", "poll_seconds", "disk_limit_gb", "keep_days"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} is above 0", got=getattr(self, name))
        if not (self.allow or self.poll):
            raise SettingsError(
                "Nobody is known who may send a study",
                remedy="Name AE titles with --allow, or a PACS to ask with --poll",
            )

    @property
    def destinations(self) -> tuple[str, ...]:
        """Addresses in full."""
        return tuple(full_address(text) for text in self.send_to)


def full_address(text: str) -> str:
    """An address, where ``AE@HOST:PORT`` is one of the DICOM network protocol.

    >>> full_address("ORTHANC@localhost:4242")
    'dicom://ORTHANC@localhost:4242'
    """
    return text if "://" in text else f"dicom://{text}"


def listen_settings(file: Path | None, given: Mapping[str, Any]) -> ListenSettings:
    """Settings of a file, over which go those that were given.

    Args:
        file: TOML; None reads none.
        given: By name; what is None or empty was not given.

    Raises:
        SettingsError: if the file cannot be read, or a setting is unknown or outside its range.
    """
    values = {} if file is None else _of_file(file)
    values |= {name: value for name, value in given.items() if value not in (None, ())}
    unknown = sorted(set(values) - {f.name for f in fields(ListenSettings)})
    if unknown:
        raise SettingsError("There is no such setting", got=", ".join(unknown))
    try:
        return replace(ListenSettings(allow=("ANY",)), **{"allow": (), **values})
    except (TypeError, AttributeError) as error:
        raise SettingsError("A setting has a value of the wrong kind", got=error) from error


def _of_file(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            values = tomllib.load(stream)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError("The settings cannot be read", got=reason(error)) from error
    if values.get("users") and os.name == "posix" and file.stat().st_mode & 0o077:
        raise SettingsError(
            "The file of settings holds passwords and others can read it",
            remedy="chmod 600 FILE",
        )
    plain = {name: _plain(name, value) for name, value in values.items() if name not in _TABLES}
    tls = values.get("tls")
    if tls is not None:
        wrong = sorted(set(tls) - set(_TLS_FILES))
        if wrong or not ("certificate" in tls and "key" in tls):
            raise SettingsError(
                "[tls] has certificate, key and, if callers must show one, authorities", got=wrong
            )
        plain["tls"] = Tls(**tls)
    return plain | ({"users": values["users"]} if "users" in values else {})


def _plain(name: str, value: Any) -> Any:
    if name in ("folder", "bundle") and isinstance(value, str):
        return Path(value)
    if isinstance(value, list):
        return tuple(str(item) for item in value)
    return value
