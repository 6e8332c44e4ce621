"""Single settings of a run changed, with the rest left as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from pelvimets.config import settings_to_dict
from pelvimets.errors import SettingsError
from pelvimets.training.settings import Stage, TrainingSettings, training_settings

_MAY_RISE = ("epochs", "minutes")
_MAY_CHANGE = ("precision",)


def overridden(settings: TrainingSettings, changes: Mapping[str, Any]) -> TrainingSettings:
    """Settings with some replaced.

    Args:
        settings: The others stay as here.
        changes: Nested as ``settings.json`` of a run is; a list such as ``stages`` is
            replaced as a whole.

    Raises:
        SettingsError: if a name is unknown, a value is of the wrong kind, or the task differs.

    >>> from pelvimets.training.presets import DEFAULT_BONES
    >>> overridden(DEFAULT_BONES, {"loss": {"overlap": 2.0}}).loss.overlap
    2.0
    """
    if changes.get("task", settings.task) != settings.task:
        raise SettingsError(
            "The file of settings is for the other network",
            got=changes["task"],
            remedy=f"This run trains {settings.task.value}",
        )
    _check(TrainingSettings, changes, "")
    return training_settings(_merged(settings_to_dict(settings), changes))


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for name, value in changes.items():
        before = result.get(name)
        nested = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[name] = _merged(before, value) if nested else value  # type: ignore[arg-type]
    return result


def _check(cls: Any, changes: Mapping[str, Any], where: str) -> None:
    """Refuse names that are unknown; kinds of values are checked where settings are built."""
    hints = get_type_hints(cls)
    retired = getattr(cls, "RETIRED", {})
    for name, value in changes.items():
        if name in retired:
            continue  # of an older run
        if name not in hints:
            known = ", ".join(f.name for f in fields(cls))
            raise SettingsError(
                "Unknown setting", got=f"{where}{name}", remedy=f"Known here: {known}"
            )
        if is_dataclass(hints[name]) and isinstance(value, Mapping):
            _check(hints[name], value, f"{where}{name}.")
    if cls is TrainingSettings:
        _check_stages(changes.get("stages", ()))


def _check_stages(stages: Any) -> None:
    if not isinstance(stages, list | tuple):
        raise SettingsError("TrainingSettings.stages has a value of another kind", got=repr(stages))
    for number, stage in enumerate(stages):
        _check(Stage, stage, f"stages.{number}.")
        if left_out := sorted({f.name for f in fields(Stage)} - set(stage)):
            raise SettingsError("A stage is incomplete", got=f"no {', '.join(left_out)}")


def check_goes_on(before: TrainingSettings, now: TrainingSettings) -> None:
    """Refuse to go on with a run under other settings than those it began with.

    Its length may grow: more ``epochs``, more ``minutes``. Its precision may change, since
    another machine may be faster with another one.

    Raises:
        SettingsError: with each setting that differs, and both values.
    """
    old, new = dict(_flat(settings_to_dict(before))), dict(_flat(settings_to_dict(now)))
    differing = [
        f"{name} {new.get(name)} instead of {old.get(name)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
        and name not in _MAY_CHANGE
        and not (name in _MAY_RISE and _rises(old.get(name), new.get(name)))
    ]
    if differing:
        raise SettingsError(
            "This run began with other settings",
            got="; ".join(differing),
            remedy="Give the same settings or none to go on (epochs and minutes may be raised); "
            "choose another folder for a new run",
        )


def _rises(old: float | None, new: float | None) -> bool:
    return old is not None and (new is None or new > old)


def _flat(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(data, list | tuple) and data and isinstance(data[0], Mapping):
        for number, value in enumerate(data):
            yield from _flat(value, f"{name}.{number}")
    else:
        yield name, list(data) if isinstance(data, tuple) else data
