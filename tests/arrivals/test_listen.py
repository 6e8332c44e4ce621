"""Studies that arrive by themselves: real DCMTK and Orthanc on the other side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from pelvimets.cli.main import app
from pelvimets.errors import PelvimetsError, SettingsError
from pelvimets.io.queue.entries import Arrival, StudyState, study_key
from pelvimets.io.queue.settings import ListenSettings, listen_settings
from pelvimets.io.queue.studies import StudyQueue
from tests.app.conftest import image_of
from tests.arrivals.listen_peers import RESULTS, a_listener, counting, storescu
from tests.io.dicom_samples import NAME, PATIENT_ID, block, t1, write
from tests.io.pacs_peers import certificate, free_port, running_orthanc, wait_for_port

STUDY = "1.2.826.0.1.3680043.8.498.4711"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def images(known_study):
    image = image_of(known_study.bones, known_study.lesions)
    return image.with_array(np.rint(image.array).astype(np.uint16))


@pytest.fixture
def study(images, tmp_path) -> Path:
    return write(tmp_path / "sent", t1(images, StudyInstanceUID=STUDY))


def page(address: str) -> tuple[int, str]:
    try:
        with _OPENER.open(address, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def height_mm(path: Path) -> float:
    return float(pydicom.dcmread(path).ImagePositionPatient[2])


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_study_is_read_and_its_results_are_sent_once(study, tmp_path):
    status = free_port()
    with (
        counting() as node,
        a_listener(tmp_path / "work", send_to=[node.address], status_port=status) as listener,
    ):
        listener.start()
        listener.started()
        assert storescu(study, listener.port, title="STRANGER") != 0
        assert listener.studies() == ()
        assert storescu(study, listener.port) == 0
        (done,) = listener.reached(StudyState.DONE)
        assert sorted(node.kinds.values()) == ["DOC", "SEG", "SR"]
        assert set(node.came.values()) == {1}
        assert done.objects == len(files_in(study))
        assert storescu(study, listener.port) == 0  # the same again
        code, health = page(f"http://127.0.0.1:{status}/health")
        assert (code, json.loads(health)["good"]) == (200, True)
        code, html = page(f"http://127.0.0.1:{status}/")
        assert code == 200 and study_key(STUDY) in html and "done <b>1</b>" in html
        rows = json.loads(page(f"http://127.0.0.1:{status}/queue.json")[1])
        assert rows[0]["state"] == "done" and page(f"http://127.0.0.1:{status}/x")[0] == 404
        for text in (html, json.dumps(rows), listener.log.read_text()):
            assert STUDY not in text and PATIENT_ID not in text and NAME not in text
        assert not [p for p in files_in(tmp_path / "work") if PATIENT_ID in str(p)]
        assert listener.terminate() == 143
        (after,) = listener.studies()
        assert (after.state, after.round) == (StudyState.DONE, 1)
        assert sum(node.came.values()) == RESULTS
        shown = CliRunner().invoke(app, ["queue", str(tmp_path / "work"), "--json", "--uid"])
        assert json.loads(shown.output)[0]["uid"] == STUDY
        assert "done" in CliRunner().invoke(app, ["queue", str(tmp_path / "work")]).output


def test_what_comes_late_is_read_again_and_only_the_new_is_sent(study, tmp_path):
    late = tmp_path / "late"
    late.mkdir()
    for path in sorted(study.iterdir(), key=height_mm)[-4:]:
        path.rename(late / path.name)
    with (
        counting() as node,
        a_listener(tmp_path / "work", send_to=[node.address]) as listener,
    ):
        listener.start()
        listener.started()
        assert storescu(study, listener.port) == 0
        listener.reached(StudyState.DONE)
        assert storescu(late, listener.port) == 0
        listener.wait(lambda: listener.studies()[0].round == 2)
        listener.reached(StudyState.DONE)
        assert sum(node.came.values()) == 2 * RESULTS and set(node.came.values()) == {1}


def test_a_study_that_cannot_be_read_goes_aside_and_may_come_back(study, tmp_path):
    odd = write(tmp_path / "odd", t1(block(), StudyInstanceUID="1.2.3.4.5")[:2])
    work = tmp_path / "work"
    with counting() as node, a_listener(work, send_to=[node.address]) as listener:
        listener.start()
        listener.started()
        assert storescu(odd, listener.port) == 0
        (refused,) = listener.reached(StudyState.REFUSED)
        aside = work / "refused" / refused.key
        listener.wait(lambda: (aside / "reason.txt").is_file())
        assert (aside / "reason.txt").read_text().strip() == refused.reason != ""
        assert len(list(aside.glob("*.dcm"))) == 2
        assert not (work / "incoming" / refused.key).exists() and not node.came
        result = CliRunner().invoke(app, ["queue", str(work), "--again", refused.key])
        assert result.exit_code == 0, result.output
        listener.wait(lambda: listener.log.read_text().count("refused: ") == 2)
        assert storescu(study, listener.port) == 0  # others go on
        listener.reached(StudyState.DONE)
        nobody = CliRunner().invoke(app, ["queue", str(work), "--again", "nobody"])
        assert isinstance(nobody.exception, PelvimetsError)


def test_a_node_that_is_away_gets_the_results_later(study, tmp_path, monkeypatch):
    with (
        counting() as node,
        a_listener(tmp_path / "work", send_to=[node.address]) as listener,
    ):
        node.statuses = [0x0000, 0xA700]  # the first object, then no more room
        listener.start()
        listener.started()
        assert storescu(study, listener.port) == 0
        listener.wait(lambda: "is sent again later" in listener.log.read_text())
        (waiting,) = listener.studies()
        assert waiting.state is StudyState.READ and "0xA700, out of resources" in waiting.reason
        listener.reached(StudyState.DONE)
        assert len(node.came) == RESULTS and set(node.came.values()) == {1}


def test_without_room_nothing_is_taken_in(study, tmp_path):
    with a_listener(tmp_path / "work", disk_limit_gb=1e-6, status_port=free_port()) as listener:
        listener.start()
        listener.started()
        assert storescu(study, listener.port) != 0
        assert len(listener.studies()[0:]) <= 1 and "no room left" in listener.log.read_text()
        status = listener.settings["status_port"]
        assert page(f"http://127.0.0.1:{status}/health")[0] == 503


def test_callers_show_a_certificate_and_sign_in(study, tmp_path):
    ours, theirs = certificate(tmp_path, "ours"), certificate(tmp_path, "theirs")
    file = tmp_path / "listen.toml"
    file.write_text(
        f'allow = ["SENDER"]\nport = {free_port()}\nstatus_port = 0\nleast_free_gb = 0\n'
        f'quiet_seconds = 1\n[users]\nann = "s3cret"\n[tls]\ncertificate = "{ours.certificate}"\n'
        f'key = "{ours.key}"\nauthorities = "{theirs.certificate}"\n'
    )
    with pytest.raises(SettingsError, match="others can read it"):
        file.chmod(0o644)
        listen_settings(file, {})
    file.chmod(0o600)
    port = listen_settings(file, {}).port
    log = (tmp_path / "log").open("wb")
    command = [sys.executable, "-m", "pelvimets", "listen", "--settings", str(file)]
    command += ["--folder", str(tmp_path / "work")]
    source = str(Path(__file__).parents[2] / "src")
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": source}, stdout=log, stderr=log
    )
    tls = ["+tls", str(theirs.key), str(theirs.certificate), "+cf", str(ours.certificate)]
    try:
        wait_for_port(process, port)
        assert storescu(study, port) != 0  # in the clear
        assert storescu(study, port, "+tla", "-ic") != 0  # without a certificate
        assert storescu(study, port, *tls) != 0  # without a name
        assert storescu(study, port, *tls, "-usr", "ann", "-pwd", "wrong") != 0
        assert not files_in(tmp_path / "work" / "incoming")
        assert storescu(study, port, *tls, "-usr", "ann", "-pwd", "s3cret") == 0
        assert len(files_in(tmp_path / "work" / "incoming")) == len(files_in(study))
    finally:
        process.terminate()
        assert process.wait(60) == 143
        log.close()


@pytest.mark.parametrize("kind", ["web", "address"])
def test_a_pacs_is_asked_for_new_studies(study, tmp_path, monkeypatch, kind):
    """Orthanc holds the study and takes the results; it is asked over DICOMweb or DIMSE."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for path in study.iterdir():
        image = pydicom.dcmread(path)
        image.StudyDate = date.today().strftime("%Y%m%d")
        image.save_as(path)
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with running_orthanc(folder) as orthanc:
        assert storescu(study, orthanc.dicom, "-aec", "ORTHANC") == 0
        settings = {"allow": [], "poll": getattr(orthanc, kind), "poll_seconds": 0.5}
        send_to = [orthanc.web if kind == "web" else orthanc.address]
        with a_listener(tmp_path / "work", send_to=send_to, **settings) as listener:
            listener.start()
            (done,) = listener.reached(StudyState.DONE)
            listener.wait(lambda: len(orthanc.get("/series")) == 1 + RESULTS)
            before = listener.log.read_text()
            time.sleep(3)  # its own results do not bring the study back
            assert listener.log.read_text() == before
            assert done.round == 1


