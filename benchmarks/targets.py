"""Targets of the shipped networks beside what an evaluation reached.

    python -m benchmarks.targets EVALUATION

Prints Markdown from ``results.json`` of ``pelvimets evaluate``. The targets for bones are the
paper's own figures (Table 4); those for lesions and patients were set before training, by
the paper's rule (any overlap); the strict rule (one to one by IoU) stands beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean
from typing import Any

from pelvimets.evaluation.report.card_facts import evaluation_facts
from pelvimets.io.record.results import read_results
from pelvimets.labels import Bone, Sequence
from pelvimets.training.phantom_samples import TRAINED_SCANNERS
from studies.liu2021.facts import paper_facts

ANY, ONE = "any-overlap", "one-to-one"
# title, fact, rule, targets of DWI and T1, direction; no rule: not a matter of matching
LESION_TARGETS: tuple[tuple[str, str, str | None, tuple[float | None, float | None], str], ...] = (
    ("lesions, recall, any overlap", "recall", ANY, (0.92, 0.89), ">"),
    ("lesions, precision, any overlap", "precision", ANY, (0.88, 0.87), ">"),
    ("lesions, recall, one to one", "recall", ONE, (None, None), ">"),
    ("lesions, precision, one to one", "precision", ONE, (None, None), ">"),
    ("lesion masks, DSC", "dsc", None, (0.80, 0.80), ">"),
    ("patients, AUC", "auc", None, (0.95, 0.95), ">"),
    ("false lesions per M0 patient, any overlap", "false_per_m0", ANY, (0.2, 0.2), "<"),
    ("false lesions per M0 patient, one to one", "false_per_m0", ONE, (None, None), "<"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("evaluation", type=Path, help="result folder of 'pelvimets evaluate'")
    results = read_results(parser.parse_args().evaluation)
    facts = evaluation_facts(results, "test", [])
    print("| what | target, DWI | reached | target, T1 | reached |\n|---|---|---|---|---|")
    for cells in [*bone_rows(facts), *lesion_rows(facts)]:
        print(f"| {' | '.join(cells)} |")
    print("\n| bones, mean DSC | patients | DWI | T1 |\n|---|---|---|---|")
    for cells in scanner_rows(results):
        print(f"| {' | '.join(cells)} |")


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
            goal = f"{sign}= {target}" if target is not None else "-"
            row += [goal, text(value, above=target, sign=sign)]
        rows.append(row)
    return rows


def scanner_rows(results: dict[str, Any]) -> list[list[str]]:
    """Means over patients and structures, by whether the scanner was trained on."""
    scanner = {row["patient"]: row["scanner"] for row in results["patients"]}
    groups = {
        f"scanners trained on ({', '.join(TRAINED_SCANNERS)})": True,
        "scanners never trained on": False,
    }
    bones = {bone.key for bone in Bone}
    rows = []
    for title, known in groups.items():
        chosen = {p for p, name in scanner.items() if (name in TRAINED_SCANNERS) == known}
        row = [title, str(len(chosen))]
        for sequence in Sequence:
            found = [
                v["dsc"]
                for v in results["voxel"]
                if v["patient"] in chosen
                and v["sequence"] == sequence
                and v["structure"] in bones
                and v["dsc"] is not None
            ]
            row.append(f"{mean(found):.3f}" if found else "-")
        rows.append(row)
    return rows


def text(value: float | None, *, above: float | None, sign: str) -> str:
    """The value, bold where it meets the target."""
    if value is None:
        return "-"
    shown = f"{value:.3f}" if value < 2 else f"{value:.1f}"
    met = above is not None and (value >= above if sign == ">" else value <= above)
    return f"**{shown}**" if met else shown


if __name__ == "__main__":
    main()
