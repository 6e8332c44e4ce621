"""README: nothing is sent anywhere. Each command runs without a network, and asks for none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pelvimets.io.nifti.files import write_nifti
from pelvimets.io.record.telemetry import remove_telemetry
from tests.core.test_bones import pelvis
from tests.io import dicom_samples
from tests.model_development.test_train import SMALL, write_patient

_RECORDER = Path(__file__).parent / "recorder"
_CACHES = (".cache", ".config", ".local")  # where matplotlib and its like keep fonts


def no_network() -> list[str]:
    """The words before a command that leave it without any interface; none if not permitted."""
    words = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    allowed = shutil.which("unshare") is not None and (
        subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    )
    return words if allowed else []


class Typist:
    """Runs commands with a home folder of their own, and notes what they ask of the network."""

    def __init__(self, folder: Path) -> None:
        self.home, self.log, self.folder = folder / "home", folder / "network.log", folder
        self.home.mkdir()

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join([str(_RECORDER), *sys.path])
        environment = {
            **os.environ,
            "HOME": str(self.home),
            "PYTHONPATH": paths,
            "PELVIMETS_NETWORK_LOG": str(self.log),
            "OMP_NUM_THREADS": "1",
        }
        for name in ("CI", "DISABLE_TELEMETRY", "DO_NOT_TRACK"):
            environment.pop(name, None)
        return subprocess.run(
            [*no_network(), sys.executable, *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=self.folder,
        )

    def asked(self) -> str:
        return self.log.read_text() if self.log.is_file() else ""

    def written_at_home(self) -> list[str]:
        return sorted(p.name for p in self.home.iterdir() if p.name not in _CACHES)


@pytest.fixture
def typist(tmp_path: Path) -> Typist:
    return Typist(tmp_path)


def asks_nothing(typist: Typist, *command: object) -> None:
    answer = typist.run(*command)
    assert typist.asked() == ""
    assert typist.written_at_home() == []
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_recorder_notes_what_a_command_asks(typist: Typist) -> None:
    typist.run("-c", "import socket; socket.create_connection(('example.org', 80))")
    assert "example.org" in typist.asked()
    typist.log.unlink()
    (typist.folder / "child.py").write_text(
        "import multiprocessing, socket, sys\n"
        "def ask(): socket.socket().connect_ex(('10.0.0.9', 9))\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.get_context('spawn').Process(target=ask).start()\n"
    )
    typist.run("child.py")
    assert "10.0.0.9" in typist.asked()


@pytest.mark.parametrize(
    "words",
    [
        ["models"],
        ["view", "--help"],
        ["phantom", "--help"],
        ["replicate", "--no-in-silico", "-o", "replication"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_alone(words: list[str], typist: Typist) -> None:
    asks_nothing(typist, "-m", "pelvimets", *words)


@pytest.mark.slow
def test_a_study(typist: Typist) -> None:
    grid = pelvis(shape=(16, 40, 40))
    image = np.random.default_rng(3).normal(100, 30, grid.array.shape).astype(np.float32)
    write_nifti(typist.folder / "dwi.nii.gz", grid.with_array(image))
    asks_nothing(typist, "-m", "pelvimets", "predict", "--dwi", "dwi.nii.gz", "-o", "out")
    dicom_samples.write(typist.folder / "study", dicom_samples.t1(grid.with_array(grid.array * 9)))
    asks_nothing(typist, "-m", "pelvimets", "inspect", "study")


@pytest.mark.slow
def test_digital_patients(typist: Typist) -> None:
    """The simulation, with few voxels."""
    code = (
        "from pelvimets.phantom.physics.scanner import scanner_named\n"
        "from pelvimets.phantom.physics.imaging import examine\n"
        "from tests.phantom.simple_patient import simple_patient\n"
        "from tests.phantom.small_scanner import small\n"
        "import pelvimets.app.phantom\n"
        "examine(simple_patient(), small(scanner_named('discovery')))\n"
    )
    asks_nothing(typist, "-c", code)


@pytest.mark.slow
def test_training_and_evaluation(typist: Typist) -> None:
    cohort = typist.folder / "cohort"
    for number in range(2):
        write_patient(cohort / f"p{number}", number)
    (cohort / "patients.csv").write_text("patient,split\np0,train\np1,validation\n")
    (typist.folder / "small.json").write_text(json.dumps(SMALL))
    words = ["bones", "--data", "cohort", "--settings", "small.json", "--workers", 0, "-o", "run"]
    asks_nothing(typist, "-m", "pelvimets", "train", *words)
    words = ["--predictions", "cohort", "--reference", "cohort", "--bootstrap", 20]
    asks_nothing(typist, "-m", "pelvimets", "evaluate", *words)


@pytest.mark.slow
def test_the_doctor_removes_what_openvino_had_left(typist: Typist) -> None:
    left = typist.home / "intel"
    left.mkdir()
    for name in ("openvino_ga_cid", "stats"):
        (left / name).write_text("0")
    answer = typist.run("-m", "pelvimets", "doctor")
    assert answer.returncode == 0, answer.stdout
    assert "removed what OpenVINO had left: openvino_ga_cid, stats" in answer.stdout
    assert typist.asked() == "" and typist.written_at_home() == []


def test_a_users_own_answer_to_openvino_is_left_alone(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / "intel").mkdir()
    for name in ("openvino_ga_cid", "stats", "openvino_telemetry", "something else"):
        (tmp_path / "intel" / name).write_text("1")
    assert remove_telemetry() == ()
    (tmp_path / "intel" / "openvino_telemetry").unlink()
    assert remove_telemetry() == ("openvino_ga_cid", "stats")
    assert [p.name for p in (tmp_path / "intel").iterdir()] == ["something else"]
