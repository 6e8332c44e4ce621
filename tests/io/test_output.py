"""Results on a disk that fills up, beside other runs, and after kills."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import OutputError, PelvimetsError, ResourceError
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.io.record import output
from pelvimets.io.record.output import RECORD_NAME, check_output, staged_folder, tidy, write_json
from pelvimets.io.record.temporary import owned_folder, remove_abandoned

GEOMETRY = Geometry.from_axes((8, 32, 32), (5.0, 2.0, 2.0))
RECORD_BYTES = 20_000


def write_some(folder: Path) -> None:
    """A mask that packs well, an image that does not, and a record."""
    noise = np.random.default_rng(1).integers(0, 30_000, GEOMETRY.shape, dtype=np.int16)
    write_nifti(folder / "mask.nii.gz", Volume((noise > 29_000).astype(np.uint8), GEOMETRY))
    write_nifti(folder / "image.nii.gz", Volume(noise, GEOMETRY))
    write_nifti(folder / "plain.nii", Volume(noise, GEOMETRY))
    write_json(folder / RECORD_NAME, {"text": "x" * RECORD_BYTES})


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    with staged_folder(tmp_path / "whole") as work:
        write_some(work)
    return contents(tmp_path / "whole")


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file may become larger, as under ``ulimit -f``."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def all_or_nothing(place: Path, whole: dict[str, bytes]) -> bool:
    """Write into ``place``; whether the result is there, then it is whole."""
    try:
        with staged_folder(place / "out") as work:
            write_some(work)
    except PelvimetsError:
        assert list(place.iterdir()) == []
        return False
    assert contents(place / "out") == whole
    return True


def test_under_a_limit_of_file_size_a_result_is_whole_or_not_there(
    whole: dict[str, bytes], tmp_path: Path
) -> None:
    sizes = {len(data) for data in whole.values()} | {GEOMETRY.n_voxels + 352}
    limits = sorted({size + more for size in sizes for more in (-1, 0)} | {600, 5000})
    outcomes = []
    for limit in limits:
        place = tmp_path / str(limit)
        place.mkdir()
        with files_up_to(limit):
            outcomes.append(all_or_nothing(place, whole))
    assert outcomes == [False] * (len(limits) - 1) + [True]


def test_a_mask_is_read_again_after_it_was_written(tmp_path: Path, monkeypatch) -> None:
    """ITK leaves two thirds of a plain image under a limit, and says nothing."""
    mask = Volume(np.ones(GEOMETRY.shape, np.uint8), GEOMETRY)
    with files_up_to(GEOMETRY.n_voxels * 2 // 3), pytest.raises(OutputError, match="of 8544 bytes"):
        write_nifti(tmp_path / "mask.nii.gz", mask)
    assert list(tmp_path.iterdir()) == []
    write_nifti(tmp_path / "mask.nii.gz", mask)
    assert np.array_equal(read_nifti(tmp_path / "mask.nii.gz").array, mask.array)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts disks of a few kilobytes in memory, where root allows it."""
    mounted: list[Path] = []

    def mount(kilobytes: int) -> Path:
        place = tmp_path / f"disk{kilobytes}"
        place.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
        if subprocess.run(words, capture_output=True, check=False).returncode != 0:
            pytest.skip("no disk may be mounted here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
def test_on_a_full_disk_a_result_is_whole_or_not_there(
    whole: dict[str, bytes], small_disk: Callable[[int], Path]
) -> None:
    outcomes = [all_or_nothing(small_disk(size), whole) for size in (8, 20, 40, 52, 64, 400)]
    assert outcomes[0] is False and outcomes[-1] is True


def test_what_the_disk_says_at_the_last_moment_counts(tmp_path: Path, monkeypatch) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output.os, "fsync", full)
    with (
        pytest.raises(ResourceError, match="disk is full"),
        staged_folder(tmp_path / "out") as work,
    ):
        write_json(work / RECORD_NAME, {})
    assert list(tmp_path.iterdir()) == []


