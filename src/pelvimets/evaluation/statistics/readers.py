"""Agreement of several readers' lesion masks, and a model's place among them."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.evaluation.measures.lesions import (
    SequenceLesions,
    describe_lesions,
    find_overlaps,
    match_lesions,
    number_lesions,
)
from pelvimets.evaluation.measures.masks import BoolArray
from pelvimets.evaluation.measures.overlap import dice
from pelvimets.evaluation.measures.voxel import Summary, summarise
from pelvimets.evaluation.settings import EvaluationSettings
from pelvimets.evaluation.statistics.agreement import kappa, staple
from pelvimets.evaluation.statistics.intervals import (
    Interval,
    mean_replicates,
    percentile_interval,
    ratio_replicates,
    resample_counts,
)
from pelvimets.evaluation.tables.table import Table, mean_sd, number, number_interval, percent
from pelvimets.labels import Sequence

CONSENSUS = "STAPLE consensus"


@dataclass(frozen=True)
class PairCase:
    """Two masks of one patient compared.

    Attributes:
        patient, sequence, first, second: Whose masks.
        dsc: NaN if both are empty.
        shared, first_lesions, second_lesions: Lesions matched, and of either.
    """

    patient: str
    sequence: Sequence
    first: str
    second: str
    dsc: float
    shared: int
    first_lesions: int
    second_lesions: int


@dataclass(frozen=True)
class ReaderCase:
    """STAPLE's estimate of one reader on one patient."""

    patient: str
    sequence: Sequence
    reader: str
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class PatientAgreement:
    """All comparisons of one patient, and the model's against the consensus of the readers."""

    pairs: tuple[PairCase, ...]
    readers: tuple[ReaderCase, ...]
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def compare_readers(
    patient: str,
    sequence: Sequence,
    masks: Mapping[str, Volume],
    settings: EvaluationSettings,
    model: str | None = None,
) -> PatientAgreement:
    """Compare every pair of masks of one patient, and each with the readers' consensus.

    The consensus is made from the readers alone; the model is compared with it, never in it.

    Args:
        patient: Name.
        sequence: Of the masks.
        masks: Lesion masks by reader (and model) on one grid; others are named and left out.
        settings: How lesions are told apart and matched.
        model: Which of the masks is the model's.
    """
    kept, problems = _on_one_grid(patient, sequence, masks)
    arrays = {name: volume.array > 0 for name, volume in kept.items()}
    readers = {name: array for name, array in arrays.items() if name != model}
    pairs = list(combinations(arrays, 2))
    estimates: list[ReaderCase] = []
    if len(readers) >= 2 and (consensus := staple(readers)) is not None:
        arrays[CONSENSUS] = consensus.mask
        pairs += [(CONSENSUS, name) for name in kept]
        estimates = [
            ReaderCase(
                patient, sequence, name, consensus.sensitivity[name], consensus.specificity[name]
            )
            for name in readers
        ]
    geometry = next(iter(kept.values())).geometry if kept else None
    compared = tuple(
        _compare(patient, sequence, (a, b), (arrays[a], arrays[b]), geometry, settings)
        for a, b in pairs
        if geometry is not None
    )
    return PatientAgreement(compared, tuple(estimates), tuple(problems))


def _on_one_grid(
    patient: str, sequence: Sequence, masks: Mapping[str, Volume]
) -> tuple[dict[str, Volume], list[str]]:
    kept: dict[str, Volume] = {}
    problems = []
    for name, volume in masks.items():
        first = next(iter(kept.values()), volume)
        turned = volume.turned_to(first.geometry)
        if turned.geometry.matches(first.geometry):
            kept[name] = turned
        else:
            problems.append(
                f"{patient}, {sequence.title}: the mask of {name} lies on another grid; left out."
            )
    return kept, problems


def _compare(
    patient: str,
    sequence: Sequence,
    names: tuple[str, str],
    arrays: tuple[BoolArray, BoolArray],
    geometry: Geometry,
    settings: EvaluationSettings,
) -> PairCase:
    numbered = [number_lesions(a, settings.connectivity) for a in arrays]
    records = [describe_lesions(n, geometry) for n in numbered]
    lesions = SequenceLesions(records[0], records[1], find_overlaps(numbered[0], numbered[1]))
    matching = match_lesions(lesions, settings.rule, settings.smallest_iou)
    return PairCase(
        patient,
        sequence,
        *names,
        dice(*arrays),
        len(matching.pairs),
        len(records[0]),
        len(records[1]),
    )


def pair_kind(first: str, second: str, model: str | None = None) -> str:
    """What a comparison tells; 'A1.2' is the second session of observer A1.

    >>> pair_kind("A1.1", "A1.2"), pair_kind("A1.1", "A2.1")
    ('intra-observer', 'inter-observer')
    """
    if CONSENSUS in (first, second):
        return "against consensus"
    if model in (first, second):
        return "model"
    return "intra-observer" if _observer(first) == _observer(second) else "inter-observer"


