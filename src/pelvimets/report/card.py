"""The model card of a bundle, made from what the bundle's description holds.

Training, calibration and tests each add their own facts to the description; the card is
made anew from all of them, so that no figure in it is typed by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from pelvimets.labels import Bone, LearnedFrom
from pelvimets.labels import Sequence as MrSequence
from pelvimets.report.card_calibration import WIDTH, Facts, calibration_section, table

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
        *calibration_section(description.get("calibration")),
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
    lines = ["", "## Training", "", *table(head, rows), ""]
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
            *table(("", *_titles()), _bone_rows(test)),
            "",
            *table(("", *_titles()), _lesion_rows(test)),
            "",
            *wrap(_RULES.format(iou=test.get("smallest_iou", 0.1)), WIDTH),
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
        *table(("", *_titles()), rows),
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
    return ["", "Reliability of the patient score (`reliability.svg`):", "", *table(head, rows)]


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
