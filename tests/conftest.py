"""For all tests."""

import pelvimets.model  # noqa: F401  switches OpenVINO's telemetry off before a test imports it
