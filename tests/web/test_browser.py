"""The page in a real browser: load, jump, window, judge, edit, save, reload."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import nibabel as nib
import numpy as np
import pytest

from pelvimets.core.review import Verdict
from pelvimets.labels import Sequence
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.web import ViewerServer
from tests.web.browser import Watched, browser, fresh_page, missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

_CROSSHAIR_ON_SCREEN = """key => {
  const { nv } = pelvimets.panels.get(key), box = nv.canvas.getBoundingClientRect();
  const [left, top, width, height] = nv.screenSlices[0].leftTopWidthHeight;
  const [x, y] = nv.scene.crosshairPos, pixels = nv.uiData.dpr;
  return [box.x + (left + width * (1 - x)) / pixels, box.y + (top + height * (1 - y)) / pixels];
}"""
_PLACES = "[...pelvimets.panels.values()].map(panel => panel.place)"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def viewer(server: ViewerServer, chromium: Browser) -> Iterator[Watched]:
    with fresh_page(chromium, 1100, 640) as watched:
        watched.open(server.address)
        yield watched
        assert watched.complaints == []
        assert watched.hosts == {urlsplit(server.address).netloc}


def _settled(viewer: Watched) -> None:
    """All changes are answered and two frames are drawn."""
    viewer.page.evaluate(
        "pelvimets.settled().then(() => new Promise(done => "
        "requestAnimationFrame(() => requestAnimationFrame(done))))"
    )


def _spacing(desk: ReviewDesk, key: str) -> np.ndarray:
    sequence = Sequence.T1 if key == "t1" else Sequence.DWI
    return np.asarray(desk.geometry(sequence).spacing[::-1])


def _centre(viewer: Watched, key: str) -> tuple[float, float]:
    """Middle of a panel's axial tile on the screen."""
    box = viewer.page.locator(f"[data-key={key}] canvas:not(.marks)").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_loaded_it_shows_study_lesions_and_images(viewer: Watched) -> None:
    page = viewer.page
    assert page.inner_text("#patient") == "patient-0042"
    assert "Research use only" in page.inner_text("#notice")
    assert page.locator("#lesions button").count() == 3
    assert page.evaluate("[...pelvimets.panels.keys()]") == ["dwi", "t1", "adc"]
    assert page.evaluate("[...pelvimets.panels.values()].map(p => p.nv.volumes.length)") == [3] * 3
    assert page.url.endswith("/")
    assert viewer.first_image_ms() > 0
    shown = page.locator("[data-key=dwi] canvas:not(.marks)").screenshot()
    page.keyboard.press("o")
    _settled(viewer)
    assert page.locator("[data-key=dwi] canvas:not(.marks)").screenshot() != shown


def test_a_jump_takes_all_panels_to_the_lesion(viewer: Watched, desk: ReviewDesk) -> None:
    page = viewer.page
    for press, number in (("n", 2), ("n", 3), ("n", 1), ("p", 3)):
        page.keyboard.press(press)
        _settled(viewer)
        lesion = desk.findings.lesions[number - 1]
        seen = lesion.seen_on[lesion.sequences[0]]
        wanted = np.asarray(seen.centre_lps_mm) * (-1, -1, 1)
        for key, place in zip(("dwi", "t1", "adc"), page.evaluate(_PLACES), strict=True):
            assert (np.abs(wanted - place) <= _spacing(desk, key)).all(), (number, key)
    page.locator("#lesions button").nth(1).click()
    _settled(viewer)
    assert page.inner_text("#detail-title") == "Lesion 2: sacrococcyx"


def test_what_lies_under_the_crosshair_agrees_with_the_files(
    viewer: Watched, desk: ReviewDesk, out: Path
) -> None:
    """The left is the left, and each image's value is the one stored at that place."""
    viewer.page.keyboard.press("n")
    viewer.page.keyboard.press("p")
    _settled(viewer)
    text = viewer.page.inner_text("#where")
    assert text.startswith("L 7")
    assert viewer.page.inner_text("#bone-here").lower() == "ilium"
    place = viewer.page.evaluate("pelvimets.place")
    for key in ("dwi", "t1", "adc"):
        image = nib.load(out / "images" / f"{key}.nii.gz")
        voxel = nib.affines.apply_affine(np.linalg.inv(image.affine), place).round().astype(int)
        stored = float(np.asarray(image.dataobj)[tuple(voxel)])
        shown = viewer.page.evaluate(f"pelvimets.panels.get('{key}').valueAt(pelvimets.place)")
        assert shown == pytest.approx(stored), key


