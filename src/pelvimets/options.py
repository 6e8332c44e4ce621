"""Options declared once: fields of a frozen request, from which the command line follows.

A request is what a function of ``app`` takes. A field made by ``option`` also says what the
command line calls it; ``cli.requests`` makes the parameters of a command from that.

    @dataclass(frozen=True)
    class CopyRequest(Request):
        data: Path = option("Cohort folder.", "--data")
        jobs: int = option("Patients at a time.", default=1, least=1)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

_KEY = "option"


@dataclass(frozen=True)
class Option:
    """What the command line says of a field.

    Attributes:
        help: One sentence for the reader of ``--help``.
        names: Such as ``--out`` and ``-o``; without them, after the field.
        argument: Given by its place, without a name.
        least, most: Bounds of a number.
        metavar: Stands for the value in the help.
        variable: Environment variable that gives the value, too.
        parse: From the texts of a repeated option to the value; a ValueError says what is wrong
            with them.
    """

    help: str
    names: tuple[str, ...] = ()
    argument: bool = False
    least: float | None = None
    most: float | None = None
    metavar: str | None = None
    variable: str | None = None
    parse: Callable[[Sequence[str]], Any] | None = None


def option(
    help: str,  # noqa: A002 - as click calls it
    *names: str,
    default: Any = MISSING,
    factory: Any = MISSING,
    **more: Any,
) -> Any:
    """A field that is an option, too; ``more`` are further fields of ``Option``."""
    told = Option(help, names, **more)
    if factory is not MISSING:
        return field(default_factory=factory, metadata={_KEY: told})
    return field(default=default, metadata={_KEY: told})


class Request:
    """Base of requests: a path that is given as text becomes one."""

    def __post_init__(self) -> None:
        """Turn text into paths."""
        for own in fields(self):  # type: ignore[arg-type]
            value = getattr(self, own.name)
            if own.type in ("Path", "Path | None") and isinstance(value, str):
                object.__setattr__(self, own.name, Path(value))


@dataclass(frozen=True)
class Group:
    """A request within a request.

    Attributes:
        kind: Its class.
        only: Fields of it that are options here; () for all.
    """

    kind: type
    only: tuple[str, ...] = ()


def group(kind: type, *only: str) -> Any:
    """A field that holds a request whose options are options of the whole."""
    return field(default_factory=kind, metadata={_KEY: Group(kind, only)})


def groups_of(request: type) -> dict[str, Group]:
    """The requests within a request by the names of their fields."""
    metadata = {f.name: f.metadata.get(_KEY) for f in fields(request)}
    return {name: told for name, told in metadata.items() if isinstance(told, Group)}


def options_of(request: type) -> dict[str, Option]:
    """The options of a request by the names of their fields."""
    metadata = {f.name: f.metadata.get(_KEY) for f in fields(request)}
    return {name: told for name, told in metadata.items() if isinstance(told, Option)}


def named_folders(texts: Sequence[str], form: str = "NAME=FOLDER") -> dict[str, Path]:
    """``NAME=FOLDER`` texts as a mapping; ``form`` is what a message calls it.

    Raises:
        ValueError: if one has another form, or a name comes twice.

    >>> named_folders(["bones=B"])
    {'bones': PosixPath('B')}
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, folder = _parted(text, form)
        if name in found:
            raise ValueError(f"It names {name!r} twice.")
        found[name] = Path(folder)
    return found


def named_numbers(texts: Sequence[str]) -> list[tuple[str, float]]:
    """``NAME=VALUE`` texts as pairs, in their order.

    Raises:
        ValueError: if one has another form.

    >>> named_numbers(["ghost=0.5"])
    [('ghost', 0.5)]
    """
    found = []
    for text in texts:
        name, value = _parted(text, "NAME=VALUE")
        try:
            found.append((name, float(value)))
        except ValueError:
            raise ValueError(f"{text!r} is not NAME=VALUE.") from None
    return found


def _parted(text: str, form: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not (name and value):
        raise ValueError(f"{text!r} is not {form}.")
    return name, value
