"""Lesion scenes for outside oracles; NumPy alone, so that any environment draws the same."""

from __future__ import annotations

import numpy as np

SHAPE, SPACING = (12, 32, 32), (3.0, 1.5, 1.5)


def _ball(centre, radius_mm):
    place = (np.indices(SHAPE).T - np.asarray(centre)) * SPACING
    return ((place**2).sum(axis=-1) <= radius_mm**2).T


def scenes(patients=24, seed=20):
    """Reference labels, predicted labels and scores of lesions that do not touch each other."""
    rng = np.random.default_rng(seed)
    corners = [(z, y, x) for z in (3, 9) for y in (6, 16, 26) for x in (6, 16, 26)]
    made = []
    for _ in range(patients):
        reference, prediction = np.zeros((2, *SHAPE), np.uint8)
        places = rng.permutation(len(corners))
        scores = {}
        for number, place in enumerate(places[: rng.integers(0, 6)], start=1):
            radius = rng.uniform(3.5, 6.0)
            reference[_ball(corners[place], radius)] = number
            if rng.random() < 0.75:
                shift = rng.normal(0, [0.4, 1.2, 1.2])
                ball = _ball(corners[place] + shift, radius * rng.uniform(0.6, 1.1))
                if ball.any():
                    scores[len(scores) + 1] = round(float(rng.uniform(0.3, 1.0)), 2)
                    prediction[ball & (prediction == 0)] = len(scores)
        for place in places[6 : 6 + rng.integers(0, 3)]:
            scores[len(scores) + 1] = round(float(rng.uniform(0.05, 0.8)), 2)
            prediction[_ball(corners[place], rng.uniform(2.0, 4.0))] = len(scores)
        made.append((reference, prediction, scores))
    return made
