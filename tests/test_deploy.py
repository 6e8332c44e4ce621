"""What stands in ``deploy/``, as far as it can be checked without an engine of containers."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pelvimets.io.queue.settings import listen_settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


def test_the_settings_of_the_example_are_settings() -> None:
    settings = listen_settings(DEPLOY / "listen.toml", {})
    orthanc = json.loads((DEPLOY / "orthanc.json").read_text())
    assert settings.destinations == (f"dicom://{orthanc['DicomAet']}@orthanc:4242",)
    title, host, port = orthanc["DicomModalities"]["pelvimets"]
    assert (title, host, port) == (settings.ae_title, "pelvimets", settings.port)
    assert orthanc["DicomAet"] in settings.allow


def test_the_services_of_the_example_fit_together() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    settings = listen_settings(DEPLOY / "listen.toml", {})
    assert {"orthanc", "pelvimets"} == set(services)
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            known = source in compose["volumes"] or (DEPLOY / source).is_file()
            assert known, volume
    ours = services["pelvimets"]
    assert (DEPLOY / ours["build"]["context"] / ours["build"]["dockerfile"]).is_file()
    assert f"127.0.0.1:{settings.port}:{settings.port}" in ours["ports"]
    assert ours["read_only"] and ours["cap_drop"] == ["ALL"]
    assert str(settings.folder).startswith("/data/") and "queue:/data" in ours["volumes"]


def test_the_image_runs_as_nobody_of_note_and_checks_its_health() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    steps = [step for step in steps if step[0].isupper()]
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK"}
    assert {name for name, _ in steps} <= known | {"ENTRYPOINT", "CMD"}
    last = dict(tuple(step) for step in steps)
    assert last["USER"] == "10001:10001" and json.loads(last["ENTRYPOINT"]) == ["pelvimets"]
    settings = listen_settings(DEPLOY / "listen.toml", {})
    assert f":{settings.status_port}/health" in last["HEALTHCHECK"]
    check = re.search(r"CMD (\[.*\])", last["HEALTHCHECK"])
    assert check is not None
    ast.parse(json.loads(check[1])[2])
    copied = [rest for name, rest in steps if name == "COPY" and "--from" not in rest]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for rest in copied:
        for source in rest.split()[:-1]:
            name = source.removeprefix("./")
            assert (ROOT / name).exists() and f"!{name}" in ignored


@pytest.mark.parametrize("name", ["Dockerfile", "pelvimets.def"])
def test_both_recipes_install_the_same(name: str) -> None:
    text = (DEPLOY / name).read_text()
    for part in ("python:3.11-slim-bookworm", "libpango-1.0-0", "[pacs,pdf]"):
        assert part in text


@pytest.mark.parametrize(
    "command",
    ["hadolint Dockerfile", "docker-compose -f compose.yaml config --quiet"],
    ids=["hadolint", "docker-compose"],
)
def test_others_who_read_the_recipes_find_no_fault(command: str) -> None:
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"{command.split()[0]} is not installed")
    told = subprocess.run(
        command.split(), cwd=DEPLOY, capture_output=True, text=True, timeout=60, check=False
    )
    assert (told.returncode, told.stdout + told.stderr) == (0, "")
