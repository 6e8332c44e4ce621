"""Further images from a cohort or a study through training and a bundle to a result."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "phantom"))
from simple_patient import simple_patient
from small_scanner import coarse

from pelvimets.app.exchange import ImportJob, import_nifti, import_nnunet
from pelvimets.app.reading import predict, read_study
from pelvimets.cli.main import app
from pelvimets.core.geometry import Geometry
from pelvimets.core.splits import Splits
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, GeometryError, SettingsError
from pelvimets.io.cohort.folder import read_case, read_cohort, read_further
from pelvimets.io.exchange.nnunet import Channel, NnunetOptions
from pelvimets.io.further_series import with_further_series
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.io.nifti.pairs import PairsOptions
from pelvimets.io.phantom.study import write_phantom_study
from pelvimets.io.study import open_study
from pelvimets.labels import FurtherInput, Sequence
from pelvimets.model.bundle import bundle_info, load_segmenter
from pelvimets.model_development.annotations import annotation_notes
from pelvimets.model_development.samples import prepare_cohort, sample_store
from pelvimets.model_development.train import run_settings
from pelvimets.phantom.choices import DicomStyle
from pelvimets.phantom.physics.imaging import WHOLE, Wanted, examine
from pelvimets.phantom.physics.scanner import scanner_of
from pelvimets.requests.train import TrainRequest
from tests.model_development.test_train import SMALL, write_patient

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries, on tiny runs

FINER = Geometry.from_axes((20, 45, 60), (2.5, 2.0, 2.0), (1.0, -2.0, 0.5))
AWAY = Geometry.from_axes((20, 45, 60), (2.5, 2.0, 2.0), (0.0, 0.0, 900.0))
WIDE: dict[str, Any] = {**SMALL, "network": {"channels": [4, 8], "inputs": ["fat", "stir"]}}


def write_further(folder: Path, kind: str, grid: Geometry = FINER) -> None:
    noise = np.random.default_rng(len(kind)).normal(300, 50, grid.shape)
    write_nifti(folder / f"{kind}.nii.gz", Volume(noise.astype(np.float32), grid))


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Three patients with fat; the third has no STIR."""
    folder = tmp_path / "cohort"
    for number in range(3):
        write_patient(folder / f"p{number}", number)
        write_further(folder / f"p{number}", "fat")
    for number in range(2):
        write_further(folder / f"p{number}", "stir")
    (folder / "patients.csv").write_text("patient,split\np0,train\np1,train\np2,validation\n")
    return folder


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    (tmp_path / "wide.json").write_text(json.dumps(WIDE))
    return tmp_path / "wide.json"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_from_a_cohort_to_a_result(cohort: Path, settings_file: Path, tmp_path: Path) -> None:
    """Trained with two further images, bundled, and read with both, with one, with none."""
    for task in ("bones", "lesions"):
        run("train", task, "--data", cohort, "-o", tmp_path / task, "--settings", settings_file)
    kept = json.loads((tmp_path / "lesions" / "settings.json").read_text())
    assert kept["network"]["inputs"] == ["fat", "stir"]
    bundle = tmp_path / "own"
    parts = ["--bones", tmp_path / "bones", "--lesions", tmp_path / "lesions"]
    run("bundle", *parts, "-o", bundle, "--name", "own", "--learned-from", "digital")
    described = json.loads((bundle / "bundle.json").read_text())
    assert described["format"] == 3
    assert described["networks"]["lesions"]["inputs"] == {s: ["fat", "stir"] for s in Sequence}
    assert "fat, stir" in (bundle / "model_card.md").read_text()
    patient = cohort / "p0"
    images = ["--dwi", patient / "dwi.nii.gz", "--bundle", bundle]
    both = [f"--input=fat={patient / 'fat.nii.gz'}", f"--input=stir={patient / 'stir.nii.gz'}"]
    said = run("predict", *images, *both, "-o", tmp_path / "both")
    assert "lacks" not in said
    record = json.loads((tmp_path / "both" / "run.json").read_text())
    assert list(record["further_inputs"]) == ["fat", "stir"]
    assert "the networks also see STIR" in run("predict", *images, both[0], "-o", tmp_path / "one")
    said = run("predict", *images, "-o", tmp_path / "none")
    assert "also see Dixon fat, STIR, which the study lacks: read without" in said
    assert "further_inputs" not in json.loads((tmp_path / "none" / "run.json").read_text())
    run("predict", cohort, "--bundle", bundle, "-o", tmp_path / "all")
    of_p0 = json.loads((tmp_path / "all" / "p0" / "run.json").read_text())
    assert of_p0["further_inputs"] == record["further_inputs"]
    plain = ["predict", "--dwi", patient / "dwi.nii.gz", both[0], "-o", tmp_path / "plain"]
    assert "Dixon fat not read: the networks of first" in run(*plain)
    assert bundle_info(bundle).inputs == ("fat", "stir")
    export = ["export", "monai", str(bundle), "-o", str(tmp_path / "monai")]
    assert "sees further images" in str(CliRunner().invoke(app, export).exception)
    write_further(tmp_path, "fat", AWAY)
    moved = [*images, f"--input=fat={tmp_path / 'fat.nii.gz'}", "-o", str(tmp_path / "moved")]
    failed = CliRunner().invoke(app, ["predict", *map(str, moved)])
    assert "another place" in str(failed.exception) and not (tmp_path / "moved").exists()


