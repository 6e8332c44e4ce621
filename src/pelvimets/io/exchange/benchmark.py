"""Folders of the frozen benchmark and its result files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pelvimets.errors import CohortError, InputError
from pelvimets.evaluation.report.plain import NOTICE_IN_SILICO
from pelvimets.io.record.output import write_json
from pelvimets.phantom.cohort.benchmark import (
    Benchmark,
    load_benchmark,
)

RECORD = "benchmark.json"


def link(source: Path, target: Path) -> None:
    """The same file in a second place, without a copy where the disk can do that."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def open_benchmark(folder: Path, benchmark: Benchmark) -> None:
    """Start a folder, or go on with one of the same version."""
    path = folder / RECORD
    if path.is_file():
        check_version(folder, benchmark)
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CohortError(
            "The benchmark is made in a new folder", got=folder, remedy="Choose an empty folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {"benchmark": benchmark.version, "notice": NOTICE_IN_SILICO})


def check_version(folder: Path, benchmark: Benchmark) -> None:
    """Refuse a folder that is no benchmark, or one of another version.

    Raises:
        CohortError: with what it holds.
    """
    try:
        version = json.loads((folder / RECORD).read_text(encoding="utf-8"))["benchmark"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CohortError(
            "The folder is no benchmark",
            got=f"{folder}: {error!r}",
            remedy="Make one with: pelvimets benchmark make -o FOLDER",
        ) from error
    if version != benchmark.version:
        raise CohortError(
            "The folder holds another version of the benchmark",
            got=f"{version}; this package has {benchmark.version}",
            remedy="Make it anew in another folder",
        )


def read_results(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """Result files of this version of the benchmark.

    Raises:
        InputError: if there are none, one is something else, or two have one name.
    """
    paths = [p for f in folders for p in (sorted(f.glob("*.json")) if f.is_dir() else [f])]
    results = [_read_result(path) for path in paths]
    names = [result["method"]["name"] for result in results]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not results:
        raise InputError(
            "A leaderboard needs results, each method once",
            got=", ".join(twice) or "no result file",
        )
    return results


def _read_result(path: Path) -> dict[str, Any]:
    version = load_benchmark().version
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found: Mapping[str, Any] = {key: result[key] for key in ("benchmark", "method", "parts")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("This is no result of the benchmark", got=f"{path}: {error!r}") from error
    if found["benchmark"] != version:
        raise InputError(
            f"{path.name} was scored on another version of the benchmark",
            got=f"{found['benchmark']}; this package has {version}",
            remedy="Score the method again",
        )
    return result
