"""Whom to annotate next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, InputError
from pelvimets.io.nifti.files import write_nifti
from pelvimets.labels import Sequence
from pelvimets.model.ensemble import Ensemble
from pelvimets.model.openvino_backend import OpenVinoSegmenter
from pelvimets.model_development.annotate_next import next_to_annotate
from tests.io.exchange_samples import GRIDS, image

GRID = GRIDS[Sequence.DWI]

LOADED = "pelvimets.model_development.annotate_next.load_segmenter"


def network(value: float):
    """Says the same everywhere in the brighter half of the image."""

    def call(channels):
        bright = channels[:1] > 0
        return np.where(bright, np.float32(value), np.float32(0.0))

    return call


def test_patients_on_whom_networks_disagree_come_first(
    known_study, tmp_path: Path, monkeypatch
) -> None:
    """Patient b is annotated, c a test patient; of a and d, d has two images."""
    cohort = tmp_path / "cohort"
    for number, key in enumerate("abcd"):
        (cohort / key).mkdir(parents=True)
        write_nifti(cohort / key / "dwi.nii.gz", image(GRID, np.random.default_rng(number)))
        if key == "d":
            write_nifti(cohort / key / "t1.nii.gz", image(GRID, np.random.default_rng(9)))
    write_nifti(cohort / "b" / "dwi_lesions.nii.gz", Volume(np.zeros(GRID.shape, np.uint8), GRID))
    (cohort / "patients.csv").write_text("patient,split\na,\nb,train\nc,test\nd,\n")
    members = tuple(network(value) for value in (0.1, 0.9))
    both = Ensemble(members)  # type: ignore[arg-type]

    def everywhere(channels):
        answer = np.zeros((9, *channels.shape[1:]), np.float32)
        answer[3] = 1
        return answer

    segmenter = OpenVinoSegmenter(
        "own 1",
        replace(known_study.segmenter.settings),
        bones=dict.fromkeys(Sequence, everywhere),  # type: ignore[arg-type]
        lesions=dict.fromkeys(Sequence, both),
        weights_sha256="",
    )
    monkeypatch.setattr(LOADED, lambda bundle: segmenter)
    found = next_to_annotate(cohort, Path("first"))
    assert [one.patient for one in found] == ["d", "a"]
    assert found[0].disagreement > found[1].disagreement > 0
    alone = replace(segmenter, lesions=dict.fromkeys(Sequence, members[0]))
    monkeypatch.setattr(LOADED, lambda bundle: alone)
    with pytest.raises(InputError, match="has one for the lesions"):
        next_to_annotate(cohort, Path("first"))
    monkeypatch.setattr(LOADED, lambda bundle: segmenter)
    (cohort / "patients.csv").write_text("patient,split\nb,train\nc,test\n")
    with pytest.raises(CohortError, match="Every patient"):
        next_to_annotate(cohort, Path("first"))


def test_what_networks_say_far_from_bone_counts_for_nothing(
    known_study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were never taught there; here they say the same everywhere, and a part is bone."""
    (tmp_path / "a").mkdir()
    grid = Geometry.from_axes((24, 40, 40), (4.0, 2.0, 2.0))
    write_nifti(tmp_path / "a" / "dwi.nii.gz", image(grid, np.random.default_rng(0)))
    (tmp_path / "patients.csv").write_text("patient\na\n")
    says = [
        lambda channels, value=value: np.full((1, *channels.shape[1:]), value, np.float32)
        for value in (0.1, 0.9)
    ]

    def measured(share: float) -> float:
        def bones(channels):
            answer = np.zeros((9, *channels.shape[1:]), np.float32)
            answer[0] = 1
            part = slice(0, round(share * channels.shape[-1]))
            answer[0, ..., part], answer[3, ..., part] = 0, 1
            return answer

        segmenter = OpenVinoSegmenter(
            "own 1",
            known_study.segmenter.settings,
            bones=dict.fromkeys(Sequence, bones),  # type: ignore[arg-type]
            lesions=dict.fromkeys(Sequence, Ensemble(tuple(says))),  # type: ignore[arg-type]
            weights_sha256="",
        )
        monkeypatch.setattr(LOADED, lambda bundle: segmenter)
        return next_to_annotate(tmp_path, Path("first"))[0].disagreement

    whole, part = measured(1.0), measured(0.25)
    assert 0.2 < part / whole < 0.4  # a quarter, and the margin beside it
