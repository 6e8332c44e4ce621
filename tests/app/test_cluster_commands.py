"""Commands that take ``--cluster``: as on one machine, though a worker dies in mid-patient."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rich.progress
from typer.testing import CliRunner

from pelvimets.cli.main import app
from pelvimets.io.nifti.files import write_nifti
from pelvimets.labels import Sequence
from tests.app.conftest import KnownStudy, image_of
from tests.core.test_lesions import ball
from tests.dask_cluster import LocalCluster, local_cluster
from tests.evaluation.synthetic_cohort import write_cohort
from tests.io import exchange_samples
from tests.model_development.test_bundle import bundle  # noqa: F401  a fixture

pytest.importorskip("distributed")

WORKERS = 3
Shown = list[tuple[float | None, float | None]]


@dataclass(frozen=True)
class Answer:
    """What a command said and showed."""

    code: int
    said: str
    shown: Shown


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with local_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """What progress bars were told."""
    told: Shown = []
    update = rich.progress.Progress.update

    def listening(self, task, *, total=None, completed=None, **more):  # type: ignore[no-untyped-def]
        told.append((completed, total))
        update(self, task, total=total, completed=completed, **more)

    monkeypatch.setattr(rich.progress.Progress, "update", listening)
    return told


def typed(shown: Shown, *words: object) -> Answer:
    shown.clear()
    answer = CliRunner().invoke(app, [str(word) for word in words])
    said = answer.output if answer.exception is None else f"{answer.output}{answer.exception!r}"
    return Answer(answer.exit_code, said, list(shown))


def files_in(folder: Path) -> dict[str, str]:
    """Every file, hidden ones too, and what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Twice:
    """A command on this machine, then on the cluster, where it loses a worker in mid-patient."""

    def __init__(self, cluster: LocalCluster, shown: Shown, folder: Path) -> None:
        self._cluster, self._shown, self._folder = cluster, shown, folder
        self.here, self.there = folder / "here", folder / "there"

    def __call__(self, *words: object, jobs: int = 1) -> tuple[Answer, Answer]:
        self.here.mkdir()
        self.there.mkdir()
        alone = typed(self._shown, *words, "-o", self.here / "out", "--jobs", jobs)
        workers = self._cluster.with_workers(WORKERS, self.there)
        spread = typed(
            self._shown, *words, "-o", self.there / "out", "--cluster", self._cluster.address
        )
        killed = self._cluster.killed()
        assert len(killed) == 1 and killed[0] in workers, spread
        return alone, spread


@pytest.fixture
def twice(cluster: LocalCluster, shown: Shown, tmp_path: Path) -> Iterator[Twice]:
    yield Twice(cluster, shown, tmp_path)
    cluster.stop_workers()  # the next are to watch another folder


def same(alone: Answer, spread: Answer, code: int = 0) -> None:
    assert alone.code == spread.code == code, (alone.said, spread.said)
    assert alone.said.replace("here", "there") == spread.said
    assert alone.shown == spread.shown


def test_digital_patients_are_made(twice: Twice, cluster: LocalCluster, shown: Shown) -> None:
    words = ("phantom", "cohort", "--like", "stress", "--patients", 2, "--seed", 4)
    same(*twice(*words))
    made = files_in(twice.there)
    assert files_in(twice.here) == made and "out/patients.csv" in made
    shutil.rmtree(twice.there / "out" / "p0002")
    before = (twice.there / "out" / "p0001" / "dwi.nii.gz").stat().st_mtime_ns
    again = typed(shown, *words, "-o", twice.there / "out", "--cluster", cluster.address)
    assert again.code == 0 and again.shown == [(1, 2), (2, 2)]
    assert files_in(twice.there) == made
    assert (twice.there / "out" / "p0001" / "dwi.nii.gz").stat().st_mtime_ns == before


def test_predictions_are_measured(twice: Twice, tmp_path: Path) -> None:
    reference, prediction = write_cohort(tmp_path / "cohort", 6)
    same(*twice("evaluate", "--reference", reference, "--predictions", prediction))
    alone, spread = files_in(twice.here), files_in(twice.there)
    assert set(alone) == set(spread)
    tables = [name for name in alone if name.endswith(".csv")]
    assert len(tables) > 5 and all(alone[name] == spread[name] for name in tables)


def test_images_are_imported(twice: Twice, tmp_path: Path) -> None:
    source = exchange_samples.write_cohort(tmp_path / "cohort", 7)
    same(*twice("import", "nifti", source))
    made = files_in(twice.here)
    assert made == files_in(twice.there)
    assert sum(name.endswith("t1_bones.nii.gz") for name in made) == 7


@pytest.fixture
def validation(known_study: KnownStudy, tmp_path: Path) -> Path:
    """Four men with three metastases each."""
    folder = tmp_path / "validation"
    lesions = np.zeros_like(known_study.lesions.array)
    for number, place in enumerate(((75.0, 10.0, 60.0), (-75.0, 10.0, 66.0), (0.0, 60.0, 50.0)), 1):
        lesions[ball(known_study.bones.geometry, place, 13)] = number
    truth = known_study.bones.with_array(lesions)
    for n in range(4):
        (folder / f"p{n}").mkdir(parents=True)
        for s in Sequence:
            image = image_of(known_study.bones, truth, s)
            brighter = image.with_array(image.array * np.float32(1 + n / 10))
            write_nifti(folder / f"p{n}" / f"{s}.nii.gz", brighter)
            write_nifti(folder / f"p{n}" / f"{s}_lesions.nii.gz", truth)
    (folder / "patients.csv").write_text("patient\n" + "".join(f"p{n}\n" for n in range(4)))
    return folder


def test_patients_are_read_for_a_calibration(
    twice: Twice,
    bundle: Path,  # noqa: F811
    validation: Path,
) -> None:
    """By networks that learned nothing, and so found nothing to weigh."""
    alone, spread = twice("calibrate", bundle, "--data", validation, jobs=2)
    same(alone, spread, code=1)
    assert "Too few candidates" in spread.said
    kept = files_in(twice.there)
    assert sum(name.endswith(".npz") for name in kept) == 4 and kept == files_in(twice.here)
