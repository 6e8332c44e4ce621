"""The frozen benchmark: make its cohorts, score a submission, write the leaderboard."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pelvimets import __version__
from pelvimets.app.evaluate import measure_cohort
from pelvimets.app.phantom import make_cohort
from pelvimets.core.progress import Progress, silent
from pelvimets.errors import CohortError, InputError
from pelvimets.evaluation.extra import check_study_extra
from pelvimets.evaluation.report.card_facts import evaluation_facts
from pelvimets.evaluation.report.plain import NOTICE_IN_SILICO, results_to_dict
from pelvimets.evaluation.results import summarise_cohort
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.tables.leaderboard import leaderboard
from pelvimets.io.cohort.folder import TABLE_NAME, read_patients
from pelvimets.io.exchange.benchmark import check_version, link, open_benchmark, read_results
from pelvimets.io.exchange.submission import (
    case_name,
    read_method,
    stage_reference,
    stage_submission,
)
from pelvimets.io.phantom.fingerprints import compare_patient
from pelvimets.io.record.output import write_text
from pelvimets.io.record.results import CaseStore
from pelvimets.labels import Sequence
from pelvimets.phantom.cohort.benchmark import (
    IMAGES,
    MASKS,
    SCHEMA,
    Agreement,
    Benchmark,
    BenchmarkPart,
    load_benchmark,
    worst,
)
from pelvimets.requests.evaluate import EvaluationRequest
from pelvimets.requests.phantom import CohortOrder, Examined

INPUTS = "inputs"
_SHOWN = 5


def make_benchmark(
    folder: Path,
    parts: tuple[str, ...] = (),
    *,
    jobs: int = 1,
    progress: Progress = silent,
) -> dict[str, Agreement]:
    """Make parts of the benchmark, or what is missing of them, and hold them against the frozen.

    ``<folder>/<part>`` is a cohort; ``<folder>/inputs/{dwi,t1}`` has all images under the names
    that nnU-Net expects.

    Args:
        folder: Of the benchmark; an interrupted run goes on.
        parts: Names; default those of the leaderboard.
        jobs: Patients at a time.
        progress: Told of the part, patients done, and its patients.

    Returns:
        How each part agrees with the frozen one.

    Raises:
        CohortError: if the folder holds another version or something else.
        SettingsError: if there is no such part.
    """
    benchmark = load_benchmark()
    chosen = benchmark.chosen(parts)
    open_benchmark(folder, benchmark)
    for part in chosen:
        make_part(part, folder, jobs=jobs, progress=progress)
    return {part.name: compare_part(benchmark, part, folder, (*IMAGES, *MASKS)) for part in chosen}


def make_part(
    part: BenchmarkPart, folder: Path, *, jobs: int = 1, progress: Progress = silent
) -> None:
    """Make one part's cohort and its inputs by nnU-Net's names."""
    order = CohortOrder(part.population, part.patients, part.seed, Examined(base=part.settings))

    def made(patient: str, done: int, total: int) -> None:
        progress(part.name, done, total)

    make_cohort(order, folder / part.name, jobs=jobs, progress=made)
    for sequence in Sequence:
        target = folder / INPUTS / sequence.value
        target.mkdir(parents=True, exist_ok=True)
        for patient in read_patients(folder / part.name):
            name = f"{case_name(part.name, patient.key)}_0000.nii.gz"
            link(patient.image_path(sequence), target / name)


def compare_part(
    benchmark: Benchmark, part: BenchmarkPart, folder: Path, names: tuple[str, ...]
) -> Agreement:
    """How a part's volumes agree with the frozen ones.

    Raises:
        CohortError: if its patients are not there, or the part was never frozen.
    """
    frozen = benchmark.fingerprints.get(part.name)
    if frozen is None:
        raise CohortError("This part of the benchmark is not frozen yet", got=part.name)
    missing = [patient for patient in frozen if not (folder / part.name / patient).is_dir()]
    if missing:
        raise CohortError(
            f"Patients of the part {part.name} are missing",
            got=", ".join(missing[:_SHOWN]),
            remedy=f"Make them: pelvimets benchmark make -o {folder} --part {part.name}",
        )
    return worst(
        [
            how
            for patient, own in frozen.items()
            for how in compare_patient(folder / part.name / patient, own, names).values()
        ]
    )


@dataclass(frozen=True)
class ScoreRequest:
    """What to score.

    Attributes:
        benchmark: Folder made by ``make_benchmark``.
        submission: Masks and scores, see ``io.exchange.submission``.
        parts: Names; default all that the folder has of the leaderboard's.
        jobs: Patients at a time.
    """

    benchmark: Path
    submission: Path
    parts: tuple[str, ...] = ()
    jobs: int = 1


def score(request: ScoreRequest, progress: Progress = silent) -> dict[str, Any]:
    """Score a submission; the result follows ``benchmark.schema.json``.

    Raises:
        CohortError: if the cohort is not the frozen one.
        InputError: if a mask is missing, unreadable or on another grid.
    """
    check_study_extra()
    benchmark = load_benchmark()
    check_version(request.benchmark, benchmark)
    method = read_method(request.submission)
    chosen = _present(benchmark, request)
    cohort = {}
    for part in chosen:
        agreed = compare_part(benchmark, part, request.benchmark, MASKS)
        if agreed is Agreement.DIFFERENT:
            raise CohortError(
                f"The truth of the part {part.name} is not that of the frozen benchmark",
                got=request.benchmark,
                remedy="Delete that part and make it again with this version of pelvimets",
            )
        cohort[part.name] = agreed.value
    return {
        "schema": SCHEMA,
        "benchmark": benchmark.version,
        "pelvimets": __version__,
        "notice": NOTICE_IN_SILICO,
        "method": method.as_data(),
        "cohort": cohort,
        "parts": {part.name: _score_part(part, request, progress) for part in chosen},
    }


def _present(benchmark: Benchmark, request: ScoreRequest) -> tuple[BenchmarkPart, ...]:
    chosen = benchmark.chosen(request.parts)
    there = tuple(p for p in chosen if (request.benchmark / p.name / TABLE_NAME).is_file())
    if not there or (request.parts and len(there) < len(chosen)):
        names = ", ".join(p.name for p in chosen if p not in there)
        raise CohortError(
            "Parts of the benchmark are not made yet",
            got=names,
            remedy=f"Make them: pelvimets benchmark make -o {request.benchmark}",
        )
    return there


def _score_part(part: BenchmarkPart, request: ScoreRequest, progress: Progress) -> dict[str, Any]:
    cohort = request.benchmark / part.name
    patients = [patient.key for patient in read_patients(cohort)]
    with tempfile.TemporaryDirectory(prefix="pelvimets-benchmark-") as name:
        work = Path(name)
        prediction, reference = work / "prediction", work / "reference"
        prediction.mkdir()
        reference.mkdir()
        stage_submission(request.submission, part.name, patients, prediction)
        stage_reference(cohort, patients, prediction, reference)
        return _measured(part, EvaluationRequest(prediction, reference), work, request, progress)


def _measured(
    part: BenchmarkPart,
    evaluation: EvaluationRequest,
    work: Path,
    request: ScoreRequest,
    progress: Progress,
) -> dict[str, Any]:
    settings = EvaluationSettings(in_silico=True)
    measured = measure_cohort(
        evaluation,
        CaseStore(work / "cases"),
        jobs=request.jobs,
        progress=lambda patient, done, total: progress(part.name, done, total),
    )
    faults = [f"{case.patient}: {text}" for case in measured.cases for text in case.problems]
    if faults:
        raise InputError(
            f"Masks or scores of the part {part.name} cannot be scored",
            got=" ".join(faults[:_SHOWN]),
        )
    results = summarise_cohort(measured.cases, measured.facts, settings)
    facts = evaluation_facts(results_to_dict(results, __version__), part.name, [])
    kept = ("patients", "m1", "smallest_iou", "voxel", "lesions")
    return {name: facts[name] for name in kept}


def write_leaderboard(folders: Iterable[Path], out: Path) -> int:
    """Write the page from result files; returns how many methods it shows.

    Args:
        folders: Result files, or folders of them.
        out: Markdown file.

    Raises:
        InputError: if a file is no result of this version, or two have one name.
    """
    results = read_results(folders)
    write_text(out, leaderboard_page(results))
    return len(results)


def leaderboard_page(results: list[dict[str, Any]]) -> str:
    """The page of the leaderboard."""
    benchmark = load_benchmark()
    parts = {part.name: part.about for part in benchmark.chosen(())}
    return leaderboard(results, parts, benchmark.version)
