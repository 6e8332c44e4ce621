from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pelvimets.io.record import compiled
from pelvimets.io.record.compiled import CompiledFolder, compiled_folder


def test_what_was_kept_comes_back_and_the_folder_is_the_users_own(tmp_path: Path) -> None:
    store = CompiledFolder(tmp_path / "networks")
    assert store.read("a") is None
    store.write("a", b"first")
    store.write("a", b"second")
    assert store.read("a") == b"second" and store.read("b") is None
    assert len(list(store.folder.iterdir())) == 1
    if sys.platform != "win32":
        assert store.folder.stat().st_mode & 0o777 == 0o700


def test_a_changed_file_is_not_used(tmp_path: Path) -> None:
    store = CompiledFolder(tmp_path / "networks")
    store.write("a", b"a program")
    path = next(store.folder.iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert store.read("a") is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows closes the profile folder itself")
def test_a_folder_that_others_may_write_to_is_neither_read_nor_written(tmp_path: Path) -> None:
    store = CompiledFolder(tmp_path / "networks")
    store.write("a", b"content")
    store.folder.chmod(0o770)
    assert store.read("a") is None
    store.write("b", b"content")
    assert len(list(store.folder.iterdir())) == 1
    link = CompiledFolder(tmp_path / "link")
    store.folder.chmod(0o700)
    link.folder.symlink_to(store.folder)
    assert link.read("a") is None and store.read("a") == b"content"


def test_the_longest_unused_goes_where_too_much_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_MOST_BYTES", 100)
    store = CompiledFolder(tmp_path / "networks")
    for age, key in enumerate("ab"):
        store.write(key, b"x" * 10)
        os.utime(store.folder / f"{key}.compiled", (age, age))
    assert store.read("a") is not None  # used now
    store.write("c", b"x" * 10)
    assert store.read("b") is None and store.read("a") is not None


def test_a_disk_that_takes_nothing_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    store = CompiledFolder(tmp_path / "file" / "networks")
    store.write("a", b"content")
    assert store.read("a") is None


@pytest.mark.parametrize("word", ["off", "OFF", "0", "none"])
def test_the_user_may_want_none_kept(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv(compiled.ENVIRONMENT, word)
    assert compiled_folder() is None


def test_the_user_may_name_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(compiled.ENVIRONMENT, str(tmp_path))
    found = compiled_folder()
    assert found is not None and found.folder == tmp_path / "networks"
