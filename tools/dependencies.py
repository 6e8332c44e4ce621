"""What pelvimets stands on: licences for NOTICE, and a bill of materials (CycloneDX 1.6).

    python tools/dependencies.py notice            # rewrite the list in NOTICE
    python tools/dependencies.py sbom -o FILE      # every package with version, licence, parents

Both follow the requirements of pyproject.toml, all extras but ``dev``, through the packages that
are installed beside this Python.
"""

from __future__ import annotations

import argparse
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageMetadata, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pelvimets import __version__

ROOT = Path(__file__).parents[1]
LICENCE = "Apache-2.0"
BEGIN = "Packages that pelvimets is installed with, by licence, as they state it:"
_SPDX = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "ISC License (ISCL)": "ISC",
    "ISC License": "ISC",
    "Python Software Foundation License": "PSF-2.0",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
}
_STATED_NOWHERE = {
    "dask-jobqueue": "BSD-3-Clause",
    "partd": "BSD-3-Clause",
    "patsy": "BSD-2-Clause",
}  # its classifier says BSD alone, its text 2-clause
_CHOSEN = {"pyphen": "MPL-1.1"}  # offered under GPL, LGPL or MPL, as one chooses
_DEV = "dev"
_WIDTH = 100


@dataclass
class Package:
    """One installed package and those that it needs."""

    name: str
    version: str
    licence: str
    needs: set[str] = field(default_factory=set)


def packages() -> dict[str, Package]:
    """Every package that pelvimets needs with all its extras, by canonical name."""
    found: dict[str, Package] = {}
    for requirement in direct():
        _add(requirement, found)
    return dict(sorted(found.items()))


def direct() -> list[Requirement]:
    """The requirements of pyproject.toml, extras included, those of development not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    texts = [*project["dependencies"], *(t for e, ts in extras.items() if e != _DEV for t in ts)]
    return [Requirement(text) for text in texts]


def _add(requirement: Requirement, found: dict[str, Package]) -> str | None:
    """Add a package and what it needs; its name, or None if it is not installed here."""
    try:
        installed = distribution(requirement.name)
    except PackageNotFoundError:
        return None  # of another platform
    name = canonicalize_name(installed.metadata["Name"])
    known = name in found
    package = found.setdefault(name, Package(name, installed.version, _licence(name, installed)))
    if not known or requirement.extras:
        for needed in _needs(installed, requirement.extras):
            child = _add(needed, found)
            if child is not None:
                package.needs.add(child)
    return name


def _needs(installed: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in installed.requires or ():
        needed = Requirement(text)
        chosen = [{"extra": extra} for extra in ("", *extras)]
        if needed.marker is None or any(needed.marker.evaluate(extra) for extra in chosen):
            yield needed


def _stated(metadata: PackageMetadata, name: str) -> str:
    return str((metadata.get_all(name) or [""])[0])


def _licence(name: str, installed: Distribution) -> str:
    """As an SPDX expression."""
    stated = installed.metadata
    if expression := _stated(stated, "License-Expression"):
        return expression
    text = _stated(stated, "License").strip()
    if name in _STATED_NOWHERE or name in _CHOSEN:
        return {**_STATED_NOWHERE, **_CHOSEN}[name]
    if re.fullmatch(r"[A-Za-z]+(-[\w.]+)+( (AND|OR) [\w.-]+)*|MIT", text):
        return text
    classifiers = [c for c in stated.get_all("Classifier") or () if c.startswith("License ::")]
    for word in (*(c.rpartition(":: ")[2] for c in classifiers), text):
        if word in _SPDX:
            return _SPDX[word]
    raise SystemExit(f"{name} states no licence that is known here: add it to _SPDX")


def notice() -> str:
    """The text of NOTICE with the list made anew."""
    by_licence: dict[str, list[str]] = {}
    for package in packages().values():
        by_licence.setdefault(package.licence, []).append(package.name)
    kept = (ROOT / "NOTICE").read_text(encoding="utf-8").partition(BEGIN)[0].rstrip()
    lines = [
        textwrap.fill(
            f"- {licence}: {', '.join(names)}",
            width=_WIDTH,
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
        for licence, names in sorted(by_licence.items())
    ]
    return f"{kept}\n\n{BEGIN}\n" + "\n".join(lines) + "\n"


def sbom() -> str:
    """A CycloneDX 1.6 bill of materials as JSON."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from packageurl import PackageURL

    def component(name: str, version: str, licence: str, kind: ComponentType) -> Component:
        url = PackageURL("pypi", name=name, version=version)
        licences = [LicenseFactory().make_from_string(licence)]
        return Component(
            name=name, version=version, type=kind, licenses=licences, purl=url, bom_ref=str(url)
        )

    found = packages()
    own = component("pelvimets", __version__, LICENCE, ComponentType.APPLICATION)
    parts = {
        p.name: component(p.name, p.version, p.licence, ComponentType.LIBRARY)
        for p in found.values()
    }
    bom = Bom(components=parts.values())
    bom.metadata.component = own
    names = (canonicalize_name(requirement.name) for requirement in direct())
    bom.register_dependency(own, [parts[name] for name in dict.fromkeys(names) if name in parts])
    for package in found.values():
        bom.register_dependency(parts[package.name], [parts[n] for n in sorted(package.needs)])
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)


def main() -> None:
    """Write NOTICE or the bill of materials."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["notice", "sbom"])
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "dist" / "sbom.cdx.json")
    arguments = parser.parse_args()
    if arguments.what == "notice":
        (ROOT / "NOTICE").write_text(notice(), encoding="utf-8")
        return
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(sbom() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
