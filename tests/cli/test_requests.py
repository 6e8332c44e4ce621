"""A command's options follow from its request, and what is typed comes back as that request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from pelvimets.cli.requests import from_requests
from pelvimets.options import group, named_folders, option, options_of


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True)
class Within:
    seed: int = option("Seed.", default=3, least=0)
    colour: Colour = option("Colour.", "--paint", default=Colour.RED)
    unseen: float = option("Not an option of the whole.", default=0.5)
    inner: str = "no option"


@dataclass(frozen=True)
class Asked:
    task: str = option("What.", argument=True)
    data: str | Path = option("Where.", "--data")
    near: Literal[6, 26] = option("Neighbours.", default=26)
    names: tuple[str, ...] = option("Names.", default=("a", "b"))
    folders: Mapping[str, Path] | None = option("Folders.", default=None, parse=named_folders)
    within: Within = group(Within, "seed", "colour")
    minutes: float | None = option("Length.", default=None)
    epochs: int | None = option("Length.", default=None)

    def __post_init__(self) -> None:
        if self.minutes is not None and self.epochs is not None:
            raise ValueError("Give one length.")


def called(words: str) -> tuple[int, str, list[Any]]:
    seen: list[Any] = []
    app = typer.Typer()

    @app.command()
    @from_requests
    def command(asked: Asked, out: Path = Path("out"), quiet: bool = False) -> None:
        """Do it."""
        seen.extend([asked, out, quiet])

    result = CliRunner().invoke(app, words.split())
    return result.exit_code, result.output, seen


def test_nothing_but_what_is_needed_gives_the_defaults() -> None:
    code, output, seen = called("bones --data phantom")
    assert code == 0, output
    assert seen == [Asked("bones", "phantom", folders={}), Path("out"), False]


def test_everything_typed_arrives() -> None:
    words = "bones --data D --near 6 --names x --names y --folders m=F --seed 5 --paint green"
    code, output, seen = called(f"{words} --minutes 2.5 --out o --quiet")
    assert code == 0, output
    within = Within(seed=5, colour=Colour.GREEN)
    asked = Asked("bones", "D", 6, ("x", "y"), {"m": Path("F")}, within, 2.5)
    assert seen == [asked, Path("o"), True]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("bones", "--data"),
        ("bones --data D --seed -1", "--seed"),
        ("bones --data D --paint blue", "--paint"),
        ("bones --data D --folders m", "NAME=FOLDER"),
        ("bones --data D --folders m=A --folders m=B", "twice"),
        ("bones --data D --minutes 1 --epochs 2", "Give one length"),
        ("bones --data D --unseen 1", "--unseen"),
        ("bones --data D --inner x", "--inner"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(words: str, said: str) -> None:
    code, output, seen = called(words)
    assert code == 2 and said in output and not seen


def test_every_option_of_every_request_says_what_it_is() -> None:
    from pelvimets.requests import evaluate, phantom, train

    told = [
        one
        for module in (evaluate, phantom, train)
        for kind in vars(module).values()
        if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__")
        for one in options_of(kind).values()
    ]
    assert len(told) > 40
    assert all(one.help.strip() for one in told)


def test_text_becomes_a_path_where_a_request_holds_one() -> None:
    from pelvimets.requests.evaluate import EvaluationRequest
    from pelvimets.requests.train import TrainRequest

    asked = TrainRequest("bones", "COHORT", "RUN", samples="SAMPLES")  # type: ignore[arg-type]
    assert (asked.out, asked.samples, asked.cohort) == (
        Path("RUN"),
        Path("SAMPLES"),
        Path("COHORT"),
    )
    assert TrainRequest("bones", "phantom", Path("RUN")).cohort is None
    assert EvaluationRequest("P", "R").reference == Path("R")  # type: ignore[arg-type]
