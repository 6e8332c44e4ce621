"""Real programs on the other side: Orthanc with its DICOMweb plug-in, DCMTK, certificates.

They are Debian packages (``orthanc``, ``orthanc-dicomweb``, ``dcmtk``). A server is started on
free ports of the loopback address, with an empty store in a temporary folder, and stopped
afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PLUGIN_NAME = "libOrthancDicomWeb.so"
PLUGIN_FOLDERS = ("/usr/share/orthanc/plugins", "/usr/lib/orthanc")
START_TIMEOUT_S = 120
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """Path of a program; the test is skipped where it is missing.

    Not that of this Python's environment: pynetdicom brings scripts under the names of DCMTK's.
    """
    own = Path(sys.executable).parent
    folders = [f for f in os.get_exec_path() if Path(f) != own]
    found = shutil.which(name, path=os.pathsep.join([*folders, "/usr/sbin"]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@dataclass(frozen=True)
class Orthanc:
    """A running server."""

    http: int
    dicom: int

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.http}/dicom-web"

    @property
    def address(self) -> str:
        return f"dicom://ORTHANC@127.0.0.1:{self.dicom}"

    def get(self, path: str) -> Any:
        """What its own interface says."""
        with _OPENER.open(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            return json.load(answer)

    def post(self, path: str, data: Any) -> Any:
        body = json.dumps(data).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", body)
        with _OPENER.open(request, timeout=120) as answer:
            return json.load(answer)


def settings(folder: Path, plugin: Path, http: int, dicom: int) -> dict:
    return {
        "Name": "test",
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "Plugins": [str(plugin)],
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowStore": True,
        "OverwriteInstances": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }


@contextmanager
def running_orthanc(folder: Path, **more: Any) -> Iterator[Orthanc]:
    """A server with an empty store; ``more`` are settings beside the usual ones."""
    plugins = [p for f in PLUGIN_FOLDERS for p in Path(f).glob(f"{PLUGIN_NAME}*")]
    executable = program("Orthanc")
    if not plugins:
        pytest.skip("orthanc-dicomweb is not installed")
    http, dicom = free_port(), free_port()
    config = folder / "orthanc.json"
    config.write_text(json.dumps({**settings(folder, plugins[0], http, dicom), **more}))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([executable, str(config)], stdout=log, stderr=log)
        try:
            wait_until_up(server, http, folder / "log")
            yield Orthanc(http, dicom)
        finally:
            server.terminate()
            server.wait(60)


def wait_until_up(server: subprocess.Popen, port: int, log: Path) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with _OPENER.open(f"http://127.0.0.1:{port}/system", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"Orthanc did not start:\n{log.read_text()[-2000:]}")


def wait_for_port(server: subprocess.Popen, port: int) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the server did not start")


@dataclass(frozen=True)
class Certificate:
    """Files of a certificate for 127.0.0.1 and of its key."""

    certificate: Path
    key: Path


def certificate(folder: Path, name: str) -> Certificate:
    """A self-signed one."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    order = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    order += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    order += ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(order, check=True, capture_output=True)
    return made
