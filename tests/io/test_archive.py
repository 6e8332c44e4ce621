"""Zips from outside: what is hostile, damaged or too large is refused before it harms."""

import io
import stat
import zipfile
from pathlib import Path

import pytest
from dicom_samples import block, dwi, t1, write

from pelvimets.errors import ArchiveError, ResourceError
from pelvimets.io.dicom import archive
from pelvimets.io.dicom.archive import ArchiveLimits, is_zip, unpack
from pelvimets.io.study import open_study


def zipped(path: Path, files: dict[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def unpacked(tmp_path: Path, files, limits: ArchiveLimits | None = None) -> dict[str, bytes]:
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    unpack(zipped(tmp_path / "a.zip", files), folder, limits)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_contents_arrive_under_numbers(tmp_path: Path):
    files = {"SMITH JOHN/1": b"one", "SMITH JOHN/sub/1": b"two", "empty/": b"", "x" * 300: b"3"}
    assert unpacked(tmp_path, files) == {"000000": b"one", "000001": b"two", "000002": b"3"}


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "..\\evil", "\\evil", "a/.."]
)
def test_path_outside_the_folder(tmp_path: Path, name):
    with pytest.raises(ArchiveError, match="outside its folder"):
        unpacked(tmp_path, {"good": b"1", name: b"2"})
    assert [path.name for path in tmp_path.iterdir() if path.name != "out"] == ["a.zip"]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_link_or_special_file(tmp_path: Path, kind):
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    with pytest.raises(ArchiveError, match="link or a special file"):
        unpacked(tmp_path, {info: b"/etc/passwd"})


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (ArchiveLimits(largest_files=2), "more than 2 files .got 3."),
        (ArchiveLimits(largest_bytes=250_000), "more than 0.00025 GB"),
        (ArchiveLimits(largest_ratio=20, ratio_from_bytes=1000), "more than 20 times"),
    ],
)
def test_limits(tmp_path: Path, limits, message):
    files = {str(n): bytes(100_000) for n in range(3)}
    with pytest.raises(ArchiveError, match=message):
        unpacked(tmp_path, files, limits)
    assert len(unpacked(tmp_path, files)) == 3


def test_declared_size_that_lies_is_caught_by_counting(tmp_path: Path):
    path = zipped(tmp_path / "a.zip", {"bomb": bytes(3_000_000)})
    content = path.read_bytes().replace(
        (3_000_000).to_bytes(4, "little"), (9).to_bytes(4, "little")
    )
    path.write_bytes(content)
    (tmp_path / "out").mkdir()
    with pytest.raises(ArchiveError):
        unpack(path, tmp_path / "out", ArchiveLimits(largest_bytes=1_000_000))
    assert sum(p.stat().st_size for p in (tmp_path / "out").iterdir()) <= 1_000_000


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.98])
def test_truncated(tmp_path: Path, keep):
    path = zipped(tmp_path / "a.zip", {str(n): bytes(range(256)) * 50 for n in range(20)})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(ArchiveError, match="damaged or truncated"):
        open_study(path)


def test_damaged_content(tmp_path: Path):
    path = zipped(tmp_path / "a.zip", {"one": bytes(range(256)) * 40})
    content = bytearray(path.read_bytes())
    content[60:70] = b"\xff" * 10
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="damaged"):
        open_study(path)


def test_encrypted(tmp_path: Path):
    path = zipped(tmp_path / "a.zip", {"one": b"1"})
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    content[6] |= 1
    content[at + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="encrypted"):
        open_study(path)


def test_empty_zip(tmp_path: Path):
    assert is_zip(zipped(tmp_path / "a.zip", {}))
    with pytest.raises(ArchiveError, match="no files"):
        open_study(tmp_path / "a.zip")


def test_disk_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(ResourceError, match="temporary disk"):
        unpacked(tmp_path, {"one": bytes(100)})


def test_study_in_a_zip_and_its_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    files = {}
    for n, dataset in enumerate([*dwi(block(), 1000), *t1(block(seed=1))]):
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        files[f"deep/{n % 3}/file {n}"] = buffer.getvalue()
    path = zipped(tmp_path / "study.zip", {**files, "notes.txt": b"text"})
    with open_study(path) as opened:
        assert len(list((tmp_path / "tmp").glob("*/files/*"))) == 21
        assert len(opened.headers(opened.study.t1.source.series_instance_uid)) == 10
        assert opened.study.notes == ("1 file was not DICOM and passed over",)
    assert not list((tmp_path / "tmp").iterdir())
    write(tmp_path / "folder", [*dwi(block(), 1000), *t1(block(seed=1))])
    with open_study(tmp_path / "folder") as other:
        assert other.study.patient_key == opened.study.patient_key
        assert (other.study.dwi.volume.array == opened.study.dwi.volume.array).all()


def test_refused_study_leaves_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with pytest.raises(Exception, match="no DICOM"):
        open_study(zipped(tmp_path / "a.zip", {"notes.txt": b"text"}))
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("member", ["SURNAME_Given/IM1", "SURNAME_Given file for you"])
def test_no_name_of_a_member_is_shown(tmp_path: Path, member: str):
    """Zips are often packed by the patient's name; each byte is damaged in turn."""
    whole = zipped(tmp_path / "whole.zip", {member: b"pixels" * 9}).read_bytes()
    said = set()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x41
        (tmp_path / "damaged.zip").write_bytes(damaged)
        folder = tmp_path / str(place)
        folder.mkdir()
        try:
            unpack(tmp_path / "damaged.zip", folder)
        except ArchiveError as error:
            said.add(str(error))
    assert len(said) >= 5
    assert not any(word in text for text in said for word in ("SURNAME", "Given", "URNAME", "iven"))


def test_a_hostile_member_is_named_by_its_number(tmp_path: Path):
    with pytest.raises(ArchiveError, match=r"outside its folder \(got member 2 of 2\)"):
        unpacked(tmp_path, {"good": b"1", "../SURNAME_Given": b"2"})
