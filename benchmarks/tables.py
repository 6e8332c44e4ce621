"""Tables of the docs that a command writes: between two marks that name it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

SPEED = Path(__file__).parents[1] / "docs" / "speed.md"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown.

    >>> print(markdown(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def write_between(document: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- NAME -->`` and ``<!-- end of NAME -->``."""
    whole = document.read_text(encoding="utf-8")
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    found, count = re.subn(
        rf"{re.escape(first)}.*?{re.escape(last)}",
        lambda _: f"{first}\n{text}\n{last}",
        whole,
        flags=re.DOTALL,
    )
    if count != 1:
        raise SystemExit(f"{document} has no place for '{name}'")
    document.write_text(found, encoding="utf-8")


def machine() -> str:
    """The processor, and how many of its cores this process may use."""
    import os
    import platform

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = re.search(r"model name\s*:\s*(.+)", info.read_text())
        name = named.group(1) if named else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"
