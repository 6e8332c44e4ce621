"""Values of picai_eval, panoptica and pingouin for the tests; neither is a dependency.

python -m venv oracle && oracle/bin/pip install picai_eval==1.4.13 panoptica==2.1.7 pingouin
oracle/bin/python tests/evaluation/data/make_oracles.py
"""

from __future__ import annotations

import contextlib
import io
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from oracle_scenes import SPACING, scenes

RATES = (0.125, 0.25, 0.5, 1.0, 2.0)


def by_picai_eval():
    from picai_eval import evaluate

    maps, truths = [], []
    for reference, prediction, scores in scenes():
        detection = np.zeros(prediction.shape, np.float32)
        for label, score in scores.items():
            detection[prediction == label] = score
        maps.append(detection)
        truths.append((reference > 0).astype(np.uint8))
    found = evaluate(y_det=maps, y_true=truths, num_parallel_calls=1)
    return {
        "auroc": float(found.auroc),
        "average_precision": float(found.AP),
        "sensitivity_at": {str(r): float(found.lesion_TPR_at_FPR(r)) for r in RATES},
        "patients": [
            [name, float(target), float(found.case_pred[name])]
            for name, target in found.case_target.items()
        ],
        "roc": {k: np.asarray(v, float).tolist() for k, v in found.calculate_ROC().items()
                if k in ("FPR", "TPR")},
    }  # fmt: skip


def by_panoptica():
    from panoptica import InputType, NaiveThresholdMatching, Panoptica_Evaluator
    from panoptica.metrics import Metric

    def result(reference, prediction, *metrics):
        evaluator = Panoptica_Evaluator(
            expected_input=InputType.UNMATCHED_INSTANCE,
            instance_matcher=NaiveThresholdMatching(
                matching_metric=Metric.IOU, matching_threshold=0.1
            ),
            instance_metrics=[Metric.DSC, Metric.IOU, *metrics],
            log_times=False,
        )
        with contextlib.redirect_stdout(io.StringIO()):
            return evaluator.evaluate(prediction, reference, verbose=False, voxelspacing=SPACING)[
                "ungrouped"
            ]

    rows = []
    for reference, prediction, _ in scenes():
        found = result(reference, prediction)
        row = {name: int(getattr(found, name)) for name in ("tp", "fp", "fn")}
        if found.tp:
            found = result(reference, prediction, Metric.HD)
            row |= {"dsc": float(found.sq_dsc), "iou": float(found.sq), "hd_mm": float(found.sq_hd)}
        rows.append(row)
    return rows


def by_pingouin():
    import pandas as pd
    import pingouin

    judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    cases, raters = np.indices((6, 4))
    data = pd.DataFrame({"case": cases.ravel(), "rater": raters.ravel(),
                         "value": np.ravel(judges).astype(float)})  # fmt: skip
    found = pingouin.intraclass_corr(data, targets="case", raters="rater", ratings="value")
    column = "CI95" if "CI95" in found else "CI95%"
    return {
        row["Type"]: [float(row["ICC"]), *(float(bound) for bound in row[column])]
        for _, row in found.iterrows()
    }


if __name__ == "__main__":
    made = {
        "versions": {n: version(n) for n in ("picai_eval", "panoptica", "pingouin", "numpy")},
        "picai_eval": by_picai_eval(),
        "panoptica": by_panoptica(),
        "pingouin": by_pingouin(),
    }
    path = Path(__file__).with_name("oracles.json")
    path.write_text(json.dumps(made, indent=1) + "\n")