def test_slices_scroll_together_in_patient_coordinates(viewer: Watched, desk: ReviewDesk) -> None:
    page = viewer.page
    x, y = _centre(viewer, "t1")
    page.mouse.move(x, y)
    page.keyboard.press("ArrowUp")  # a lesion's centre lies between slices: to the next slice
    _settled(viewer)
    before = page.evaluate("pelvimets.place")
    page.keyboard.press("ArrowUp")
    _settled(viewer)
    after = page.evaluate("pelvimets.place")
    assert after[2] - before[2] == pytest.approx(desk.geometry(Sequence.T1).spacing[0], abs=0.1)
    places = np.asarray(page.evaluate(_PLACES))
    assert np.abs(places[:, 2] - after[2]).max() <= 0.01
    page.mouse.wheel(0, 100)
    _settled(viewer)
    assert page.evaluate("pelvimets.place")[2] != pytest.approx(after[2])


def test_windowing_by_drag_preset_and_reset(viewer: Watched) -> None:
    page, window = viewer.page, viewer.page.locator("[data-key=dwi] .window")
    read = "pelvimets.panels.get('dwi').range"
    low, high = page.evaluate(read)
    x, y = _centre(viewer, "dwi")
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x + 60, y)
    page.mouse.up(button="right")
    wide_low, wide_high = page.evaluate(read)
    assert wide_high - wide_low > high - low
    assert (wide_high + wide_low) == pytest.approx(high + low)
    page.mouse.down(button="right")
    page.mouse.move(x + 60, y + 40)
    page.mouse.up(button="right")
    raised_low, raised_high = page.evaluate(read)
    assert raised_low > wide_low
    assert raised_high - raised_low == pytest.approx(wide_high - wide_low)
    assert window.inner_text().startswith(f"W {raised_high - raised_low:.0f}")
    assert page.evaluate("pelvimets.panels.get('t1').preset") == "auto"
    page.keyboard.press("0")
    _settled(viewer)
    assert page.evaluate(read) == pytest.approx([low, high])
    page.keyboard.press("w")
    assert page.locator("[data-key=dwi] select").input_value() == "bright"


def test_verdicts_notes_and_signature_are_saved(
    viewer: Watched, out: Path, server: ViewerServer
) -> None:
    page = viewer.page
    page.keyboard.press("a")  # the next open lesion comes up by itself
    page.wait_for_selector("#lesions li:nth-child(2) button[aria-current=true]")
    page.keyboard.press("r")
    page.wait_for_selector("#lesions li:nth-child(3) button[aria-current=true]")
    page.keyboard.press("c")
    page.keyboard.type("artery near rectum")  # typed letters are no commands
    page.keyboard.press("Escape")
    _settled(viewer)
    review = json.loads((out / "review.json").read_text())
    assert [e["verdict"] for e in review["lesions"]] == ["accepted", "rejected", "pending"]
    assert review["lesions"][2]["note"] == "artery near rectum"
    page.click("#sign")
    assert page.locator("#sign-confirm").is_disabled()
    page.click("#sign-cancel")
    page.keyboard.press("a")
    _settled(viewer)
    page.click("#sign")
    page.fill("#reader", "Dr. Ada")
    page.click("#sign-confirm")
    page.get_by_role("button", name="Reopen").wait_for()
    page.reload()
    page.wait_for_selector("body[data-ready=true]")
    assert page.inner_text("#progress") == "signed by Dr. Ada"
    assert page.locator("#accept").is_disabled()
    findings = json.loads((out / "findings.json").read_text())
    assert [lesion["number"] for lesion in findings["lesions"]] == [1, 3]


def _draw_square(viewer: Watched, key: str) -> None:
    """A short stroke to the left of the crosshair in the axial tile."""
    page = viewer.page
    at = page.evaluate(_CROSSHAIR_ON_SCREEN, key)
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] + 12, at[1], steps=4)
    page.mouse.up()


