"""Small scenes for the tests of the evaluation."""

from __future__ import annotations

import numpy as np

SPACING = (3.0, 1.25, 0.8)


def ball(centre, radius_mm, shape=(14, 32, 40), spacing=SPACING):
    """A filled ball; centre as a share of the field."""
    grid = np.indices(shape).T * spacing
    middle = np.asarray(centre) * np.asarray(shape) * spacing
    return (((grid - middle) ** 2).sum(axis=-1) <= radius_mm**2).T
