"""Labels as groups have them: some bones, merged ones, lesions alone, several readers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pelvimets.app.exchange import export_nnunet, import_nifti, import_nnunet
from pelvimets.cli.main import app
from pelvimets.core.judged import UNJUDGED_BONE, UNJUDGED_LESION, Judged
from pelvimets.core.volume import Volume
from pelvimets.errors import BundleError, CohortError, InputError
from pelvimets.io.cohort.folder import Case, read_case, read_cohort
from pelvimets.io.cohort.rules import ImportRules
from pelvimets.io.exchange.nnunet import NnunetOptions
from pelvimets.io.exchange.nnunet_export import Kind, NnunetOrder
from pelvimets.io.nifti.files import write_nifti
from pelvimets.io.nifti.pairs import PairsOptions
from pelvimets.labels import HIP_BONE, Bone, Readers, Sequence
from pelvimets.requests.exchange import ImportJob
from tests.io.exchange_samples import GRIDS, image, write_dataset

GRID = GRIDS[Sequence.DWI]
SHAPE = GRID.shape
TWO = frozenset({"ilium", "sacrococcyx"})


def labels(**values: int) -> np.ndarray:
    """A label map whose first slices hold the given values, one row each."""
    array = np.zeros(SHAPE, np.uint8)
    for row, value in enumerate(values.values()):
        array[:, row] = value
    return array


def case(cohort: Path, patient: str = "a") -> Case:
    return read_case(read_cohort(cohort).patient(patient), Sequence.DWI)


def write_files(folder: Path, bones: np.ndarray, lesions: np.ndarray | None = None) -> Path:
    for n, patient in enumerate("abc"):
        place = folder / patient
        place.mkdir(parents=True)
        write_nifti(place / "dwi.nii.gz", image(GRID, np.random.default_rng(n)))
        write_nifti(place / "dwi_bones.nii.gz", Volume(bones, GRID))
        if lesions is not None:
            write_nifti(place / "dwi_lesions.nii.gz", Volume(lesions, GRID))
    return folder


def test_bones_without_a_label_are_not_background(tmp_path: Path) -> None:
    named = {"background": 0, "ilium": 1, "sacrum": 2}
    cases = dict.fromkeys("abc", labels(ilium=1, sacrum=2))
    folder = write_dataset(tmp_path / "Dataset001_A", named, cases)
    summary = import_nnunet([folder], tmp_path / "cohort", NnunetOptions())
    assert "taken as not annotated" in summary.notes[0] and "pubis" in summary.notes[0]
    read = case(tmp_path / "cohort")
    assert read.judged == Judged(TWO)
    assert read.judged.values[Bone.ILIUM] == Bone.ILIUM and read.judged.values[Bone.PUBIS] == 0
    order = NnunetOrder(Kind.BONES, (Sequence.DWI,))
    export_nnunet(tmp_path / "cohort", tmp_path / "Dataset002_B", order)
    description = json.loads((tmp_path / "Dataset002_B" / "dataset.json").read_text())
    assert description["labels"]["ignore"] == 9  # what may be another bone


def test_annotated_says_what_was_drawn(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "files", labels(sacrum=2, ilium=3))
    rules = ImportRules(annotated=TWO)
    import_nifti(folder, tmp_path / "cohort", PairsOptions(rules=rules))
    assert case(tmp_path / "cohort").judged == Judged(TWO)
    narrow = PairsOptions(rules=ImportRules(annotated=frozenset({"ilium"})))
    with pytest.raises(CohortError, match=r"said not to be annotated \(got sacrococcyx\)"):
        import_nifti(folder, tmp_path / "narrow", narrow)
    by_values = PairsOptions(rules=ImportRules(from_values=True))
    import_nifti(folder, tmp_path / "values", by_values)
    assert case(tmp_path / "values").judged == Judged(TWO)


def test_the_table_may_say_it_for_each_patient(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "files", labels(sacrum=2, ilium=3))
    rows = ["patient,annotated", "a,ilium sacrococcyx", "b,", "c,"]
    (folder / "patients.csv").write_text("\n".join(rows) + "\n")
    import_nifti(folder, tmp_path / "cohort", PairsOptions())
    assert case(tmp_path / "cohort").judged == Judged(TWO)
    assert case(tmp_path / "cohort", "b").judged.whole


def test_a_structure_in_no_case_is_told(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "files", labels(sacrum=2, ilium=3))
    summary = import_nifti(folder, tmp_path / "cohort", PairsOptions())
    assert "no case holds a voxel of lumbar vertebra, acetabulum" in summary.notes[-1]
    assert "--annotated" in summary.notes[-1]


def test_merged_hip_bones_and_single_vertebrae_by_one_file(tmp_path: Path) -> None:
    bones = labels(left=1, right=2, l4=24, l5=25, unsure=99, bladder=7)
    folder = write_files(tmp_path / "files", bones)
    meanings = {1: "hip bone", 2: "hip_bone", 24: "L4", 25: "vertebrae_L5", 99: "ignore", 7: None}
    table = tmp_path / "labels.json"
    table.write_text(json.dumps({str(value): name for value, name in meanings.items()}))
    words = ["import", "nifti", folder, "-o", tmp_path / "cohort", "--label-map", table]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    read = case(tmp_path / "cohort")
    assert read.bones is not None
    values = [read.bones.array[0, row, 0] for row in range(6)]
    assert values == [HIP_BONE.value, HIP_BONE.value, 1, 1, UNJUDGED_BONE, 0]
    assert read.judged.structures == {"hip_bone", "lumbar_vertebra"}
    assert read.judged.values[Bone.PUBIS] == HIP_BONE.value


def test_two_readers_leave_open_what_they_disagree_on(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "files", labels(sacrum=2, ilium=3))
    for patient in "abc":
        for number, row in enumerate((2, 3)):
            lesions = np.zeros(SHAPE, np.uint8)
            lesions[1, row : row + 2] = 1
            write_nifti(
                folder / patient / f"dwi_lesions_reader{number}.nii.gz", Volume(lesions, GRID)
            )
    with pytest.raises(CohortError, match="are both dwi_lesions"):
        import_nifti(folder, tmp_path / "refused", PairsOptions())
    consensus = PairsOptions(rules=ImportRules(readers=Readers.CONSENSUS))
    import_nifti(folder, tmp_path / "cohort", consensus)
    read = case(tmp_path / "cohort")
    assert read.lesions is not None
    rows = read.lesions.array[1, 2:5, 0].tolist()
    assert rows == [UNJUDGED_LESION, 1, UNJUDGED_LESION]
    import_nifti(folder, tmp_path / "all", PairsOptions(rules=ImportRules(readers=Readers.ALL)))
    patients = read_cohort(tmp_path / "all").patients
    assert [p.key for p in patients][:2] == ["a-reader1", "a-reader2"]
    assert patients[0].split == patients[1].split  # one man
    assert patients[0].details["person"] == patients[1].details["person"] == "a"


def test_a_dry_run_finds_what_the_real_run_finds(tmp_path: Path) -> None:
    """Every fault on a line with what mends it; each of these options then works."""
    folder = write_files(tmp_path / "files", labels(sacrum=2, odd=77))
    moved = GRID.from_axes(SHAPE, GRID.spacing, (-9.0, 3.5, 40.0))
    write_nifti(folder / "b" / "dwi_bones.nii.gz", Volume(labels(sacrum=2), moved))
    broken = folder / "c" / "dwi.nii.gz"
    broken.write_bytes(broken.read_bytes()[:500])
    words = ["import", "nifti", str(folder), "-o", str(tmp_path / "cohort"), "--dry-run"]
    done = CliRunner().invoke(app, words)
    lines = [line for line in done.output.splitlines() if "Mend:" in line]
    assert done.exit_code == 1 and len(lines) == 3
    assert "77" in lines[0] and "--map VALUE=NAME" in lines[0]
    assert "--resample-masks" in lines[1] and "--leave-out c" in lines[2]
    assert "3 faults in 3 of them" in done.output and not (tmp_path / "cohort").exists()
    with pytest.raises(CohortError, match="has 3 problems"):
        import_nifti(folder, tmp_path / "cohort", PairsOptions())
    rules = ImportRules(unjudged=frozenset({77}), resample=True, leave_out=("c",))
    import_nifti(folder, tmp_path / "cohort", PairsOptions(rules=rules))
    read = case(tmp_path / "cohort")
    assert read.bones is not None and (read.bones.array[0, 1] == UNJUDGED_BONE).all()


def test_options_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "files", labels(sacrum=2))
    absent = PairsOptions(rules=ImportRules(leave_out=("z",)))
    with pytest.raises(CohortError, match=r"not as named \(got z\)"):
        import_nifti(folder, tmp_path / "x", absent)
    options = PairsOptions(
        values={2: Bone.SACROCOCCYX}, rules=ImportRules(annotated=frozenset({"pubis"}))
    )
    with pytest.raises(InputError, match=r"have no label \(got patient a: pubis\)"):
        import_nifti(folder, tmp_path / "x", options)
    words = ["import", "nifti", str(folder), "-o", str(tmp_path / "x"), "--annotated", "skull"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code != 0 and isinstance(done.exception, InputError)
    for dry in (True, False):  # before any image is read
        job = ImportJob(fill_bones=Path("secnod"), dry_run=dry)
        with pytest.raises(BundleError, match="secnod"):
            import_nifti(folder, tmp_path / "x", PairsOptions(), job)
    far = GRID.from_axes(SHAPE, GRID.spacing, (900.0, 3.5, 40.0))
    write_nifti(folder / "b" / "dwi_bones.nii.gz", Volume(labels(sacrum=2), far))
    moved = PairsOptions(rules=ImportRules(resample=True))
    with pytest.raises(CohortError, match="do not overlap"):
        import_nifti(folder, tmp_path / "x", moved)


def test_lesions_alone_get_predicted_bones(known_study, tmp_path: Path, monkeypatch) -> None:
    """The networks draw the bones, the cohort says so, and a person's own bones stay."""
    monkeypatch.setattr(
        "pelvimets.app.exchange.load_segmenter", lambda bundle: known_study.segmenter
    )
    folder = tmp_path / "files"
    for patient in "abc":
        (folder / patient).mkdir(parents=True)
        path = folder / patient / "dwi.nii.gz"
        path.write_bytes(known_study.files[Sequence.DWI].read_bytes())
        lesions = known_study.lesions
        write_nifti(folder / patient / "dwi_lesions.nii.gz", lesions)
    job = ImportJob(fill_bones=Path("first"))
    summary = import_nifti(folder, tmp_path / "cohort", PairsOptions(), job)
    assert summary.filled == 3
    read = case(tmp_path / "cohort")
    assert read.bones is not None and set(np.unique(read.bones.array)) >= {0, 3}
    assert read.judged.structures == frozenset() and read.judged.by == "fixed"
    assert read.judged.predicted == {bone.key for bone in Bone}
    ilium = np.where(known_study.bones.array == Bone.ILIUM, Bone.ILIUM, 0).astype(np.uint8)
    ilium[0] = UNJUDGED_BONE
    for patient in "abc":
        write_nifti(folder / patient / "dwi_bones.nii.gz", known_study.bones.with_array(ilium))
    rules = ImportRules(annotated=frozenset({"ilium"}), unjudged=frozenset({UNJUDGED_BONE}))
    import_nifti(folder, tmp_path / "part", PairsOptions(rules=rules), job)
    read = case(tmp_path / "part")
    assert read.bones is not None and read.judged.structures == {"ilium"}
    assert ((read.bones.array == 3) == (ilium == 3)).all() and (read.bones.array == 8).any()
    assert (read.bones.array[0] == UNJUDGED_BONE).all()
