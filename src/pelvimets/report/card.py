"""The model card of a bundle, made from what the bundle's description holds.

Training, calibration and tests each add their own facts to the description; the card is
made anew from all of them, so that no figure in it is typed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from pelvimets.labels import Bone, LearnedFrom
from pelvimets.labels import Sequence as MrSequence

Facts = Mapping[str, Any]
_WIDTH = 96
_RULE_TITLES = {"any-overlap": "any overlap", "one-to-one": "one to one"}
_RULES = (
    "Any overlap is the paper's rule: a lesion is found if one voxel of it is predicted, and a "
    "prediction is false if it touches none. One to one, a pair needs an IoU of at least {iou:g}, "
    "and further fragments are false; scores and false lesions below follow this rule. Intervals "
    "are of 95 %."
)


def model_card(description: Facts) -> str:
    """Markdown: use, training, calibration, tests, limits, data and licence.

    Args:
        description: ``bundle.json`` as plain data; ``runs``, ``calibration``, ``tests`` and
            ``notes`` may be missing.
    """
    lines = [
        f"# {description['name']} {description['version']}",
        "",
        "Two 3D U-Nets that read pelvic MRI of men with prostate cancer: eight bony structures,",
        "then metastases inside them, on DWI (b 800-1000) and T1 in phase. Research use only.",
        "",
        LearnedFrom(description.get("learned_from", LearnedFrom.UNKNOWN)).words,
        *_training(description.get("runs", {})),
        *_calibration(description.get("calibration")),
        *_tests(description.get("tests", [])),
        *_limits(description),
        *_origin(),
    ]
    return "\n".join(lines) + "\n"


def _training(runs: Facts) -> list[str]:
    if not runs:
        return []
    rows = [
        (
            name,
            ", ".join(str(c) for c in run["channels"]),
            run["grid"],
            run["data"],
            str(run["samples"]) if run.get("samples") else "-",
            str(run["steps"]),
            f"{run['minutes']:.0f}",
        )
        for name, run in runs.items()
    ]
    head = ("network", "channels", "grid (z, y, x)", "data", "samples", "steps", "minutes")
    lines = ["", "## Training", "", *_table(head, rows), ""]
    lines += [
        f"The network {name} also sees, where a study has them: {', '.join(run['inputs'])}.\n"
        for name, run in runs.items()
        if run.get("inputs")
    ]
    lines += ["Mean DSC on the validation images by step, at the grid of the stage:", ""]
    for name, run in runs.items():
        points = ", ".join(f"{step}: {score:.3f}" for step, score in run["curve"])
        lines.append(f"- {name}: {points or 'none'}")
    return lines


def _made_by(commands: Sequence[str] | str | None) -> list[str]:
    """How digital cohorts were made; older bundles hold one command, without its folder."""
    if not commands:
        return []
    each = [f"{commands} -o COHORT"] if isinstance(commands, str) else commands
    return [*(f"    {command}" for command in each), ""]


def _calibration(record: Facts | None) -> list[str]:
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
            _WIDTH,
        ),
        "",
        *_made_by(record.get("made_by")),
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
    return _table(head, rows)


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
        *_table(head, rows),
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
            _WIDTH,
        ),
        "",
        *_table(head, rows),
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
    return _table(("sequence", *steps), rows)


def _tests(tests: Sequence[Facts]) -> list[str]:
    lines: list[str] = []
    for test in tests:
        silico = " (in silico)" if test["in_silico"] else ""
        lines += [
            "",
            f"## Test on {test['name']}{silico}",
            "",
            f"{test['patients']} patients, {test['m1']} with metastases. The commands:",
            "",
            *(f"    {command}" for command in test["commands"]),
            "",
            *_table(("", *_titles()), _bone_rows(test)),
            "",
            *_table(("", *_titles()), _lesion_rows(test)),
            "",
            *wrap(_RULES.format(iou=test.get("smallest_iou", 0.1)), _WIDTH),
            *_mimic_lines(test),
            *_reliability_lines(test),
        ]
    return lines


def _titles() -> list[str]:
    return [sequence.title for sequence in MrSequence]


def _bone_rows(test: Facts) -> list[tuple[str, ...]]:
    rows = []
    for bone in Bone:
        own = [test["voxel"].get(s.value, {}).get(bone.key) for s in MrSequence]
        rows.append((f"{bone.title}, DSC; HD", *(_dsc_hd(v) for v in own)))
    means = [test["voxel"].get(s.value, {}).get("mean") for s in MrSequence]
    rows.append(("mean of the eight bones, DSC; HD", *(_dsc_hd(v) for v in means)))
    return rows


def _dsc_hd(value: Facts | None) -> str:
    if value is None or value["dsc"] is None:
        return "-"
    return f"{value['dsc']:.3f}; {value['hd_mm']:.1f} mm"


def _lesion_rows(test: Facts) -> list[tuple[str, ...]]:
    own = [test["lesions"].get(s.value) for s in MrSequence]
    cells: dict[str, list[str]] = {}
    for rule, title in _RULE_TITLES.items():
        found = [_under(o, rule) for o in own]
        if any(found):
            cells[f"lesions, recall, {title}"] = [_rate(o, "recall") for o in found]
            cells[f"lesions, precision, {title}"] = [_rate(o, "precision") for o in found]
            cells[f"false lesions per M0 patient, {title}"] = [
                _number(o, "false_per_m0") for o in found
            ]
    cells |= {
        "lesions, average precision, one to one": [_number(o, "average_precision") for o in own],
        "lesion masks, DSC (patients with lesions)": [_number(o, "dsc") for o in own],
        "lesion scores, ECE": [_number(o, "ece") for o in own],
        "patients, AUC of scores": [_interval(o, "auc") for o in own],
        "patients, sensitivity": [_rate(o, "sensitivity") for o in own],
        "patients, specificity": [_rate(o, "specificity") for o in own],
        "patient scores, ECE": [_number(o, "patient_ece") for o in own],
    }
    rows = [(name, *values) for name, values in cells.items()]
    either = test["lesions"].get("either")
    if either:
        title = "either sequence: AUC, sensitivity, specificity"
        text = f"{_interval(either, 'auc')}; {_rate(either, 'sensitivity')}; "
        rows.append((title, text + _rate(either, "specificity"), ""))
    return rows


def _under(own: Facts | None, rule: str) -> Facts | None:
    """Figures under a rule; tests of earlier versions hold those of one to one alone."""
    if own is None:
        return None
    known: Facts = own.get("by_rule") or {"one-to-one": own}
    return known.get(rule)


def _rate(own: Facts | None, name: str) -> str:
    value = own.get(name) if own else None
    return "-" if value is None else f"{value[0]:.3f} ({value[1]} of {value[2]})"


def _number(own: Facts | None, name: str) -> str:
    value = own.get(name) if own else None
    return "-" if value is None else f"{value:.3f}"


def _interval(own: Facts | None, name: str) -> str:
    """A figure with its interval; a separation without a fault has none."""
    value = own.get(name) if own else None
    if value is None:
        return "-"
    rate, low, high = value
    return f"{rate:.3f}" if low is None else f"{rate:.3f} ({low:.3f} to {high:.3f})"


def _mimic_lines(test: Facts) -> list[str]:
    kinds = sorted({k for own in test["lesions"].values() for k in own.get("false_by_mimic", {})})
    if not kinds:
        return []
    rows = [
        (
            kind.replace("_", " "),
            *(
                str(test["lesions"].get(s.value, {}).get("false_by_mimic", {}).get(kind, 0))
                for s in MrSequence
            ),
        )
        for kind in kinds
    ]
    return [
        "",
        "False lesions (one to one) by what they lie on:",
        "",
        *_table(("", *_titles()), rows),
    ]


def _reliability_lines(test: Facts) -> list[str]:
    bins = test["lesions"].get("either", {}).get("reliability")
    if not bins:
        return []
    rows = [
        (
            f"{b['mean_score']:.2f}",
            f"{b['observed']:.2f} ({b['low']:.2f}-{b['high']:.2f})",
            str(b["n"]),
        )
        for b in bins
    ]
    head = ("mean score", "share with metastases", "patients")
    return ["", "Reliability of the patient score (`reliability.svg`):", "", *_table(head, rows)]


def _limits(description: Facts) -> list[str]:
    own = description.get("notes", [])
    return [
        "",
        "## Limits",
        "",
        "- Figures on digital patients do not say how the networks do on patients.",
        "- Few anatomies stand behind all digital patients, each with borrowed or built parts.",
        "- Patients with implants, fractures or operated bones were not simulated.",
        *(f"- {note}" for note in own),
    ]


def _origin() -> list[str]:
    return [
        "",
        "## Data and licence",
        "",
        "Digital patients are drawn from two public anatomies, both under Apache-2.0: bone",
        "surfaces of MyoSuite `MyoHub/myo_sim`, and the CT example of",
        "`wasserth/TotalSegmentator`. The weights are under Apache-2.0 (`LICENSE`).",
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