def test_python_reads_further_images_too(known_study) -> None:
    """The default networks know none, and read as before."""
    dwi = known_study.files[Sequence.DWI]
    study = read_study(dwi=dwi, further={"fat": known_study.files[Sequence.T1]})
    assert list(study.further) == [FurtherInput.FAT]
    plain = predict(read_study(dwi=dwi), segmenter=known_study.segmenter)
    found = predict(study, segmenter=known_study.segmenter)
    assert (found.lesions["dwi"].array == plain.lesions["dwi"].array).all()
    with pytest.raises(SettingsError, match=r"fet.*Known: fat"):
        read_study(dwi=dwi, further={"fet": dwi})


def settings_of(cohort: Path, settings_file: Path) -> Any:
    request = TrainRequest("lesions", cohort, cohort.parent / "run", settings=settings_file)
    return run_settings(request)


def test_samples_of_a_cohort_have_them_registered(cohort: Path, settings_file: Path) -> None:
    settings, store = settings_of(cohort, settings_file), cohort.parent / "samples"
    prepare_cohort(read_cohort(cohort), settings, store)
    kept = sample_store(store / "train").read("p0_dwi")
    assert list(kept.further) == [FurtherInput.FAT, FurtherInput.STIR]
    assert kept.further[FurtherInput.FAT].shape == kept.image.shape
    assert list(sample_store(store / "validation").read("p2_dwi").further) == [FurtherInput.FAT]
    fewer = replace(settings, network=replace(settings.network, inputs=("fat",)))
    with pytest.raises(SettingsError, match="another inputs"):
        prepare_cohort(read_cohort(cohort), fewer, store)
    write_further(cohort / "p1", "fat", AWAY)
    with pytest.raises(CohortError, match=r"patient p1, DWI.*another place.*fat at"):
        prepare_cohort(read_cohort(cohort), settings, store)


def test_what_patients_lack_is_said_before_training(cohort: Path, settings_file: Path) -> None:
    settings = settings_of(cohort, settings_file)
    splits = Splits(("p0", "p1"), ("p2",), ())
    read = read_cohort(cohort)
    assert annotation_notes(read, settings, splits) == ()
    (cohort / "p0" / "stir.nii.gz").unlink()
    notes = annotation_notes(read, settings, splits)
    assert notes == ("1 of 2 patients to learn from lack stir",)
    (cohort / "p1" / "stir.nii.gz").unlink()
    (note,) = annotation_notes(read, settings, splits)
    assert "no patient to learn from has the further image stir" in note


