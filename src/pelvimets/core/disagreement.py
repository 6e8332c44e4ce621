"""How far networks of one task disagree on an image: what an annotation of it would teach."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]

_LEAST = 0.01


def mutual_information(probabilities: Ordered[FloatArray]) -> FloatArray:
    """Disagreement of each voxel, in nats: entropy of the mean less the mean entropy.

    0 where all say the same, even if all are unsure: another annotation of such a place teaches
    little (Houlsby et al., arXiv 1112.5745, there for Gaussian processes).

    Args:
        probabilities: Of a yes, one map per network, all of one shape.

    >>> both = mutual_information([np.array([0.5, 1.0]), np.array([0.5, 0.0])])
    >>> both.round(2).tolist()
    [0.0, 0.69]
    """
    stacked = np.clip(np.stack([np.asarray(p, dtype=np.float64) for p in probabilities]), 0, 1)
    return np.asarray(
        np.maximum(_entropy(stacked.mean(axis=0)) - _entropy(stacked).mean(axis=0), 0.0)
    )


def _entropy(p: FloatArray) -> FloatArray:
    inside = np.clip(p, 1e-12, 1 - 1e-12)
    return np.asarray(-(inside * np.log(inside) + (1 - inside) * np.log(1 - inside)))


def disagreement_cm3(probabilities: Ordered[FloatArray], voxel_cm3: float) -> float:
    """Disagreement summed over an image, in nats times cm3; specks of it are left out."""
    found = mutual_information(probabilities)
    return float(found[found > _LEAST].sum() * voxel_cm3)
