"""Pictures of docs/reading-room.md: ``python -m docs.pictures.reading_room [OUT]``.

OUT is the output folder of ``pelvimets predict``; it is copied, not changed. Without it a digital
patient is made, and in place of networks his ground truth is handed over, with the lesion mimics
as false positives, so that there is something to reject. Needs chromium and playwright.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from pelvimets.app.phantom import make_phantom
from pelvimets.app.predict import StudyInput, predict
from pelvimets.app.view import open_desk
from pelvimets.config import ReadingSettings
from pelvimets.core.segmenter import FixedSegmenter
from pelvimets.io.nifti.files import read_nifti
from pelvimets.requests.phantom import PhantomOrder
from pelvimets.web import bind_viewer
from tests.web.browser import browser, fresh_page

HERE = Path(__file__).parent
SEED = 11
SETTLED_MS = 1500


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        if len(sys.argv) > 1:
            shutil.copytree(sys.argv[1], out)
        else:
            read_digital_patient(Path(folder) / "patient", out)
        server = bind_viewer(open_desk(out))
        thread = server.start()
        with browser() as running, fresh_page(running) as watched:
            watched.open(server.address)
            take_pictures(watched.page, server.address.split("?")[0])
        server.stop()
        thread.join(10)


def read_digital_patient(folder: Path, out: Path) -> None:
    make_phantom(PhantomOrder(seed=SEED), folder)
    maps = {k: read_nifti(folder / f"t1_{k}.nii.gz") for k in ("bones", "lesions", "mimics")}
    marked = (maps["lesions"].array > 0) | (maps["mimics"].array > 0)
    truth = FixedSegmenter(
        maps["bones"],
        maps["lesions"].with_array(marked.astype(np.uint8)),
        ReadingSettings(),
        name="ground truth of a digital patient",
    )
    files = {k: folder / f"{k}.nii.gz" for k in ("dwi", "t1", "adc")}
    predict(StudyInput(**files, name="digital-patient"), out, segmenter=truth)


def take_pictures(page: Page, address: str) -> None:
    page.get_by_role("button", name="Rendering").click()
    page.wait_for_selector("body[data-rendering=true]")
    picture(page, "1-study")
    page.get_by_role("button", name="Rendering").click()
    page.keyboard.press("1")
    page.keyboard.press("t")
    picture(page, "2-lesion")
    page.keyboard.press("?")
    picture(page, "3-keys")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.press("e")
    picture(page, "4-edit")
    page.keyboard.press("Enter")
    page.wait_for_selector("#editor", state="hidden")
    judge(page)
    page.click("#sign")
    page.fill("#reader", "Dr. A. Reader")
    page.fill("#comment", "Second reading.")
    picture(page, "5-sign")
    page.click("#sign-confirm")
    page.get_by_role("button", name="Reopen").wait_for()
    picture(page, "6-signed")
    page.goto(address + "report")
    picture(page, "7-report")


def judge(page: Page) -> None:
    """Accept all but the last two, with a note on the last."""
    count = page.locator("#lesions button").count()
    for number in range(count):
        page.locator("#lesions button").nth(number).click()
        last = number == count - 1
        if last:
            page.fill("#note", "Seen in the image as a mimic; stable.")
        page.click("#reject" if last else "#accept")
        verdict = "rejected" if last else "accepted"
        page.wait_for_selector(f"#lesions li:nth-child({number + 1}) [data-verdict={verdict}]")


def picture(page: Page, name: str) -> None:
    page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=HERE / f"reading-room-{name}.jpg", type="jpeg", quality=82)


if __name__ == "__main__":
    main()
