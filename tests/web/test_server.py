"""Who is let in, what is served, and what a change answers."""

from __future__ import annotations

import gzip
import hashlib
import socket
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from pelvimets.core.review import Verdict
from pelvimets.errors import OutputError
from pelvimets.labels import Sequence
from pelvimets.reading_room.desk import ReviewDesk
from pelvimets.web import ViewerServer, bind_viewer


@pytest.fixture
def base(server: ViewerServer) -> str:
    return server.address.split("/?")[0]


@pytest.fixture
def client(server: ViewerServer, base: str) -> Iterator[httpx.Client]:
    """Past the first visit: the cookie is there, and changes name their origin."""
    with httpx.Client(base_url=base, headers={"Origin": base}, timeout=30) as client:
        assert client.get(server.address).status_code == 303
        yield client


def test_the_address_is_this_machine_alone(server: ViewerServer) -> None:
    assert server.listening.getsockname()[0] == "127.0.0.1"
    assert len(parse_qs(urlsplit(server.address).query)["token"][0]) >= 43


def test_the_token_becomes_a_cookie_and_leaves_the_address(server: ViewerServer) -> None:
    with httpx.Client() as client:
        answer = client.get(server.address)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        page = client.get(server.address.split("?")[0])
    assert page.status_code == 200
    assert "<title>pelvimets viewer</title>" in page.text


@pytest.mark.parametrize("path", ["/", "/api/study", "/api/images/dwi.nii.gz", "/static/app.js"])
def test_without_the_token_nothing_is_served(base: str, path: str) -> None:
    assert httpx.get(base + path).status_code == 403
    assert httpx.get(f"{base}{path}?token=guess").status_code == 403
    port = urlsplit(base).port
    stale = {f"pelvimets_{port}": "x" * 43}
    assert httpx.get(base + path, cookies=stale).status_code == 403


def test_another_host_name_is_refused(client: httpx.Client) -> None:
    for host in ("evil.example", "127.0.0.1:1", "127.0.0.1"):
        assert client.get("/api/study", headers={"Host": host}).status_code == 421


def test_changes_come_from_the_page_alone(client: httpx.Client, desk: ReviewDesk) -> None:
    for origin in ("http://evil.example", "null", ""):
        answer = client.patch(
            "/api/lesions/1", json={"verdict": "rejected"}, headers={"Origin": origin}
        )
        assert answer.status_code == 403
    assert desk.review.lesion(1).verdict == "pending"


def test_every_answer_carries_the_strict_policy(client: httpx.Client) -> None:
    for path in ("/", "/static/niivue.js", "/api/study", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_report_is_served_without_rights(client: httpx.Client) -> None:
    answer = client.get("/report")
    assert "<h1>Report</h1>" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script-src" not in policy


def test_images_are_served_as_stored_and_nothing_else(client: httpx.Client, out: Path) -> None:
    for key, path in (
        ("dwi", "images/dwi.nii.gz"),
        ("adc", "images/adc.nii.gz"),
        ("t1_bones", "t1_bones.nii.gz"),
        ("t1_lesions", "t1_lesions.nii.gz"),
    ):
        assert client.get(f"/api/images/{key}.nii.gz").content == (out / path).read_bytes()
    for key in ("run", "..%2Fdwi_bones", "%2e%2e/dwi_bones", "adc_lesions", "review"):
        assert client.get(f"/api/images/{key}.nii.gz").status_code == 404
    for name in ("niivue.md", "..%2Fschemas%2Freview.schema.json", "__init__.py"):
        assert client.get(f"/static/{name}").status_code == 404


def test_the_study_names_what_the_page_shows(client: httpx.Client) -> None:
    study = client.get("/api/study").json()
    assert study["patient_key"] == "patient-0042"
    assert [image["key"] for image in study["images"]] == ["dwi", "t1", "adc"]
    assert [image["masks"] for image in study["images"]] == ["dwi", "t1", "dwi"]
    assert [lesion["title"] for lesion in study["lesions"]] == [
        "left ilium",
        "sacrococcyx",
        "right femoral head",
    ]
    assert "Research use only" in study["notice"]


def test_a_drawing_travels_to_the_masks(client: httpx.Client, desk: ReviewDesk) -> None:
    shape = desk.geometry(Sequence.T1).shape
    before = gzip.decompress(client.get("/api/images/t1_lesions.nii.gz").content)[352:]
    voxels = bytearray(desk.geometry(Sequence.T1).n_voxels)
    voxels[5 * shape[1] * shape[2] + 7 * shape[2] + 11] = 1
    study = client.put("/api/lesions/3/shape/t1", content=bytes(voxels)).json()
    label = study["lesions"][2]["labels"]["t1"]
    stored = gzip.decompress(client.get("/api/images/t1_lesions.nii.gz").content)[352:]
    changed = [i for i in range(len(voxels)) if stored[2 * i] != before[2 * i]]
    assert [(i, stored[2 * i]) for i in changed] == [(voxels.index(1), label)]
    added = client.post("/api/lesions/t1", content=bytes(voxels[::-1])).json()
    assert added["added"] == 4
    assert client.delete("/api/lesions/4").json()["lesions"][-1]["number"] == 3
    assert client.delete("/api/lesions/3/shape").json()["lesions"][2]["edited"] == []


def test_refusals_say_why(client: httpx.Client) -> None:
    answer = client.post("/api/review/sign")
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "A signature needs a name. Enter the reader's name.",
    )
    assert client.patch("/api/lesions/9", json={"verdict": "accepted"}).status_code == 409
    assert client.patch("/api/lesions/1", json={"verdict": "maybe"}).status_code == 422
    assert client.put("/api/lesions/1/shape/adc", content=b"").status_code == 422
    assert client.put("/api/lesions/1/shape/t1", content=b"1").status_code == 409
    assert client.patch("/api/review", json={"reader": "x" * 201}).status_code == 422


