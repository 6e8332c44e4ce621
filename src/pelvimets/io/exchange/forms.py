"""Forms in which others lay out masks. Quick to import."""

from enum import StrEnum


class PredictionForm(StrEnum):
    """How predictions lie on disk; ``COHORT`` is our own form."""

    COHORT = "cohort"
    NNUNET = "nnunet"
    TOTALSEGMENTATOR = "totalsegmentator"
    DICOM_SEG = "dicom-seg"