@pytest.mark.parametrize("key", ["dwi", "t1"])
def test_a_shape_is_edited_kept_and_there_after_reload(
    viewer: Watched, out: Path, desk: ReviewDesk, key: str
) -> None:
    page = viewer.page
    before = np.asarray(nib.load(out / f"{key}_lesions.nii.gz").dataobj)
    centre = np.asarray(page.evaluate("pelvimets.place"))
    page.get_by_role("button", name=f"Edit on {'DWI' if key == 'dwi' else 'T1'}").click()
    page.keyboard.press("x")
    _draw_square(viewer, key)
    page.keyboard.press("Control+z")
    page.keyboard.press("]")
    _draw_square(viewer, key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#editor", state="hidden")
    _settled(viewer)
    image = nib.load(out / "review" / f"{key}_lesions.nii.gz")
    after = np.asarray(image.dataobj)
    gone = np.argwhere((before == 1) & (after == 0))
    assert len(gone) > 0
    assert ((before == after) | (before == 1)).all()
    # erased in one slice, to the right of the first crosshair on the screen: the patient's left
    places = nib.affines.apply_affine(image.affine, gone)
    spacing = _spacing(desk, key)
    assert np.ptp(places[:, 2]) < 0.01
    assert np.abs(places[:, 2] - centre[2]).max() <= spacing[2]
    assert places[:, 0].max() <= centre[0] + 3 * spacing[0]
    assert places[:, 0].mean() < centre[0]
    page.reload()
    page.wait_for_selector("body[data-ready=true]")
    assert "edited" in page.locator("#lesions li").first.inner_text()
    shown = page.evaluate(
        f"pelvimets.panels.get('{key}').lesions.img.reduce((n, v) => n + (v === 1), 0)"
    )
    assert shown == (after == 1).sum()


def test_a_missed_lesion_is_added_and_a_drawing_left(viewer: Watched, out: Path) -> None:
    page = viewer.page
    x, y = _centre(viewer, "t1")
    page.mouse.move(x, y)
    page.keyboard.press("m")
    assert page.inner_text("#editor-title") == "New lesion on T1 in phase"
    page.keyboard.press("Escape")
    assert page.locator("#lesions button").count() == 3
    page.keyboard.press("m")
    _draw_square(viewer, "t1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#editor", state="hidden")
    assert page.locator("#lesions button").count() == 4
    assert "added" in page.locator("#lesions li").last.inner_text()
    drawn = np.asarray(nib.load(out / "review" / "t1_lesions.nii.gz").dataobj)
    assert set(np.unique(drawn)) == {0, 1, 2, 3}
    page.get_by_role("button", name="Delete").click()
    page.wait_for_selector("#lesions li:nth-child(4)", state="detached")


def test_an_empty_drawing_is_refused_with_a_reason_and_stays(viewer: Watched) -> None:
    page = viewer.page
    page.keyboard.press("m")
    with page.expect_response("**/api/lesions/dwi") as answer:
        page.keyboard.press("Enter")
    assert answer.value.status == 409
    page.wait_for_selector("#toast", state="visible")
    assert "Nothing of the lesion would be left" in page.inner_text("#toast")
    assert page.locator("#editor").is_visible()
    page.keyboard.press("Escape")
    viewer.complaints[:] = [c for c in viewer.complaints if "409" not in c]


def test_planes_panels_rendering_and_help(viewer: Watched) -> None:
    page = viewer.page
    page.keyboard.press("2")
    assert page.get_by_role("button", name="Coronal").get_attribute("aria-pressed") == "true"
    assert page.evaluate("pelvimets.panels.get('dwi').nv.screenSlices.map(s => s.axCorSag)") == [1]
    page.keyboard.press("4")
    assert page.evaluate("pelvimets.panels.get('t1').nv.screenSlices.length") == 3
    page.get_by_role("button", name="Rendering").click()
    page.wait_for_selector("body[data-rendering=true]")
    drawn = page.locator("[data-key=rendering] canvas").screenshot()
    assert len(drawn) > 3000  # more than an empty black box
    page.keyboard.press("?")
    assert page.locator("#help-dialog kbd").count() > 30
    assert page.locator("#legend li").count() == 11
    page.keyboard.press("Escape")
    x, y = _centre(viewer, "adc")
    page.mouse.move(x, y)
    page.keyboard.press(" ")
    assert page.locator(".panel:visible").count() == 1
    page.keyboard.press(" ")
    assert page.locator(".panel:visible").count() == 4


def test_everything_has_a_name_for_a_screen_reader(viewer: Watched) -> None:
    nameless = viewer.page.evaluate(
        "[...document.querySelectorAll('button, a, input, select, textarea, [role=group]')]"
        ".concat([...document.querySelectorAll('canvas:not(.marks)')])"
        ".filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))"
        ".map(e => e.outerHTML)"
    )
    assert nameless == []


def test_a_change_on_an_older_state_is_offered_and_never_lost(viewer: Watched, out: Path) -> None:
    page, dialog = viewer.page, viewer.page.locator("#conflict-dialog")
    other = ReviewDesk(out)
    other.decide(2, Verdict.REJECTED, note="vessel")
    page.keyboard.press("a")
    dialog.wait_for(state="visible")
    assert "changed in another window" in dialog.inner_text()
    page.get_by_role("button", name="Show the newer state").click()
    page.wait_for_selector("#toast", state="visible")
    assert "not saved" in page.inner_text("#toast")
    verdicts = "pelvimets.state.study.lesions.map(l => l.verdict)"
    assert page.evaluate(verdicts) == ["pending", "rejected", "pending"]
    other.refresh()
    other.decide(3, Verdict.ACCEPTED)
    page.keyboard.press("r")
    dialog.wait_for(state="visible")
    page.get_by_role("button", name="Make my change on the newer state").click()
    dialog.wait_for(state="hidden")
    _settled(viewer)
    assert page.evaluate(verdicts) == ["rejected", "rejected", "accepted"]
    kept = json.loads((out / "review.json").read_text())["lesions"]
    assert [entry["verdict"] for entry in kept] == ["rejected", "rejected", "accepted"]
    assert kept[1]["note"] == "vessel"
    viewer.complaints[:] = [c for c in viewer.complaints if "409" not in c]
