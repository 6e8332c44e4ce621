"""Many workers on one PostgreSQL server, the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from pelvimets.errors import ResourceError, SettingsError
from pelvimets.io.record.search_storage import masked_url, open_storage
from pelvimets.training.search.records import Fate, TrialRecord, places_taken
from pelvimets.training.search.searching import Search, Strategy
from pelvimets.training.search.space import Choice, Range

SPACE = {"x": Range(0.0, 1.0), "kind": Choice(("flat", "steep"))}
PLAN = {"task": "bones", "preset": "default"}
PASSWORD = "s3cr et@%"

WORKER = """
    import sys, time
    from pelvimets.io.record.search_storage import open_storage
    from pelvimets.training.search.searching import Search, Strategy
    from pelvimets.training.search.space import Choice, Range
    SPACE = {"x": Range(0.0, 1.0), "kind": Choice(("flat", "steep"))}
    url, total, behaviour = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    plan = {"task": "bones", "preset": "default"}
    def objective(trial):
        trial.report(0.5, trial.values["x"] / 2)
        print("begun", flush=True)
        time.sleep(600 if behaviour == "hang" else 0.3)
        return trial.values["x"]
    with open_storage(url, heartbeat_seconds=1, grace_seconds=3) as storage:
        first = {"x": 0.5, "kind": "flat"}
        search = Search(storage, "shared", plan, SPACE, Strategy(first=first, seed=7))
        while True:
            search.take_back_lost()
            if search.is_full(total):
                break
            search.attempt(objective, total)
"""


def _programs() -> Path | None:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which("initdb")
    if on_path:
        places.append(Path(on_path).parent)
    fit = [p for p in places if (p / "initdb").exists() and (p / "pg_ctl").exists()]
    return fit[-1] if fit else None


def _as_server(command: list[str], folder: Path) -> None:
    """The server refuses to run as root."""
    if os.getuid() == 0:
        command = ["runuser", "-u", "postgres", "--", *command]
    subprocess.run(command, check=True, timeout=90, cwd=folder, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian package postgresql)")
    if os.getuid() == 0 and shutil.which("runuser") is None:
        pytest.skip("the server refuses to run as root, and there is no runuser")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short, as sockets need it
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
        shutil.chown(secret, "postgres")
    initdb = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "ann"]
    pg_ctl = [str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w", "-t", "60"]
    try:
        _as_server([*initdb, "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"], folder)
        settings = f"-F -c listen_addresses='' -c unix_socket_directories={folder}"
        _as_server([*pg_ctl, "-l", str(folder / "log"), "-o", settings, "start"], folder)
        try:
            yield f"host={folder}"
        finally:
            _as_server([*pg_ctl, "-m", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _url(server: str, password: str = "s3cr%20et%40%25") -> str:
    return f"postgresql://ann:{password}@/postgres?{server}"


def _worker(url: str, total: int, behaviour: str = "work") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORKER), url, str(total), behaviour],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_workers_at_once_share_the_trials_and_the_work_of_a_killed_one(server: str) -> None:
    url, total = _url(server), 8
    workers = [_worker(url, total), _worker(url, total)]
    told = [worker.communicate(timeout=120) for worker in workers]
    assert [w.returncode for w in workers] == [0, 0], told
    assert PASSWORD not in "".join(text for pair in told for text in pair)

    records = _records(url)
    counting = [r for r in records if r.fate.takes_place]
    assert len(counting) == total
    assert {r.fate for r in counting} == {Fate.FINISHED}
    assert sum(r.values == {"x": 0.5, "kind": "flat"} for r in counting) == 1
    assert len({r.values["x"] for r in counting}) == total
    assert len({r.worker for r in counting}) == 2

    hanging = _worker(url, total + 1, "hang")
    assert hanging.stdout is not None
    assert hanging.stdout.readline() == "begun\n"
    hanging.kill()
    hanging.communicate(timeout=30)
    relief = _worker(url, total + 1)
    relief.communicate(timeout=120)
    after = _records(url)[len(records) :]
    lost = next(r for r in after if r.fate is Fate.LOST)
    again = next(r for r in after if r.slot == f"again {lost.number}")
    assert (again.fate, again.values) == (Fate.FINISHED, lost.values)
    assert places_taken(_records(url)) == total + 1


def _records(url: str) -> tuple[TrialRecord, ...]:
    with open_storage(url) as storage:
        return Search(storage, "shared", PLAN, SPACE, Strategy(seed=7)).records()


def test_another_worker_cannot_bring_another_plan(server: str) -> None:
    with open_storage(_url(server)) as storage:
        Search(storage, "planned", PLAN, SPACE)
        with pytest.raises(SettingsError, match="task: bones before, lesions now"):
            Search(storage, "planned", {**PLAN, "task": "lesions"}, SPACE)


def test_a_refused_password_is_not_repeated(server: str) -> None:
    url = _url(server, "wr0ng")
    refusal = pytest.raises(ResourceError, match="password authentication failed")
    with refusal as refused, open_storage(url):
        pass
    assert "wr0ng" not in str(refused.value)
    assert masked_url(url) == "postgresql+psycopg://ann@/postgres"
