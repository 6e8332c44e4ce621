"""A few hundred damaged inputs in every test run; thousands by ``make fuzz``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.campaign import run
from tests.fuzz.mutators import encoded
from tests.fuzz.targets import TARGETS, Zip

COUNTS = {"bundle": 40, "dicom": 60, "json": 100, "nifti": 150, "zip": 60}


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_damaged_inputs_end_well_or_with_a_message(kind: str) -> None:
    tally = run(kind, COUNTS[kind], seed=15)
    assert tally.surprises == []
    assert tally.tried == COUNTS[kind] and tally.refused > tally.tried / 10


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_the_same_seed_damages_in_the_same_way(kind: str, tmp_path: Path) -> None:
    target = TARGETS[kind](tmp_path)

    def content() -> list[bytes]:
        path = target.damaged(np.random.default_rng(7))
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return [file.read_bytes() for file in files]

    assert content() == content()


def test_what_is_not_damaged_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A campaign that refuses everything would prove nothing."""
    for name in ("damaged_bytes", "nifti", "json_document"):
        monkeypatch.setattr(f"tests.fuzz.mutators.{name}", lambda rng, plain: plain)
    monkeypatch.setattr(
        "tests.fuzz.mutators.dicom", lambda rng, images: [encoded(image) for image in images]
    )
    for kind, made in TARGETS.items():
        folder = tmp_path / kind
        folder.mkdir()
        target = made(folder)
        for seed in range(4):
            target.read(target.damaged(np.random.default_rng(seed)))


def test_zips_of_every_packing_are_tried(tmp_path: Path) -> None:
    target = Zip(tmp_path)
    packings = set()
    for seed in range(24):
        data = target.damaged(np.random.default_rng(seed)).read_bytes()
        packings.add(int.from_bytes(data[8:10], "little"))
    assert {0, 8, 12, 14} <= packings
