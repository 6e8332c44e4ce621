"""Figures of an evaluation into a bundle's model card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pelvimets.config import settings_to_dict
from pelvimets.errors import CohortError, InputError
from pelvimets.evaluation.report.card_facts import evaluation_facts
from pelvimets.io.phantom.record import phantom_command
from pelvimets.io.record.bundle import RELIABILITY_NAME, read_description, rewrite_bundle
from pelvimets.io.record.results import read_figure, read_results
from pelvimets.io.record.run_record import read_run_record
from pelvimets.model.bundle import load_segmenter
from pelvimets.report.card import model_card


@dataclass(frozen=True)
class EvaluationFolders:
    """Result of ``evaluate``, the predictions it read, and the reference cohort."""

    evaluation: Path
    predictions: Path
    reference: Path


def add_test(bundle: Path, folders: EvaluationFolders, name: str) -> None:
    """Add a test to a bundle's description, replacing one of the same name; remake the card.

    Raises:
        InputError: if the predictions were not made by this bundle as it stands.
        CohortError: if a patient of the test also served to calibrate.
    """
    description = read_description(bundle)
    results = read_results(folders.evaluation)
    patients = [fact["patient"] for fact in results["patients"]]
    _check_predictions(bundle, folders.predictions, patients)
    if description.get("calibration", {}).get("cohort") == folders.reference.name:
        raise CohortError(
            "The bundle was calibrated on a cohort of this name",
            got=folders.reference.name,
            remedy="Test on patients that served for nothing else",
        )
    test = evaluation_facts(results, name, commands(folders))
    kept = [other for other in description.get("tests", []) if other["name"] != name]
    description["tests"] = [*kept, test]
    picture = read_figure(folders.evaluation / "figures", "calibration")
    pictures = {RELIABILITY_NAME: picture} if picture is not None else {}
    card = model_card(description)
    rewrite_bundle(bundle, bundle, description, card, pictures, overwrite=True)


def _check_predictions(bundle: Path, predictions: Path, patients: list[str]) -> None:
    segmenter = load_segmenter(bundle)
    wanted = json.loads(json.dumps(settings_to_dict(segmenter.settings)))
    for patient in patients:
        record = read_run_record(predictions / patient)
        same = record["bundle"]["weights_sha256"] == segmenter.weights_sha256
        if not same or record["settings"] != wanted:
            raise InputError(
                "The predictions were not made by this bundle as it stands",
                got=f"patient {patient}: {record['bundle']['name']}",
                remedy="Run 'pelvimets predict' with --bundle and evaluate again",
            )


def commands(folders: EvaluationFolders) -> list[str]:
    """The commands that give the figures again; the first one only for digital patients."""
    made = phantom_command(folders.reference)
    return [
        *([f"{made} -o REFERENCE"] if made else []),
        "pelvimets predict REFERENCE -o PREDICTIONS --bundle BUNDLE",
        "pelvimets evaluate --predictions PREDICTIONS --reference REFERENCE -o EVALUATION",
    ]
