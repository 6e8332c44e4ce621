"""The rules of the house, read from the code: sizes of modules and functions, who opens files.

How many ways lead through a function is checked by ruff (C901), who imports whom by import-linter.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "pelvimets"
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES, MOST_BODY, MOST_ARGUMENTS = 400, 40, 6
APP_LINES = 2500

Function = ast.FunctionDef | ast.AsyncFunctionDef
_OPENING = {"open", "read_text", "read_bytes", "write_text", "write_bytes"}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: Function) -> int:
    """Lines of the body, the docstring aside."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def arguments(function: Function) -> int:
    """Arguments, ``self`` and ``cls`` aside."""
    given = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    given = given[1:] if given[:1] in (["self"], ["cls"]) else given
    return len(given) + len(function.args.kwonlyargs)


OPENS_FILES = {
    "cli/view.py: webbrowser.open": "no file, a page",
    "evaluation/report/page.py: (templates / 'report.html.j2').read_text": "packaged",
    "model/bundle.py: path.read_bytes": "weights; the room lies below io",
    "model/export.py: p.read_bytes": "what OpenVINO has just written",
    "model/folders.py: path.open": "weights of others, hashed",
    "model/folders.py: path.read_bytes": "weights of others",
    "model/folders.py: path.read_text": "their description",
    "model/own.py: path.read_bytes": "as model/bundle.py, of someone else",
    "phantom/anatomy/atlas.py: file.read_bytes": "packaged",
    "phantom/cohort/benchmark.py: file.read_text": "packaged",
    "report/data.py: path.read_text": "packaged",
    "report/cohort.py: (folder / file).read_text": "packaged",
    "report/cohort.py: Image.open": "a picture in memory",
    "web/pages.py: (_folder(folder) / name).read_bytes": "packaged",
}
"""What may stand outside ``io``, and why."""

LONGER = {
    "app/reading.py: read_study: arguments": "the front door: a keyword for each thing to give",
    "phantom/physics/tissue_parameters.py: _row: arguments": "a row of a table",
    "training/run.py: train: arguments": "a keyword for each thing that a run may be given",
}
"""What may be longer, and why."""


def is_command(path: Path) -> bool:
    """Commands name each of their options; those of a request are made from it."""
    return path.parent.name == "cli"


def faults(path: Path) -> Iterator[str]:
    where = name_of(path)
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > MOST_LINES:
        yield f"{where}: lines"
    for function in functions(path):
        for what, found, most in (
            ("lines", body_lines(function), MOST_BODY),
            ("arguments", arguments(function), MOST_ARGUMENTS),
        ):
            if found > most and not (what == "arguments" and is_command(path)):
                yield f"{where}: {function.name}: {what}"


def opened(path: Path) -> Iterator[str]:
    """Where a module opens files: ``open(...)``, ``path.read_text()``, ``path.open()``, ..."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            called = node.func
            method = called.attr if isinstance(called, ast.Attribute) else ""
            if method in _OPENING or (isinstance(called, ast.Name) and called.id == "open"):
                yield f"{name_of(path)}: {ast.unparse(called)}"


def imported(path: Path, modules: set[str]) -> set[str]:
    """Modules of the package that a module imports when it runs, anywhere in it."""
    tree = tree_of(path)
    typed = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n)]
    left_out = {id(inner) for block in typed for inner in ast.walk(block)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in left_out:
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                found.add(name if name in modules else node.module)
    return found & modules


def circles(graph: Mapping[str, set[str]]) -> set[str]:
    """Modules that import themselves in the end: those left when no end is left to take away."""
    left = {name: set(own) for name, own in graph.items()}
    while ends := [name for name, own in left.items() if not own & left.keys()]:
        for name in ends:
            del left[name]
    while starts := [n for n in left if not any(n in own for own in left.values())]:
        for name in starts:
            del left[name]
    return set(left)


def test_what_is_imported_is_there() -> None:
    """Types alone do not tell: a module that is gone counts as one without types."""
    there = {
        name_of(p)[:-3].replace("/", ".").removesuffix("__init__").rstrip(".") for p in MODULES
    }
    gone = [
        f"{name_of(path)}: {node.module}"
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").split(".")[0] == "pelvimets"
        and (node.module or "").removeprefix("pelvimets").lstrip(".") not in there
    ]
    assert gone == []


def test_imports_run_in_no_circle() -> None:
    names = {f"pelvimets.{name_of(p)[:-3].replace('/', '.')}": p for p in MODULES}
    modules = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = {name: imported(path, set(modules)) - {name} for name, path in modules.items()}
    assert circles(graph) == set()
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}, "e": set()}) >= {"b", "c"}


def test_modules_and_functions_are_short() -> None:
    found = {fault for path in MODULES for fault in faults(path)}
    assert found - set(LONGER) == set(), "make it shorter, or make a record of what is one"
    assert set(LONGER) - found == set(), "mended: strike it off the list"


def test_app_is_composition_and_stays_small() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (PACKAGE / "app").glob("*.py")]
    lines = sum(len(text.splitlines()) for text in texts)
    assert lines <= APP_LINES, "what is no composition belongs into core, evaluation, io, ..."


def test_files_are_opened_in_io_alone() -> None:
    elsewhere = [path for path in MODULES if name_of(path).split("/")[0] != "io"]
    found = {fault for path in elsewhere for fault in opened(path)}
    assert found - set(OPENS_FILES) == set(), "let io read and write it"
    assert set(OPENS_FILES) - found == set(), "gone: strike it off the list"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def f(a, b, c, d, e, f, g): pass", ["x.py: f: arguments"]),
        ("class A:\n    def f(self, a, b, c, d, e, *, g): pass", []),
        ("def f():\n    'Doc.'\n" + 41 * "    g()\n", ["x.py: f: lines"]),
        ("def f():\n    'Doc.'\n" + 40 * "    g()\n", []),
        ("x = 1\n" * 401, ["x.py: lines"]),
    ],
)
def test_what_is_too_long_is_seen(
    text: str, found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.test_house.PACKAGE", tmp_path)
    (tmp_path / "x.py").write_text(text)
    assert list(faults(tmp_path / "x.py")) == found


def test_who_opens_a_file_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_house.PACKAGE", tmp_path)
    (tmp_path / "x.py").write_text("open('a')\np.read_text()\nwrite_text(p, 'a')\np.open()\n")
    assert list(opened(tmp_path / "x.py")) == ["x.py: open", "x.py: p.read_text", "x.py: p.open"]
