"""A command's parameters from the request that its function takes.

``from_requests`` reads a function such as

    def evaluate(request: EvaluationRequest, out: OutOption = Path("evaluation")) -> None

and gives Typer one that has each option of the request as a parameter of its own. A request in a
request counts as well; all other parameters stay as they are.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import typer

from pelvimets.options import Group, Option, groups_of, options_of

R = TypeVar("R")


@dataclass(frozen=True)
class _Own:
    """A field of a request that is an option: what Typer sees, and the way back."""

    name: str
    option: Option
    shown: Any
    default: Any
    value: Callable[[Any], Any]

    @property
    def parameter(self) -> inspect.Parameter:
        told, given = self.option, self.default is not MISSING
        more: dict[str, Any] = {"min": told.least, "max": told.most, "metavar": told.metavar}
        more = {name: value for name, value in more.items() if value is not None}
        named = functools.partial(typer.Option, *told.names)
        kind: Any = typer.Argument if told.argument else named
        declared = kind(help=told.help, envvar=told.variable, **more)
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=self.default if given else inspect.Parameter.empty,
            annotation=Annotated[self.shown, declared],
        )


def from_requests(command: Callable[..., R]) -> Callable[..., R]:
    """The command with its requests spread into options."""
    hints = get_type_hints(command, include_extras=True)
    given = inspect.signature(command).parameters
    requests = {name: Group(hints[name]) for name in given if _is_request(hints[name])}
    spread = {name: list(_options(kind)) for name, kind in requests.items()}
    kept = [p.replace(annotation=hints[n]) for n, p in given.items() if n not in requests]
    shown = [own.parameter for options in spread.values() for own in options]

    @functools.wraps(command)
    def run(**values: Any) -> R:
        built = {name: _built(group, values) for name, group in requests.items()}
        return command(**built, **{p.name: values[p.name] for p in kept})

    parameters = [*shown, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in kept)]
    parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _is_request(hint: Any) -> bool:
    return isinstance(hint, type) and is_dataclass(hint)


def _options(group: Group) -> list[_Own]:
    told, within = options_of(group.kind), groups_of(group.kind)
    found: list[_Own] = []
    for field in fields(group.kind):
        if field.name in told and (not group.only or field.name in group.only):
            found.append(_own(group.kind, field, told[field.name]))
        elif field.name in within:
            found += _options(within[field.name])
    return found


def _hint(request: type, own: Field[Any]) -> Any:
    names = vars(sys.modules[request.__module__])
    return eval(own.type, names) if isinstance(own.type, str) else own.type


def _own(request: type, own: Field[Any], told: Option) -> _Own:
    default: Any = own.default if own.default_factory is MISSING else own.default_factory()
    absent = default if default is MISSING else None
    if told.parse is not None:
        parse = told.parse
        return _Own(own.name, told, list[str] | None, absent, lambda texts: parse(texts or []))
    hint = _typed(_hint(request, own))
    bare = _without_none(hint)
    if get_origin(bare) is Literal:
        return _Own(own.name, told, type(get_args(bare)[0]), default, _same)
    if get_origin(bare) is tuple and get_args(bare)[1:] == (Ellipsis,):
        of: Any = get_args(bare)[0]
        shown: Any = list[of] | None
        many: Any = default
        return _Own(own.name, told, shown, absent, lambda given: tuple(given or many))
    return _Own(own.name, told, hint, default, _same)


def _same(value: Any) -> Any:
    return value


def _typed(hint: Any) -> Any:
    """The type as typed on a command line: a path or a word is a word."""
    if get_origin(hint) in (Union, UnionType) and {str, Path} <= set(get_args(hint)):
        return str | None if type(None) in get_args(hint) else str
    return hint


def _without_none(hint: Any) -> Any:
    rest = [part for part in get_args(hint) if part is not type(None)]
    return rest[0] if get_origin(hint) in (Union, UnionType) and len(rest) == 1 else hint


def _built(group: Group, values: Mapping[str, Any]) -> Any:
    """The request with the values that were given.

    Raises:
        BadParameter: if a value has not the form that its option needs.
    """
    own = {one.name: _read(one, values[one.name]) for one in _options(group) if one.name in values}
    named = {f.name for f in fields(group.kind)}
    made = {name: value for name, value in own.items() if name in named}
    made |= {n: _built(within, values) for n, within in groups_of(group.kind).items()}
    try:
        return group.kind(**made)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _read(own: _Own, value: Any) -> Any:
    try:
        return own.value(value)
    except ValueError as error:
        flag = own.option.names[0] if own.option.names else "--" + own.name.replace("_", "-")
        raise typer.BadParameter(str(error), param_hint=flag) from None
