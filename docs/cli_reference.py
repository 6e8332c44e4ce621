"""MkDocs hook: the page of all commands, made from the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.structure.files import File, Files

from pelvimets.cli.main import app

PAGE = "cli.md"
INTRODUCTION = "Made from the program: `pelvimets COMMAND --help` says the same."


def on_files(files: Files, config: Any) -> Files:
    """Add the page."""
    files.append(File.generated(config, PAGE, content=page()))
    return files


def page() -> str:
    """Markdown: a section for each command."""
    lines = ["# Commands", "", INTRODUCTION, ""]
    return "\n".join([*lines, *sections(typer.main.get_command(app), "pelvimets")]) + "\n"


def sections(command: Any, name: str) -> Iterator[str]:
    """Lines on a command and on all below it."""
    below = getattr(command, "commands", {})
    if name != "pelvimets":
        yield from section(command, name)
    for word in sorted(below):
        yield from sections(below[word], f"{name} {word}")


def section(command: Any, name: str) -> Iterator[str]:
    """Lines on one command."""
    with command.make_context(name, [], resilient_parsing=True) as context:
        pieces = " ".join(command.collect_usage_pieces(context))
        yield from (f"## {name}", "", f"    {name} {pieces}", "", str(command.help or ""), "")
        rows = [row(parameter, context) for parameter in command.params if parameter.name != "help"]
    if rows:
        yield from ("| argument or option | meaning |", "|---|---|")
        yield from (f"| {left} | {right} |" for left, right in rows)
        yield ""


def row(parameter: Any, context: Any) -> tuple[str, str]:
    """Names and meaning; the help text is that of the terminal."""
    record = parameter.get_help_record(context)
    names, meaning = record or (str(parameter.name), getattr(parameter, "help", ""))
    return f"`{names}`", plain(meaning)


def plain(text: str | None) -> str:
    """One line that a Markdown table bears."""
    return " ".join((text or "").split()).replace("|", "\\|")
