"""Training samples: grids, labels, contrast, selection of sources, speed path."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.errors import SettingsError
from pelvimets.labels import Bone
from pelvimets.phantom.anatomy.lattice import interpolation_matrix, smooth_noise, upsample
from pelvimets.phantom.anatomy.patient import MimicKind
from pelvimets.phantom.samples.degrade import DegradeSettings
from pelvimets.phantom.samples.disease import DiseaseSampling
from pelvimets.phantom.samples.sampler import (
    FieldSettings,
    SamplerSettings,
    TrainingSample,
    draw_sample,
)

SHAPE, SPACING = (24, 48, 48), (8.0, 8.0, 8.0)
CLEAN = DegradeSettings(
    bias=(0.0, 0.0), noise=(0.0, 0.0), thick_probability=0.0, blur_probability=0.0, gamma=(1, 1)
)
SICK = DiseaseSampling(lesion_probability=1.0, median_volume_cm3=20.0, mimic_probability=0.0)
LARGE = FieldSettings(small_probability=0.0, large_across_mm=(900.0, 900.0))


def sample(seed: int, config: SamplerSettings | None = None) -> TrainingSample:
    return draw_sample(np.random.default_rng(seed), SHAPE, SPACING, config)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_sample_is_consistent(seed: int) -> None:
    drawn = sample(seed)
    for array in (drawn.image, drawn.bones, drawn.lesions, drawn.mimics, drawn.valid):
        assert array.shape == SHAPE
    assert drawn.image.dtype == np.float32
    assert np.isfinite(drawn.image).all() and (drawn.image >= 0).all()
    assert not drawn.image[~drawn.valid].any()
    assert not drawn.bones[~drawn.valid].any()
    assert drawn.bones.max() <= max(Bone) and drawn.lesions.max() <= 1
    assert drawn.mimics.max() <= len(MimicKind)
    assert (drawn.bones[drawn.lesions > 0] > 0).all()
    assert not drawn.mimics[drawn.lesions > 0].any()


def test_same_state_same_sample() -> None:
    first, again = sample(5), sample(5)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.bones.tobytes() == again.bones.tobytes()


def test_only_the_chosen_source_is_drawn() -> None:
    for source in ("mesh", "ct"):
        config = SamplerSettings(sources=(source,))
        assert {sample(seed, config).source for seed in range(4)} == {source}
    with pytest.raises(SettingsError):
        sample(0, SamplerSettings(sources=("unicorn",)))


def test_lesions_are_bright_on_dwi_and_dark_on_t1() -> None:
    for share, brighter in ((1.0, True), (0.0, False)):
        config = SamplerSettings(
            dwi_probability=share, disease=SICK, degrade=CLEAN, field_of_view=LARGE
        )
        ratios = []
        for seed in range(12):
            drawn = draw_sample(np.random.default_rng(seed), (36, 72, 72), (5.0,) * 3, config)
            healthy = drawn.image[(drawn.bones > 0) & (drawn.lesions == 0)]
            if drawn.lesions.any() and healthy.size:
                ratios.append(drawn.image[drawn.lesions > 0].mean() / np.median(healthy))
        assert len(ratios) > 6
        assert (np.median(ratios) > 1.2) == brighter


def test_a_small_field_is_a_slab_in_the_grid() -> None:
    small = FieldSettings(small_probability=1.0)
    drawn = sample(3, SamplerSettings(field_of_view=small))
    z, y, x = (np.ptp(np.flatnonzero(drawn.valid.any(axis=a))) for a in ((1, 2), (0, 2), (0, 1)))
    assert 40 <= z * 8 <= 120
    assert 140 <= x * 8 <= 260 and 140 <= y * 8 <= 260
    assert not drawn.valid.all()


def test_without_disease_there_is_none() -> None:
    healthy = DiseaseSampling(lesion_probability=0.0, mimic_probability=0.0)
    drawn = sample(1, SamplerSettings(disease=healthy))
    assert not drawn.lesions.any() and not drawn.mimics.any()


def test_mimic_kinds_are_switched() -> None:
    only = DiseaseSampling(
        lesion_probability=0.0, mimic_probability=1.0, mimic_kinds=(MimicKind.LYMPH_NODE,)
    )
    found: set[int] = set()
    for seed in range(10):
        drawn = draw_sample(
            np.random.default_rng(seed), (36, 72, 72), (5.0,) * 3, SamplerSettings(disease=only)
        )
        found |= set(np.unique(drawn.mimics))
    assert found == {0, MimicKind.LYMPH_NODE.label}


def test_spacing_sets_the_grid_not_the_field() -> None:
    config = SamplerSettings(field_of_view=LARGE, disease=replace(SICK, lesion_probability=0.0))
    coarse = draw_sample(np.random.default_rng(8), (24, 48, 48), (8.0,) * 3, config)
    fine = draw_sample(np.random.default_rng(8), (48, 96, 96), (4.0,) * 3, config)
    volumes = [np.sum(s.bones > 0) * np.prod(s.spacing_mm) for s in (coarse, fine)]
    assert coarse.landmarks == fine.landmarks
    assert volumes[0] == pytest.approx(volumes[1], rel=0.05)


def test_heads_lie_at_the_landmarks() -> None:
    config = SamplerSettings(
        field_of_view=replace(LARGE, centre_z_mm=(0.0, 0.0)),
        disease=replace(SICK, lesion_probability=0.0),
    )
    drawn = draw_sample(np.random.default_rng(4), (48, 96, 96), (4.0,) * 3, config)
    x, y, z = np.array(drawn.origin_lps_mm)
    for head in (drawn.landmarks.left_head_mm, drawn.landmarks.right_head_mm):
        index = np.rint((np.array(head) - [x, y, z]) / 4.0).astype(int)[::-1]
        assert drawn.bones[tuple(index)] == Bone.FEMORAL_HEAD


def test_interpolation_is_exact_for_linear_fields() -> None:
    nodes = np.linspace(-3.0, 9.0, 5)
    at = np.linspace(-3.5, 9.5, 17)
    assert interpolation_matrix(at, nodes) @ (2.0 * nodes + 1.0) == pytest.approx(2.0 * at + 1.0)
    identity = tuple(np.eye(n, dtype=np.float32) for n in (2, 3, 4))
    lattice = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert (upsample(lattice, identity) == lattice).all()


def test_smooth_noise_is_smooth() -> None:
    noise = smooth_noise(np.random.default_rng(0), (32, 32, 32), (8.0, 8.0, 8.0))
    assert np.abs(np.diff(noise, axis=0)).max() < 1.5
    assert 0.3 < noise.std() < 1.2
