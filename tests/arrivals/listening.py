"""Listens with networks that know the truth; may kill itself at a named moment.

python -m tests.arrivals.listening SETTINGS.json [CLASS.METHOD before|after N]
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from pelvimets.app.predict import predict
from pelvimets.arrivals import steps as listen_steps
from pelvimets.arrivals.listen import listening
from pelvimets.arrivals.steps import ReadingEnd, ReadingOrder
from pelvimets.core.segmenter import FixedSegmenter
from pelvimets.errors import PelvimetsError
from pelvimets.io.queue.inbox import Inbox
from pelvimets.io.queue.settings import ListenSettings
from pelvimets.io.queue.studies import StudyQueue
from pelvimets.report import printed
from pelvimets.requests.predict import RunOptions, StudyInput
from tests.app.conftest import LESION_MM, SETTINGS
from tests.core.test_bones import pelvis
from tests.core.test_lesions import ball

CLASSES = {"StudyQueue": StudyQueue, "Inbox": Inbox, "steps": listen_steps}
_DIE_IN_READING = "PELVIMETS_TEST_DIE_IN_READING"


def read_quickly(order: ReadingOrder) -> ReadingEnd:
    """As the real one, with networks that know the truth."""
    if os.environ.get(_DIE_IN_READING):
        os.kill(os.getppid(), signal.SIGKILL)
    printed.print_report = lambda content: b"%%PDF-1.4\n%% %d\n%%%%EOF\n" % time.time_ns()
    bones = pelvis()
    lesions = bones.with_array(ball(bones.geometry, LESION_MM, 13).astype(np.uint8))
    segmenter = FixedSegmenter(bones, lesions, SETTINGS)
    options = RunOptions(overwrite=True, dicom=True)
    try:
        summary = predict(StudyInput(order.study), order.out, options, segmenter=segmenter)
    except PelvimetsError as error:
        return ReadingEnd(refused=str(error))
    return ReadingEnd(refused="; ".join(summary.failed))


def kill_at(place: str, when: str, number: int) -> None:
    """Kill this process before or after the n-th call of a function."""
    if place == "reading":
        os.environ[_DIE_IN_READING] = "1"
        return
    owner, _, name = place.partition(".")
    whole, calls = getattr(CLASSES[owner], name), []

    def deadly(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = whole(*given, **named)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(CLASSES[owner], name, deadly)


def tell(key: str, words: str) -> None:
    sys.stdout.write(f"{key} {words}\n")
    sys.stdout.flush()


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text())
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    settings = ListenSettings(**{**given, "folder": Path(given["folder"])})
    listen_steps.read_study_apart = read_quickly
    if len(sys.argv) > 2:
        kill_at(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    with listening(settings, tell) as listener:
        tell("port", str(listener.port))
        threading.Event().wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
