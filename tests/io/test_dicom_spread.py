"""Enhanced objects spread over several files, and what points back to them."""

import copy
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_out_study import MOMENT, PDF, SETTINGS, pelvis
from dicom_samples import uid, write
from phantom_files import PHILIPS, check, dwi_truth, images, t1_truth
from pydicom.dataset import Dataset

from pelvimets.core.findings import BoneMasks, LesionMasks
from pelvimets.core.measure import Origin, measure
from pelvimets.core.pipeline import StudyResult
from pelvimets.io.dicom.form import DicomForm
from pelvimets.io.dicom.results import write_dicom_results
from pelvimets.io.study import open_study


def spread(dataset: Dataset, files: int) -> list[Dataset]:
    """The frames dealt out to several objects of the same series."""
    frames = list(dataset.PerFrameFunctionalGroupsSequence)
    pixels = dataset.pixel_array
    parts = []
    for n in range(files):
        part = copy.deepcopy(dataset)
        own = np.arange(len(frames))[n::files]
        part.PerFrameFunctionalGroupsSequence = [frames[k] for k in own]
        part.PixelData, part.NumberOfFrames = pixels[own].tobytes(), len(own)
        part.SOPInstanceUID = uid(dataset.SOPInstanceUID, n)
        part.file_meta.MediaStorageSOPInstanceUID = part.SOPInstanceUID
        part.InstanceNumber = n + 1
        parts.append(part)
    return parts


def results(folder: Path, opened, kind: str) -> tuple[Path, ...]:
    """Masks drawn on the images of the study, as DICOM."""
    study = opened.study
    drawn = {s: pelvis(image.geometry) for s, image in study.images.items()}
    bones = BoneMasks({s: image.with_array(drawn[s][0]) for s, image in study.images.items()})
    lesions = LesionMasks.of(
        {s: image.with_array(drawn[s][1]) for s, image in study.images.items()},
        {
            s: image.with_array((0.75 * (drawn[s][1] > 0)).astype(np.float32))
            for s, image in study.images.items()
        },
    )
    findings = measure(
        bones, lesions, None, SETTINGS, Origin(patient_key="p", bundle="fixed 1.0", uid_seed="s")
    )
    sources = [a.source for a in (study.dwi, study.t1) if a is not None]
    headers = {uid: opened.headers(uid) for source in sources for uid in source.all_series}
    return write_dicom_results(
        folder,
        StudyResult(study, bones, lesions, findings),
        headers,
        PDF,
        DicomForm(labelmap=kind == "LABELMAP"),
        clock=lambda: MOMENT,
    )


def places(datasets: list[Dataset]) -> dict[tuple[str, int], np.ndarray]:
    """Where each frame of the source lies."""
    return {
        (str(ds.SOPInstanceUID), n): np.array(
            frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float
        )
        for ds in datasets
        for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence, start=1)
    }


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("files", [1, 3])
def test_results_point_to_the_frames_they_were_drawn_on(tmp_path: Path, files, kind):
    source = [part for ds in images(PHILIPS, "SPAIR", "mDIXON") for part in spread(ds, files)]
    write(tmp_path / "study", source)
    with open_study(tmp_path / "study") as opened:
        check(opened.study.dwi, dwi_truth(PHILIPS))
        check(opened.study.t1, t1_truth(PHILIPS))
        written = results(tmp_path / "out", opened, kind)
    place = places(source)
    for path in written[:2]:
        segmentation = pydicom.dcmread(path)
        frames = segmentation.PerFrameFunctionalGroupsSequence
        assert frames
        used = set()
        for frame in frames:
            (image,) = frame.DerivationImageSequence[0].SourceImageSequence
            used.add(image.ReferencedSOPInstanceUID)
            at = place[image.ReferencedSOPInstanceUID, int(image.ReferencedFrameNumber)]
            np.testing.assert_allclose(
                frame.PlanePositionSequence[0].ImagePositionPatient, at, atol=1e-3
            )
        (series,) = segmentation.ReferencedSeriesSequence
        listed = {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
        assert used <= listed <= {uid for uid, _ in place}
        assert len(listed) == files
    report = pydicom.dcmread(tmp_path / "out" / "sr.dcm")
    evidence = {
        item.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert {uid for uid, _ in place} <= evidence
