"""Licences of what pelvimets stands on, in NOTICE and in the bill of materials."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
COPYLEFT = re.compile(r"(?<!L)GPL|Affero|SSPL|NonCommercial|-NC\b")


@pytest.fixture(scope="module")
def dependencies() -> ModuleType:
    path = ROOT / "tools" / "dependencies.py"
    spec = importlib.util.spec_from_file_location("dependencies", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dependencies"] = module
    spec.loader.exec_module(module)
    return module


def test_notice_names_every_package_with_its_licence(dependencies: ModuleType) -> None:
    text = " ".join((ROOT / "NOTICE").read_text(encoding="utf-8").split())
    lists = dict(
        entry.split(": ", 1)
        for entry in text.partition(dependencies.BEGIN)[2].strip().removeprefix("- ").split(" - ")
    )
    named = {name: licence for licence, names in lists.items() for name in names.split(", ")}
    for package in dependencies.packages().values():
        assert named.get(package.name) == package.licence, (
            "python tools/dependencies.py notice makes the list anew"
        )
    for requirement in dependencies.direct():
        assert canonicalize_name(requirement.name) in named


def test_no_package_is_under_a_licence_that_binds_users(dependencies: ModuleType) -> None:
    assert COPYLEFT.search("GPL-3.0-only") and not COPYLEFT.search("LGPL-3.0-or-later")
    for package in dependencies.packages().values():
        assert not COPYLEFT.search(package.licence), package


def test_the_shipped_package_imports_no_gpl(dependencies: ModuleType) -> None:
    imported = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(str(node.module).split(".")[0])
    assert "numpy" in imported
    assert imported.isdisjoint({"pingouin", "medpy", "openvino_telemetry"})


def test_the_bill_of_materials_is_valid_and_complete(dependencies: ModuleType) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    text = dependencies.sbom()
    assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    listed = {part["name"]: part for part in bill["components"]}
    found = dependencies.packages()
    assert set(listed) == set(found)
    assert {name: listed[name]["version"] for name in found} == {
        name: package.version for name, package in found.items()
    }
    assert all(part["licenses"] for part in listed.values())
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in bill["dependencies"]}
    own = needs[bill["metadata"]["component"]["bom-ref"]]
    assert {canonicalize_name(r.name) for r in dependencies.direct()} == {
        ref.removeprefix("pkg:pypi/").partition("@")[0] for ref in own
    }
