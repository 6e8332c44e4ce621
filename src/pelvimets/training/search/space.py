"""What a search may change: names of settings with the values they may take.

The paper searched weight initialisation, dropout and others at random on its validation set;
``default_space`` holds these with learning rate, width, depth and loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from pelvimets.config import settings_to_dict
from pelvimets.errors import SettingsError
from pelvimets.model.settings import NetworkSettings
from pelvimets.training.settings import LossSettings, TrainingSettings

Value = str | int | float | bool
Shape = tuple[int, int, int]

WIDTH, DEPTH, LOSS = "network.width", "network.depth", "loss"

LOSSES = {
    "dice": LossSettings(cross_entropy=0.0),
    "cross_entropy": LossSettings(overlap=0.0),
    "cross_entropy_dice": LossSettings(),
    "cross_entropy_tversky": LossSettings(false_positives=0.4, false_negatives=0.6),
}


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, both included; whole numbers where all three are whole.

    Attributes:
        low, high: Bounds.
        log: Draw evenly on a logarithmic scale.
        step: Draw only ``low``, ``low + step``, ...; None draws anything between.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise SettingsError(
                "A range needs low < high, and low > 0 on a logarithmic scale",
                got=f"{self.low} to {self.high}",
            )
        if self.step is not None and (self.log or not _divides(self.step, self.high - self.low)):
            raise SettingsError(
                "A step must divide its range, and goes with no logarithmic scale",
                got=f"step {self.step} from {self.low} to {self.high}",
            )

    @property
    def whole(self) -> bool:
        """Only whole numbers."""
        given = (self.low, self.high, *(() if self.step is None else (self.step,)))
        return all(isinstance(value, int) for value in given)

    def holds(self, value: object) -> bool:
        """Whether a value may be drawn."""
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        if self.step is not None or self.whole:
            return _divides(self.step or 1, value - self.low)
        return True


@dataclass(frozen=True)
class Choice:
    """One of some values without an order."""

    options: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            raise SettingsError("A choice needs different options", got=list(self.options))

    def holds(self, value: object) -> bool:
        """Whether a value may be drawn."""
        return value in self.options


Parameter = Range | Choice
SearchSpace = Mapping[str, Parameter]


def default_space() -> dict[str, Parameter]:
    """Initialisation, dropout, learning rate, width, depth and loss."""
    return {
        "network.initialisation": Choice(("kaiming", "xavier", "orthogonal")),
        "network.dropout": Range(0.0, 0.5),
        "learning_rate": Range(1e-4, 1e-2, log=True),
        WIDTH: Range(8, 32, step=8),
        DEPTH: Range(3, 5, step=1),
        LOSS: Choice(tuple(LOSSES)),
    }


def space_of_given_weights() -> dict[str, Parameter]:
    """What can be searched when each trial starts with the same weights: not the network's form."""
    return {
        "learning_rate": Range(1e-5, 1e-3, log=True),
        "network.dropout": Range(0.0, 0.5),
        LOSS: Choice(tuple(LOSSES)),
    }


def check_keeps_form(space: Mapping[str, Parameter]) -> None:
    """Refuse a space that changes the network where each trial starts with the same weights.

    Raises:
        SettingsError: with the names.
    """
    changing = [n for n in space if n.startswith("network.") and n != "network.dropout"]
    if changing:
        raise SettingsError(
            "Trials that start with given weights all have the network of these weights",
            got=", ".join(changing),
            remedy="Leave these out of --space, or search without --from",
        )


def space_from_dict(data: Mapping[str, Any], settings: TrainingSettings) -> dict[str, Parameter]:
    """A space from plain data: a list of options, or ``low``, ``high``, ``log``, ``step``.

    Args:
        data: By name of the setting, such as ``learning_rate`` or ``network.dropout``;
            ``network.width``, ``network.depth`` and ``loss`` besides.
        settings: In which the names must be found.

    Raises:
        SettingsError: if a name is unknown or a value does not fit.
    """
    if not data:
        raise SettingsError("The search space is empty")
    space = {name: _parameter(name, given) for name, given in data.items()}
    for name, parameter in space.items():
        _check_name(name, parameter, settings)
    return space


def space_to_dict(space: SearchSpace) -> dict[str, Any]:
    """Plain data of a space, as ``space_from_dict`` takes it."""
    return {name: _plain(parameter) for name, parameter in space.items()}


def with_values(settings: TrainingSettings, values: Mapping[str, Value]) -> TrainingSettings:
    """Settings with drawn values; grid and patches follow the levels of the network.

    Width doubles from level to level up to the widest level of ``settings``. Sides of patches
    are rounded up to what the network can halve.
    """
    network = settings.network
    if {WIDTH, DEPTH} & set(values):
        width = int(values.get(WIDTH, network.channels[0]))
        depth = int(values.get(DEPTH, len(network.channels)))
        network = replace(network, channels=_channels(width, depth, max(network.channels)))
    for name in set(values) - {WIDTH, DEPTH, LOSS}:
        group, *path = name.split(".")
        if group == "network":
            network = _replaced(network, path, values[name])
        else:
            settings = _replaced(settings, [group, *path], values[name])
    if LOSS in values:
        settings = replace(settings, loss=_loss(str(values[LOSS]), settings))
    return _with_network(settings, network)


