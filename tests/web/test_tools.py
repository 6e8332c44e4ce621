"""Looking and drawing as radiologists expect it, in a real browser: each button does its work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from pelvimets.core.geometry import Geometry
from pelvimets.labels import Bone, Sequence
from pelvimets.reading_room.beside import Beside, open_beside
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.web import ViewerServer, bind_viewer
from tests.web.browser import Watched, browser, fresh_page, missing
from tests.web.output import GRIDS, write_output

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

_DWI = "pelvimets.panels.get('dwi')"
_AT = """([key, plane, dx, dy]) => {
  const panel = pelvimets.panels.get(key), box = panel.canvas.getBoundingClientRect();
  const at = panel.pixelOf(panel.place, plane);
  return [box.x + at[0] + dx, box.y + at[1] + dy];
}"""
_LESION_1_MM = (-70.0, -12.0, 40.0)  # RAS


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def viewer(server: ViewerServer, chromium: Browser) -> Iterator[Watched]:
    with fresh_page(chromium, 1300, 700) as watched:
        watched.open(server.address)
        yield watched
        assert watched.complaints == []


def settled(viewer: Watched) -> None:
    viewer.page.evaluate(
        "pelvimets.settled().then(() => new Promise(done => "
        "requestAnimationFrame(() => requestAnimationFrame(done))))"
    )


def pixels(viewer: Watched, key: str, layer: str = "canvas:not(.marks)") -> np.ndarray:
    shot = viewer.page.locator(f"[data-key={key}] {layer}").screenshot()
    return np.asarray(Image.open(BytesIO(shot)).convert("RGB")).astype(int)


def at(viewer: Watched, key: str, plane: int = 0, dx: float = 0, dy: float = 0) -> list[float]:
    return viewer.page.evaluate(_AT, [key, plane, dx, dy])


def drag(viewer: Watched, start: list[float], end: list[float]) -> None:
    mouse = viewer.page.mouse
    mouse.move(*start)
    mouse.down()
    mouse.move(*end, steps=5)
    mouse.up()


def coloured(picture: np.ndarray) -> int:
    """Pixels that are not grey."""
    return int((np.ptp(picture, axis=-1) > 60).sum())


def test_outlines_leave_the_inside_free_on_every_sequence(viewer: Watched) -> None:
    page = viewer.page
    page.keyboard.press("g")
    filled = {}
    for key in ("dwi", "t1", "adc"):
        page.fill("#bones-opacity", "100")
        page.fill("#lesions-opacity", "100")
        settled(viewer)
        filled[key] = coloured(pixels(viewer, key))
    page.click("#outline-toggle")
    settled(viewer)
    for key, area in filled.items():
        rim = coloured(pixels(viewer, key))
        assert 0.03 * area < rim < 0.6 * area, key
    page.keyboard.press("t")
    settled(viewer)
    assert page.locator("#outline-toggle").get_attribute("aria-pressed") == "false"
    assert coloured(pixels(viewer, "t1")) == pytest.approx(filled["t1"], rel=0.05)


def test_the_crosshair_is_seen_in_every_panel_and_goes(viewer: Watched) -> None:
    page = viewer.page
    lines = """key => {
      const panel = pelvimets.panels.get(key), canvas = panel.marks.canvas;
      const scale = devicePixelRatio;
      const copy = document.createElement("canvas");
      Object.assign(copy, { width: canvas.width, height: canvas.height });
      const read = copy.getContext("2d", { willReadFrequently: true });
      read.drawImage(canvas, 0, 0);
      const data = read.getImageData(0, 0, canvas.width, canvas.height).data;
      const [x, y] = panel.pixelOf(panel.place, 0).map((v) => Math.round(v * scale));
      const drawn = (px, py) => data[4 * (py * canvas.width + px) + 3] > 100;
      return [drawn(x - 30, y), drawn(x + 30, y), drawn(x, y - 30), drawn(x, y + 30), drawn(x, y)];
    }"""
    for key in ("dwi", "t1", "adc"):
        assert page.evaluate(lines, key) == [True, True, True, True, False], key
    page.click("#cross-toggle")
    for key in ("dwi", "t1", "adc"):
        assert page.evaluate(lines, key) == [False] * 5, key


def test_a_plane_is_large_with_one_click_and_the_lesion_is_near_with_one(viewer: Watched) -> None:
    page = viewer.page
    page.mouse.dblclick(*at(viewer, "t1", plane=1, dx=15))
    settled(viewer)
    assert page.locator(".panel:visible").count() == 1
    planes = "pelvimets.panels.get('t1').nv.screenSlices.map(s => s.axCorSag)"
    assert page.evaluate(planes) == [1]
    page.mouse.dblclick(*at(viewer, "t1", plane=1, dx=15))
    settled(viewer)
    assert page.locator(".panel:visible").count() == 3
    assert page.evaluate(planes) == [0, 1, 2]
    page.get_by_role("button", name="ADC alone, and back").click()
    assert page.locator(".panel:visible").count() == 1
    page.get_by_role("button", name="ADC alone, and back").click()
    page.locator("#lesions button").first.click()
    before = coloured(pixels(viewer, "dwi"))
    page.click("#zoom-lesion")
    settled(viewer)
    shown = page.evaluate(f"{_DWI}.pixelOf({list(_LESION_1_MM)}, 0)")
    [_, box, *_] = page.evaluate(f"{_DWI}.tiles().map(t => [t.plane, t.box])")[0]
    assert abs(shown[0] - box[0] - box[2] / 2) < 12 and abs(shown[1] - box[1] - box[3] / 2) < 12
    assert coloured(pixels(viewer, "dwi")) > before
    page.locator("#lesions button").first.click()  # the same again
    settled(viewer)
    assert page.evaluate(f"{_DWI}.view[3]") > 1.5
    page.keyboard.press("n")
    settled(viewer)
    assert page.evaluate(f"{_DWI}.view[3]") > 1.5
    page.keyboard.press("z")
    settled(viewer)
    assert page.evaluate(f"{_DWI}.view") == [0, 0, 0, 1]


def test_the_ruler_measures_in_mm_on_its_slice(viewer: Watched) -> None:
    page = viewer.page
    page.click("#ruler")
    start, end = at(viewer, "t1", dx=-20, dy=10), at(viewer, "t1", dx=40, dy=10)
    drag(viewer, start, end)
    scale = page.evaluate(
        "() => { const p = pelvimets.panels.get('t1'), m = [...p.place], n = [...p.place];"
        "n[0] += 50; return (p.pixelOf(n, 0)[0] - p.pixelOf(m, 0)[0]) / 50; }"
    )
    ruler = "pelvimets.panels.get('t1').marks.rulers"
    [one] = page.evaluate(ruler)
    length = np.linalg.norm(np.subtract(one["from"], one["to"]))
    assert length == pytest.approx(60 / abs(scale), rel=0.02)
    assert one["from"][2] == pytest.approx(one["to"][2])
    shown = "pelvimets.panels.get('t1').shows(pelvimets.panels.get('t1').marks.rulers[0].from, 0)"
    assert page.evaluate(shown) is True
    page.keyboard.press("PageUp")
    settled(viewer)
    assert page.evaluate(shown) is False
    page.keyboard.press("k")
    assert page.locator("#ruler").get_attribute("aria-pressed") == "false"
    page.click("#clear-rulers")
    assert page.evaluate(ruler) == []


def test_pens_in_mm_threshold_undo_and_redo(viewer: Watched, desk: ReviewDesk, out: Path) -> None:
    page = viewer.page
    page.locator("#lesions button").first.click()
    settled(viewer)
    page.get_by_role("button", name="Edit on DWI").click()
    count = f"{_DWI}.drawing.count"
    first = page.evaluate(count)
    voxel_mm = desk.geometry(Sequence.DWI).spacing[::-1]
    page.click("#erase")
    page.fill("#pen-slider", "40")
    assert page.inner_text("#pen-size") == "40 mm"
    page.get_by_role("button", name="3D brush").click()
    page.mouse.click(*at(viewer, "dwi"))
    assert page.evaluate(count) == 0  # a ball of 40 mm covers a lesion of 26 mm whole
    page.click("#undo")
    assert page.evaluate(count) == first
    page.click("#redo")
    assert page.evaluate(count) == 0
    page.click("#erase")
    page.fill("#pen-slider", "24")
    page.mouse.click(*at(viewer, "dwi"))
    ball = page.evaluate(count) * np.prod(voxel_mm)
    assert ball == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.25)
    page.keyboard.press("Control+z")
    page.get_by_role("button", name="Brush", exact=True).click()
    page.mouse.click(*at(viewer, "dwi"))
    disc = page.evaluate(count) * voxel_mm[0] * voxel_mm[1]
    assert disc == pytest.approx(np.pi * 12**2, rel=0.25)
    page.keyboard.press("Control+z")
    page.click("#threshold")
    page.fill("#threshold-low", "300")
    page.fill("#threshold-high", "5000")
    page.keyboard.press("Enter")  # gives the keyboard back to the images
    page.keyboard.press("s")
    page.fill("#pen-slider", "40")
    page.mouse.click(*at(viewer, "dwi"))
    page.keyboard.press("Control+y")  # nothing was undone since
    assert float(page.inner_text("#drawn-volume").split()[0]) > 1
    page.click("#draw-done")
    page.wait_for_selector("#editor", state="hidden")
    settled(viewer)
    drawn = np.asarray(nib.load(out / "review" / "dwi_lesions.nii.gz").dataobj) == 1
    image = np.asarray(nib.load(out / "images" / "dwi.nii.gz").dataobj)
    assert drawn.any() and image[drawn].min() >= 300
    assert drawn.sum() == pytest.approx(first, rel=0.05)  # the bright lesion, found by its signal
    page.keyboard.press("m")
    page.get_by_role("button", name="Filled outline").click()
    corner = at(viewer, "dwi", dx=-30, dy=-40)
    page.mouse.move(*corner)
    page.mouse.down()
    for dx, dy in ((40, 0), (40, 30), (0, 30)):
        page.mouse.move(corner[0] + dx, corner[1] + dy, steps=4)
    page.mouse.up()
    scale = page.evaluate(
        f"() => {{ const p = {_DWI}, n = [...p.place]; n[0] += 50;"
        "return Math.abs(p.pixelOf(n, 0)[0] - p.pixelOf(p.place, 0)[0]) / 50; }"
    )
    filled = page.evaluate(count) * voxel_mm[0] * voxel_mm[1]
    assert filled == pytest.approx(40 * 30 / scale**2, rel=0.3)
    page.click("#draw-cancel")
    assert page.locator("#editor").is_hidden()


def test_a_bone_is_edited_and_comes_back(viewer: Watched, out: Path) -> None:
    page = viewer.page
    page.locator("#lesions button").first.click()
    settled(viewer)
    page.select_option("#bone", label="ilium")
    page.select_option("#bone-on", label="T1 in phase")
    page.click("#edit-bone")
    assert page.inner_text("#editor-title") == "Ilium on T1 in phase"
    page.keyboard.press("x")
    page.keyboard.press("s")
    page.fill("#pen-slider", "30")
    page.mouse.click(*at(viewer, "t1"))
    page.click("#draw-done")
    page.wait_for_selector("#editor", state="hidden")
    settled(viewer)
    before = np.asarray(nib.load(out / "t1_bones.nii.gz").dataobj)
    after = np.asarray(nib.load(out / "review" / "drawn" / "t1_bones.nii.gz").dataobj)
    assert (before != after).sum() > 20
    assert set(before[before != after]) == {int(Bone.ILIUM)}
    assert page.inner_text("#bones-changed") == "drawn anew: ilium"
    shown = "pelvimets.panels.get('t1').bones.img.reduce((n, v) => n + (v === 3), 0)"
    assert page.evaluate(shown) == (after == Bone.ILIUM).sum()
    page.click("#first-bones")
    settled(viewer)
    assert page.evaluate(shown) == (before == Bone.ILIUM).sum()
    assert page.inner_text("#bones-changed") == ""


def test_the_report_is_verified_only_with_an_organisation(viewer: Watched, out: Path) -> None:
    page = viewer.page
    for _ in range(3):
        page.keyboard.press("a")
        settled(viewer)
    page.click("#sign")
    page.fill("#reader", "Dr. Ada")
    assert page.locator("#sign-confirm").is_enabled()
    page.check("#verified")
    assert page.locator("#sign-confirm").is_disabled()
    page.fill("#organisation", "Ward 7")
    page.click("#sign-confirm")
    page.get_by_role("button", name="Reopen").wait_for()
    review = json.loads((out / "review.json").read_text())
    assert (review["verified"], review["organisation"]) == (True, "Ward 7")


def test_a_prior_study_stands_beside_in_its_own_place(
    out: Path, tmp_path: Path, chromium: Browser
) -> None:
    prior = tmp_path / "prior"
    write_output(prior, shift_mm=(12.0, -6.0, 20.0))
    server = bind_viewer(ReviewDesk(out, beside=open_beside(out, prior=prior)))
    thread = server.start()
    with fresh_page(chromium, 1500, 800) as viewer:
        viewer.open(server.address)
        page = viewer.page
        assert page.evaluate("[...pelvimets.panels.keys()]") == [
            *("dwi", "t1", "adc", "prior-dwi", "prior-t1", "prior-adc")
        ]
        page.locator("#lesions button").first.click()
        settled(viewer)
        here = page.evaluate("pelvimets.panels.get('t1').place")
        there = page.evaluate("pelvimets.panels.get('prior-t1').place")
        assert np.subtract(there, here) == pytest.approx([-12.0, 6.0, 20.0], abs=4)
        value = "pelvimets.panels.get('prior-dwi').valueAt(pelvimets.panels.get('prior-dwi').place)"
        assert page.evaluate(value) > 300  # the same lesion there
        page.mouse.click(*at(viewer, "prior-t1", dx=10))
        settled(viewer)
        moved = np.subtract(page.evaluate("pelvimets.panels.get('t1').place"), here)
        assert np.abs(moved).max() > 3
        assert coloured(pixels(viewer, "prior-dwi")) > 50
        assert viewer.complaints == []
    server.stop()
    thread.join(10)


@contextmanager
def beside_t2(out: Path, chromium: Browser) -> Iterator[Watched]:
    """A viewer that offers one other series."""
    t2 = (out / "images" / "t1.nii.gz").read_bytes()
    beside = Beside(series={"series-0": "2 't2_tse'"}, _read={"series-0": lambda: t2})
    server = bind_viewer(ReviewDesk(out, beside=beside))
    thread = server.start()
    try:
        with fresh_page(chromium, 1300, 700) as viewer:
            viewer.open(server.address)
            yield viewer
            assert viewer.complaints == []
    finally:
        server.stop()
        thread.join(10)


def open_t2(viewer: Watched) -> str:
    """Open the other series; whose masks lie over it."""
    viewer.page.select_option("#series", label="2 't2_tse'")
    viewer.page.get_by_role("button", name="2 't2_tse'", exact=True).wait_for()
    viewer.until("pelvimets.panels.get('series-0')?.nv.volumes.length === 3")
    settled(viewer)
    return viewer.page.evaluate("pelvimets.panels.get('series-0').image.masks")


def test_another_series_is_opened_beside_with_the_same_masks(out: Path, chromium: Browser) -> None:
    with beside_t2(out, chromium) as viewer:
        page = viewer.page
        assert open_t2(viewer) == "dwi"
        places = page.evaluate("[...pelvimets.panels.values()].map(panel => panel.place)")
        assert np.ptp(np.array(places), axis=0).max() < 8
        assert page.locator(".panel:visible").count() == 4
        page.keyboard.press("a")
        settled(viewer)
        page.click("#update")
        viewer.until("pelvimets.state.study.review.outputs_current")
        assert json.loads((out / "findings.json").read_text())["review"]["lesions"]["accepted"] == 1
        page.get_by_role("button", name="2 't2_tse'", exact=True).click()
        assert page.locator(".panel:visible").count() == 3


def test_the_masks_over_another_series_are_those_with_the_most_lesions(
    out: Path, chromium: Browser
) -> None:
    with beside_t2(out, chromium) as viewer:
        viewer.page.evaluate("for (const x of pelvimets.state.study.lesions) delete x.seen_on.dwi")
        assert open_t2(viewer) == "t1"


def tilted(grid: Geometry, degrees: float) -> Geometry:
    """The slices turned about the patient's left-right axis, as along a sacrum or a prostate."""
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Geometry(grid.shape, turn @ grid.matrix)


