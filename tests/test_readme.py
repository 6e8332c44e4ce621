"""What README and docs tell a user to type is understood by the program."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

import pelvimets
from pelvimets.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md"), ROOT / "tools/recipes/README.md"]
)


def commands() -> list[tuple[str, str]]:
    """(page, command) of every indented line that begins with the program's name."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            if re.match(r" {4,}(\$ )?pelvimets ", line):
                command = re.sub(r"\s+#.*$", "", line.strip().removeprefix("$ "))
                found.append((page.name, " ".join(command.split())))
    return sorted(set(found))


def parsed(command: Any, words: list[str]) -> None:
    """Check names, options and arguments down to the innermost command; nothing is run."""
    with command.make_context(command.name, list(words)) as context:
        rest = [*getattr(context, "_protected_args", ()), *context.args]
        if rest and hasattr(command, "resolve_command"):  # a group
            _, inner, rest = command.resolve_command(context, rest)
            parsed(inner, rest)


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_documented_command_is_understood(page: str, command: str) -> None:
    words = shlex.split(command)[1:]
    words = [word for word in words if word not in ("|", "...", "[...]")]
    parsed(typer.main.get_command(app), words)


def test_the_pages_name_commands_and_a_wrong_one_would_be_seen() -> None:
    assert len(commands()) > 40
    for wrong in ("predict STUDY -o OUT --nonsense", "predictt STUDY", "train"):
        with pytest.raises(Exception, match=r"No such|Missing"):
            parsed(typer.main.get_command(app), wrong.split())


def test_the_version_stands_in_one_place_and_the_citation_follows() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {pelvimets.__version__}\n" in citation
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_source_distribution_has_what_its_tests_and_gates_need() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packed = settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    wanted = {"src", "tests", "studies", "benchmarks", "docs", "tools", "deploy", "Makefile"}
    wanted |= {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "mkdocs.yml"}
    assert wanted <= set(packed)
    assert [name for name in packed if not (ROOT / name).exists()] == []
