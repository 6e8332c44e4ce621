"""What to evaluate, and whose masks to compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.io.exchange.forms import PredictionForm
from pelvimets.options import Request, group, named_folders, option


@dataclass(frozen=True)
class EvaluationRequest(Request):
    """What to evaluate.

    Attributes:
        prediction, reference: Cohort folders.
        settings: How to compare.
        split: Evaluate the patients of this split only; None for all.
        trained_on: Cohorts that the models were trained on, by model name; patients of their
            training and validation splits are refused.
        title: Of the report.
        figures: Draw the figures.
        external: The patients are an external cohort: Figure 6 in place of 4, and a column of
            their own in Tables 2 and 3 beside the cohorts of ``trained_on``.
        form: How the predictions lie on disk; None finds out.
    """

    prediction: Path = option(
        "Cohort folder of predicted masks; findings.json gives scores.", "--predictions"
    )
    reference: Path = option("Cohort folder of the reference masks.", "--reference")
    settings: EvaluationSettings = group(
        EvaluationSettings,
        "rule",
        "smallest_iou",
        "connectivity",
        "instances",
        "bootstrap_samples",
        "seed",
        "in_silico",
    )
    split: str | None = option("Only this split: train, validation or test.", default=None)
    trained_on: Mapping[str, Path] | None = option(
        "MODEL=COHORT: training cohort of a model (bones or lesions); patients that it "
        "saw are refused. May be repeated.",
        "--trained-on",
        default=None,
        parse=named_folders,
    )
    title: str = option("Of the report.", default="Evaluation")
    figures: bool = option("Draw the figures.", default=True)
    external: bool = option(
        "The patients are an external cohort: Figure 6 in place of 4, and a column of "
        "their own in Tables 2 and 3 beside the cohorts of --trained-on.",
        "--external",
        default=False,
    )
    form: PredictionForm | None = option(
        "How the predictions lie on disk. [default: found out]", default=None
    )


@dataclass(frozen=True)
class AgreementRequest(Request):
    """Whose masks to compare.

    Attributes:
        observers: Cohort folder by observer and session, such as ``A1.2``.
        model: Cohort folder of a model's masks; None without.
        settings: How lesions are told apart and matched.
    """

    observers: Mapping[str, Path] = option(
        "NAME=FOLDER: lesion masks of one observer and session, such as A1.1=FOLDER; "
        "'A1.2' is the second session of A1. Repeat for each.",
        "--observer",
        parse=named_folders,
    )
    model: Path | None = option("Predicted masks, to be placed among the readers.", default=None)
    settings: EvaluationSettings = group(
        EvaluationSettings,
        "rule",
        "smallest_iou",
        "connectivity",
        "bootstrap_samples",
        "seed",
        "in_silico",
    )
