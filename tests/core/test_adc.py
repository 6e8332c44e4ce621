"""ADC maps arrive in many units; all leave in um2/s."""

import numpy as np
import pytest

from pelvimets.core.adc import adc_um2_per_s

TRUTH = np.linspace(600.0, 2400.0, 4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)


@pytest.mark.parametrize(
    ("factor", "unit", "noted"),
    [
        (1.0, "", False),
        (1.0, "um2/s", False),
        (1e-3, "", True),
        (1e-6, "", True),
        (10.0, "", True),
        (1e-6, "mm2/s", False),
        (1e-3, "10-3 mm2/s", False),
        (1.0, "10^-6 mm^2/s", False),
        (1.0, "normalized", False),
        (1.0, "mm2/s", True),
        (1e-3, "10⁻³ mm²/s", False),
        (1e-3, "10E-3 mm2/sec", False),
        (1e-3, "um2/ms", False),
        (1.0, "10*-6.mm2/s", False),
        (1.0, "µm²/s", False),
        (1e-12, "m2/s", False),
    ],
)
def test_any_unit(factor, unit, noted):
    converted = adc_um2_per_s((TRUTH * factor).astype(np.float32), unit)
    np.testing.assert_allclose(converted.array, TRUTH, rtol=1e-4)
    assert (converted.note is not None) == noted


@pytest.mark.parametrize("factor", [6.0, 0.1])
def test_a_declared_unit_beats_what_looks_plausible(factor):
    """Most of a map may be noise or fat: its median says little."""
    map_ = (TRUTH * factor).astype(np.float32)
    converted = adc_um2_per_s(map_, "10-6 mm2/s")
    np.testing.assert_array_equal(converted.array, map_)
    assert converted.note is None


def test_an_absurd_unit_is_named():
    assert "mm2/s, cannot be right" in adc_um2_per_s(TRUTH, "mm2/s").note


def test_background_does_not_count():
    padded = np.pad(TRUTH, 10)
    np.testing.assert_array_equal(adc_um2_per_s(padded).array, padded)


@pytest.mark.parametrize("values", [TRUTH * 1e4, np.zeros_like(TRUTH), -TRUTH, TRUTH * 0.05])
def test_implausible_values_have_no_unit(values):
    assert adc_um2_per_s(values.astype(np.float32)) is None
