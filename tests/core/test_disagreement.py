"""How far networks disagree."""

from __future__ import annotations

import numpy as np
import pytest

from pelvimets.core.disagreement import disagreement_cm3, mutual_information


def test_only_disagreement_counts() -> None:
    unsure = [np.full(8, 0.5)] * 3
    opposed = [np.array([0.0]), np.array([1.0])]
    assert mutual_information(unsure).max() == pytest.approx(0)
    assert mutual_information(opposed)[0] == pytest.approx(np.log(2), abs=1e-6)
    mild = [np.array([0.4]), np.array([0.6])]
    assert 0 < mutual_information(mild)[0] < mutual_information(opposed)[0]
    assert disagreement_cm3(opposed, 0.5) == pytest.approx(np.log(2) / 2, abs=1e-6)
