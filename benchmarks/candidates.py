"""Candidates that grow to a lower probability: what is found, what is in pieces.

    pelvimets phantom cohort --like external --patients 20 --seed 97014 -o COHORT
    python -m benchmarks.candidates COHORT --bundle first

The bundle's networks read each patient once (kept in ``COHORT.candidates``). Each line is one way
to draw candidates, weighed as the bundle does and cut at its smallest score. *Pieces* are false
lesions (one to one) that touch a metastasis. The last table fits weights on this cohort
(tenfold cross-validation over patients) without and with growth and place in bone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from pelvimets.calibration.candidates import FoundPatient, candidate_cases
from pelvimets.calibration.fitting import fit_reading
from pelvimets.config import LesionSettings
from pelvimets.core.evidence import weigh_lesions
from pelvimets.core.progress import silent
from pelvimets.core.segmentation import gather_candidates
from pelvimets.evaluation.measures.case import SequenceMasks, measure_case
from pelvimets.evaluation.readings import Reading, tally_lesions
from pelvimets.evaluation.settings import EvaluationSettings, MatchRule
from pelvimets.io.cohort.folder import read_cohort
from pelvimets.labels import Sequence
from pelvimets.model.bundle import bundle_folder, load_segmenter
from pelvimets.model_development.calibrate import FoundPatients

GROWN = (None, 0.35, 0.2, 0.1)


@dataclass
class Sums:
    """Of one sequence over the patients."""

    metastases: int = 0
    found: int = 0
    false: int = 0
    found_strictly: int = 0
    false_strictly: int = 0
    pieces: int = 0
    both: int = 0
    drawn: int = 0
    true: int = 0

    def cells(self) -> list[str]:
        loose = _rates(self.found, self.false, self.metastases)
        strict = _rates(self.found_strictly, self.false_strictly, self.metastases)
        dice = 2 * self.both / max(self.drawn + self.true, 1)
        return [loose, strict, str(self.pieces), f"{dice:.3f}"]


def _rates(found: int, false: int, metastases: int) -> str:
    recall, precision = found / max(metastases, 1), found / max(found + false, 1)
    return f"{recall:.3f}; {precision:.3f} ({found}/{metastases}, {found}/{found + false})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--bundle", type=Path, default=Path("first"))
    options = parser.parse_args()
    segmenter = load_segmenter(bundle_folder(options.bundle))
    work = options.cohort.with_name(f"{options.cohort.name}.candidates")
    patients = read_cohort(options.cohort).patients
    found = FoundPatients(patients, segmenter, work / segmenter.weights_sha256[:16], silent)
    settings = segmenter.settings.lesions
    print("| sequence | grown to | recall; precision, any overlap | one to one | pieces | DSC |")
    print("|---|---|---|---|---|---|")
    for low in GROWN:
        sums = {s: Sums() for s in Sequence}
        for patient in found:
            _add(patient, _growing(settings, low), sums)
        for sequence, own in sums.items():
            cells = [sequence.title, "-" if low is None else f"{low:g}", *own.cells()]
            print(f"| {' | '.join(cells)} |", flush=True)
    _fitted(found, settings)


def _growing(settings: LesionSettings, low: float | None) -> LesionSettings:
    own = {s: settings.of(s) for s in Sequence}
    grown = {
        s: replace(one, evidence=one.evidence and replace(one.evidence, grow_to=low))
        for s, one in own.items()
    }
    return replace(settings, grow_to=low).with_sequences(grown)


def _add(patient: FoundPatient, settings: LesionSettings, sums: dict[Sequence, Sums]) -> None:
    gathered = gather_candidates(patient.sequences, settings)
    listed = weigh_lesions(gathered, patient.adc, settings)
    masks = {
        s: SequenceMasks(reference_lesions=one.truth, prediction_lesions=listed[s])
        for s, one in patient.sequences.items()
    }
    evaluation = EvaluationSettings()
    case = measure_case(patient.key, masks, {}, evaluation)
    for sequence, own in sums.items():
        reading = Reading(sequence.value)
        loose = tally_lesions(case, reading, evaluation, MatchRule.ANY_OVERLAP)
        strict = tally_lesions(case, reading, evaluation, MatchRule.ONE_TO_ONE)
        if loose is None or strict is None:
            continue
        real, drawn = patient.sequences[sequence].truth.array > 0, listed[sequence].array > 0
        added = Sums(
            len(loose.reference),
            loose.n_found,
            len(loose.false),
            strict.n_found,
            len(strict.false),
            sum(item.touches_lesion for item in strict.false),
            int(np.count_nonzero(real & drawn)),
            int(np.count_nonzero(drawn)),
            int(np.count_nonzero(real)),
        )
        for field in fields(Sums):
            setattr(own, field.name, getattr(own, field.name) + getattr(added, field.name))


def _fitted(found: Iterable[FoundPatient], settings: LesionSettings) -> None:
    """Weights fitted here: ways to draw without growth alone, and all."""
    cases = candidate_cases(found, settings)
    fits = {
        "no growth": {way: own for way, own in cases.items() if way.grow_to is None},
        "with growth": cases,
    }
    print("\n| fitted here | sequence | drawn at | found, listed, metastases | average precision |")
    print("|---|---|---|---|---|")
    for name, chosen in fits.items():
        record = fit_reading(chosen, settings).record
        for sequence, own in record["sequences"].items():
            drawn = f"{own['threshold']:g}, grown to {own['grow_to']}"
            counts = f"{own['found']}, {own['listed']}, {own['metastases']}"
            gains = ", ".join(f"{key} {value:.3f}" for key, value in own["gains"].items())
            print(f"| {name} | {sequence} | {drawn} | {counts} | {gains} |", flush=True)


if __name__ == "__main__":
    main()
