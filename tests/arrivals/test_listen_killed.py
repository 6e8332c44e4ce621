"""kill -9 at any moment, start again: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import os
import random
import subprocess
import time

import numpy as np
import pytest

from pelvimets.io.queue.entries import StudyState
from tests.app.conftest import image_of
from tests.arrivals.listen_peers import RESULTS, a_listener, counting, storescu
from tests.io.dicom_samples import t1, write
from tests.io.pacs_peers import free_port, program, running_orthanc

STUDY = "1.2.826.0.1.3680043.8.498.4712"


@pytest.fixture(scope="module")
def study(known_study, tmp_path_factory):
    image = image_of(known_study.bones, known_study.lesions)
    volume = image.with_array(np.rint(image.array).astype(np.uint16))
    return write(tmp_path_factory.mktemp("sent"), t1(volume, StudyInstanceUID=STUDY))


def until_sent(study, port: int) -> None:
    """As a scanner does: a send that failed is tried again."""
    end = time.monotonic() + 120
    while storescu(study, port) != 0:
        assert time.monotonic() < end
        time.sleep(0.3)


RECEIVING = [
    ("Inbox._write", "before", "3"),
    ("Inbox._write", "after", "3"),
    ("StudyQueue.arrived", "before", "3"),
    ("StudyQueue.arrived", "after", "3"),
]
MOVING_ON = [
    ("StudyQueue.begin", "after", "1"),
    ("reading", "-", "1"),
    ("steps.store", "after", "1"),
]


def test_killed_again_and_again_nothing_is_lost_and_nothing_is_sent_twice(study, tmp_path):
    """One study on its way; ``test_listen_moments`` has each moment of each step."""
    with (
        counting() as node,
        a_listener(tmp_path / "work", send_to=[node.address], quiet_seconds=6.0) as listener,
    ):
        for moment in RECEIVING:
            listener.start(*moment)
            listener.started()
            assert storescu(study, listener.port) != 0
            listener.died()
        listener.start()
        listener.started()
        until_sent(study, listener.port)
        listener.kill()
        for moment in MOVING_ON:
            listener.start(*moment)
            listener.died()
        listener.start()
        listener.started()
        assert storescu(study, listener.port) == 0  # the same again
        (done,) = listener.reached(StudyState.DONE)
        assert done.objects == len(list(study.iterdir()))
        assert sorted(node.kinds.values()) == ["DOC", "SEG", "SR"]
        assert set(node.came.values()) == {1}, dict(node.came)


def test_a_node_that_cannot_be_asked_gets_no_second_copy_under_another_name(study, tmp_path):
    """The one object whose end nobody saw goes again, under the same UID."""
    with (
        counting(searchable=False) as node,
        a_listener(tmp_path / "work", send_to=[node.address], quiet_seconds=6.0) as listener,
    ):
        listener.start("steps.store", "after", "2")
        listener.started()
        until_sent(study, listener.port)
        listener.died()
        listener.start()
        listener.reached(StudyState.DONE)
        assert len(node.came) == RESULTS
        assert sorted(node.came.values()) == [1, 1, 2]


@pytest.mark.skipif(
    "PELVIMETS_KILLS" not in os.environ,
    reason="takes many minutes: set PELVIMETS_KILLS, as make fuzz",
)
def test_killed_over_and_over_between_two_orthancs(study, tmp_path, monkeypatch):
    """One Orthanc sends by C-MOVE, asked by movescu; another takes the results."""
    rng = random.Random(3)
    port = free_port()
    known = {"us": {"AET": "PELVIMETS", "Host": "127.0.0.1", "Port": port}}
    asked = {"DicomModalities": known, "DicomAet": "SENDER", "DicomAlwaysAllowMove": True}
    homes = [tmp_path / "scanner", tmp_path / "pacs"]
    for home in homes:
        home.mkdir()
    with (
        running_orthanc(homes[0], **asked) as scanner,
        running_orthanc(homes[1]) as pacs,
        a_listener(
            tmp_path / "work", send_to=[pacs.address], port=port, quiet_seconds=6.0
        ) as listener,
    ):
        assert storescu(study, scanner.dicom, "-aec", "SENDER") == 0
        move = [program("movescu"), "-S", "-aec", "SENDER", "-aem", "PELVIMETS"]
        move += ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"]
        move += ["127.0.0.1", str(scanner.dicom)]
        kills = 0
        while not any(s.state is StudyState.DONE for s in listener.studies()) and kills < 12:
            listener.start()
            patience = rng.uniform(2.0, 8.0 + 4 * kills)
            mover = subprocess.Popen(move, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(patience)
            listener.kill()
            mover.wait(60)
            kills += 1
        listener.start()
        listener.started()
        told = subprocess.run(move, check=True, capture_output=True, text=True, timeout=120)
        assert "Failed" not in told.stderr  # movescu ends with 0 all the same
        listener.reached(StudyState.DONE)
        assert kills >= 2
        stored = pacs.get("/statistics")
        assert stored["CountInstances"] == RESULTS and stored["CountStudies"] == 1
        new = [
            c for c in pacs.get("/changes?limit=1000")["Changes"] if "NewInst" in c["ChangeType"]
        ]
        assert len(new) == RESULTS
