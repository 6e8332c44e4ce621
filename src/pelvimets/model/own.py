"""Networks of someone else, by a small description, in place of a bundle's.

::

    {"name": "ours", "version": "2", "learned_from": "real",
     "lesions": {"file": "lesions.onnx", "inputs": ["image", "bones"],
                 "outputs": ["background", "lesion"], "spacing_mm": [4, 2, 2],
                 "multiple_of": [8, 16, 16]}}

``bones`` and ``lesions`` are described alike; a step that is left out is done by the shipped
bundle. ``file`` is ONNX (``.onnx``), TorchScript (``.ts``, ``.pt``), a folder of nnU-Net's results
or a MONAI bundle; such a folder says much of its form itself. ``sequences`` names those that
it serves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pelvimets.config import GridSettings, LesionSettings, ReadingSettings, settings_from_dict
from pelvimets.errors import BundleError, SettingsError
from pelvimets.labels import Bone, LearnedFrom, Sequence
from pelvimets.model.devices import RunDevice
from pelvimets.model.engine import Engine
from pelvimets.model.folders import network_folder, read_described
from pelvimets.model.form import LESION, FormedNetwork, NetworkForm, Run
from pelvimets.model.openvino_backend import OpenVinoSegmenter
from pelvimets.model.runners import RUNNERS, not_there, runner_of

STEPS = ("bones", "lesions")
_NO_TILES = 2**62
_KNOWN = ("name", "version", "learned_from", "settings", *STEPS)


def is_own(place: Path) -> bool:
    """Whether it is a description, a network with one beside it, or a folder of another tool."""
    if place.is_file():
        return place.suffix in (".json", *RUNNERS)
    return network_folder(place) is not None


def load_own(place: Path, shipped: OpenVinoSegmenter, engine: Engine) -> OpenVinoSegmenter:
    """The cascade with networks of someone else.

    Args:
        place: Description, a network whose description has the same name and ``.json``, or a
            folder of nnU-Net's results or of a MONAI bundle.
        shipped: Does the steps and sequences that are not described.
        engine: How networks are run.

    Raises:
        BundleError: if the description or a network cannot be used.
    """
    described = _described(place)
    steps = {step: _source(step, described[step], place) for step in STEPS if step in described}
    if not steps:
        raise BundleError(
            "A description names no network", got=place, remedy="Describe 'bones' or 'lesions'"
        )
    networks = {
        step: {**getattr(shipped, step), **_by_sequence(step, source, engine)}
        for step, source in steps.items()
    }
    alone = len(steps) < len(STEPS) or any(len(s.sequences) < len(Sequence) for s in steps.values())
    digest = hashlib.sha256(shipped.weights_sha256.encode() if alone else b"")
    for source in steps.values():
        digest.update(source.digest + repr(source.form).encode())
    forms = {step: source.form for step, source in steps.items()}
    return replace(
        shipped,
        name=f"{described.get('name', place.stem)} {described.get('version', '1')}",
        settings=_settings(shipped.settings, forms, described.get("settings", {})),
        weights_sha256=digest.hexdigest(),
        learned_from=_learned_from(described, shipped, alone=alone),
        **networks,
    )


@dataclass(frozen=True)
class _Source:
    """A described network: its form, where it serves, and how it is loaded."""

    form: NetworkForm
    sequences: tuple[Sequence, ...]
    digest: bytes
    load: Callable[[Engine], Run]
    whole: bool
    folder: bool


def _by_sequence(step: str, source: _Source, engine: Engine) -> dict[Sequence, FormedNetwork]:
    if source.folder and engine.device is not RunDevice.CPU:
        raise not_there(engine.device, "A folder of nnU-Net or MONAI", (RunDevice.CPU,))
    tile = _NO_TILES if source.whole else engine.tile_voxels
    one = FormedNetwork(source.load(engine), source.form, step == "bones", tile)
    return dict.fromkeys(source.sequences, one)


def _described(place: Path) -> dict[str, Any]:
    """The description of a file; that of a folder says of itself what it finds."""
    if place.is_file():
        return _read(place.with_suffix(".json"))
    folder = network_folder(place)
    outputs = folder.form["outputs"] if folder else ()
    steps = [
        step
        for step, known in (("bones", {bone.key for bone in Bone}), ("lesions", {LESION}))
        if known & set(outputs)
    ]
    if not steps:
        raise BundleError(
            "No output of the network has a name that is known",
            got=", ".join(outputs),
            remedy="Write a description with 'file' and 'outputs'; docs/own-networks.md",
        )
    return {"name": place.name, **{step: {"file": "."} for step in steps}}


def _source(step: str, given: Any, place: Path) -> _Source:
    if not isinstance(given, Mapping) or not isinstance(given.get("file"), str):
        raise BundleError(f"'{step}' names no file", got=repr(given)[:80])
    name = given["file"]
    path = place if place.is_dir() else place.parent / name
    if Path(name).name not in (name, ""):
        raise BundleError("A network lies beside its description", got=name)
    values = {key: value for key, value in given.items() if key not in ("file", "sequences")}
    sequences = _sequences(step, given.get("sequences", [s.value for s in Sequence]))
    if path.is_dir():
        folder = network_folder(path)
        if folder is None:
            raise BundleError("A folder is neither nnU-Net's results nor a MONAI bundle", got=path)
        form = _form(step, {**folder.form, **values})
        run = folder.run
        return _Source(
            form, sequences, folder.digest(), lambda engine: run(), folder.whole, folder=True
        )
    content, form = _content(path), _form(step, values)
    digest = hashlib.sha256(content).digest()
    return _Source(
        form,
        sequences,
        digest,
        lambda engine: runner_of(name, content, form, engine),
        whole=False,
        folder=False,
    )


def _sequences(step: str, given: Any) -> tuple[Sequence, ...]:
    try:
        return tuple(Sequence(name) for name in given)
    except (TypeError, ValueError) as error:
        raise BundleError(
            f"The sequences of '{step}' are dwi and t1", got=repr(given)[:80]
        ) from error


def _read(path: Path) -> dict[str, Any]:
    found = read_described(
        path, "Write one beside the network, with its name and .json; docs/own-networks.md"
    )
    if strange := sorted(set(found) - set(_KNOWN)):
        raise BundleError(
            "Unknown entry in the description of a network",
            got=", ".join(strange),
            remedy=f"Known: {', '.join(_KNOWN)}",
        )
    return found


def _form(step: str, values: dict[str, Any]) -> NetworkForm:
    needed = ("inputs", "outputs", "spacing_mm", "multiple_of")
    if missing := [name for name in needed if name not in values]:
        raise BundleError(f"The description of '{step}' is incomplete", got=f"no {missing[0]}")
    try:
        form = settings_from_dict(NetworkForm, values)
    except SettingsError as error:
        raise BundleError(f"The description of '{step}' cannot be used", got=str(error)) from error
    if not (form.finds_bones if step == "bones" else form.finds_lesions):
        raise BundleError(
            f"The network of '{step}' gives nothing of the kind",
            got=", ".join(form.outputs),
            remedy="Name the structure of each output channel",
        )
    return form


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError("The file of a network cannot be read", got=path) from error


def _settings(
    shipped: ReadingSettings, forms: Mapping[str, NetworkForm], given: dict[str, Any]
) -> ReadingSettings:
    """The shipped ones on the networks' own grids; what was calibrated goes with its network."""
    settings = shipped
    if "bones" in forms:
        alone = replace(settings.bones, other_in_dwi=0.0, other_in_t1=0.0)
        settings = replace(settings, bone_grid=_grid(forms["bones"]), bones=alone)
    if "lesions" in forms:
        plain = LesionSettings(
            drop_below_cm3=shipped.lesions.drop_below_cm3,
            bone_margin_mm=shipped.lesions.bone_margin_mm,
        )
        settings = replace(settings, lesion_grid=_grid(forms["lesions"]), lesions=plain)
    if not given:
        return settings
    try:
        lesions = settings_from_dict(LesionSettings, given.get("lesions", {}))
    except SettingsError as error:
        raise BundleError("The settings of a description do not fit", got=str(error)) from error
    if strange := sorted(set(given) - {"lesions"}):
        raise BundleError("Unknown settings in a description", got=", ".join(strange))
    return replace(settings, lesions=lesions)


def _grid(form: NetworkForm) -> GridSettings:
    try:
        return GridSettings(spacing_mm=form.spacing_mm, multiple_of=form.multiple_of)
    except SettingsError as error:
        raise BundleError("The grid of a network cannot be used", got=str(error)) from error


def _learned_from(
    description: Mapping[str, Any], shipped: OpenVinoSegmenter, *, alone: bool
) -> LearnedFrom:
    """As the description says; beside a shipped network of another origin it is mixed."""
    said = description.get("learned_from", LearnedFrom.UNKNOWN)
    try:
        own = LearnedFrom(said)
    except ValueError as error:
        raise BundleError(
            "A description says something unknown of what its networks learned from",
            got=repr(said),
            remedy=f"Known: {', '.join(LearnedFrom)}",
        ) from error
    if not alone or own in (LearnedFrom.UNKNOWN, shipped.learned_from):
        return own
    return LearnedFrom.MIXED
