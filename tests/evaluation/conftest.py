"""Reference data for the tests of the evaluation."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def asah():
    """Outcome and markers of the aSAH data of pROC."""
    path = Path(__file__).parent / "data" / "asah.csv"
    lines = [x for x in path.read_text().splitlines() if not x.startswith("#")]
    rows = list(csv.DictReader(lines))
    columns = {k: np.array([float(r[k]) for r in rows]) for k in ("s100b", "ndka", "wfns")}
    return {"poor": np.array([r["outcome"] == "Poor" for r in rows]), **columns}