def test_drawn_patients_have_none(settings_file: Path, tmp_path: Path) -> None:
    command = ["train", "lesions", "--data", "phantom", "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*command, "--settings", str(settings_file)])
    assert "phantom cohort --inputs" in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_import_takes_them_by_name_and_by_pattern(cohort: Path, tmp_path: Path) -> None:
    """A file that is called as in a cohort is one; others are named by a pattern."""
    summary = import_nifti(cohort, tmp_path / "by_name", PairsOptions())
    assert [row[3] for row in summary.rows] == ["fat, stir", "fat, stir", "fat"]
    (cohort / "p0" / "fat.nii.gz").rename(cohort / "p0" / "dixon-F.nii.gz")
    patterns = (
        ("dwi", "{patient}/dwi.nii.gz"),
        ("dwi_bones", "{patient}/dwi_bones.nii.gz"),
        ("fat", "{patient}/dixon-F.nii.gz"),
    )
    import_nifti(cohort, tmp_path / "by_pattern", PairsOptions(patterns=patterns))
    for made in ("by_name", "by_pattern"):
        patient = read_cohort(tmp_path / made).patient("p0")
        found = read_further(read_case(patient, Sequence.DWI))
        assert found[FurtherInput.FAT].geometry.matches(FINER)
        wanted = read_nifti(cohort / "p0" / "dixon-F.nii.gz").array
        assert (found[FurtherInput.FAT].array == wanted).all()
    write_further(cohort / "p2", "fat", AWAY)
    dry = import_nifti(cohort, tmp_path / "dry", PairsOptions(), ImportJob(dry_run=True))
    (fault,) = dry.faults
    assert fault.patient == "p2" and "fat: " in str(fault) and "leave-out p2" in fault.remedy


def test_import_takes_channels_of_nnunet(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset501_bones"
    write_patient(tmp_path / "p0", 0)
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    image = read_nifti(tmp_path / "p0" / "dwi.nii.gz")
    for channel in range(2):
        write_nifti(folder / "imagesTr" / f"a_000{channel}.nii.gz", image)
    write_nifti(folder / "labelsTr" / "a.nii.gz", read_nifti(tmp_path / "p0" / "dwi_bones.nii.gz"))
    described = {
        "channel_names": {"0": "DWI", "1": "TIRM"},
        "labels": {"background": 0, "ilium": 3, "femoral_head": 5},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(described))
    with pytest.raises(CohortError, match="stir"):
        import_nnunet([folder], tmp_path / "out", NnunetOptions())
    import_nnunet([folder], tmp_path / "out", NnunetOptions(channels={1: Channel.STIR}))
    assert (tmp_path / "out" / "a" / "stir.nii.gz").is_file()


@pytest.mark.parametrize("style", list(DicomStyle), ids=str)
def test_dicom_series_are_found_by_their_headers(style: DicomStyle, tmp_path: Path) -> None:
    """All parts of the Dixon, STIR and T2, as each vendor writes them, voxel by voxel."""
    scanner = scanner_of(style.vendor)
    small = replace(
        scanner,
        diffusion=replace(scanner.diffusion, field=coarse(scanner.diffusion.field, 48, 14)),
        dixon=replace(scanner.dixon, field=coarse(scanner.dixon.field, 56, 18)),
    )
    imaged = examine(simple_patient(), small, wanted=WHOLE.and_further(FurtherInput))
    write_phantom_study(tmp_path / "dicom", imaged, style)
    with open_study(tmp_path / "dicom") as opened:
        study = with_further_series(opened.study, opened, FurtherInput)
        assert opened.study.further == {}
    assert set(study.further_images) == set(FurtherInput)
    for kind, made in imaged.further.items():
        found = study.further_images[kind]
        assert found.geometry.matches(made.geometry), kind
        assert np.abs(found.array - made.array.astype(np.float32)).max() <= 1.0, kind
    taken = {row.taken_as for row in study.decisions if row.taken_as}
    named = {name for words in taken for name in words.split(" and ")}
    assert named >= {"dwi", "t1", "adc", "fat", "water", "out_phase", "stir", "t2"}
    plain = {row.taken_as for row in opened.study.decisions}
    assert not any("stir" in (words or "") for words in plain)


def test_they_change_no_other_image() -> None:
    patient, scanner = simple_patient(), scanner_of(DicomStyle.SIEMENS.vendor)
    small = replace(
        scanner,
        diffusion=replace(scanner.diffusion, field=coarse(scanner.diffusion.field, 48, 14)),
        dixon=replace(scanner.dixon, field=coarse(scanner.dixon.field, 56, 18)),
    )
    plain = examine(patient, small)
    more = examine(
        patient, small, wanted=Wanted().and_further(set(FurtherInput) - {FurtherInput.T2})
    )
    for sequence, (image, _) in plain.read.items():
        assert (more.read[sequence][0].array == image.array).all()
    assert set(plain.further) == {FurtherInput.ADC}
    assert set(more.further) == set(FurtherInput) - {FurtherInput.T2}
    fat, water = (
        more.further[k].array.astype(float) for k in (FurtherInput.FAT, FurtherInput.WATER)
    )
    both = more.read[Sequence.T1][0].array
    bright = both > 0.5 * both.max()
    assert np.abs((fat + water - both)[bright] / both[bright]).mean() < 0.15  # noise of its own


@pytest.mark.parametrize(
    ("given", "message"),
    [("fet=a.nii.gz", "Unknown further image"), ("fat", "NAME=FILE"), ("fat=", "NAME=FILE")],
)
def test_what_is_not_understood_is_refused(given: str, message: str, tmp_path: Path) -> None:
    command = ["predict", "--t1", "a.nii.gz", "--input", given, "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code != 0 and message in f"{result.exception}{result.output}"


def test_the_shipped_networks_want_none() -> None:
    assert load_segmenter().wanted == frozenset()


def test_images_of_another_place_are_refused_in_a_case(cohort: Path) -> None:
    write_further(cohort / "p0", "water", AWAY)
    case = read_case(read_cohort(cohort).patient("p0"), Sequence.DWI)
    assert set(read_further(case, (FurtherInput.FAT,))) == {FurtherInput.FAT}
    with pytest.raises(GeometryError, match="patient p0: water"):
        read_further(case)
