"""A cohort's page, and its worklist in the browser."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner

from pelvimets.cli.main import app
from pelvimets.core.review import Remarks, Verdict
from pelvimets.errors import InputError
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.reading_room.opening import DeskOptions
from pelvimets.reading_room.readers import ReadAs
from pelvimets.reading_room.worklist import export_cases, open_worklist, write_cohort_page
from pelvimets.web import bind_worklist
from tests.web.browser import Watched, browser, fresh_page, missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def cohort(finished_run: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for name in ("anna", "bert", "cora"):
        shutil.copytree(finished_run, folder / name)
        Image.new("RGB", (200, 88), "navy").save(folder / name / "thumbnail.png")
    judge(folder / "bert", sign=True)
    judge(folder / "cora", sign=False)
    return folder


def judge(out: Path, *, sign: bool) -> None:
    desk = ReviewDesk(out)
    desk.remark(Remarks(reader="Dr. Ada"))
    for number in (1, 2, 3) if sign else (1,):
        desk.decide(number, Verdict.REJECTED)
    if sign:
        desk.sign()


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    text = (folder / "cohort.csv").read_text()
    return {row["patient"]: row for row in csv.DictReader(io.StringIO(text))}


def test_the_table_says_who_is_where(cohort: Path) -> None:
    (cohort / "anna" / "findings.json").write_text("{")
    page = write_cohort_page(cohort, {"dora": "The study holds no MR images"})
    rows = rows_of(cohort)
    assert list(rows) == ["anna", "bert", "cora", "dora"]
    assert "cannot be read" in rows["anna"]["statement"]
    assert rows["bert"]["lesions"] == "0" and rows["bert"]["suspected"] == "False"
    assert (rows["bert"]["review"], rows["bert"]["reader"]) == ("signed", "Dr. Ada")
    assert rows["cora"]["review"] == "begun" and float(rows["cora"]["volume_cm3"]) > 10
    assert rows["dora"]["review"] == "failed"
    write_cohort_page(cohort)  # again, without being told of her
    assert rows_of(cohort)["dora"] == rows["dora"]
    text = page.read_text()
    assert 'src="bert/thumbnail.png"' in text and "http" not in text.split("<body>")[1]


def test_signed_reviews_of_a_cohort_are_exported(cohort: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    with pytest.raises(InputError, match="holds no results"):
        open_worklist(tmp_path, DeskOptions())
    result = CliRunner().invoke(app, ["view", str(cohort), "--export", str(target)])
    assert result.exit_code == 0, result.output
    assert "1 signed reviews put into the cohort, 2 left out" in result.output
    assert (target / "patient-0042" / "dwi_lesions.nii.gz").is_file()
    assert export_cases(cohort, tmp_path / "other", "Bo")[0] == 0


def test_the_list_is_guarded_and_leads_to_each_patient(cohort: Path) -> None:
    server = bind_worklist(open_worklist(cohort, DeskOptions()))
    thread = server.start()
    base, token = server.address.split("/?")
    with httpx.Client(base_url=base, timeout=60, follow_redirects=True) as client:
        assert client.get("/").status_code == 403
        assert client.get("/p/0/").status_code == 403
        client.get(f"/?{token}")
        assert "anna" in client.get("/").text
        assert client.get("/p/1/api/study").json()["review"]["reader"] == "Dr. Ada"
        assert client.get("/p/0").url.path == "/p/0/"
        assert client.get("/p/7/").status_code == 404
        assert client.get("/thumbnails/0.png").content[:4] == b"\x89PNG"
        assert client.get("/thumbnails/9.png").status_code == 404
        headers = {"Origin": base}
        change = {"verdict": "accepted"}
        assert client.patch("/p/0/api/lesions/1", json=change, headers=headers).status_code == 200
    server.stop()
    thread.join(10)
    assert ReviewDesk(cohort / "anna").review.lesion(1).verdict is Verdict.ACCEPTED
    assert (ReviewDesk(cohort / "cora").review.lesion(2).verdict) is Verdict.PENDING


needs_browser = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


def shown(viewer: Watched) -> list[str]:
    return viewer.page.locator("#patients tbody tr:visible td.patient").all_inner_texts()


@needs_browser
def test_the_page_sorts_and_filters_without_a_server(cohort: Path, chromium: Browser) -> None:
    page_file = write_cohort_page(cohort)
    with fresh_page(chromium, 1200, 700) as viewer:
        page = viewer.page
        page.goto(page_file.as_uri())
        assert shown(viewer) == ["anna", "bert", "cora"]
        page.get_by_role("button", name="Lesions").click()
        assert shown(viewer)[-1] == "bert"  # most first
        page.get_by_role("button", name="Lesions").click()
        assert shown(viewer)[0] == "bert"
        page.get_by_role("button", name="Patient").click()
        assert shown(viewer) == ["anna", "bert", "cora"]
        page.select_option("[data-field=state]", "signed")
        assert shown(viewer) == ["bert"]
        page.select_option("[data-field=state]", "")
        page.select_option("[data-field=level]", "suspicious")
        assert shown(viewer) == ["anna", "cora"]
        page.fill("#words", "begun")
        assert shown(viewer) == ["cora"]
        assert page.inner_text("#count") == "1 of 3 patients"
        widths = "[...document.images].map(image => image.naturalWidth)"
        page.fill("#words", "")
        page.select_option("[data-field=level]", "")
        page.wait_for_function(f"{widths}.every(width => width === 200)")
        assert viewer.complaints == []


@needs_browser
def test_patients_are_worked_through(cohort: Path, chromium: Browser) -> None:
    for name, verdict in (("Ada", "a"), ("Bo", "r")):
        server = bind_worklist(open_worklist(cohort, DeskOptions(ReadAs(name, blind=True))))
        thread = server.start()
        with fresh_page(chromium, 1200, 700) as viewer:
            page = viewer.page
            page.goto(server.address)
            assert page.locator("tr[data-state=unread]").count() == 3
            page.get_by_role("link", name="anna").click()
            page.wait_for_selector("body[data-ready=true]")
            assert page.inner_text("#whose") == f"review of {name}"
            for number in (1, 2, 3):
                page.keyboard.press(verdict if number == 2 else "a")
                page.wait_for_selector(
                    f"#lesions li:nth-child({number}) :not([data-verdict=pending])"
                )
                page.evaluate("pelvimets.settled()")
            page.click("#sign")
            assert page.input_value("#reader") == name
            assert page.locator("#verify").is_hidden()
            page.click("#sign-confirm")
            page.get_by_role("button", name="Reopen").wait_for()
            page.get_by_role("link", name="Worklist").click()
            page.wait_for_selector("tr[data-state=signed]")
            assert f"signed by {name}" in page.locator("tr[data-state=signed]").inner_text()
            assert viewer.complaints == []
        server.stop()
        thread.join(10)
    server = bind_worklist(open_worklist(cohort, DeskOptions(ReadAs(settle=True))))
    thread = server.start()
    with fresh_page(chromium, 1200, 700) as viewer:
        page = viewer.page
        page.goto(server.address)
        assert "Ada: signed" in page.locator("tr").nth(1).inner_text()
        page.get_by_role("link", name="anna").click()
        page.wait_for_selector("body[data-ready=true]")
        second = page.locator("#lesions li").nth(1)
        assert "readers differ" in second.inner_text()
        second.locator("button").click()
        assert page.locator("#readings li").all_inner_texts() == [
            "Ada: accepted\nTake",
            "Bo: rejected\nTake",
        ]
        page.get_by_role("button", name="Take the reading of Bo").click()
        page.wait_for_selector("#lesions li:nth-child(2) [data-verdict=rejected]")
        page.goto(f"{page.url}../1/")
        assert "cannot be opened" in page.inner_text("h1")
        viewer.complaints[:] = [c for c in viewer.complaints if "409" not in c]
        assert viewer.complaints == []
    server.stop()
    thread.join(10)
