"""Bundles: a folder with settings, weights, model card, licence and checksums.

::

    BUNDLE/bundle.json      format, name, version, summary, settings, networks, folds
    BUNDLE/*.xml, *.bin     networks in OpenVINO's format, weights in half precision
    BUNDLE/model_card.md    data, measured accuracy, limits
    BUNDLE/LICENSE
    BUNDLE/SHA256SUMS       of all other files

Nothing is loaded before all checksums agree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pelvimets.config import ReadingSettings, settings_from_dict
from pelvimets.errors import BundleError, SettingsError
from pelvimets.labels import LearnedFrom, Sequence
from pelvimets.model.engine import Engine, NetworkFiles
from pelvimets.model.ensemble import Ensemble
from pelvimets.model.inputs import beside
from pelvimets.model.openvino_backend import OpenVinoNetwork, OpenVinoSegmenter
from pelvimets.model.own import is_own, load_own

FORMAT = 3  # 2: several networks whose probabilities are averaged; 3: further images beside
DESCRIPTION_NAME = "bundle.json"
CHECKSUMS_NAME = "SHA256SUMS"
_DEFAULT = "first"
_LARGEST_STEP = 1024
_STEPS = ("bones", "lesions")


@dataclass(frozen=True)
class BundleInfo:
    """One row of the list of bundles.

    Attributes:
        name, version, summary: As the bundle says.
        size_mb: Of all its files.
        intact: Whether all checksums agree.
        folder: Where it is.
        inputs: Further images that its networks see.
    """

    name: str
    version: str
    summary: str
    size_mb: float
    intact: bool
    folder: Path
    inputs: tuple[str, ...] = ()


def load_segmenter(bundle: Path | None = None, engine: Engine | None = None) -> OpenVinoSegmenter:
    """Read and verify a bundle; networks are compiled when they are first used.

    Args:
        bundle: As in ``bundle_folder``; or networks of someone else, see ``model.own``.
        engine: How the networks are run.

    Raises:
        BundleError: if it is missing, damaged or made by a later version.
    """
    if bundle is not None and is_own(bundle):
        return load_own(bundle, load_segmenter(None, engine), engine or Engine())
    folder = bundle_folder(bundle)
    contents = verified_contents(folder)
    return build_segmenter(_description(folder, contents), contents, engine)


def bundle_folder(given: Path | None = None) -> Path:
    """Folder of a bundle.

    Args:
        given: Its folder, or the name of a shipped bundle where no such folder exists; None
            takes the default one.

    >>> bundle_folder(Path("first")) == bundle_folder()
    True
    """
    if given is None:
        return _shipped_folder() / _DEFAULT
    if given.exists():
        return given
    shipped = {bundle.name: bundle.folder for bundle in installed_bundles()}
    return shipped.get(str(given), given)


def build_segmenter(
    description: Mapping[str, Any], contents: Mapping[str, bytes], engine: Engine | None = None
) -> OpenVinoSegmenter:
    """The networks of a bundle from its description and its files.

    Args:
        description: As in ``bundle.json``.
        contents: The files by name.
        engine: How the networks are run.

    Raises:
        BundleError: if they do not fit each other.
    """
    networks = _networks(description, contents, engine or Engine())
    return OpenVinoSegmenter(
        name=f"{description['name']} {description['version']}",
        settings=_settings(description),
        bones=networks["bones"],
        lesions=networks["lesions"],
        weights_sha256=_weights_sha256(contents),
        learned_from=learned_from(description),
        folds=_folds(description, networks),
        inputs={step: _inputs(description["networks"][step]) for step in _STEPS},
    )


def _folds(
    description: Mapping[str, Any], networks: Mapping[str, Mapping[Sequence, Any]]
) -> dict[str, dict[str, int]]:
    """Which member of each step did not learn from a patient."""
    given = description.get("folds", {})
    try:
        found = {s: {str(p): int(f) for p, f in fold_of.items()} for s, fold_of in given.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise BundleError("The folds of a bundle cannot be read", got=repr(error)) from error
    for step, fold_of in found.items():
        members = [getattr(n, "members", (n,)) for n in networks.get(step, {}).values()]
        if not members or max(fold_of.values(), default=0) > min(map(len, members)):
            raise BundleError("The folds of a bundle do not fit its networks", got=step)
    return found


def learned_from(description: Mapping[str, Any]) -> LearnedFrom:
    """What the networks of a bundle were trained on, as its description says.

    Raises:
        BundleError: if it says something unknown.
    """
    said = description.get("learned_from", LearnedFrom.UNKNOWN)
    try:
        return LearnedFrom(said)
    except ValueError as error:
        raise BundleError(
            "A bundle says something unknown of what its networks learned from",
            got=repr(said),
            remedy=f"Known: {', '.join(LearnedFrom)}",
        ) from error


def installed_bundles() -> tuple[BundleInfo, ...]:
    """The bundles that come with the package."""
    folders = sorted(p for p in _shipped_folder().iterdir() if (p / DESCRIPTION_NAME).is_file())
    return tuple(bundle_info(folder) for folder in folders)


def bundle_info(folder: Path) -> BundleInfo:
    """What a bundle says of itself, and whether it is intact.

    Raises:
        BundleError: if its description cannot be read.
    """
    description = _parsed(folder, _read(folder / DESCRIPTION_NAME))
    size = sum(p.stat().st_size for p in folder.iterdir() if p.is_file())
    try:
        verified_contents(folder)
        intact = True
    except BundleError:
        intact = False
    return BundleInfo(
        name=str(description.get("name", folder.name)),
        version=str(description.get("version", "?")),
        summary=str(description.get("summary", "")),
        size_mb=size / 1e6,
        intact=intact,
        folder=folder,
        inputs=_all_inputs(description),
    )


def verified_contents(folder: Path) -> dict[str, bytes]:
    """All files named in the checksums, each one checked.

    Raises:
        BundleError: if the folder or a file is missing, or a checksum differs.
    """
    if not (folder / DESCRIPTION_NAME).is_file():
        raise BundleError(
            "There is no bundle here",
            got=folder,
            remedy=f"Name a folder with a {DESCRIPTION_NAME}, or a shipped bundle "
            "('pelvimets models' lists them)",
        )
    contents = {}
    for line in _read(folder / CHECKSUMS_NAME).decode(errors="replace").splitlines():
        wanted, _, name = line.partition("  ")
        if not name.isprintable() or not name or Path(name).name != name:
            raise BundleError("The checksums of a bundle cannot be read", got=f"{folder}: {line!r}")
        contents[name] = _read(folder / name)
        if hashlib.sha256(contents[name]).hexdigest() != wanted:
            raise BundleError(
                "A file of the bundle is damaged",
                got=folder / name,
                remedy="Install or copy the bundle again",
            )
    return contents


def checksums_text(contents: Mapping[str, bytes]) -> str:
    """The text of ``SHA256SUMS``.

    >>> checksums_text({"a": b""})[:8]
    'e3b0c442'
    """
    lines = [f"{hashlib.sha256(data).hexdigest()}  {n}" for n, data in sorted(contents.items())]
    return "\n".join(lines) + "\n"


def _shipped_folder() -> Path:
    return Path(str(files("pelvimets.resources"))) / "bundles"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            "A file of the bundle is missing",
            got=path,
            remedy="Install or copy the bundle again",
        ) from error


def _parsed(folder: Path, data: bytes) -> dict[str, Any]:
    try:
        description = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError("A bundle's description is no JSON", got=f"{folder}: {error}") from error
    if not isinstance(description, dict):
        raise BundleError("A bundle's description is no JSON object", got=folder)
    return description


def _description(folder: Path, contents: Mapping[str, bytes]) -> dict[str, Any]:
    if DESCRIPTION_NAME not in contents:
        raise BundleError(f"The checksums of a bundle leave out {DESCRIPTION_NAME}", got=folder)
    description = _parsed(folder, contents[DESCRIPTION_NAME])
    found = description.get("format")
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= FORMAT:
        raise BundleError(
            "The bundle was made by a later version of pelvimets",
            got=f"format {found}, known up to {FORMAT}",
            remedy="Update pelvimets, or take an older bundle",
        )
    missing = [k for k in ("name", "version", "settings", "networks") if k not in description]
    if missing:
        raise BundleError("A bundle's description is incomplete", got=f"no {', '.join(missing)}")
    for key in ("name", "version"):
        if not isinstance(description[key], str) or not description[key].strip():
            raise BundleError(f"The {key} of a bundle is no text", got=repr(description[key])[:80])
    return description


def _settings(description: Mapping[str, Any]) -> ReadingSettings:
    try:
        return settings_from_dict(ReadingSettings, description["settings"])
    except (SettingsError, TypeError) as error:
        raise BundleError("The bundle's settings do not fit", got=str(error)) from error


def _networks(
    description: Mapping[str, Any], contents: Mapping[str, bytes], engine: Engine
) -> dict[str, dict[Sequence, OpenVinoNetwork | Ensemble]]:
    """Networks per step and sequence; a file that serves twice is compiled once."""
    by_file: dict[str, OpenVinoNetwork] = {}
    result: dict[str, dict[Sequence, OpenVinoNetwork | Ensemble]] = {}
    try:
        for step in _STEPS:
            multiple = _voxels(description["networks"][step]["multiple_of"])
            smallest = _voxels(description["networks"][step].get("smallest", (1, 1, 1)))
            result[step] = {}
            for sequence in Sequence:
                given = description["networks"][step][sequence.value]
                names = given if isinstance(given, list) and given else [given]
                for name in names:
                    if name not in by_file:
                        weights = contents[name.removesuffix(".xml") + ".bin"]
                        by_file[name] = OpenVinoNetwork(
                            NetworkFiles(contents[name], weights, multiple, smallest), engine
                        )
                members = tuple(by_file[name] for name in names)
                result[step][sequence] = members[0] if len(members) == 1 else Ensemble(members)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError("The bundle's networks are not as described", got=repr(error)) from error
    return result


def _inputs(step: Mapping[str, Any]) -> dict[Sequence, tuple[str, ...]]:
    """Further images that the networks of a step see, in the order of their channels."""
    try:
        given = step.get("inputs", {})
        found = {Sequence(name): tuple(map(str, entries)) for name, entries in given.items()}
        for sequence, entries in found.items():
            beside(entries, sequence)
    except (SettingsError, AttributeError, TypeError, ValueError) as error:
        raise BundleError(
            "The further images of a bundle cannot be read", got=str(error)
        ) from error
    return {sequence: entries for sequence, entries in found.items() if entries}


def _all_inputs(description: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the further images that any network of a bundle sees; none of a damaged one."""
    try:
        entries = [
            own for step in description["networks"].values() for own in _inputs(step).values()
        ]
    except (KeyError, AttributeError, BundleError):
        return ()
    return tuple(dict.fromkeys(entry for own in entries for entry in own))


def _voxels(given: Any) -> tuple[int, int, int]:
    """Three small numbers of voxels."""
    z, y, x = given
    if not all(type(n) is int and 1 <= n <= _LARGEST_STEP for n in (z, y, x)):
        raise ValueError(f"{given!r} are no three numbers of voxels")
    return z, y, x


def _weights_sha256(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(contents):
        if name.endswith(".bin"):
            digest.update(contents[name])
    return digest.hexdigest()