def test_tilted_images_show_the_lesion_under_the_crosshair(
    tmp_path: Path, chromium: Browser
) -> None:
    """Each image tilted on its own; from the list, close by, and by a click."""
    angles = {Sequence.DWI: 18.0, Sequence.T1: -12.0}
    out = tmp_path / "out"
    write_output(out, {s: tilted(grid, angles[s]) for s, grid in GRIDS.items()})
    bound = bind_viewer(ReviewDesk(out))
    thread = bound.start()
    try:
        with fresh_page(chromium, 1300, 700) as watched:
            watched.open(bound.address)
            page = watched.page
            page.keyboard.press("g")
            for number in (1, 2):
                page.locator("#lesions button").nth(number - 1).click()
                for _ in ("as it lies", "close by"):
                    settled(watched)
                    for key in ("dwi", "t1"):
                        assert under_the_crosshair(watched, key), (key, number)
                    page.keyboard.press("z")
                page.keyboard.press("0")
            spot = at(watched, "dwi", 0, 12, -9)
            page.mouse.click(*spot)
            settled(watched)
            assert at(watched, "dwi") == pytest.approx(spot, abs=1.5)
            place = page.evaluate("pelvimets.place")
            there = page.evaluate("pelvimets.panels.get('t1').place")
            assert there == pytest.approx(place, abs=0.1)
            assert watched.complaints == []
    finally:
        bound.stop()
        thread.join(10)
        bound.listening.close()


def under_the_crosshair(viewer: Watched, key: str) -> bool:
    """Whether the lesion is drawn where the crosshair stands, in all three planes."""
    picture = pixels(viewer, key)
    for plane in range(3):
        x, y = viewer.page.evaluate(
            "([key, plane]) => { const p = pelvimets.panels.get(key);"
            " return p.pixelOf(p.place, plane); }",
            [key, plane],
        )
        if coloured(picture[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2]) < 5:
            return False
    return True
