"""The commands as a user types them: output, exit codes, refusals."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

import pelvimets
from pelvimets.cli.main import app
from pelvimets.io.nifti.files import write_nifti
from tests.core.test_bones import pelvis


def typed(*words, cwd=None):
    """Run the real command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pelvimets", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def test_help_names_every_command():
    answer = CliRunner().invoke(app, ["--help"])
    assert answer.exit_code == 0
    for command in ("predict", "inspect", "models", "doctor"):
        assert command in answer.output


def test_help_loads_no_heavy_package():
    heavy = ("torch", "matplotlib", "openvino", "pydicom", "SimpleITK", "scipy", "pandas")
    code = (
        "import sys; sys.argv = ['pelvimets', '--help']\n"
        "from pelvimets.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('loaded:', [m for m in {heavy} if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip().endswith("loaded: []")


def test_the_version_is_that_of_the_package():
    assert pelvimets.__version__ in CliRunner().invoke(app, ["--version"]).output


@pytest.mark.parametrize(
    "words",
    [
        ["predict"],
        ["predict", "somewhere", "--dwi", "x.nii.gz"],
        ["predict", "--adc", "x.nii.gz"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_exits_with_2(words):
    assert CliRunner().invoke(app, words).exit_code == 2


def refusal(tmp_path, *words):
    answer = typed("predict", *words, "-o", tmp_path / "out")
    assert answer.returncode == 1, answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "out").exists()
    return " ".join(answer.stderr.split())


def test_a_study_that_is_not_there(tmp_path):
    assert "no such file or folder" in refusal(tmp_path, tmp_path / "nowhere")


def test_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "DICOM" in refusal(tmp_path, tmp_path / "empty")


def test_a_truncated_zip(tmp_path):
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("a.dcm", bytes(5000))
    (tmp_path / "cut.zip").write_bytes(whole.read_bytes()[:2000])
    assert "zip" in refusal(tmp_path, tmp_path / "cut.zip").lower()


def test_a_zip_that_leaves_its_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../evil.dcm", b"x")
    refusal(tmp_path, tmp_path / "evil.zip")
    assert not (tmp_path.parent / "evil.dcm").exists()


def test_a_truncated_nifti_file(tmp_path):
    path = tmp_path / "dwi.nii"
    nibabel.save(nibabel.Nifti1Image(np.ones((20, 20, 20), np.float32), np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:4000])
    assert "damaged or truncated" in refusal(tmp_path, "--dwi", path)


@pytest.fixture(scope="module")
def noise_run(tmp_path_factory):
    """The shipped networks on something that is no pelvis."""
    folder = tmp_path_factory.mktemp("noise")
    noise = np.random.default_rng(3).normal(100, 30, (16, 40, 40)).astype(np.float32)
    write_nifti(folder / "dwi.nii.gz", pelvis(shape=(16, 40, 40)).with_array(noise))
    answer = typed("predict", "--dwi", folder / "dwi.nii.gz", "-o", folder / "out")
    return folder, answer


def test_noise_gives_no_confident_report(noise_run):
    folder, answer = noise_run
    assert answer.returncode == 0, answer.stderr
    findings = json.loads((folder / "out" / "findings.json").read_text())
    assert findings["m1_suspicion"]["suspected"] is None
    assert any(flag["level"] == "review" for flag in findings["flags"])
    assert "review" in answer.stdout and "Report:" in answer.stdout


def test_an_existing_result_is_refused_before_the_work(noise_run):
    folder, _ = noise_run
    answer = typed("predict", "--dwi", folder / "dwi.nii.gz", "-o", folder / "out")
    assert answer.returncode == 1 and "--overwrite" in answer.stderr


def test_a_cohort_is_read_patient_by_patient_and_resumed(noise_run):
    folder, _ = noise_run
    cohort = folder / "cohort"
    for name in ("p1", "p2"):
        (cohort / name).mkdir(parents=True)
        (cohort / name / "dwi.nii.gz").write_bytes((folder / "dwi.nii.gz").read_bytes())
    (cohort / "p2" / "dwi.nii.gz").write_bytes(b"no image")
    (cohort / "patients.csv").write_text("patient,split\np1,test\np2,test\n")
    out = folder / "cohort-out"
    first = typed("predict", cohort, "-o", out)
    assert first.returncode == 1
    assert "1 patients read, 0 finished earlier, 1 failed" in first.stdout
    assert "p2: DWI: The NIfTI file is damaged" in " ".join(first.stdout.split())
    assert (out / "p1" / "report.html").is_file() and not (out / "p2").exists()
    (cohort / "p2" / "dwi.nii.gz").write_bytes((folder / "dwi.nii.gz").read_bytes())
    second = typed("predict", cohort, "-o", out, "--jobs", "2")
    assert second.returncode == 0
    assert "1 patients read, 1 finished earlier, 0 failed" in second.stdout


def test_models_lists_the_shipped_bundle_as_intact():
    answer = typed("models")
    assert answer.returncode == 0 and "intact" in answer.stdout


def test_doctor_finds_a_healthy_installation():
    answer = typed("doctor")
    assert answer.returncode == 0, answer.stdout
    assert "failed" not in answer.stdout and "Networks on OpenVINO" in answer.stdout


LONG = "a" * 260


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["view", ".", "--port", "99999"], 2, "--port"),
        (["view", ".", "--port", "-1"], 2, "--port"),
        (["inspect", LONG], 1, "Choose a shorter name"),
        (["phantom", "--seed", "1", "-o", LONG], 1, "Choose a shorter name"),
        (["predict", LONG, "-o", "x"], 1, "Choose a shorter name"),
    ],
)
def test_odd_arguments_get_a_message(tmp_path, words, code, said):
    answer = typed(*words, cwd=tmp_path)
    assert answer.returncode == code and "Traceback" not in answer.stderr
    assert said in answer.stderr


def test_a_working_folder_that_is_gone_gets_a_message(tmp_path):
    code = (
        "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); "
        "os.execv(sys.executable, [sys.executable, '-m', 'pelvimets', 'models'])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert answer.returncode == 1 and "Traceback" not in answer.stderr
    assert "not there any more" in answer.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_an_output_that_takes_nothing_gets_a_message():
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "pelvimets", "models"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert answer.returncode == 1 and "Traceback" not in answer.stderr
    assert "The system refuses" in answer.stderr