def test_of_two_runs_into_one_folder_the_second_is_refused_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        pytest.raises(OutputError, match="exists already"),
        staged_folder(out) as late,
    ):
        with staged_folder(out) as early:
            write_json(early / RECORD_NAME, {"run": "early"})
        write_json(late / RECORD_NAME, {"run": "late"})
    assert "early" in (out / RECORD_NAME).read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with staged_folder(out, overwrite=True) as work:
        write_json(work / RECORD_NAME, {"run": "third"})
    assert "third" in (out / RECORD_NAME).read_text()


def test_what_was_put_there_during_the_run_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="something else"), staged_folder(out, overwrite=True):
        out.mkdir()
        (out / "letters.txt").write_text("dear")
    assert contents(out) == {"letters.txt": b"dear"}


_KILLED = """
import os, signal, sys
from pathlib import Path
from pelvimets.io.record.output import staged_folder, write_json
die_at, out = sys.argv[1], Path(sys.argv[2])
moves = []
whole = Path.rename
def rename(self, target):
    moves.append(self.name)
    if die_at == self.name: os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, target)
Path.rename = rename
with staged_folder(out, overwrite=True) as work:
    write_json(work / "run.json", {"run": "killed"})
    (work / "patient.nii.gz").write_bytes(bytes(100))
    if die_at == "writing": os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(die_at: str, out: Path) -> None:
    """A run that ends by ``kill -9`` before it moves what is named so."""
    words = [sys.executable, "-c", _KILLED, die_at, str(out)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    time.sleep(1.1)  # an owner younger than that may be about to hold its folder


@pytest.mark.parametrize("die_at", ["writing", "result"])
def test_what_a_killed_run_left_goes_and_the_earlier_result_comes_back(
    die_at: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with staged_folder(out) as work:
        write_json(work / RECORD_NAME, {"run": "earlier"})
    killed(die_at, out)
    assert out.is_dir() == (die_at == "writing")
    assert len(list(tmp_path.glob(".out.partial-*"))) == 1
    with pytest.raises(OutputError, match="exists already"):
        check_output(out, overwrite=False)
    assert "earlier" in (out / RECORD_NAME).read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_living_run_is_left_alone_and_so_is_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / ".mine.partial-abcdefgh").mkdir()
    (tmp_path / ".mine.partial-abcdefgh" / "thesis.txt").write_text("years")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".pelvimets-owner").touch()
    (tmp_path / ".link.partial-abcdefgh").symlink_to(elsewhere)
    with staged_folder(tmp_path / "out") as work:
        for owner in tmp_path.rglob(".pelvimets-owner"):
            os.utime(owner, (0, 0))
        code = "import sys, pathlib\nfrom pelvimets.io.record.output import tidy\n"
        code += "tidy(pathlib.Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        assert work.is_dir()
        write_json(work / RECORD_NAME, {})
    assert (tmp_path / ".mine.partial-abcdefgh" / "thesis.txt").is_file()
    assert elsewhere.is_dir()


def test_an_abandoned_folder_of_unpacked_images_goes(tmp_path: Path) -> None:
    code = (
        "import os, sys, signal, pathlib\n"
        "from pelvimets.io.record.temporary import owned_folder\n"
        "with owned_folder(pathlib.Path(sys.argv[1]), 'pelvimets-') as folder:\n"
        "    (folder / '000001').write_bytes(bytes(10))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    assert (left / "000001").is_file()
    time.sleep(1.1)
    with owned_folder(tmp_path, "pelvimets-") as mine:
        os.utime(mine / ".pelvimets-owner", (0, 0))
        remove_abandoned(tmp_path, "pelvimets-*")
        assert list(tmp_path.iterdir()) == [mine]
    assert list(tmp_path.iterdir()) == []
    tidy(tmp_path / "nowhere")
