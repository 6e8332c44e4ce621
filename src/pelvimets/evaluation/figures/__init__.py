"""Figures of an evaluation; each function returns a matplotlib ``Figure`` or None.

Drawn without a window system; nothing global is changed. Needs the ``study`` extra.
"""

from pelvimets.evaluation.figures.cohort import (
    Example,
    FlowStep,
    flow_figure,
    montage_figure,
)
from pelvimets.evaluation.figures.curves import (
    calibration_figure,
    calibration_groups_figure,
    froc_figure,
    roc_figure,
)
from pelvimets.evaluation.figures.readers import comparison_figure, readers_figure
from pelvimets.evaluation.figures.segmentation import (
    bland_altman_figure,
    bone_figure,
    violin_figure,
)
from pelvimets.evaluation.figures.style import looks, mark_in_silico

__all__ = [
    "Example",
    "FlowStep",
    "bland_altman_figure",
    "bone_figure",
    "calibration_figure",
    "calibration_groups_figure",
    "comparison_figure",
    "flow_figure",
    "froc_figure",
    "looks",
    "mark_in_silico",
    "montage_figure",
    "readers_figure",
    "roc_figure",
    "violin_figure",
]
