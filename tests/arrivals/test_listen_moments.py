"""kill -9 before and after each step of a study on its way: nothing is lost or sent twice.

A child is forked for each moment, works on the queue as the listening threads do, and kills itself
there; the next one finds what is on the disk. The node that gets the results counts. That whole
processes with sockets of their own survive likewise is tested in ``test_listen_killed``.
"""

from __future__ import annotations

import os
import shutil
import signal
import warnings
from pathlib import Path

import pydicom
import pytest

from pelvimets.arrivals import steps as listen_steps
from pelvimets.arrivals.steps import ReadingEnd, Steps
from pelvimets.io.pacs.outcome import Received
from pelvimets.io.queue.entries import StudyState
from pelvimets.io.queue.inbox import Inbox, Limits
from pelvimets.io.queue.settings import ListenSettings
from pelvimets.io.queue.studies import StudyQueue
from pelvimets.io.record.output import staged_folder, write_json
from pelvimets.labels import Sequence
from tests.arrivals.listen_peers import counting
from tests.io.dicom_out_study import axial, make_case
from tests.io.dicom_out_study import write as write_results
from tests.io.dicom_samples import block, t1, write

STUDY = "1.2.826.0.1.3680043.8.498.4713"
OWNERS = {"queue": StudyQueue, "inbox": Inbox, "steps": listen_steps}
MOMENTS = [
    (owner, name, when)
    for owner, name in (
        ("inbox", "_write"),
        ("queue", "arrived"),
        ("queue", "settle"),
        ("queue", "begin"),
        ("steps", "apart"),
        ("queue", "was_read"),
        ("queue", "sending"),
        ("steps", "store"),
        ("queue", "confirmed"),
        ("queue", "finish"),
    )
    for when in ("before", "after")
]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    write_results(folder, make_case({Sequence.T1: axial((5, 9, 7))}))
    return folder


@pytest.fixture(scope="module")
def objects(tmp_path_factory) -> list[Received]:
    folder = write(tmp_path_factory.mktemp("study"), t1(block(), StudyInstanceUID=STUDY))
    paths = sorted(folder.iterdir())
    return [Received(str(pydicom.dcmread(p).SOPInstanceUID), p.read_bytes()) for p in paths]


def work(folder: Path, objects: list[Received], results: Path, node: str) -> None:
    """All that the threads of one listening process do, once, from what is on the disk."""

    def reading(read, order, stopped) -> ReadingEnd:
        with staged_folder(order.out, overwrite=True) as out:
            shutil.copytree(results, out / "dicom")
            write_json(out / "run.json", {"failed_outputs": []})
        return ReadingEnd()

    if not hasattr(listen_steps.apart, "deadly"):
        listen_steps.apart = reading
    queue = StudyQueue(folder)
    inbox = Inbox(folder, queue, Limits(1.0, 0.0))
    queue.restarted()
    inbox.restarted()
    settings = ListenSettings(allow=("A",), send_to=(node,))
    steps = Steps(queue, inbox, settings, lambda key, words: None, lambda: False)
    for item in objects:
        inbox.take(STUDY, item)
    queue.settle(-1.0)
    while steps.read_next():
        pass
    listen_steps.pause_s = lambda tries: 0.0
    for _ in range(5):  # a busy machine may break a connection off
        steps.send_next()
    queue.close()


def die_at(owner: str, name: str, when: str) -> None:
    """At the first call of a function, on either side of it."""
    if (owner, name) == ("steps", "apart"):
        return
    whole = getattr(OWNERS[owner], name)

    def deadly(*given, **named):
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        whole(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(OWNERS[owner], name, deadly)


def child(do) -> int:
    """Run in a forked process; its exit status."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fork beside threads, which the child does not use
        pid = os.fork()
    if pid == 0:
        try:
            do()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_each_moment(tmp_path, objects, results):
    with counting() as node:
        for owner, name, when in MOMENTS:
            folder = tmp_path / f"{owner}-{name}-{when}"
            folder.mkdir()
            before = node.came.total()
            deadly = (owner, name, when)

            def doomed(deadly=deadly, folder=folder) -> None:
                die_at(*deadly)
                if deadly[1] == "apart":
                    patch_reading(deadly[2], results)
                work(folder, objects, results, node.address)

            status = child(doomed)
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, deadly
            assert child(lambda f=folder: work(f, objects, results, node.address)) == 0, deadly
            assert child(lambda f=folder: work(f, objects, results, node.address)) == 0, deadly
            queue = StudyQueue(folder)
            (study,) = queue.studies()
            queue.close()
            assert study.state is StudyState.DONE, (deadly, study.reason)
            assert study.objects == len(objects), deadly
            files = list((folder / "incoming" / study.key).iterdir())
            assert len(files) == len(objects), deadly
            assert node.came.total() - before == 3, (deadly, dict(node.came))
            node.came.clear()
            node.series.clear()


def patch_reading(when: str, results: Path) -> None:
    """Die in the middle of a reading, or when its result is in place."""

    def reading(read, order, stopped):
        if when == "before":
            order.out.parent.mkdir(parents=True, exist_ok=True)
            (order.out.parent / f".{order.out.name}.partial-x").mkdir()
            os.kill(os.getpid(), signal.SIGKILL)
        with staged_folder(order.out, overwrite=True) as out:
            shutil.copytree(results, out / "dicom")
            write_json(out / "run.json", {"failed_outputs": []})
        os.kill(os.getpid(), signal.SIGKILL)

    reading.deadly = True
    listen_steps.apart = reading
