"""The main path from files to files, with networks that know the answer."""

import itertools
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import nibabel
import numpy as np
import psutil
import pytest

from pelvimets.app.predict import planned_stages, predict
from pelvimets.core.findings import FlagLevel
from pelvimets.core.geometry import Geometry
from pelvimets.core.pipeline import process_study
from pelvimets.core.resample import resample_image
from pelvimets.core.study import Acquisition, SeriesRole, Study
from pelvimets.core.volume import Volume
from pelvimets.errors import OutputError, ResourceError
from pelvimets.io.nifti import study as nifti_study
from pelvimets.io.nifti.files import nifti_geometry, write_nifti
from pelvimets.labels import Bone, Sequence
from pelvimets.report.data import findings_from_dict
from pelvimets.requests.predict import RunOptions, StudyInput
from tests.app.conftest import LESION_MM, image_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def run(study, out, **options):
    source = StudyInput(
        dwi=study.files[Sequence.DWI], t1=study.files[Sequence.T1], adc=study.adc, name="p1"
    )
    chosen = RunOptions(**options)
    return predict(source, out, chosen, segmenter=study.segmenter, now=lambda: NOON)


@pytest.fixture(scope="module")
def result(known_study, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "result"
    run(known_study, out)
    return out


def test_all_outputs_are_there(result):
    names = {str(p.relative_to(result)) for p in result.rglob("*") if p.is_file()}
    assert names == {
        "findings.json",
        "lesions.csv",
        "report.html",
        "run.json",
        "dwi_bones.nii.gz",
        "dwi_lesions.nii.gz",
        "t1_bones.nii.gz",
        "t1_lesions.nii.gz",
        "images/dwi.nii.gz",
        "images/t1.nii.gz",
        "images/adc.nii.gz",
        "thumbnail.png",
    }


def test_an_independent_reader_finds_the_masks_on_the_input_grid(result, known_study):
    for sequence in Sequence:
        given = nibabel.load(known_study.files[sequence])
        for kind, dtype in (("bones", np.uint8), ("lesions", np.uint16)):
            mask = nibabel.load(result / f"{sequence}_{kind}.nii.gz")
            assert mask.shape == given.shape and mask.get_data_dtype() == dtype
            assert np.allclose(mask.affine, given.affine, atol=1e-4)


def test_the_findings_tell_where_the_lesion_is(result):
    findings = findings_from_dict(json.loads((result / "findings.json").read_text()))
    (lesion,) = findings.lesions
    assert lesion.part.title == "left ilium"
    assert lesion.sequences == (Sequence.DWI, Sequence.T1)
    assert lesion.seen_on[Sequence.DWI].centre_lps_mm == pytest.approx(LESION_MM, abs=4)
    assert lesion.adc_median_um2_per_s == pytest.approx(800)
    assert findings.m1_suspected and findings.reliable


def test_the_run_record_tells_what_was_done(result):
    record = json.loads((result / "run.json").read_text())
    stages = [stage["stage"] for stage in record["stages"]]
    assert stages[:2] == ["networks", "read"] and stages[-1] == "write"
    assert set(record["inputs"]) == {"dwi", "t1", "adc"}
    assert all(len(item["sha256"]) == 64 for item in record["inputs"].values())
    assert record["settings"]["lesions"]["drop_below_cm3"] == 0.2
    assert record["device"]["name"] == "cpu" and record["device"]["model"]


def test_two_runs_give_the_same_bytes(known_study, result, tmp_path):
    run(known_study, tmp_path / "again")
    for path in result.rglob("*"):
        if path.is_file() and path.name != "run.json":  # it holds the seconds
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(result)).read_bytes()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("tilt", [0, 18])
def test_masks_lie_on_the_bones_in_every_orientation(known_study, order, tilt):
    """All 48 orientations, some oblique: each voxel against the truth in the patient."""
    c, s = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    all_signs = list(itertools.product((1.0, -1.0), repeat=3))
    for signs in all_signs if tilt == 0 else all_signs[1::5]:
        axes = np.array([np.eye(3)[a] * g for a, g in zip(order, signs, strict=True)]) @ turn.T
        image = field_over(known_study, axes)
        study = Study("p", dwi=Acquisition(image, SeriesRole.HIGH_B_DWI, "dwi"))
        result = process_study(study, known_study.segmenter)
        found = result.bones.by_sequence[Sequence.DWI].array
        truth = looked_up(known_study, image.geometry)
        overlap = (
            2 * ((found == truth) & (truth > 0)).sum() / ((found > 0).sum() + (truth > 0).sum())
        )
        assert overlap > 0.85
        assert result.findings.lesions[0].part.title == "left ilium"


