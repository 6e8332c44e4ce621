"""Series that were not read, for the viewer."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pelvimets.errors import InputError
from pelvimets.io.other_series import OtherSeries
from pelvimets.io.study import read_study
from pelvimets.reading_room.beside import open_beside
from tests.io import dicom_samples as samples
from tests.web.output import write_output


@pytest.fixture
def study(tmp_path: Path) -> Path:
    files = [
        *samples.dwi(samples.block(seed=1), 50.0),
        *samples.dwi(samples.block(seed=2), 900.0),
        *samples.t1(samples.block(seed=3)),
        *samples.slices(samples.block(seed=4), number=2, description="t2_tse_tra", EchoTime=101.0),
    ]
    return samples.write(tmp_path / "study", files)


def test_every_volume_is_named_and_read_in_its_place(study: Path) -> None:
    series = OtherSeries(study)
    assert [label for label in series.labels if "t2" in label] == ["series 2 't2_tse_tra'"]
    assert len(series.labels) == 4
    image, meant = series.read("series 2 't2_tse_tra'"), samples.block(seed=4)
    assert image.geometry.matches(meant.geometry)
    assert np.array_equal(image.array, meant.array)
    with pytest.raises(InputError, match="no such series"):
        series.read("series 99 'x'")
    series.close()


def result_of(study: Path, out: Path) -> Path:
    """A result whose record names what was read of the study."""
    write_output(out)
    read = read_study(study)
    source = {"study_instance_uid": samples.uid("study")}
    inputs = {
        name: {"label": a.label, "role": a.role.value, "source": source}
        for name, a in (("dwi", read.dwi), ("t1", read.t1))
        if a is not None
    }
    (out / "run.json").write_text(json.dumps({"inputs": inputs}))
    return out


def test_what_was_read_already_is_not_offered_again(study: Path, tmp_path: Path) -> None:
    beside = open_beside(result_of(study, tmp_path / "out"), study=study)
    assert sorted(beside.series.values()) == ["2 't2_tse_tra'", "5 'ep2d_diff_tra', b = 50"]
    key = next(k for k, title in beside.series.items() if "t2" in title)
    (tmp_path / "t2.nii.gz").write_bytes(beside.image_bytes(key))
    shown = np.asarray(nib.load(tmp_path / "t2.nii.gz").dataobj)
    assert np.array_equal(shown.T, samples.block(seed=4).array)
    with pytest.raises(KeyError):
        beside.image_bytes("series-9")


def test_another_study_is_refused(study: Path, tmp_path: Path) -> None:
    out = result_of(study, tmp_path / "out")
    other = samples.write(tmp_path / "other", samples.t1(samples.block(), study="another"))
    with pytest.raises(InputError, match="another study"):
        open_beside(out, study=other)
