"""How long the viewer takes to show a study: ``python -m benchmarks.viewer_first_image [OUT]``.

Without OUT a study with the grids of the largest protocols of Table 1 (Liu et al. 2021) is
made: DWI and ADC 28 x 256 x 256, T1 112 x 320 x 320. Needs chromium and playwright. The browser
draws in software, so a machine with a graphics card is quicker.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from pelvimets.core.geometry import Geometry
from pelvimets.labels import Sequence
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.web import bind_viewer
from tests.web.browser import browser, fresh_page
from tests.web.output import write_output

REPEATS = 3
DWI = Geometry.from_axes((28, 256, 256), (7.0, 1.41, 1.41), (-180.0, -175.0, -95.0))
T1 = Geometry.from_axes((112, 320, 320), (2.0, 1.41, 1.41), (-225.0, -220.0, -112.0))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "out"
        if not out.exists():
            write_output(out, {Sequence.DWI: DWI, Sequence.T1: T1})
        start = time.perf_counter()
        server = bind_viewer(ReviewDesk(out))
        print(f"opening the folder       {time.perf_counter() - start:6.2f} s")
        thread = server.start()
        for _ in range(REPEATS):
            report(server.address)
        server.stop()
        thread.join(10)


def report(address: str) -> None:
    with browser() as running, fresh_page(running) as watched:
        start = time.perf_counter()
        watched.open(address)
        everything = time.perf_counter() - start
        print(
            f"first image {watched.first_image_ms() / 1000:6.2f} s   everything {everything:6.2f} s"
        )


if __name__ == "__main__":
    main()