def field_over(known, axes):
    """An image of the study on a grid with the given axes around the same centre."""
    extent = np.abs(axes) @ np.array([300.0, 200.0, 180.0])
    spacing = np.where(extent == extent.min(), 8.0, 6.0)
    shape = tuple(int(n) for n in np.ceil(extent / spacing))
    centre = known.bones.geometry.corners().mean(axis=0)
    start = centre - (axes.T * spacing) @ ((np.asarray(shape) - 1) / 2)
    grid = Geometry.from_axes(shape, tuple(spacing), tuple(start), axes)
    return resample_image(image_of(known.bones, known.lesions), grid, outside=0.0)


def looked_up(known, grid):
    index = np.indices(grid.shape).reshape(3, -1).T
    at = np.rint(known.bones.geometry.to_index(grid.to_lps(index))).astype(int)
    inside = ((at >= 0) & (at < known.bones.geometry.shape)).all(axis=1)
    values = np.zeros(len(at), np.uint8)
    values[inside] = known.bones.array[tuple(at[inside].T)]
    return values.reshape(grid.shape)


def test_one_sequence_alone_is_read_and_said(known_study, tmp_path):
    source = StudyInput(t1=known_study.files[Sequence.T1], name="p1")
    predict(source, tmp_path / "out", segmenter=known_study.segmenter)
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert "t1_bones.nii.gz" in names and "dwi_bones.nii.gz" not in names
    report = (tmp_path / "out" / "report.html").read_text()
    assert "read on T1 alone" in report


class Failing:
    """A segmenter that stops in the middle of the work."""

    def __init__(self, inner, error):
        self._inner, self._error = inner, error
        self.name, self.settings, self.weights_sha256 = inner.name, inner.settings, ""

    def bone_probabilities(self, image, sequence):
        return self._inner.bone_probabilities(image, sequence)

    def lesion_probabilities(self, image, bones, sequence):
        raise self._error