def _observer(name: str) -> str:
    return name.rsplit(".", 1)[0]


@dataclass(frozen=True)
class PairSummary:
    """Agreement of two readers over patients.

    Attributes:
        dsc: Described over patients; both masks empty counts as missing.
        dsc_interval: Bootstrap over patients of the mean.
        lesion_agreement: 2 shared / (lesions of both), with bootstrap interval.
        presence: Cohen's kappa of whether a patient has any lesion.
    """

    sequence: Sequence
    kind: str
    first: str
    second: str
    dsc: Summary
    dsc_interval: Interval
    lesion_agreement: Interval
    presence: Interval


def summarise_pairs(
    cases: Ordered[PairCase], settings: EvaluationSettings, model: str | None = None
) -> tuple[PairSummary, ...]:
    """Describe each pair of readers over all patients."""
    groups: dict[tuple[Sequence, str, str], list[PairCase]] = {}
    for case in cases:
        groups.setdefault((case.sequence, case.first, case.second), []).append(case)
    order = ("inter-observer", "intra-observer", "against consensus", "model")
    found = [_pair_summary(*key, members, settings, model) for key, members in groups.items()]
    return tuple(
        sorted(found, key=lambda s: (list(Sequence).index(s.sequence), order.index(s.kind)))
    )


def _pair_summary(
    sequence: Sequence,
    first: str,
    second: str,
    cases: Ordered[PairCase],
    settings: EvaluationSettings,
    model: str | None,
) -> PairSummary:
    counts = resample_counts(
        np.random.default_rng(settings.seed), len(cases), settings.bootstrap_samples
    )
    level = settings.confidence_level
    values = [case.dsc for case in cases]
    described = summarise(values)
    shared = np.array([2 * case.shared for case in cases])
    total = np.array([case.first_lesions + case.second_lesions for case in cases])
    agreement = float(shared.sum() / total.sum()) if total.sum() else float("nan")
    return PairSummary(
        sequence,
        pair_kind(first, second, model),
        first,
        second,
        described,
        percentile_interval(described.mean, mean_replicates(counts, values), level),
        percentile_interval(agreement, ratio_replicates(counts, shared, total), level),
        kappa(
            [case.first_lesions > 0 for case in cases],
            [case.second_lesions > 0 for case in cases],
            level,
        ),
    )


def agreement_table(summaries: Ordered[PairSummary]) -> Table:
    """Inter- and intra-observer agreement, and the model's place."""
    rows = tuple(
        (
            s.sequence.title,
            s.kind,
            f"{s.first} vs {s.second}",
            str(s.dsc.n),
            mean_sd(s.dsc),
            number_interval(s.dsc_interval),
            number_interval(s.lesion_agreement),
            number_interval(s.presence, 3),
        )
        for s in summaries
    )
    columns = (
        "Sequence", "Kind", "Masks", "Patients", "DSC", "DSC, mean (95 % interval)",
        "Lesion agreement (95 % interval)", "Any lesion, kappa (95 % interval)",
    )  # fmt: skip
    notes = (
        "Mean ± SD over patients; both masks empty gives no DSC and is counted. Lesion agreement: "
        "2 x matched / (lesions of both). Intervals: bootstrap over patients; Cohen's kappa of "
        "whether a patient has any lesion: Fleiss, Cohen and Everitt. The consensus "
        "(STAPLE) is made from the readers without the model.",
    )
    return Table("agreement", "Agreement of the annotations", columns, rows, notes)


def consensus_table(cases: Ordered[ReaderCase]) -> Table:
    """STAPLE's sensitivity and specificity of each reader, mean over patients."""
    groups: dict[tuple[Sequence, str], list[ReaderCase]] = {}
    for case in cases:
        groups.setdefault((case.sequence, case.reader), []).append(case)
    rows = tuple(
        (
            sequence.title,
            reader,
            str(len(members)),
            percent(summarise([m.sensitivity for m in members]).mean),
            number(100 * summarise([m.specificity for m in members]).mean, 2),
        )
        for (sequence, reader), members in groups.items()
    )
    columns = ("Sequence", "Reader", "Patients", "Sensitivity (%)", "Specificity (%)")
    title = "Readers against their consensus (STAPLE, per voxel)"
    return Table("consensus", title, columns, rows)


def model_rank(summaries: Ordered[PairSummary], model: str) -> tuple[str, ...]:
    """Where the model stands among the readers by DSC against the consensus, in words."""
    sentences = []
    for sequence in Sequence:
        against = {
            s.second: s.dsc.mean
            for s in summaries
            if s.sequence is sequence and s.kind == "against consensus"
        }
        if model in against and against[model] == against[model]:
            place = 1 + sum(v > against[model] for n, v in against.items() if n != model)
            sentences.append(
                f"{sequence.title}: the model's DSC against the consensus is "
                f"{against[model]:.2f}, rank {place} of {len(against)} with the readers "
                "(each reader is part of the consensus, the model is not)."
            )
    return tuple(sentences)