def test_the_queue_survives_and_forgets_files_alone(tmp_path):
    clock = [100.0]
    queue = StudyQueue(tmp_path, lambda: clock[0])
    arrival = Arrival("1.2.3", "1.2.3.4", "aa", 10, True)
    queue.arrived(arrival)
    assert queue.knows(arrival) and queue.settle(30) == ()
    clock[0] += 31
    (settled,) = queue.settle(30)
    ready = queue.next(StudyState.READY)
    assert ready is not None and ready.key == settled.key == study_key("1.2.3")
    assert queue.begin(ready)
    reading = queue.study(ready.key)
    queue.arrived(Arrival("1.2.3", "1.2.3.5", "bb", 10, True))  # meanwhile
    assert not queue.was_read(reading, "digest", 5)
    assert queue.study(ready.key).state is StudyState.RECEIVING
    clock[0] += 31
    queue.settle(30)
    assert queue.begin(queue.study(ready.key))
    queue.close()
    queue = StudyQueue(tmp_path, lambda: clock[0])
    queue.restarted()
    (again,) = queue.studies(StudyState.READY)
    queue.begin(again)
    reading = queue.study(again.key)
    assert queue.was_read(reading, queue.digest(again.key), 7)
    assert queue.sending(reading, "9.9", "N") is None
    assert queue.sending(reading, "9.9", "N") is False
    queue.confirmed("9.9", "N")
    assert queue.sending(reading, "9.9", "N") is True
    assert queue.used_bytes() == 27
    assert queue.finish(queue.study(again.key))
    queue.forget_files(queue.study(again.key))
    assert queue.used_bytes() == 0
    for name, sha in (("1.2.3.4", "aa"), ("1.2.3.5", "bb")):  # the same study is sent again
        queue.arrived(Arrival("1.2.3", name, sha, 10, True))
    clock[0] += 31
    queue.settle(30)
    assert queue.study(again.key).state is StudyState.DONE
    queue.close()


