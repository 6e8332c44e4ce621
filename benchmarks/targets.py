"""Targets of the shipped networks beside what was reached on the frozen benchmark.

    python -m benchmarks.targets docs/leaderboard/first-0.5.json [--part people]

Prints Markdown from the result file of ``pelvimets benchmark score``. The targets for single bones
are the paper's own figures (Table 4, on patients); the others were set before training: lesions by
the paper's rule (any overlap), the strict rule (one to one by IoU) beside it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pelvimets.labels import Bone, Sequence
from studies.liu2021.facts import paper_facts

ANY, ONE = "any-overlap", "one-to-one"
BONE_TARGETS = {"seeds": (0.88, 0.92), "people": (0.80, 0.82)}
AUC_TARGET = 0.96
# title, fact, rule, targets of DWI and T1, direction; no rule: not a matter of matching
LESION_TARGETS: tuple[tuple[str, str, str | None, tuple[float | None, float | None], str], ...] = (
    ("lesions, recall, any overlap", "recall", ANY, (0.92, 0.89), ">"),
    ("lesions, precision, any overlap", "precision", ANY, (0.88, 0.87), ">"),
    ("lesions, recall, one to one", "recall", ONE, (None, None), ">"),
    ("lesions, precision, one to one", "precision", ONE, (None, None), ">"),
    ("lesion masks, DSC", "dsc", None, (0.75, 0.75), ">"),
    ("false lesions per M0 patient, any overlap", "false_per_m0", ANY, (0.2, 0.2), "<"),
    ("false lesions per M0 patient, one to one", "false_per_m0", ONE, (None, None), "<"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path, help="of 'pelvimets benchmark score'")
    parser.add_argument("--part", default="people", help="of the benchmark")
    arguments = parser.parse_args()
    parts = json.loads(arguments.result.read_text())["parts"]
    if arguments.part not in parts:
        parser.error(f"{arguments.result.name} has no such part; it has {', '.join(parts)}")
    facts = parts[arguments.part]
    print("| what | target, DWI | reached | target, T1 | reached |\n|---|---|---|---|---|")
    own = [mean_row(facts, arguments.part), *bone_rows(facts), *lesion_rows(facts), auc_row(facts)]
    for cells in own:
        print(f"| {' | '.join(cells)} |")


def mean_row(facts: dict[str, Any], part: str) -> list[str]:
    """Bones, mean DSC."""
    row = ["bones, mean DSC"]
    for sequence, target in zip(Sequence, BONE_TARGETS.get(part, (None, None)), strict=True):
        found = facts["voxel"][sequence.value]["mean"]["dsc"]
        row += [goal(target, ">"), text(found, above=target, sign=">")]
    return row


def auc_row(facts: dict[str, Any]) -> list[str]:
    """Patients by the higher score of both sequences."""
    found = facts["lesions"]["either"]["auc"][0]
    reached = text(found, above=AUC_TARGET, sign=">")
    return ["patients, AUC, either sequence", goal(AUC_TARGET, ">"), reached, "", ""]


def bone_rows(facts: dict[str, Any]) -> list[list[str]]:
    paper = paper_facts()
    printed = next(v for v in paper.values() if isinstance(v, dict) and "lumbar_vertebra" in v)
    rows = []
    for measure, sign, title in (("dsc", ">", "DSC"), ("hd_mm", "<", "HD, mm")):
        for bone in Bone:
            row = [f"{bone.title}, {title}"]
            for number, sequence in enumerate(Sequence):
                target = printed[bone.key][measure][number][0]
                own = facts["voxel"][sequence.value].get(bone.key)
                row += [f"{sign} {target}", text(own and own[measure], above=target, sign=sign)]
            rows.append(row)
    return rows


def lesion_rows(facts: dict[str, Any]) -> list[list[str]]:
    rows = []
    for title, name, rule, targets, sign in LESION_TARGETS:
        row = [title]
        for sequence, target in zip(Sequence, targets, strict=True):
            own = facts["lesions"].get(sequence.value, {})
            found = (own.get("by_rule", {}).get(rule, {}) if rule else own).get(name)
            value = found[0] if isinstance(found, list) else found
            row += [goal(target, sign), text(value, above=target, sign=sign)]
        rows.append(row)
    return rows


def goal(target: float | None, sign: str) -> str:
    """The target as a cell."""
    return f"{sign}= {target}" if target is not None else "-"


def text(value: float | None, *, above: float | None, sign: str) -> str:
    """The value, bold where it meets the target."""
    if value is None:
        return "-"
    shown = f"{value:.3f}" if value < 2 else f"{value:.1f}"
    met = above is not None and (value >= above if sign == ">" else value <= above)
    return f"**{shown}**" if met else shown


if __name__ == "__main__":
    main()
