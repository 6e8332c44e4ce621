"""Overlap and volume of two masks.

Empty masks: with both empty there is nothing to measure and the result is NaN; with one empty
the formula gives 0 and 0 is returned. Summaries state how many of either there were.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pelvimets.evaluation.measures.masks import as_pair


def dice(reference: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Dice similarity coefficient, 2 |R and P| / (|R| + |P|).

    Args:
        reference: Boolean mask (z, y, x).
        prediction: Boolean mask of the same shape.

    Returns:
        0-1; NaN if both masks are empty, 0 if one is.

    Raises:
        GeometryError: if the shapes differ.

    >>> one = np.zeros((2, 2, 2), bool); one[0] = True
    >>> dice(one, np.ones((2, 2, 2), bool))
    0.6666666666666666
    """
    first, second = as_pair(reference, prediction)
    shared = int(np.count_nonzero(first & second))
    return dice_of_counts(int(np.count_nonzero(first)), int(np.count_nonzero(second)), shared)


def dice_of_counts(reference: int, prediction: int, shared: int) -> float:
    """Dice similarity coefficient from numbers of voxels; NaN if both are 0."""
    total = reference + prediction
    return 2.0 * shared / total if total else float("nan")


def volumetric_similarity(reference: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Volumetric similarity, 1 - ||R| - |P|| / (|R| + |P|) (Taha and Hanbury 2015).

    It compares sizes only: two masks that do not meet can have 1.

    Returns:
        0-1; NaN if both masks are empty, 0 if one is.

    Raises:
        GeometryError: if the shapes differ.
    """
    first, second = as_pair(reference, prediction)
    sizes = int(np.count_nonzero(first)), int(np.count_nonzero(second))
    return volumetric_similarity_of_counts(*sizes)


def volumetric_similarity_of_counts(reference: float, prediction: float) -> float:
    """Volumetric similarity from numbers of voxels or volumes; NaN if both are 0."""
    total = reference + prediction
    return 1.0 - abs(reference - prediction) / total if total else float("nan")


def intersection_over_union(reference: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Jaccard index |R and P| / |R or P|; NaN if both masks are empty."""
    first, second = as_pair(reference, prediction)
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else float("nan")