def test_a_review_is_signed_and_reopened(client: httpx.Client) -> None:
    for number in (1, 2, 3):
        client.patch(f"/api/lesions/{number}", json={"verdict": "accepted", "note": "seen"})
    client.patch("/api/review", json={"reader": "Dr. Ada"})
    study = client.post("/api/review/sign").json()
    assert study["review"]["signed"]
    assert study["review"]["outputs_current"]
    assert client.patch("/api/lesions/1", json={"note": "late"}).status_code == 409
    assert client.post("/api/review/reopen").json()["review"]["signed"] is None


def test_a_taken_port_is_named(desk: ReviewDesk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OutputError, match="cannot listen"):
            bind_viewer(desk, taken.getsockname()[1])


def test_the_bundled_viewer_is_the_one_described() -> None:
    folder = resources.files("pelvimets.resources") / "viewer"
    digest = hashlib.sha256((folder / "niivue.js").read_bytes()).hexdigest()
    assert digest in (folder / "niivue.md").read_text(encoding="utf-8")
    assert "BSD 2-Clause" in (folder / "niivue.LICENSES.txt").read_text(encoding="utf-8")


def test_a_request_larger_than_any_drawing_is_refused_unread(
    client: httpx.Client, desk: ReviewDesk
) -> None:
    largest = max(desk.geometry(s).n_voxels for s in desk.sequences)
    path = "/api/lesions/3/shape/t1"
    assert client.put(path, content=bytes((1 << 18) + largest)).status_code == 413
    unnamed = iter([bytes(1 << 20)] * 20)  # sent in parts, so that no length is named
    assert client.put(path, content=unnamed).status_code == 413
    assert client.patch("/api/review", json={"comment": "x" * (1 << 19)}).status_code in (413, 422)
    assert not (desk.out / "review.json").exists()


def test_a_change_made_on_an_older_state_is_a_conflict(
    client: httpx.Client, desk: ReviewDesk, out: Path
) -> None:
    known = client.get("/api/study").json()["version"]
    first = client.patch(
        "/api/lesions/1", json={"verdict": "accepted"}, headers={"If-Match": known}
    )
    assert first.json()["version"] != known
    late = client.patch("/api/lesions/2", json={"verdict": "rejected"}, headers={"If-Match": known})
    assert (late.status_code, late.json()["conflict"]) == (409, True)
    assert desk.review.lesion(2).verdict == "pending"
    assert client.post("/api/review/sign").json()["conflict"] is False  # refused for another reason
    ReviewDesk(out).decide(3, Verdict.REJECTED)  # another viewer
    now = first.json()["version"]
    late = client.patch("/api/lesions/2", json={"note": "late"}, headers={"If-Match": now})
    assert late.json()["conflict"] is True
    study = client.get("/api/study").json()
    assert [lesion["verdict"] for lesion in study["lesions"]] == ["accepted", "pending", "rejected"]
    again = client.patch(
        "/api/lesions/2", json={"note": "late"}, headers={"If-Match": study["version"]}
    )
    assert again.status_code == 200
