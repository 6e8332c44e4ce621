"""The truth is never called implausible: true masks of every anatomy pass the quality gate."""

from __future__ import annotations

import numpy as np
import pytest

from pelvimets.core.findings import FlagLevel
from pelvimets.core.quality import bone_flags
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.atlas import SOURCES
from pelvimets.phantom.anatomy.healthy import AnatomySettings, build_anatomy, draw_anatomy


@pytest.mark.parametrize("source", SOURCES)
def test_true_masks_need_no_review(source: str) -> None:
    settings = AnatomySettings(sources=(source,), spacing_mm=4.0)
    for seed in (100, 101):
        drawn = draw_anatomy(np.random.default_rng(seed), settings)
        anatomy = build_anatomy(drawn, settings)
        flags = bone_flags(Volume(anatomy.bones, anatomy.geometry), Sequence.T1)
        assert [f.message for f in flags if f.level is FlagLevel.REVIEW] == []
