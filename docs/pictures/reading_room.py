"""Pictures of docs/reading-room.md: ``python -m docs.pictures.reading_room``.

Two digital patients are made, one of them with a second time point. In place of networks their
ground truth is handed over, with the lesion mimics as false positives, so that there is something
to reject. Needs chromium and playwright.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page

from pelvimets.app.phantom import make_phantom
from pelvimets.app.predict import predict
from pelvimets.config import ReadingSettings
from pelvimets.core.review import Verdict
from pelvimets.core.segmenter import FixedSegmenter
from pelvimets.io.nifti.files import read_nifti
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.reading_room.opening import DeskOptions, open_desk
from pelvimets.reading_room.readers import ReadAs
from pelvimets.reading_room.worklist import open_worklist
from pelvimets.requests.phantom import Examined, PhantomOrder
from pelvimets.requests.predict import StudyInput
from pelvimets.web import ViewerServer, bind_viewer, bind_worklist
from tests.web.browser import browser, fresh_page

HERE = Path(__file__).parent
SEEDS = {"patient-a": 11, "patient-b": 12}
SETTLED_MS = 1500
DRAG = """([dx0, dy0, dx1, dy1]) => {
  const panel = pelvimets.panels.get("t1"), box = panel.canvas.getBoundingClientRect();
  const [x, y] = panel.pixelOf(panel.place, 0);
  return [box.x + x + dx0, box.y + y + dy0, box.x + x + dx1, box.y + y + dy1];
}"""

BESIDE = """() => {
  const panel = pelvimets.panels.get("dwi"), box = panel.canvas.getBoundingClientRect();
  const [x, y] = panel.pixelOf(panel.place, 0);
  return [box.x + x + 50, box.y + y - 30];
}"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, browser() as running:
        made, results = Path(folder) / "patients", Path(folder) / "results"
        for name, seed in SEEDS.items():
            examined = Examined(follow_up=name == "patient-a")
            make_phantom(PhantomOrder(seed=seed, examined=examined), made / name)
            read_digital_patient(made / name, results / name, name)
        now = Path(folder) / "now"
        read_digital_patient(made / "patient-a" / "follow_up", now, "patient-a")
        out = results / "patient-a"
        with shown(running, bind_viewer(open_desk(now, DeskOptions(prior=out)))) as page:
            beside_prior(page)
        read_twice(now)
        options = DeskOptions(ReadAs(settle=True))
        with shown(running, bind_viewer(open_desk(now, options))) as page:
            page.locator("#lesions li", has_text="readers differ").locator("button").first.click()
            picture(page, "9-settle")
        with shown(running, bind_viewer(open_desk(out))) as page:
            take_pictures(page)
        with shown(running, bind_worklist(open_worklist(results, DeskOptions())), "tr") as page:
            picture(page, "0-worklist")


@contextmanager
def shown(
    running: Browser, server: ViewerServer, until: str = "body[data-ready=true]"
) -> Iterator[Page]:
    thread = server.start()
    with fresh_page(running) as watched:
        watched.page.goto(server.address)
        watched.page.wait_for_selector(until)
        yield watched.page
    server.stop()
    thread.join(10)


def read_digital_patient(folder: Path, out: Path, name: str) -> None:
    maps = {k: read_nifti(folder / f"t1_{k}.nii.gz") for k in ("bones", "lesions", "mimics")}
    marked = (maps["lesions"].array > 0) | (maps["mimics"].array > 0)
    truth = FixedSegmenter(
        maps["bones"],
        maps["lesions"].with_array(marked.astype(np.uint8)),
        ReadingSettings(),
        name="ground truth of a digital patient",
    )
    dwi, t1, adc = (folder / f"{k}.nii.gz" for k in ("dwi", "t1", "adc"))
    predict(StudyInput(dwi=dwi, t1=t1, adc=adc, name=name), out, segmenter=truth)


def read_twice(out: Path) -> None:
    """Two readers who differ on the second lesion."""
    for name in ("Ada", "Bo"):
        desk = ReviewDesk(out, ReadAs(name))
        for lesion in desk.lesions:
            differs = name == "Bo" and lesion.number == 2
            desk.decide(lesion.number, Verdict.REJECTED if differs else Verdict.ACCEPTED)
        desk.sign()


def beside_prior(page: Page) -> None:
    page.keyboard.press("1")
    page.locator("#lesions button").first.click()
    page.keyboard.press("t")
    picture(page, "8-prior")


def take_pictures(page: Page) -> None:
    address = page.url
    page.get_by_role("button", name="Rendering").click()
    page.wait_for_selector("body[data-rendering=true]")
    picture(page, "1-study")
    page.get_by_role("button", name="Rendering").click()
    look(page)
    page.keyboard.press("?")
    picture(page, "3-keys")
    page.click("#help-close")
    page.wait_for_selector("#help-dialog", state="hidden")
    edit(page)
    page.click("#outline-toggle")
    page.keyboard.press("0")
    page.keyboard.press("4")
    judge(page)
    page.click("#sign")
    page.fill("#reader", "Dr. A. Reader")
    page.fill("#comment", "Second reading.")
    page.check("#verified")
    page.fill("#organisation", "Department of Radiology")
    picture(page, "5-sign")
    page.click("#sign-confirm")
    page.get_by_role("button", name="Reopen").wait_for()
    picture(page, "6-signed")
    page.goto(address + "report")
    picture(page, "7-report")


def look(page: Page) -> None:
    """Close to a lesion, outlined, measured."""
    page.keyboard.press("1")
    page.keyboard.press("t")
    page.keyboard.press("z")
    page.wait_for_timeout(SETTLED_MS)
    page.keyboard.press("k")
    x0, y0, x1, y1 = page.evaluate(DRAG, [-60, 0, 60, 0])
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1, steps=4)
    page.mouse.up()
    page.keyboard.press("k")
    picture(page, "2-lesion")


def edit(page: Page) -> None:
    """The first lesion that DWI shows, under a ball that paints only what is as bright."""
    page.locator("#lesions li", has_text="DWI").locator("button").first.click()
    page.get_by_role("button", name="Edit on DWI").click()
    page.wait_for_selector("#editor", state="visible")
    page.keyboard.press("s")
    page.keyboard.press("h")
    page.wait_for_timeout(SETTLED_MS)
    page.mouse.move(*page.evaluate(BESIDE))
    picture(page, "4-edit")
    page.keyboard.press("Enter")
    page.wait_for_selector("#editor", state="hidden")


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
