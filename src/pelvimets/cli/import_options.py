"""From the texts of the options of ``import`` and ``export`` to what they mean."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from pelvimets.core.annotation import Structure
    from pelvimets.io.cohort.rules import ImportRules

Key = TypeVar("Key")
Value = TypeVar("Value")


def pair(text: str, option: str) -> tuple[str, str]:
    """Both sides of NAME=VALUE; a name in --map may hold the sign itself."""
    name, found, value = (
        text.rpartition("=") if option in ("--map", "--label-map") else text.partition("=")
    )
    if not found or not name or not value:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint=option)
    return name.strip(), value.strip()


def assigned(
    texts: list[str] | None,
    option: str,
    key: Callable[[str], Key],
    value: Callable[[str], Value],
) -> dict[Key, Value]:
    """NAME=VALUE texts of a repeated option as a mapping."""
    found: dict[Key, Value] = {}
    for text in texts or ():
        name, what = pair(text, option)
        try:
            found[key(name)] = value(what)
        except ValueError as error:
            raise typer.BadParameter(f"{text!r}: {error}.", param_hint=option) from None
    return found


def structures(
    file: Path | None, mapped: list[str] | None, key: Callable[[str], Key]
) -> dict[Key, Structure | None]:
    """What labels are, by the file of the label map and then by --map."""
    from pelvimets.core.annotation import given_structure

    texts = []
    if file is not None:
        from pelvimets.io.record.settings_file import read_settings_file

        texts = [f"{name}={meaning}" for name, meaning in read_settings_file(file).items()]
    return {
        **assigned(texts, "--label-map", key, given_structure),
        **assigned(mapped, "--map", key, given_structure),
    }


def rules(
    annotated: str | None,
    ignore: list[int] | None,
    readers: StrEnum,
    leave_out: list[str] | None,
    *,
    resample: bool,
) -> ImportRules:
    """The options that every import has."""
    from pelvimets.core.judged import structure_names
    from pelvimets.io.cohort.rules import ImportRules, Readers

    from_values = annotated == "values"
    named = None if annotated is None or from_values else structure_names(annotated.split(","))
    return ImportRules(
        annotated=named,
        from_values=from_values,
        unjudged=frozenset(ignore or ()),
        leave_out=tuple(leave_out or ()),
        resample=resample,
        readers=Readers(readers.value),
    )