def _loss(name: str, settings: TrainingSettings) -> LossSettings:
    """A loss by its name; how much small metastases weigh stays as it is in the settings."""
    return replace(LOSSES[name], small_lesion_cm3=settings.loss.small_lesion_cm3)


def values_of(settings: TrainingSettings, space: SearchSpace) -> dict[str, Value] | None:
    """Where settings lie in a space, or None if they lie outside."""
    values = {name: _value(settings, name) for name in space}
    if not all(space[name].holds(value) for name, value in values.items()):
        return None
    return values if with_values(settings, values) == settings else None


def overrides(
    settings: TrainingSettings, preset: TrainingSettings, space: SearchSpace
) -> dict[str, Any]:
    """What makes settings of a preset, as ``train --settings`` takes it.

    Args:
        settings: Found by the search.
        preset: What they are to be laid over.
        space: Of the search; its settings are named also where they are those of the preset.
    """
    whole = settings_to_dict(settings)
    part = _differing(whole, settings_to_dict(preset))
    for name in space:
        _copy(whole, part, ["network", "channels"] if name in (WIDTH, DEPTH) else name.split("."))
    return part


def _differing(whole: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    part = {}
    for name, value in whole.items():
        if isinstance(value, dict) and isinstance(other[name], dict):
            value = _differing(value, other[name])
            if value:
                part[name] = value
        elif value != other[name]:
            part[name] = value
    return part


def _divides(step: float, length: float) -> bool:
    return abs(length / step - round(length / step)) < 1e-9 if step > 0 else False


def _parameter(name: str, given: object) -> Parameter:
    if isinstance(given, list | tuple):
        return Choice(tuple(given))
    known = {f.name for f in fields(Range)}
    if not isinstance(given, Mapping) or not {"low", "high"} <= set(given) <= known:
        raise SettingsError(
            f"The search space of {name} cannot be read",
            got=given,
            remedy="Give a list of options, or low and high, with log or step",
        )
    return Range(**given)


def _plain(parameter: Parameter) -> Any:
    if isinstance(parameter, Choice):
        return list(parameter.options)
    kept: dict[str, Any] = {"low": parameter.low, "high": parameter.high}
    kept |= {"log": True} if parameter.log else {}
    return kept | ({} if parameter.step is None else {"step": parameter.step})


def _check_name(name: str, parameter: Parameter, settings: TrainingSettings) -> None:
    """Refuse a name that is no setting, and values that it does not take."""
    examples = parameter.options if isinstance(parameter, Choice) else (parameter.low,)
    if name == LOSS and not set(examples) <= set(LOSSES):
        raise SettingsError("Unknown loss", got=list(examples), remedy=f"Known: {list(LOSSES)}")
    try:
        for example in examples:
            with_values(settings, {name: example})
    except (AttributeError, TypeError) as error:
        raise SettingsError(
            "The search space names no setting of training", got=f"{name}: {examples[0]}"
        ) from error


def _value(settings: TrainingSettings, name: str) -> Any:
    if name == WIDTH:
        return settings.network.channels[0]
    if name == DEPTH:
        return len(settings.network.channels)
    if name == LOSS:
        return next((key for key in LOSSES if _loss(key, settings) == settings.loss), None)
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _replaced(settings: Any, path: list[str], value: Value) -> Any:
    name, *inner = path
    old = getattr(settings, name)
    if inner:
        return replace(settings, **{name: _replaced(old, inner, value)})
    if old is not None and not isinstance(value, int | float if type(old) is float else type(old)):
        raise TypeError(f"{name} is of another type")
    return replace(settings, **{name: value})


def _channels(width: int, depth: int, widest: int) -> tuple[int, ...]:
    return tuple(min(width * 2**level, max(widest, width)) for level in range(depth))


def _with_network(settings: TrainingSettings, network: NetworkSettings) -> TrainingSettings:
    multiple = network.multiple_of
    if multiple == settings.network.multiple_of:
        return replace(settings, network=network)
    stages = tuple(replace(s, shape=_rounded_up(s.shape, multiple)) for s in settings.stages)
    grid = replace(settings.grid, multiple_of=multiple)
    return replace(settings, network=network, stages=stages, grid=grid)


def _rounded_up(shape: Shape, multiple: Shape) -> Shape:
    z, y, x = (-(-n // m) * m for n, m in zip(shape, multiple, strict=True))
    return z, y, x


def _copy(whole: Mapping[str, Any], part: dict[str, Any], path: list[str]) -> None:
    if len(path) == 1:
        part[path[0]] = whole[path[0]]
    else:
        _copy(whole[path[0]], part.setdefault(path[0], {}), path[1:])
