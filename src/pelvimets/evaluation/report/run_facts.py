"""What the record of a run adds to its figures: networks, settings, software, enrolment."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from pelvimets import __version__
from pelvimets.evaluation.measured import Measured

_SOFTWARE = ("numpy", "scipy", "scikit-learn", "SimpleITK", "matplotlib")


@dataclass(frozen=True)
class RunFacts:
    """Facts for the checklist and the methods paragraph; empty where nothing is recorded.

    Attributes:
        networks: Name of each bundle that made predictions, with its weights' hash.
        predicted_with: Versions of the software that predicted.
        settings: How studies were read, as recorded.
        unrecorded: Patients whose prediction has no record.
        evaluated_with: Versions of the software of this evaluation.
        flow: Step, reason and number of patients, from the first look on.
    """

    networks: Mapping[str, str] = field(default_factory=dict)
    predicted_with: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    unrecorded: int = 0
    evaluated_with: Mapping[str, str] = field(default_factory=dict)
    flow: Sequence[tuple[str, str, int]] = ()


def run_facts(
    records: Sequence[Mapping[str, Any] | None],
    evaluated_with: Mapping[str, str],
    flow: Sequence[tuple[str, str, int]] = (),
) -> RunFacts:
    """Gather the records of all predictions.

    Args:
        records: Content of each patient's ``run.json``; None without one.
        evaluated_with: Versions of the software of this evaluation.
        flow: See ``RunFacts``.
    """
    known = [record for record in records if record and "bundle" in record]
    networks = {r["bundle"]["name"]: str(r["bundle"].get("weights_sha256", "")) for r in known}
    first = known[0] if known else {}
    versions = {"pelvimets": str(first["pelvimets"]), **first.get("versions", {})} if known else {}
    return RunFacts(
        networks,
        versions,
        first.get("settings", {}) if len(networks) == 1 else {},
        len(records) - len(known),
        evaluated_with,
        tuple(flow),
    )


def facts_of_run(measured: Measured) -> RunFacts:
    """What the records of the predictions, the installation and the flow tell."""
    versions = {"pelvimets": __version__, "Python": platform.python_version()}
    versions |= {name: version(name) for name in _SOFTWARE}
    flow = [(row.step, row.reason, row.patients) for row in measured.flow]
    return run_facts(measured.records, versions, flow)


def version_words(versions: Mapping[str, str]) -> str:
    """As printed: 'NumPy 2.1, SciPy 1.14'."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def network_words(facts: RunFacts) -> str:
    """Names of the networks with the beginning of their weights' hash."""
    return "; ".join(
        f"{name} (weights SHA-256 {digest[:12]})" if digest else name
        for name, digest in facts.networks.items()
    )


def preprocessing_words(facts: RunFacts) -> str:
    """Grids, intensities and post-processing, from the recorded settings; '' without them."""
    settings = facts.settings
    try:
        bones, lesions = settings["bone_grid"], settings["lesion_grid"]
        intensity, kept, drop = settings["intensity"], settings["bones"], settings["lesions"]
        return (
            f"Images were resampled to {_grid(bones)} for the bones and {_grid(lesions)} for the "
            f"lesions, clipped at percentiles {intensity['clip_percentiles'][0]:g} and "
            f"{intensity['clip_percentiles'][1]:g} and scaled to {intensity['scale'][0]:g}-"
            f"{intensity['scale'][1]:g}. The {kept['keep_components_per_bone']} largest "
            f"components of each bone were kept; lesions below {drop['drop_below_cm3']:g} cm3 "
            f"were dropped; suspicion was raised from a lesion score of "
            f"{drop['operating_point']:g}."
        )
    except (KeyError, TypeError, IndexError):
        return ""


def _grid(grid: Mapping[str, Any]) -> str:
    if grid.get("shape"):
        return " x ".join(str(n) for n in grid["shape"]) + " voxels"
    return " x ".join(f"{mm:g}" for mm in grid["spacing_mm"]) + " mm (z, y, x)"