@pytest.mark.parametrize(
    "error", [ResourceError("no memory"), KeyboardInterrupt(), SystemExit(143)]
)
def test_a_stopped_run_leaves_nothing_half_done(known_study, tmp_path, error):
    broken = replace_segmenter(known_study, Failing(known_study.segmenter, error))
    with pytest.raises(type(error)):
        run(broken, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_keeps_the_earlier_result(known_study, tmp_path):
    run(known_study, tmp_path / "out")
    before = (tmp_path / "out" / "run.json").read_bytes()
    broken = replace_segmenter(known_study, Failing(known_study.segmenter, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run(broken, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "run.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def replace_segmenter(study, segmenter):
    return replace(study, segmenter=segmenter)


def test_an_earlier_result_is_overwritten_only_when_asked(known_study, tmp_path):
    run(known_study, tmp_path / "out")
    with pytest.raises(OutputError, match="--overwrite"):
        run(known_study, tmp_path / "out")
    run(known_study, tmp_path / "out", overwrite=True)


def test_what_is_not_a_result_is_never_overwritten(known_study, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("cat")
    with pytest.raises(OutputError, match="something else"):
        run(known_study, tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "cat"


def test_a_study_that_does_not_fit_the_memory_is_refused(known_study, tmp_path, monkeypatch):
    real = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: real._replace(available=50 * 2**20))
    with pytest.raises(ResourceError, match=r"MiB of memory.*got 50 MiB"):
        run(known_study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def codes_of(summary):
    return {flag.code for flag in summary.findings.flags if flag.level is FlagLevel.REVIEW}


def test_a_t1_given_as_the_dwi_is_reviewed(known_study, tmp_path):
    source = StudyInput(dwi=known_study.files[Sequence.T1])
    summary = predict(source, tmp_path / "out", segmenter=known_study.segmenter)
    assert codes_of(summary) == {"contrast"} and not summary.findings.reliable
    assert "No statement" in (tmp_path / "out" / "report.html").read_text()


def test_an_adc_map_of_another_place_is_reviewed(known_study, tmp_path):
    moved = known_study.bones.geometry.matrix.copy()
    moved[2, 3] += 900
    away = Volume(
        np.full(known_study.bones.array.shape, 1200, np.float32),
        Geometry(known_study.bones.array.shape, moved),
    )
    write_nifti(tmp_path / "adc.nii.gz", away)
    source = StudyInput(dwi=known_study.files[Sequence.DWI], adc=tmp_path / "adc.nii.gz")
    summary = predict(source, tmp_path / "out", segmenter=known_study.segmenter)
    assert codes_of(summary) == {"adc-elsewhere"}
    (message,) = (f.message for f in summary.findings.flags if f.code == "adc-elsewhere")
    assert 850 < float(re.search(r"(\d+) mm", message)[1]) < 950


def test_a_study_beyond_a_limit_that_was_set_is_refused(known_study, tmp_path):
    with pytest.raises(ResourceError, match=r"MiB of memory.*got 300 MiB allowed.*--memory-limit"):
        run(known_study, tmp_path / "out", memory_limit_mib=300)
    run(known_study, tmp_path / "out", memory_limit_mib=20_000)


def test_a_large_adc_map_is_refused_before_it_is_read(known_study, tmp_path, monkeypatch):
    """Some 2 billion voxels by its header."""
    huge = Geometry.from_axes((2000, 1000, 1000), (0.2, 0.4, 0.4))

    def grid_of(path):
        return huge if path == known_study.adc else nifti_geometry(path)

    monkeypatch.setattr(nifti_study, "nifti_geometry", grid_of)
    with pytest.raises(ResourceError, match="Reading this study needs"):
        run(known_study, tmp_path / "out", memory_limit_mib=16_000)


def test_an_address_space_limit_counts_as_memory(tmp_path, known_study):
    """Under 'ulimit -v' there is a message with a way out, and no traceback."""
    call = [sys.executable, "-m", "pelvimets", "predict", "-o", str(tmp_path / "out")]
    call += ["--dwi", str(known_study.files[Sequence.DWI])]
    command = ["bash", "-c", f"ulimit -v 1500000; exec {shlex.join(call)}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr and "emory" in ended.stderr


def test_an_empty_image_gives_no_confident_report(known_study, tmp_path):
    """No bones found: the report asks for review and says nothing on metastases."""
    empty = known_study.bones.with_array(np.zeros_like(known_study.bones.array))
    blind = replace(known_study.segmenter, bones=empty)
    summary = run(replace_segmenter(known_study, blind), tmp_path / "out")
    assert not summary.findings.reliable
    assert "No statement" in (tmp_path / "out" / "report.html").read_text()
    assert Bone.ILIUM.title not in (tmp_path / "out" / "lesions.csv").read_text()


@pytest.mark.parametrize("left_out", [(), (Sequence.DWI,), (Sequence.T1,)])
def test_progress_counts_the_stages_that_there_are(known_study, tmp_path, left_out):
    """None is counted by hand: what was planned is what ran, and the last one is the last."""
    seen = []
    files = {s.value: f for s, f in known_study.files.items() if s not in left_out}
    predict(
        StudyInput(**files),
        tmp_path / "out",
        segmenter=known_study.segmenter,
        progress=lambda name, done, total: seen.append((name, done, total)),
    )
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    ran = [stage["stage"] for stage in record["stages"]]
    planned = planned_stages([s for s in Sequence if s not in left_out])
    assert sorted(ran) == sorted(planned)
    assert {total for name, _, total in seen if name not in ("networks", "read")} == {len(planned)}
    assert max(done for _, done, _ in seen) == len(planned) - 1
