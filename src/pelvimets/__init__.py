"""Bone metastases on pelvic MRI: from one study to a report. Research use only."""

__version__ = "0.1.0"
