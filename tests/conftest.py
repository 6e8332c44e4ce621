"""For all tests."""

from pathlib import Path

import pytest

import pelvimets.model  # noqa: F401  switches OpenVINO's telemetry off before a test imports it

SLOW_ROOMS = {
    "app",
    "model_development",
    "reading_room",
    "arrivals",
    "cli",
    "web",
    "phantom",
    "fuzz",
}
SLOW_MODULES = {
    *("test_evaluate", "test_study_paths", "test_small_groups", "test_planning", "test_foreign"),
    *("test_orthanc", "test_pacs_answers", "test_pacs_dimse", "test_rtstruct", "test_follow_up"),
    *("test_phantom_dicom", "test_dicom_real"),
    *("test_dicom_out", "test_dicom_out_readers", "test_dicom_out_sr", "test_dicom_bounds"),
    *("test_dicom_wobble", "test_dicom_lost", "test_dicom_spread", "test_dicom_stations"),
    *("test_variants", "test_run", "test_search", "test_search_server", "test_phantom_samples"),
    *("test_calibration", "test_output", "test_statistics", "test_nnunet", "test_study"),
    *("test_fitting", "test_workers", "test_dependencies", "test_pdf", "test_drawn_networks"),
    *("test_torchscript", "test_dicom_values"),
}
"""Simulate, train, start other programs or browsers: ``make quick`` leaves them out."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow by where it stands."""
    for item in items:
        if Path(item.path).parent.name in SLOW_ROOMS or Path(item.path).stem in SLOW_MODULES:
            item.add_marker(pytest.mark.slow)
