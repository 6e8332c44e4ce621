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
        (1.0, "mm2/s", False),
    ],
)
def test_any_unit(factor, unit, noted):
    converted = adc_um2_per_s((TRUTH * factor).astype(np.float32), unit)
    np.testing.assert_allclose(converted.array, TRUTH, rtol=1e-4)
    assert (converted.note is not None) == noted


def test_background_does_not_count():
    padded = np.pad(TRUTH, 10)
    np.testing.assert_array_equal(adc_um2_per_s(padded).array, padded)


@pytest.mark.parametrize("values", [TRUTH * 1e4, np.zeros_like(TRUTH), -TRUTH, TRUTH * 0.05])
def test_implausible_values_have_no_unit(values):
    assert adc_um2_per_s(values.astype(np.float32)) is None
