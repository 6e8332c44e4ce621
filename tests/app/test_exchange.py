"""Cohorts to nnU-Net raw data and back, and from folders of NIfTI pairs."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from pelvimets.app.exchange import export_nnunet, import_nifti, import_nnunet
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError, InputError, OutputError
from pelvimets.io.cohort.folder import read_case, read_cohort, write_table
from pelvimets.io.exchange.nnunet import NnunetOptions
from pelvimets.io.exchange.nnunet_export import Extra, Kind, NnunetOrder
from pelvimets.io.nifti.files import read_nifti, write_nifti
from pelvimets.io.nifti.pairs import PairsOptions
from pelvimets.labels import Bone, Sequence, Split
from pelvimets.requests.exchange import ImportJob
from tests.io.exchange_samples import GRIDS, bones, image, lesions, write_cohort, write_dataset

BONES_DWI = NnunetOrder(Kind.BONES, (Sequence.DWI,))
DWI = GRIDS[Sequence.DWI]


def contents(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("source") / "cohort")


def exported(cohort: Path, root: Path) -> list[Path]:
    folders = []
    for number, (kind, sequence) in enumerate([(k, s) for k in Kind for s in Sequence]):
        folder = root / f"Dataset{500 + number}_{kind}_{sequence}"
        export_nnunet(cohort, folder, NnunetOrder(kind, (sequence,)))
        folders.append(folder)
    return folders


def test_four_data_sets_make_the_cohort_again(cohort: Path, tmp_path: Path):
    before = contents(cohort)
    folders = exported(cohort, tmp_path)
    sources = [contents(folder) for folder in folders]
    summary = import_nnunet(folders, tmp_path / "again", NnunetOptions())
    assert summary.counts == {Split.TRAIN: 3, Split.VALIDATION: 1, Split.TEST: 1}
    first, again = read_cohort(cohort), read_cohort(tmp_path / "again")
    assert {p.key for p in again.patients} == {p.key for p in first.patients}
    for patient in first.patients:
        other = again.patient(patient.key)
        assert other.sequences == patient.sequences
        for name in ("split", "m_stage", "scanner", "age_years", "psa_ng_per_ml", "details"):
            assert getattr(other, name) == getattr(patient, name), name
        for sequence in patient.sequences:
            assert_same_case(read_case(patient, sequence), read_case(other, sequence))
    assert contents(cohort) == before
    assert [contents(folder) for folder in folders] == sources


def assert_same_case(one, other) -> None:
    for name in ("image", "bones", "lesions"):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(a.array, b.array)
        assert a.array.dtype == b.array.dtype
        assert a.geometry.matches(b.geometry, tolerance_mm=1e-4)


def test_description_splits_and_files_are_as_nnunet_asks(cohort: Path, tmp_path: Path):
    folder = tmp_path / "Dataset501_Bones"
    summary = export_nnunet(cohort, folder, BONES_DWI)
    description = json.loads((folder / "dataset.json").read_text())
    assert description["channel_names"] == {"0": "DWI"}
    assert list(description["labels"].values()) == list(range(9))
    assert description["labels"]["background"] == 0 and description["labels"]["pubis"] == 8
    assert (description["numTraining"], description["file_ending"]) == (3, ".nii.gz")
    names = {part: sorted(p.name for p in (folder / part).iterdir()) for part in ("imagesTr",)}
    assert names["imagesTr"] == [f"p{n}_0000.nii.gz" for n in (1, 2, 3)]
    assert [p.name for p in (folder / "labelsTs").iterdir()] == ["p0.nii.gz"]
    splits = json.loads((folder / "splits_final.json").read_text())
    assert splits == [{"train": ["p2", "p3"], "val": ["p1"]}]
    assert (summary.cases, summary.held_out, summary.without_image) == (4, 1, 1)


def test_both_sequences_become_cases_of_their_own_and_come_back(cohort: Path, tmp_path: Path):
    folder = tmp_path / "Dataset502_Both"
    export_nnunet(cohort, folder, NnunetOrder(Kind.BONES, tuple(Sequence)))
    assert json.loads((folder / "dataset.json").read_text())["channel_names"] == {"0": "MRI"}
    import_nnunet([folder], tmp_path / "again", NnunetOptions())
    again = read_cohort(tmp_path / "again")
    assert again.patient("p1").sequences == tuple(Sequence)
    assert again.patient("p4").sequences == (Sequence.T1,)
    wanted = read_nifti(cohort / "p1" / "t1_bones.nii.gz")
    np.testing.assert_array_equal(
        read_nifti(tmp_path / "again" / "p1" / "t1_bones.nii.gz").array, wanted.array
    )


def test_bones_and_adc_as_further_channels(cohort: Path, tmp_path: Path):
    for patient in ("p0", "p1", "p2", "p3"):
        grid = read_nifti(cohort / patient / "dwi.nii.gz").geometry
        write_nifti(cohort / patient / "adc.nii.gz", Volume(np.full(grid.shape, 900, "<u2"), grid))
    folder = tmp_path / "Dataset503_Lesions"
    order = NnunetOrder(Kind.LESIONS, (Sequence.DWI,), (Extra.BONES, Extra.ADC))
    export_nnunet(cohort, folder, order)
    names = json.loads((folder / "dataset.json").read_text())["channel_names"]
    assert names == {"0": "DWI", "1": "noNorm", "2": "ADC"}
    mask = read_nifti(folder / "imagesTr" / "p1_0001.nii.gz").array
    truth = read_nifti(cohort / "p1" / "dwi_bones.nii.gz").array
    np.testing.assert_array_equal(mask, truth > 0)
    import_nnunet([folder], tmp_path / "again", NnunetOptions())
    again = read_cohort(tmp_path / "again").patient("p1")
    assert (read_nifti(again.adc_path).array == 900).all()
    assert read_case(again, Sequence.DWI).bones is None


@pytest.mark.parametrize(
    "order,message",
    [
        (NnunetOrder(Kind.BONES, (Sequence.DWI,), (Extra.BONES,)), "network is to find"),
        (NnunetOrder(Kind.BONES, (Sequence.T1,), (Extra.ADC,)), "grid of the DWI"),
    ],
)
def test_channels_that_do_not_fit_are_refused(cohort, tmp_path, order, message):
    with pytest.raises(InputError, match=message):
        export_nnunet(cohort, tmp_path / "Dataset504_X", order)


def test_a_cohort_that_lacks_masks_is_not_exported(tmp_path: Path):
    folder = write_cohort(tmp_path / "cohort", 4)
    (folder / "p1" / "dwi_bones.nii.gz").unlink()
    with pytest.raises(CohortError, match=r"p1 dwi_bones\.nii\.gz"):
        export_nnunet(folder, tmp_path / "Dataset505_X", BONES_DWI)
    write_nifti(folder / "p1" / "dwi_bones.nii.gz", Volume(np.full(DWI.shape, 11, "u1"), DWI))
    with pytest.raises(CohortError, match="p1: A mask holds values"):
        export_nnunet(folder, tmp_path / "Dataset505_X", BONES_DWI)
    with pytest.raises(OutputError, match="DatasetNNN_Name"):
        export_nnunet(folder, tmp_path / "Bones", BONES_DWI)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cohort"]


def test_without_splits_all_cases_train(tmp_path: Path):
    folder = write_cohort(tmp_path / "cohort", 4)
    write_table(folder / "patients.csv", [{"patient": f"p{n}"} for n in range(4)])
    out = tmp_path / "Dataset506_All"
    assert export_nnunet(folder, out, BONES_DWI).held_out == 0
    assert not (out / "imagesTs").exists() and not (out / "splits_final.json").exists()
    export_nnunet(folder, out, BONES_DWI, overwrite=True)
    rows = [{"patient": "p0", "split": "train"}, *({"patient": f"p{n}"} for n in (1, 2, 3))]
    write_table(folder / "patients.csv", [{"split": "", **row} for row in rows])
    with pytest.raises(CohortError, match="some have none"):
        export_nnunet(folder, tmp_path / "Dataset507_X", BONES_DWI)


def test_one_label_map_of_sided_bones_and_lesions(tmp_path: Path):
    label = np.zeros(DWI.shape, np.uint8)
    label[:, 1:3], label[:, 5:7] = 1, 2  # left and right ilium
    label[1:3, 1, 2:4], label[4, 6, 6] = 3, 3
    labels = {"background": 0, "ilium_left": 1, "Right ilium": 2, "Metastasis": 3}
    source = write_dataset(tmp_path / "Dataset010_A", labels, {"a": label, "b": label})
    summary = import_nnunet([source], tmp_path / "cohort", NnunetOptions())
    assert "lumbar vertebra" in summary.notes[0] and "ilium" not in summary.notes[0]
    case = read_case(read_cohort(tmp_path / "cohort").patient("a"), Sequence.DWI)
    assert case.bones is not None and case.lesions is not None
    np.testing.assert_array_equal(case.bones.array, np.where(label > 0, Bone.ILIUM, 0))
    np.testing.assert_array_equal(case.lesions.array > 0, label == 3)
    assert case.lesions.array.max() == 2


def test_two_channels_on_one_grid_share_the_masks(tmp_path: Path):
    label = np.random.default_rng(0).integers(0, 2, DWI.shape).astype(np.uint8)
    channels = {"0": "T1 in-phase", "1": "DWI b800"}
    labels = {"background": 0, "sacrum": 1}
    source = write_dataset(
        tmp_path / "Dataset011_A", labels, {"a": label, "b": label}, channels=channels
    )
    import_nnunet([source], tmp_path / "cohort", NnunetOptions())
    patient = read_cohort(tmp_path / "cohort").patient("b")
    for sequence, channel in ((Sequence.T1, 0), (Sequence.DWI, 1)):
        case = read_case(patient, sequence)
        raw = read_nifti(source / "imagesTr" / f"b_{channel:04d}.nii.gz")
        np.testing.assert_array_equal(case.image.array, raw.array)
        np.testing.assert_array_equal(case.bones.array, label * Bone.SACROCOCCYX)


def test_splits_held_out_cases_and_men_with_two_images(tmp_path: Path):
    label = np.ones(DWI.shape, np.uint8)
    cases = {f"m{n}_{visit}": label for n in range(10) for visit in "ab"}
    labels = {"background": 0, "lesion": 1}
    source = write_dataset(
        tmp_path / "Dataset012_A", labels, cases, held_out=("m0_a", "m0_b", "m1_a")
    )
    options = NnunetOptions(person="^(m[0-9])")
    summary = import_nnunet([source], tmp_path / "x", options, ImportJob(seed=1, dry_run=True))
    splits = {key: split for key, split, *_ in summary.rows}
    assert not (tmp_path / "x").exists()
    assert splits["m1_b"] == "test" and summary.counts[Split.TEST] == 4
    assert all(splits[f"m{n}_a"] == splits[f"m{n}_b"] for n in range(10))
    assert summary.counts[Split.VALIDATION] == 2
    import_nnunet([source], tmp_path / "cohort", options, ImportJob(seed=1))
    rows = list(csv.DictReader((tmp_path / "cohort" / "patients.csv").read_text().splitlines()))
    assert {row["patient"]: row["split"] for row in rows} == splits
    assert {row["person"] for row in rows} == {f"m{n}" for n in range(10)}
    folds = [{"train": [c for c in cases if c[1] not in "019"] + ["m1_b"], "val": ["m9_a", "m9_b"]}]
    (tmp_path / "splits.json").write_text(json.dumps(folds))
    given = NnunetOptions(splits=tmp_path / "splits.json")
    counts = import_nnunet([source], tmp_path / "x", given, ImportJob(dry_run=True)).counts
    assert counts == {Split.TRAIN: 15, Split.VALIDATION: 2, Split.TEST: 3}
    with pytest.raises(CohortError, match="two splits"):
        torn = NnunetOptions(splits=tmp_path / "splits.json", person="^(m[0-9])")
        import_nnunet([source], tmp_path / "x", torn, ImportJob(dry_run=True))


def test_all_problems_are_named_before_anything_is_written(tmp_path: Path):
    label = np.ones(DWI.shape, np.uint8)
    cases = {"a": label, "b": label * 7, "c": label, "d": label}
    source = write_dataset(tmp_path / "Dataset013_A", {"background": 0, "lesion": 1}, cases)
    moved = Geometry.from_axes(DWI.shape, DWI.spacing, (0.0, 0.0, 0.0))
    write_nifti(source / "labelsTr" / "c.nii.gz", Volume(label, moved))
    (source / "imagesTr" / "d_0000.nii.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(CohortError, match="3 problems") as caught:
        import_nnunet([source], tmp_path / "cohort", NnunetOptions())
    for part in ("b: dwi: A mask holds values", "c.nii.gz", "at another place", "d: dwi"):
        assert part in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["Dataset013_A"]


def test_images_of_one_patient_that_do_not_overlap_are_named(tmp_path: Path):
    rng, source = np.random.default_rng(0), tmp_path / "source"
    for number in range(3):
        x, y, z = DWI.origin
        away = Geometry.from_axes(DWI.shape, DWI.spacing, (x, y, z + 400.0 * (number == 1)))
        (source / f"p{number}").mkdir(parents=True)
        for name, grid in (("dwi", DWI), ("t1", away)):
            write_nifti(source / f"p{number}" / f"{name}.nii.gz", image(grid, rng))
            write_nifti(source / f"p{number}" / f"{name}_bones.nii.gz", bones(grid, rng))
    problem = r"p1: DWI and T1 do not overlap.*got DWI around.*T1 in phase around.*--leave-out"
    with pytest.raises(CohortError, match=problem):
        import_nifti(source, tmp_path / "cohort", PairsOptions())
    assert not (tmp_path / "cohort").exists()


def test_an_earlier_import_is_replaced_only_on_demand(cohort: Path, tmp_path: Path):
    folder = tmp_path / "Dataset508_Bones"
    export_nnunet(cohort, folder, BONES_DWI)
    out = tmp_path / "again"
    import_nnunet([folder], out, NnunetOptions())
    with pytest.raises(OutputError, match="exists already"):
        import_nnunet([folder], out, NnunetOptions())
    import_nnunet([folder], out, NnunetOptions(), ImportJob(overwrite=True))
    with pytest.raises(OutputError, match="something else"):
        import_nnunet([folder], cohort, NnunetOptions(), ImportJob(overwrite=True))


def test_pairs_by_their_names(tmp_path: Path):
    rng = np.random.default_rng(0)
    source = tmp_path / "source"
    for n in range(4):
        folder = source / f"sub-{n:02d}" / "ses-1"
        (folder / "dwi").mkdir(parents=True)
        (folder / "anat").mkdir()
        masks = source / "derivatives" / "truth" / f"sub-{n:02d}" / "ses-1" / "anat"
        masks.mkdir(parents=True)
        t1 = GRIDS[Sequence.T1]
        name = f"sub-{n:02d}_ses-1"
        write_nifti(folder / "dwi" / f"{name}_acq-b800_dwi.nii.gz", image(DWI, rng))
        write_nifti(folder / "anat" / f"{name}_T1w.nii", image(t1, rng))
        (folder / "anat" / f"{name}_T1w.json").write_text('{"EchoTime": 0.0024}')
        write_nifti(folder / "anat" / f"{name}_T2w.nii.gz", image(t1, rng))
        write_nifti(masks / f"{name}_space-dwi_label-bones_dseg.nii.gz", bones(DWI, rng))
        write_nifti(masks / f"{name}_space-T1w_desc-bones_mask.nii.gz", bones(t1, rng))
        if n:
            write_nifti(masks / f"{name}_dwi_lesions.nii.gz", lesions(DWI, 2))
            write_nifti(masks / f"{name}_t1_lesions.nii.gz", lesions(t1, 1))
    with pytest.raises(CohortError, match="sub-00_ses-1 dwi: lesions"):
        import_nifti(source, tmp_path / "cohort", PairsOptions())
    options = PairsOptions(empty_lesions=True, person="^(sub-[0-9]+)")
    summary = import_nifti(source, tmp_path / "cohort", options)
    assert summary.counts == {Split.TRAIN: 2, Split.VALIDATION: 1, Split.TEST: 1}
    assert summary.notes == ("4 files left out",)
    cohort = read_cohort(tmp_path / "cohort")
    case = read_case(cohort.patient("sub-00_ses-1"), Sequence.DWI)
    assert case.bones is not None and case.lesions is not None and not case.lesions.array.any()
    assert read_case(cohort.patient("sub-02_ses-1"), Sequence.DWI).lesions.array.max() == 2
    assert cohort.patient("sub-02_ses-1").details == {"person": "sub-02"}
    kept = json.loads((tmp_path / "cohort" / "sub-02_ses-1" / "acquisition.json").read_text())
    assert kept == {"t1": {"echo_time_ms": 2.4}}


def test_pairs_by_patterns_and_own_values(tmp_path: Path):
    rng = np.random.default_rng(0)
    for n in range(2):
        folder = tmp_path / "source" / f"case {n}"
        folder.mkdir(parents=True)
        write_nifti(folder / "scan7.nii.gz", image(DWI, rng))
        array = rng.choice([0, 205, 500], DWI.shape).astype(np.int16)
        write_nifti(folder / "annotation.nii.gz", Volume(array, DWI))
    patterns = (("dwi", "{patient}/scan*.nii.gz"), ("dwi_bones", "{patient}/annotation.nii.gz"))
    options = PairsOptions(patterns=patterns)
    with pytest.raises(CohortError, match="205, 500"):
        import_nifti(tmp_path / "source", tmp_path / "cohort", options)
    values = {205: Bone.PUBIS, 500: None}
    options = PairsOptions(patterns=patterns, values=values)
    import_nifti(tmp_path / "source", tmp_path / "cohort", options)
    case = read_case(read_cohort(tmp_path / "cohort").patient("case 1"), Sequence.DWI)
    assert case.bones is not None
    np.testing.assert_array_equal(case.bones.array, np.where(array == 205, Bone.PUBIS, 0))