def test_a_listing_that_was_fetched_is_not_fetched_again_after_another_one(tmp_path):
    clock = [100.0]
    queue = StudyQueue(tmp_path, lambda: clock[0])

    def polled(listing: str, after_s: float = 2.0) -> bool:
        clock[0] += after_s
        return queue.listed("1.2.3", listing, quiet_s=1.0)

    assert [polled("images"), polled("images", 0.5), polled("images")] == [False, False, True]
    queue.fetched("1.2.3", "images")
    assert [polled("images"), polled("more"), polled("images"), polled("images")] == [False] * 4
    assert [polled("more"), polled("more")] == [False, True]
    queue.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Nobody is known who may send"),
        ({"allow": ("MUCH_TOO_LONG_A_TITLE",)}, "AE title has 1 to 16"),
        ({"allow": ("A",), "quiet_seconds": -1.0}, "quiet_seconds is above 0"),
        ({"allow": ("A",), "colour": 3}, "no such setting .*colour"),
    ],
)
def test_settings_that_cannot_be(given, said):
    with pytest.raises(PelvimetsError, match=said):
        listen_settings(None, given)


def test_settings_come_from_a_file_and_options_go_first(tmp_path):
    file = tmp_path / "listen.toml"
    file.write_text('allow = ["A", "B"]\nport = 104\nsend_to = ["P@host:104"]\nfolder = "w"\n')
    settings = listen_settings(file, {"port": 11113, "allow": ()})
    assert settings.allow == ("A", "B") and settings.port == 11113
    assert settings.destinations == ("dicom://P@host:104",) and settings.folder == Path("w")
    assert settings.quiet_seconds == ListenSettings(allow=("A",)).quiet_seconds == 30.0
    file.write_text("allow = [")
    with pytest.raises(SettingsError, match="cannot be read"):
        listen_settings(file, {})
