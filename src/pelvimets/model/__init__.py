"""Networks, inference back-ends and bundles (settings, weights, model card).

OpenVINO is imported in this package alone, and without its telemetry: it looks up an analytics
host and keeps a client id under the home folder as soon as it is imported. Where the telemetry
package cannot be imported, OpenVINO takes its own silent stand-in.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
