"""The part of a model card that says how its numbers are read: the calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from pelvimets.labels import Sequence as MrSequence

Facts = Mapping[str, Any]
WIDTH = 96


def made_by(commands: Sequence[str] | str | None) -> list[str]:
    """How digital cohorts were made; older bundles hold one command, without its folder."""
    if not commands:
        return []
    each = [f"{commands} -o COHORT"] if isinstance(commands, str) else commands
    return [*(f"    {command}" for command in each), ""]


def calibration_section(record: Facts | None) -> list[str]:
    """Lines on the cohort, what was chosen on it, and what that gained."""
    if record is None:
        return ["", "Scores are the networks' own and not calibrated."]
    return [
        "",
        "## Calibration",
        "",
        *wrap(
            f"On {record['patients']} patients of the validation cohort `{record['cohort']}`, by "
            f"tenfold cross-validation over patients{_read_by(record)}. A logistic regression "
            f"weighs the network's score, {_weighed(record['sequences'])}. ECE is the expected "
            "calibration error in ten bins.",
            WIDTH,
        ),
        "",
        *made_by(record.get("made_by")),
        *_calibrated_table(record["sequences"]),
        *_joining(record.get("joining")),
        *_bones_together(record.get("bones")),
        "",
        "Average precision over the candidates, as each kind of evidence is added:",
        "",
        *_gains(record["sequences"]),
        "",
        "DSC of lesion voxels by threshold:",
        "",
        *(
            f"- {MrSequence(name).title}: {_thresholds(own)}"
            for name, own in record["sequences"].items()
        ),
        "",
        f"Lesions are listed from a score of {record['smallest_score']:g}, and raise the "
        f"suspicion of M1b from {record['operating_point']:g}.",
        *_weak(record),
        *_unweighed(record.get("unweighed")),
    ]


def _calibrated_table(sequences: Facts) -> list[str]:
    head = (
        "sequence",
        "metastases",
        "candidates that are right",
        "recall",
        "precision",
        "ECE of the network's lesion score",
        "ECE of the lesion score",
        "ECE of the patient score",
    )
    rows = [
        (
            MrSequence(name).title,
            str(own["metastases"]),
            f"{own['right']} of {own['candidates']}",
            _with_interval(own, "recall"),
            _with_interval(own, "precision"),
            f"{own['lesion_ece_network']:.3f}",
            f"{own['lesion_ece']:.3f}",
            "-" if own["patient_ece"] is None else f"{own['patient_ece']:.3f}",
        )
        for name, own in sequences.items()
    ]
    return table(head, rows)


def _with_interval(own: Facts, name: str) -> str:
    """A rate with its interval over persons, which earlier versions did not keep."""
    interval = own.get(f"{name}_interval")
    rate = f"{own[name]:.3f}"
    return rate if interval is None else f"{rate} ({interval[0]:.2f} to {interval[1]:.2f})"


def _read_by(record: Facts) -> str:
    words = ", each read by the networks of the fold that did not learn from that patient"
    return words if record.get("out_of_fold") else ""


def _weighed(sequences: Facts) -> str:
    """What is weighed beside the score; place in bone and shape not yet in earlier versions."""
    words = ["the size", "the same place on the other sequence", "the ADC"]
    for gain, word in (
        ("with its place in bone", "how far the candidate lies in bone"),
        ("with its shape", "how flat it is"),
    ):
        if all(gain in own["gains"] for own in sequences.values()):
            words.append(word)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _joining(joining: Facts | None) -> list[str]:
    """What the other sequence's network gains in each voxel."""
    if joining is None:
        return []
    rows = [
        (MrSequence(name).title, *(_found(joining[way][name]) for way in ("apart", "together")))
        for name in joining["apart"]
        if name in joining["together"]
    ]
    head = ("sequence", "each sequence by itself", "both together")
    chosen = "joined" if joining["joined"] else "not joined, since F1 did not gain"
    return [
        "",
        "Recall; precision where masks are drawn from one network's probability or from both:",
        "",
        *table(head, rows),
        "",
        f"In this bundle they are {chosen}.",
    ]


def _bones_together(bones: Facts | None) -> list[str]:
    """What the other sequence's bone network gains."""
    if bones is None:
        return []
    rows = [
        (
            MrSequence(name).title,
            f"{own['alone']:.3f}",
            f"{own['together']:.3f}",
            f"{own['share']:.0%}" if own["share"] else "none: read by itself",
        )
        for name, own in bones["sequences"].items()
    ]
    head = ("sequence", "DSC by itself", "DSC in this bundle", "share of the other sequence")
    return [
        "",
        *wrap(
            f"Bones, mean DSC on {bones['patients']} of the patients, on whom the share was "
            "chosen. The other sequence's probabilities are laid where both agree best, and left "
            "out where they do not show the same bones:",
            WIDTH,
        ),
        "",
        *table(head, rows),
    ]


def _found(sums: Sequence[int]) -> str:
    found, listed, metastases = sums
    return f"{found / max(metastases, 1):.3f}; {found / max(listed, 1):.3f}"


def _weak(record: Facts) -> list[str]:
    weak = [MrSequence(name).title for name in record["weak_sequences"]]
    if not weak:
        return []
    return [f"F1 on {' and '.join(weak)} stays below 0.5: lesions seen there alone decide nothing."]


def _unweighed(sequences: Facts | None) -> list[str]:
    """Sequences with too few candidates, which earlier versions refused."""
    return [
        f"On {MrSequence(name).title} there were too few candidates to weigh the evidence "
        f"({own['right']} right, {own['false']} false): scores there are the network's own."
        for name, own in (sequences or {}).items()
    ]


def _thresholds(own: Facts) -> str:
    points = ", ".join(f"{t}: {d:.3f}" for t, d in own["dice_by_threshold"].items())
    grown = "" if own.get("grow_to") is None else f" grown to {own['grow_to']:g}"
    return f"{points}; {own['threshold']:g}{grown} was chosen by F1"


def _gains(sequences: Facts) -> list[str]:
    steps = list(next(iter(sequences.values()))["gains"])
    rows = [
        (MrSequence(name).title, *(f"{own['gains'][step]:.3f}" for step in steps))
        for name, own in sequences.items()
    ]
    return table(("sequence", *steps), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    return [
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
