"""The leaderboard of the benchmark as Markdown, from one result per method."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from typing import Any

from pelvimets.labels import Sequence

Result = Mapping[str, Any]
"""Content of a result file, ``benchmark.schema.json``."""

_RULES = {"any-overlap": "any overlap", "one-to-one": "one to one"}
_NONE = "-"


def leaderboard(results: Ordered[Result], parts: Mapping[str, str], version: str) -> str:
    """One table per part, best first, and what the methods say of themselves.

    Args:
        results: Of one version of the benchmark.
        parts: Name -> what the part is, in the order of the page.
        version: Of the benchmark.
    """
    lines = [
        "# Leaderboard",
        "",
        f"Version {version} of the benchmark: digital patients, **in silico**. How to make it,",
        "read it and score a method of your own: [benchmark.md](benchmark.md). Made by",
        "",
        "    pelvimets benchmark table docs/leaderboard -o docs/leaderboard.md",
        "",
        "Lesions by two rules: *any overlap*, the paper's (one voxel is enough), and *one to one*",
        "at IoU >= 0.1. Recall; precision, with lesions found of lesions there, and found of found",
        "and false, those of patients without metastases included. The columns to the right are",
        "DWI; T1. Sorted by the mean F1 of both sequences by any overlap.",
    ]
    for name, about in parts.items():
        own = [result for result in results if name in result["parts"]]
        if own:
            lines += ["", f"## {name}: {about}", "", *_part(own, name)]
    return "\n".join([*lines, "", "## Methods", "", *_methods(results)]) + "\n"


def _part(results: Ordered[Result], name: str) -> list[str]:
    facts = results[0]["parts"][name]
    sizes = f"{facts['patients']} patients, {facts['m1']} with metastases."
    ranked = sorted(results, key=lambda result: -_f1(result["parts"][name]))
    rows = [[r["method"]["name"], *_cells(r["parts"][name])] for r in ranked]
    lesions = [f"{sequence.title}, {title}" for sequence in Sequence for title in _RULES.values()]
    head = [
        "method",
        *lesions,
        "lesion masks, DSC",
        "AUC, either",
        "false per M0 patient",
        "bones, DSC",
    ]
    return [sizes, "", *_table(head, rows)]


def _f1(facts: Mapping[str, Any]) -> float:
    """Mean over the sequences by any overlap; a sequence not read counts 0."""
    return sum(_f1_of(facts, sequence) for sequence in Sequence) / len(Sequence)


def _f1_of(facts: Mapping[str, Any], sequence: Sequence) -> float:
    rates = _rates(facts, sequence, "any-overlap")
    recall, precision = (rates.get(name) for name in ("recall", "precision"))
    if not recall or not precision or not recall[0] + precision[0]:
        return 0.0
    return float(2 * recall[0] * precision[0] / (recall[0] + precision[0]))


def _rates(facts: Mapping[str, Any], sequence: Sequence, rule: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = facts["lesions"].get(sequence.value, {}).get("by_rule", {})
    rates: Mapping[str, Any] = found.get(rule, {})
    return rates


def _cells(facts: Mapping[str, Any]) -> list[str]:
    rates = [_pair(_rates(facts, s, rule)) for s in Sequence for rule in _RULES]
    auc = facts["lesions"].get("either", {}).get("auc")
    return [
        *rates,
        _both(facts["lesions"].get(s.value, {}).get("dsc") for s in Sequence),
        _NONE if auc is None else f"{auc[0]:.3f}",
        _both(_rates(facts, s, "any-overlap").get("false_per_m0") for s in Sequence),
        _both((facts["voxel"].get(s.value) or {}).get("mean", {}).get("dsc") for s in Sequence),
    ]


def _pair(rates: Mapping[str, Any]) -> str:
    """Recall; precision."""
    return "; ".join(_share(rates.get(name)) for name in ("recall", "precision"))


def _share(rate: Ordered[Any] | None) -> str:
    return _NONE if not rate else f"{rate[0]:.2f} ({rate[1]}/{rate[2]})"


def _both(values: Any) -> str:
    """DWI; T1."""
    return "; ".join(_NONE if value is None else f"{value:.3f}" for value in values)


def _methods(results: Ordered[Result]) -> list[str]:
    rows = []
    for result in sorted(results, key=lambda r: str(r["method"]["name"])):
        method = result["method"]
        minutes = method.get("minutes")
        agreed = ", ".join(f"{part} {how}" for part, how in result["cohort"].items())
        rows.append(
            [
                f"[{method['name']}]({method['url']})" if method.get("url") else method["name"],
                method.get("description") or _NONE,
                method.get("data") or _NONE,
                _NONE if minutes is None else f"{minutes:g}",
                method.get("hardware") or _NONE,
                agreed,
            ]
        )
    head = ["method", "what it is", "learned from", "minutes", "hardware", "cohort as frozen"]
    return _table(head, rows)


def _table(head: Ordered[str], rows: Ordered[Ordered[str]]) -> list[str]:
    cells = [[cell.replace("|", "/") for cell in row] for row in rows]
    return [
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(f"| {' | '.join(row)} |" for row in cells),
    ]
