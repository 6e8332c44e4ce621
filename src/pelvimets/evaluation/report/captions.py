"""Titles and captions of the figures, in words that stand alone beside the picture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """What stands with a figure: a heading, and what it shows and how to read it."""

    title: str
    text: str


_INTERVALS = "Bars and brackets are 95 % intervals."
_MONTAGE = "Best, median and worst patient by DSC; patient's right is on the left."
CAPTIONS = {
    "figure1_flow": Caption(
        "Figure 1 | Patients",
        "Flow of patients from the first look to the figures of this evaluation, with the reasons "
        "for leaving it, and what the prediction said of those who stayed (either sequence).",
    ),
    "figure3_bones": Caption(
        "Figure 3 | Segmentation of the bones",
        "DSC, VS and HD of the eight structures on both sequences, one value per patient. Box: "
        "quartiles with median; whiskers: furthest value within 1.5 interquartile ranges. The "
        "axis spans the boxes and whiskers; values beyond it are counted at its edge.",
    ),
    "figure3_bones_dwi": Caption(
        "Figure 3 | Bones in single patients, DWI",
        f"Image, reference and prediction. {_MONTAGE}",
    ),
    "figure3_bones_t1": Caption(
        "Figure 3 | Bones in single patients, T1 in phase",
        f"Image, reference and prediction. {_MONTAGE}",
    ),
    "figure4a_lesions": Caption(
        "Figure 4A | Segmentation of the metastases",
        "Split violins of DSC, VS and HD, DWI on the left, T1 in phase on the right. Above: all "
        "lesions of a patient taken together, patients with lesions in the reference. Below: "
        "lesion by lesion, pairs that the match rule joins. White dot: median; bar: quartiles.",
    ),
    "figure4b_volumes_dwi": Caption(
        "Figure 4B | Volume of the metastases, DWI",
        "Bland-Altman plot of the lesion volume of each patient with metastases: prediction less "
        f"reference against the mean of both, with bias and limits of agreement. {_INTERVALS}",
    ),
    "figure4c_volumes_t1": Caption(
        "Figure 4C | Volume of the metastases, T1 in phase",
        "As Figure 4B on T1-weighted images in phase.",
    ),
    "figure5_lesions_dwi": Caption(
        "Figure 5 | Metastases in single patients, DWI",
        "The slice with most lesion; the framed part enlarged, plain and with outlines: reference "
        f"solid yellow, prediction dotted blue. {_MONTAGE}",
    ),
    "figure5_lesions_t1": Caption(
        "Figure 5 | Metastases in single patients, T1 in phase",
        "The slice with most lesion; the framed part enlarged, plain and with outlines: reference "
        f"solid yellow, prediction dotted blue. {_MONTAGE}",
    ),
    "roc": Caption(
        "ROC curves of patients",
        "Sensitivity against 1 - specificity over all thresholds of the patient score, all "
        "patients. Marker: the calls made, among patients with a statement.",
    ),
    "froc": Caption(
        "FROC curves of lesions",
        "Share of lesions found against false lesions per patient, by falling score. Bars: 95 % "
        "intervals by bootstrap over patients where the curve is read.",
    ),
    "calibration": Caption(
        "Calibration and net benefit",
        "A: share of patients with metastases against the mean score of patients of similar "
        "score, with Wilson's 95 % intervals; on the diagonal scores are probabilities. B: net "
        "benefit of acting on the score, beside acting on all patients and on none.",
    ),
    "calibration_groups": Caption(
        "Calibration in groups of patients",
        "As the calibration curve of all patients, by group, for a lesion seen on either sequence. "
        "Groups of fewer than ten patients are not drawn.",
    ),
}
"""By file name, in the order in which the figures are shown."""


def figure_name(name: str, *, external: bool) -> str:
    """File name of a figure; on an external cohort the paper's Figure 4 is its Figure 6.

    >>> figure_name("figure4a_lesions", external=True)
    'figure6a_lesions'
    """
    return name.replace("figure4", "figure6", 1) if external else name


def caption_of(name: str) -> Caption:
    """The caption of a figure by its file name; Figure 6 has that of Figure 4."""
    own = CAPTIONS[name.replace("figure6", "figure4", 1)]
    if not name.startswith("figure6"):
        return own
    title, text = (words.replace("Figure 4", "Figure 6") for words in (own.title, own.text))
    return Caption(f"{title}, external cohort", text)
