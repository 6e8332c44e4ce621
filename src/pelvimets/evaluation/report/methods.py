"""A methods paragraph of the evaluation, ready for a paper: what was done, with which software."""

from __future__ import annotations

from pelvimets.evaluation.report.run_facts import (
    RunFacts,
    network_words,
    preprocessing_words,
    version_words,
)
from pelvimets.evaluation.results import CohortResults
from pelvimets.evaluation.settings import LesionInstances, MatchRule


def methods_text(results: CohortResults, facts: RunFacts) -> str:
    """Markdown: patients, predictions, measures, statistics, software; gaps are in brackets."""
    parts = (
        ("Patients", _patients(results, facts)),
        ("Predictions", _predictions(facts)),
        ("Measures", _measures(results)),
        ("Statistics", _statistics(results)),
        ("Software", _software(facts)),
    )
    head = "# Methods\n\n"
    if results.settings.in_silico:
        head += "In-silico: the patients are digital, no men.\n\n"
    return head + "\n\n".join(f"**{name}.** {text}" for name, text in parts) + "\n"


def _patients(results: CohortResults, facts: RunFacts) -> str:
    ill = sum(fact.m_stage == "M1" for fact in results.facts)
    words = [
        f"We evaluated {len(results.facts)} patients, {ill} with and "
        f"{sum(fact.m_stage == 'M0' for fact in results.facts)} without bone metastases"
        f"{' (external cohort)' if results.external else ''}."
    ]
    screened = next((n for step, _, n in facts.flow if step == "screened"), None)
    if screened is not None:
        excluded = "; ".join(f"{why} ({n})" for step, why, n in facts.flow
                             if step == "excluded" and n)  # fmt: skip
        words.append(f"Of {screened} screened, patients were excluded for: {excluded}.")
    words.append("[Centre, period, ethics approval, how the reference was annotated and by whom.]")
    return " ".join(words)


def _predictions(facts: RunFacts) -> str:
    if not facts.networks:
        return "[Which network made the masks: the predictions hold no record of it.]"
    words = [f"Masks and scores were made by {network_words(facts)}.", preprocessing_words(facts)]
    if facts.unrecorded:
        words.append(f"[{facts.unrecorded} predictions hold no record.]")
    return " ".join(word for word in words if word)


def _measures(results: CohortResults) -> str:
    settings = results.settings
    unit = (
        f"connected components ({settings.connectivity} neighbours)"
        if settings.instances is LesionInstances.COMPONENTS
        else "label values"
    )
    return (
        "Segmentation was measured by the Dice similarity coefficient (DSC), volumetric "
        "similarity (VS), the Hausdorff distance (HD; maximum and 95th percentile, between "
        "centres of border voxels), the average symmetric surface distance and the normalised "
        "surface distance at 2 mm; a measure has no value where a mask is empty, and such cases "
        f"are counted. Lesions were {unit}. They were matched by two rules: "
        f"{' and '.join(rule.title(settings.smallest_iou) for rule in MatchRule)}; curves, tests "
        f"and lesion-wise DSC, VS and HD follow {settings.rule.title(settings.smallest_iou)}. "
        "False lesions of all patients count. A patient on whom no statement was made counts "
        "neither as a hit nor as a miss; the share of such patients and both worst cases are given."
    )


def _statistics(results: CohortResults) -> str:
    settings = results.settings
    return (
        f"Intervals are {100 * settings.confidence_level:g} %: Clopper-Pearson for shares of "
        "patients, DeLong on the logit scale for areas under ROC curves, and a bootstrap over "
        f"patients ({settings.bootstrap_samples} samples, seed {settings.seed}) for lesions, with "
        "Clopper-Pearson beside it. Sequences were compared by paired t and Wilcoxon tests "
        "(Holm's correction over the eight bones of a measure), McNemar's test, the weighted "
        "generalised score test for predictive values, DeLong's test, and permutation within "
        "patients for lesion figures; groups by analysis of variance and Kruskal-Wallis tests. "
        "Volumes of patients with metastases were compared after Bland and Altman, with Lin's "
        "concordance and ICC(A,1). [Which comparison was primary, and its level.]"
    )


def _software(facts: RunFacts) -> str:
    words = [f"Evaluation: {version_words(facts.evaluated_with)}."]
    if facts.predicted_with:
        words.append(f"Prediction: {version_words(facts.predicted_with)}.")
    return " ".join(words)
