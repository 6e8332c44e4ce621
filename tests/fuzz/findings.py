"""A findings.json with a lesion in it."""

from __future__ import annotations

from typing import Any

from pelvimets.report.data import findings_to_dict
from tests.core.test_lesions import measured, study_masks


def findings_document() -> dict[str, Any]:
    return findings_to_dict(measured(*study_masks([((75, 10, 60), 14, 0.9)], [])))
