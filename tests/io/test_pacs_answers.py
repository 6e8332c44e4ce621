"""A PACS that stores nothing, half, or with a remark; one that hands over half of a study.

The servers run on free ports of the loopback address and answer what a test tells them to.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pydicom
import pynetdicom
import pytest
from dicom_out_study import STUDY_UID, axial, make_case, write
from dicom_samples import block, t1, uid
from dicom_samples import write as write_files
from pydicom.dataset import Dataset
from pydicom.uid import UID
from typer.testing import CliRunner

from pelvimets.arrivals.pacs import Call, fetch_study, push_results
from pelvimets.cli.main import app
from pelvimets.errors import InputError, OutputError
from pelvimets.io.pacs.answer import NoStoreAnswerError, parse_store_answer
from pelvimets.io.pacs.nodes import DicomwebNode, DimseNode, parse_node
from pelvimets.io.pacs.transfer import fetch, store
from pelvimets.labels import Sequence

JSON = "application/dicom+json"
LOGIN = b"<!DOCTYPE html><html><body><form>Log in</form></body></html>"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, ...]:
    """dwi_seg.dcm, t1_seg.dcm, sr.dcm, report.dcm."""
    grids = {Sequence.DWI: axial((5, 9, 7)), Sequence.T1: axial((6, 12, 10), (4.0, 1.5, 2.0))}
    return write(tmp_path_factory.mktemp("run") / "dicom", make_case(grids))


@pytest.fixture(scope="module")
def uids(files) -> list[str]:
    return [str(pydicom.dcmread(path).SOPInstanceUID) for path in files]


def sequence(tag: str, items: list[dict]) -> dict:
    return {tag: {"vr": "SQ", "Value": items}}


def item(instance: str, **numbers: int) -> dict:
    tags = {"warning": "00081196", "failure": "00081197"}
    values = {tags[name]: {"vr": "US", "Value": [value]} for name, value in numbers.items()}
    return {"00081155": {"vr": "UI", "Value": [instance]}, **values}


def stored(uids: list[str]) -> dict:
    return sequence("00081199", [item(u) for u in uids])


# --- over the web --------------------------------------------------------------------------


@dataclass
class WebServer:
    """What it answers, and what it was asked."""

    status: int = 200
    kind: str = JSON
    body: bytes = b""
    location: str = ""
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    authorization: str | None = None
    others: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # by the end of the address
    drip_s: float = 0.0
    port: int = 0

    @property
    def node(self) -> DicomwebNode:
        return DicomwebNode(f"http://127.0.0.1:{self.port}/dicom-web", timeout_s=10)


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    told = WebServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self):
            self._answer(b"")

        def _answer(self, sent: bytes):
            told.requests.append((self.command, self.path, sent))
            told.authorization = self.headers.get("Authorization")
            ends = [end for end in told.others if self.path.endswith(end)]
            kind, body = told.others[ends[0]] if ends else (told.kind, told.body)
            self.send_response(
                404 if self.path.endswith("/instances") and not ends else told.status
            )
            if told.location:
                self.send_header("Location", told.location)
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):  # the other side may have had enough
                for at in range(0, len(body), 1 if told.drip_s else len(body)):
                    self.wfile.write(body[at : at + 1] if told.drip_s else body)
                    time.sleep(told.drip_s)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_is_sent_is_every_file_as_it_is(files, uids, web):
    web.body = json.dumps(stored(uids)).encode()
    assert store(files, web.node).sop_instance_uids == tuple(uids)
    ((method, path, sent),) = web.requests
    assert (method, path) == ("POST", "/dicom-web/studies")
    assert sent.count(b"Content-Type: application/dicom\r\n") == len(files)
    for file in files:
        pixels = pydicom.dcmread(file).get("PixelData") or pydicom.dcmread(file).SOPInstanceUID
        assert (pixels if isinstance(pixels, bytes) else str(pixels).encode()) in sent


@pytest.mark.parametrize("kind", [JSON, "application/json", f"{JSON}; charset=utf-8", "text/plain"])
@pytest.mark.parametrize("shape", ["object", "list of one", "list of each"])
def test_an_answer_in_any_shape_of_json_is_understood(files, uids, web, kind, shape):
    answers = {"object": stored(uids), "list of one": [stored(uids)]}
    plain = answers.get(shape) or [stored([u]) for u in uids]
    web.kind, web.body = kind, json.dumps(plain).encode()
    assert store(files, web.node).notes == ()


def test_an_answer_in_xml_is_understood(files, uids, web):
    items = "".join(
        f'<Item number="{n}"><DicomAttribute tag="00081155" vr="UI"><Value number="1">{u}</Value>'
        f'</DicomAttribute><DicomAttribute tag="00081196" vr="US"><Value number="1">45056</Value>'
        f"</DicomAttribute></Item>"
        for n, u in enumerate(uids, 1)
    )
    body = (
        '<?xml version="1.0"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/'
        f'NativeDICOM"><DicomAttribute tag="00081199" vr="SQ">{items}</DicomAttribute>'
        "</NativeDicomModel>"
    )
    web.kind, web.body = "application/dicom+xml", body.encode()
    assert store(files, web.node).notes == tuple(
        f"{path.name}: stored, but 0xB000, some attributes were changed" for path in files
    )


@pytest.mark.parametrize(
    "status,kind,body,said",
    [
        (200, JSON, b"", "HTTP 200 with an empty answer"),
        (200, "", b"", "HTTP 200 with an empty answer"),
        (204, "", b"", "HTTP 204 with an empty answer"),
        (200, "text/html; charset=utf-8", LOGIN, r"a page of another kind \(text/html\)"),
        (200, "application/xhtml+xml", LOGIN, r"a page of another kind \(application/xhtml"),
        (200, JSON, b"{broken", r"an answer that cannot be read \(application/dicom\+json\)"),
        (200, JSON, b'["text", 3]', "an answer that cannot be read"),
        (200, JSON, b"null", "an answer that cannot be read"),
        (200, "application/dicom+xml", b"<a><b></a>", "an answer that cannot be read"),
        (500, "text/html", b"<html>", "HTTP 500 with a page of another kind"),
        (401, "", b"", "HTTP 401 with an empty answer"),
    ],
)
def test_an_answer_that_names_no_object_is_a_failure(files, web, status, kind, body, said):
    web.status, web.kind, web.body = status, kind, body
    with pytest.raises(OutputError, match=f"did not say that it stored anything .*{said}"):
        store(files, web.node)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_shows_where_it_points(files, web, status):
    web.status, web.kind, web.body = status, "text/html", LOGIN
    web.location = f"http://127.0.0.1:{web.port}/login?token=secret"
    with pytest.raises(OutputError, match=f"HTTP {status} to http://127.0.0.1:{web.port}/login\\)"):
        store(files, web.node)
    with pytest.raises(InputError, match="sends on to another address"):
        fetch(STUDY_UID, web.node)
    assert [method for method, _, _ in web.requests] == ["POST", "GET"]


@pytest.mark.parametrize("empty", [b"{}", b"[]", b'{"00081190": {"vr": "UR"}}', b"[{}]"])
def test_an_answer_without_any_object_names_all_of_them(files, web, empty):
    web.body = empty
    with pytest.raises(OutputError) as caught:
        store(files, web.node)
    assert "The PACS stored 0 of 4 objects" in str(caught.value)
    for path in files:
        assert f"{path.name}: not confirmed" in str(caught.value)


def test_what_is_missing_in_the_answer_is_named(files, uids, web):
    web.body = json.dumps(stored([uids[0], uids[3]])).encode()
    with pytest.raises(OutputError) as caught:
        store(files, web.node)
    assert "stored 2 of 4" in str(caught.value)
    assert "t1_seg.dcm: not confirmed; sr.dcm: not confirmed)" in str(caught.value)


@pytest.mark.parametrize("status", [200, 202, 409])
def test_what_failed_is_named_with_its_reason(files, uids, web, status):
    failed = sequence("00081198", [item(uids[2], failure=0xA700), item(uids[1], failure=0x0122)])
    web.status, web.body = status, json.dumps({**stored(uids[:2]), **failed}).encode()
    with pytest.raises(OutputError) as caught:
        store(files, web.node)
    message = str(caught.value)
    assert "stored 1 of 4" in message and "dwi_seg.dcm" not in message
    assert "t1_seg.dcm: 0x0122, this kind of object is not supported" in message
    assert "sr.dcm: 0xA700, out of resources" in message
    assert "report.dcm: not confirmed" in message


def test_warnings_of_the_service_mean_stored(files, uids, web):
    items = [item(uids[0], warning=0xB006), *(item(u) for u in uids[1:])]
    web.status, web.body = 202, json.dumps(sequence("00081199", items)).encode()
    assert store(files, web.node).notes == (
        "dwi_seg.dcm: stored, but 0xB006, some attributes were discarded",
    )


def test_the_command_fails_where_nothing_is_confirmed(files, web):
    web.kind, web.body = "text/html", LOGIN
    address = f"http://127.0.0.1:{web.port}/dicom-web"
    result = CliRunner().invoke(app, ["push", str(files[0].parent.parent), address])
    assert isinstance(result.exception, OutputError)
    assert "stored in" not in result.output


def test_the_command_counts_what_is_stored(files, uids, web):
    web.body = json.dumps(sequence("00081199", [item(u, warning=0xB007) for u in uids])).encode()
    address = f"http://127.0.0.1:{web.port}/dicom-web"
    result = CliRunner().invoke(app, ["push", str(files[0].parent.parent), address])
    assert result.exit_code == 0, result.output
    assert "note: sr.dcm: stored, but 0xB007, it does not match its class" in result.output
    assert f"4 objects stored in http://127.0.0.1:{web.port}/dicom-web" in result.output


@pytest.mark.parametrize(
    "kind,body,said",
    [
        ("text/html", LOGIN, "something else than DICOM objects .*text/html"),
        ("", b"", "something else than DICOM objects .*no type"),
        (JSON, b"[]", "something else than DICOM objects"),
        ("multipart/related", b"x", "something else than DICOM objects"),
        ("multipart/related; boundary=b", b"--b\r\n\r\nDICM", "breaks off"),
        ("multipart/related; boundary=b", b"--b--\r\n", "holds nothing .*1.2.826"),
        ("multipart/related; boundary=b", b"--b\r\n\r\nno\r\n--b--", "holds nothing"),
    ],
)
def test_what_is_no_study_is_not_fetched(web, kind, body, said):
    web.kind, web.body = kind, body
    with pytest.raises(InputError, match=said):
        fetch(STUDY_UID, web.node)


def test_one_unreadable_part_does_not_cost_the_others(files, web, tmp_path):
    parts = [path.read_bytes() for path in files]
    parts.insert(1, b"no DICOM")
    body = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + p + b"\r\n" for p in parts)
    web.kind, web.body = (
        'multipart/related; type="application/dicom"; boundary="b"',
        body + b"--b--",
    )
    address = f"http://127.0.0.1:{web.port}"
    result = CliRunner().invoke(app, ["fetch", STUDY_UID, address, "-o", str(tmp_path / "S")])
    assert result.exit_code == 1
    assert "4 objects fetched" in result.output
    assert "not fetched: 1 parts of the answer are no DICOM objects" in result.output
    back = {p.read_bytes() for p in (tmp_path / "S").iterdir()}
    assert back == {path.read_bytes() for path in files}


@pytest.mark.parametrize("text", ["", "1.2.3/../../other", "study", "1" * 65])
def test_what_is_no_uid_is_not_asked_for(web, text):
    with pytest.raises(InputError, match="no UID"):
        fetch(text, web.node)
    assert web.requests == []


def test_an_answer_is_read_by_tag_alone():
    outcome = parse_store_answer(
        json.dumps({**stored(["1.2"]), **sequence("00081198", [item("1.3")])}).encode(), JSON
    )
    assert outcome.warnings == {"1.2": ""}
    assert outcome.failures == {"1.3": "no reason given"}
    with pytest.raises(NoStoreAnswerError):
        parse_store_answer(b"stored", "text/plain")


# --- over DIMSE ----------------------------------------------------------------------------


@dataclass
class DimseServer:
    """Statuses of what is stored, in order; objects of a study, and how the answer ends."""

    statuses: list[int] = field(default_factory=list)
    objects: list[Dataset] = field(default_factory=list)
    end: int | None = None
    refused: list[str] = field(default_factory=list)
    port: int = 0
    drop_after: int = 99
    pause_s: float = 0.0

    @property
    def node(self) -> DimseNode:
        return DimseNode("127.0.0.1", self.port, "TEST", timeout_s=2)


@pytest.fixture
def dimse():
    told = DimseServer()
    arrived: list[str] = []

    def keep(event) -> int:
        arrived.append(event.request.AffectedSOPInstanceUID)
        if len(arrived) > told.drop_after:
            event.assoc.abort()
        return told.statuses[len(arrived) - 1]

    def hand_over(event):
        yield len(told.objects) + max(1, len(told.refused)) * (told.end is not None)
        for dataset in told.objects:
            time.sleep(told.pause_s)
            yield 0xFF00, dataset
        if told.end is not None:
            failed = Dataset()
            failed.FailedSOPInstanceUIDList = told.refused
            yield told.end, failed

    entity = pynetdicom.AE("TEST")
    for context in pynetdicom.AllStoragePresentationContexts:
        entity.add_supported_context(context.abstract_syntax, scu_role=True, scp_role=True)
    entity.add_supported_context(pynetdicom.sop_class.StudyRootQueryRetrieveInformationModelGet)
    handlers = [(pynetdicom.evt.EVT_C_STORE, keep), (pynetdicom.evt.EVT_C_GET, hand_over)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    told.port = server.socket.getsockname()[1]
    yield told
    server.shutdown()


def test_warnings_of_a_node_mean_stored(files, uids, dimse):
    dimse.statuses = [0xB000, 0xB006, 0xB007, 0x0000]
    outcome = store(files, dimse.node)
    assert outcome.sop_instance_uids == tuple(uids)
    assert outcome.notes == (
        "dwi_seg.dcm: stored, but 0xB000, some attributes were changed",
        "t1_seg.dcm: stored, but 0xB006, some attributes were discarded",
        "sr.dcm: stored, but 0xB007, it does not match its class",
    )


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC001, 0x0110])
def test_a_refused_object_is_named_and_the_others_are_sent(files, dimse, status):
    dimse.statuses = [0x0000, status, 0x0000, 0xB000]
    with pytest.raises(OutputError) as caught:
        store(files, dimse.node)
    message = str(caught.value)
    assert "stored 3 of 4" in message and f"not stored: t1_seg.dcm: 0x{status:04X}, " in message
    assert "sr.dcm" not in message and "report.dcm" not in message


def test_a_connection_that_breaks_off_names_the_rest(files, dimse):
    dimse.statuses, dimse.drop_after = [0x0000] * 4, 1
    with pytest.raises(OutputError) as caught:
        store(files, dimse.node)
    message = str(caught.value)
    assert "stored 1 of 4" in message and "t1_seg.dcm: no answer" in message
    assert "report.dcm: the connection broke off" in message


@pytest.fixture
def images(dimse) -> list[Dataset]:
    dimse.objects = t1(block((10, 6, 6)), StudyInstanceUID=STUDY_UID)
    for image in dimse.objects:
        image.SOPClassUID = UID(image.SOPClassUID)
    return dimse.objects


@pytest.mark.parametrize("end", [0xB000, 0xA702])
def test_what_a_node_cannot_hand_over_does_not_cost_the_rest(dimse, images, tmp_path, end):
    dimse.refused, dimse.end = [uid("odd", 1), uid("odd", 2)], end
    address = f"dicom://TEST@127.0.0.1:{dimse.port}"
    result = CliRunner().invoke(app, ["fetch", STUDY_UID, address, "-o", str(tmp_path / "S")])
    assert result.exit_code == 1
    assert "10 objects fetched" in result.output
    for lost in dimse.refused:
        assert f"not fetched: object {lost}" in result.output
    back = {pydicom.dcmread(p).SOPInstanceUID for p in (tmp_path / "S").iterdir()}
    assert back == {image.SOPInstanceUID for image in images}


def test_a_node_that_does_not_name_what_it_kept(dimse, images, tmp_path):
    dimse.end = 0xB000
    address = f"dicom://TEST@127.0.0.1:{dimse.port}"
    fetched = fetch_study(STUDY_UID, address, tmp_path / "S")
    assert fetched.files == len(images)
    assert len(fetched.missing) == 1 and "does not name" in fetched.missing[0]


@pytest.mark.parametrize("end", [0xA701, 0xA900, 0xC001, 0xFE00])
def test_a_refusal_hands_over_nothing(dimse, images, tmp_path, end):
    dimse.end = end
    with pytest.raises(InputError, match=f"did not hand over the study .*0x{end:04X}"):
        fetch_study(STUDY_UID, f"dicom://TEST@127.0.0.1:{dimse.port}", tmp_path / "S")
    assert not (tmp_path / "S").exists()


def test_fetched_files_can_be_read_as_a_study(dimse, images, tmp_path):
    written = write_files(tmp_path / "sent", images)
    fetched = fetch_study(STUDY_UID, f"dicom://TEST@127.0.0.1:{dimse.port}", tmp_path / "S")
    assert fetched.files == len(list(written.iterdir()))
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "S")])
    assert result.exit_code == 0 and "T1 in phase" in result.output


# --- who signs in --------------------------------------------------------------------------


def signed(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """No credentials lie anywhere."""
    for name in ("PELVIMETS_PACS_TOKEN", "PELVIMETS_PACS_USER", "PELVIMETS_PACS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path / "netrc"


@pytest.mark.parametrize("where", ["environment", "netrc", "prompt", "token", "nowhere"])
def test_a_password_comes_from_anywhere_but_the_address(
    files, uids, web, nobody, monkeypatch, where
):
    web.body = json.dumps(stored(uids)).encode()
    address, ask, wanted = (
        f"http://ann@127.0.0.1:{web.port}/dicom-web",
        None,
        signed("ann", "s3:c@t"),
    )
    nobody.write_text("machine 127.0.0.1 login bob password other\n")
    if where == "environment":
        monkeypatch.setenv("PELVIMETS_PACS_PASSWORD", "s3:c@t")
    elif where == "netrc":
        nobody.write_text("machine 127.0.0.1 login ann password s3:c@t\n")
    elif where == "prompt":
        ask = {"Password of ann at 127.0.0.1": "s3:c@t"}.__getitem__
    elif where == "token":
        monkeypatch.setenv("PELVIMETS_PACS_TOKEN", "t0ken")
        wanted = "Bearer t0ken"
    if where == "nowhere":
        with pytest.raises(InputError, match=r"no password .*ann at 127.0.0.1.*~/.netrc"):
            push_results(files[0].parent.parent, address)
        assert web.requests == []
    else:
        push_results(files[0].parent.parent, address, Call(ask))
        assert web.authorization == wanted
        assert all("ann" not in path for _, path, _ in web.requests)


@pytest.mark.parametrize(
    "address",
    [
        "http://ann:s3cret@127.0.0.1:1/dicom-web",
        "https://ann:s3cr@t/s3cret@host/dicom-web",
        "dicom://AET:s3cret@host:104",
        "ftp://ann:s3cret@host",
        "http://ann:s3cret@host:99999/x",
    ],
)
def test_a_password_in_an_address_is_refused_and_never_shown(files, nobody, address):
    for words in (
        ["push", str(files[0].parent.parent), address],
        ["fetch", "1.2", address, "-o", "x"],
    ):
        result = CliRunner().invoke(app, words)
        assert isinstance(result.exception, InputError)
        assert "s3cr" not in f"{result.exception} {result.output}"


def test_an_unreachable_service_shows_no_credentials(files, nobody, monkeypatch):
    monkeypatch.setenv("PELVIMETS_PACS_PASSWORD", "s3cret")
    with pytest.raises(OutputError) as refused:
        push_results(files[0].parent.parent, "http://ann@127.0.0.1:1/dicom-web")
    assert "s3cret" not in str(refused.value) and signed("ann", "s3cret") not in str(refused.value)


# --- what comes is looked at -----------------------------------------------------------------

MULTIPART = 'multipart/related; type="application/dicom"; boundary="b"'


def packed(*objects: bytes) -> bytes:
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + content + b"\r\n" for content in objects) + b"--b--"


def encoded(dataset: Dataset) -> bytes:
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


@pytest.fixture
def three() -> list[Dataset]:
    return t1(block((10, 6, 6)), StudyInstanceUID=STUDY_UID)[:3]


def spoiled(images: list[Dataset], how: str) -> bytes:
    """The second of three images as a faulty service hands it over."""
    whole = encoded(images[1])
    if how == "is of another study":
        images[1].StudyInstanceUID = "1.2.3"
    if how == "does not say what it is":
        del images[1].SeriesInstanceUID
    changed = encoded(images[1])
    return {"is cut short": whole[:-9], "cannot be read": whole[:132] + b"\xff" * 60}.get(
        how, changed
    )


FAULTS = ["is cut short", "is of another study", "does not say what it is"]


@pytest.mark.parametrize("how", FAULTS)
def test_a_faulty_object_is_named_and_not_kept(three, web, tmp_path, how):
    second = spoiled(three, how)
    web.kind, web.body = MULTIPART, packed(encoded(three[0]), second, encoded(three[2]))
    address = f"http://127.0.0.1:{web.port}"
    result = CliRunner().invoke(app, ["fetch", STUDY_UID, address, "-o", str(tmp_path / "S")])
    assert result.exit_code == 1
    assert "2 objects fetched" in result.output
    assert f"not fetched: object {three[1].SOPInstanceUID} {how}" in result.output
    assert len(list((tmp_path / "S").iterdir())) == 2


def test_an_image_cut_anywhere_is_never_kept(three, web):
    whole = encoded(three[0])
    for end in range(140, len(whole), 7):
        web.kind, web.body = MULTIPART, packed(whole[:end])
        with pytest.raises(InputError):
            fetch(STUDY_UID, web.node)


def test_where_nothing_is_sound_nothing_is_written(three, web, tmp_path):
    for image in three:
        image.StudyInstanceUID = "1.2.3"
    web.kind, web.body = MULTIPART, packed(*map(encoded, three))
    with pytest.raises(InputError, match=r"Nothing .* can be used .*another study, 2 more"):
        fetch_study(STUDY_UID, f"http://127.0.0.1:{web.port}", tmp_path / "S")
    assert not (tmp_path / "S").exists()


def test_what_the_service_lists_and_does_not_send_is_missed(three, web, monkeypatch):
    listed = [{"00080018": {"vr": "UI", "Value": [str(d.SOPInstanceUID)]}} for d in three]
    web.kind, web.body = MULTIPART, packed(encoded(three[0]), encoded(three[2]))
    web.others["/instances"] = (JSON, json.dumps(listed).encode())
    fetched = fetch(STUDY_UID, web.node)
    assert len(fetched.objects) == 2
    assert fetched.missing == (f"object {three[1].SOPInstanceUID} did not come",)


@pytest.mark.parametrize("listed", [b"", b"<html>", b"{}", b"[{}]", b"[1]", b"null"])
def test_a_service_that_cannot_be_searched_is_believed(three, web, listed):
    web.kind, web.body = MULTIPART, packed(*map(encoded, three))
    web.others["/instances"] = (JSON, listed)
    assert fetch(STUDY_UID, web.node).missing == ()


def test_an_answer_that_drips_ends_after_the_time_it_may_take(web):
    web.kind, web.body, web.drip_s = MULTIPART, b"--b\r\n\r\n" + bytes(1000), 0.05
    began = time.monotonic()
    with pytest.raises(InputError, match=r"too long.*bytes in 0\.5 s"):
        fetch(STUDY_UID, replace(web.node, whole_s=0.5))
    assert time.monotonic() - began < 5


def test_a_study_that_drips_over_dimse_ends_likewise(dimse, images):
    dimse.pause_s = 0.2
    began = time.monotonic()
    with pytest.raises(InputError, match=r"too long.*objects in 0\.5 s"):
        fetch(STUDY_UID, replace(dimse.node, whole_s=0.5))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("how", FAULTS[1:])
def test_over_dimse_too(dimse, images, how):
    spoiled(images, how)
    fetched = fetch(STUDY_UID, dimse.node)
    assert len(fetched.objects) == len(images) - 1
    assert fetched.missing == (f"object {images[1].SOPInstanceUID} {how}",)


@pytest.mark.parametrize("title", ["A" * 17, "%20%20", "T%C3%BCR", "A%5CB"])
def test_an_ae_title_that_no_pacs_can_have(title):
    with pytest.raises(InputError, match="1 to 16 plain characters"):
        parse_node(f"dicom://{title}@localhost:104")
    assert parse_node(f"dicom://{'A' * 16}@localhost:104").called_ae_title == "A" * 16
