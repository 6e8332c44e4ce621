"""Results stored into a real Orthanc and fetched back, over DICOMweb and DIMSE."""

from __future__ import annotations

import shutil

import pydicom
import pytest
from dicom_out_study import STUDY_UID, axial, make_case, write
from dicom_samples import NAME, PATIENT_ID, block, t1
from dicom_samples import write as write_files
from pacs_peers import free_port, running_orthanc
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from typer.testing import CliRunner

from pelvimets.arrivals.pacs import fetch_study, push_results
from pelvimets.cli.main import app
from pelvimets.errors import InputError, OutputError
from pelvimets.io.pacs.nodes import DicomwebNode, DimseNode, parse_node
from pelvimets.io.pacs.transfer import fetch, store
from pelvimets.labels import Sequence


@pytest.fixture(scope="module")
def ports(tmp_path_factory):
    """HTTP and DICOM port of a running Orthanc."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as orthanc:
        yield orthanc.http, orthanc.dicom


@pytest.fixture(params=["web", "dimse"])
def node(request, ports, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    if request.param == "web":
        return DicomwebNode(f"http://127.0.0.1:{ports[0]}/dicom-web")
    return DimseNode("127.0.0.1", ports[1], "ORTHANC")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    grids = {Sequence.DWI: axial((5, 9, 7)), Sequence.T1: axial((6, 12, 10), (4.0, 1.5, 2.0))}
    return write(tmp_path_factory.mktemp("dicom"), make_case(grids))


def test_results_come_back_unchanged(files, node):
    stored = store(files, node).sop_instance_uids
    fetched = fetch(STUDY_UID, node)
    assert fetched.missing == ()
    back = {item.sop_instance_uid: item.dataset() for item in fetched.objects}
    assert set(back) == set(stored)
    for path, uid in zip(files, stored, strict=True):
        meant = pydicom.dcmread(path)
        assert back[uid] == meant, path.name
        assert back[uid].file_meta.TransferSyntaxUID == meant.file_meta.TransferSyntaxUID


def test_storing_twice_adds_nothing(files, node):
    assert store(files, node) == store(files, node)
    assert len(fetch(STUDY_UID, node).objects) == len(files)


def test_one_series(files, node):
    store(files, node)
    wanted = pydicom.dcmread(files[2])
    (report,) = fetch(STUDY_UID, node, wanted.SeriesInstanceUID).objects
    assert report.dataset() == wanted


def test_results_of_a_run_are_pushed_and_a_study_is_fetched(files, ports, tmp_path):
    address = f"dicom://ORTHANC@127.0.0.1:{ports[1]}"
    run = tmp_path / "run"
    shutil.copytree(files[0].parent, run / "dicom")
    assert len(push_results(run, address).sop_instance_uids) == len(files)
    assert fetch_study(STUDY_UID, address, tmp_path / "study").files == len(files)
    uids = {pydicom.dcmread(p).SOPInstanceUID for p in (tmp_path / "study").iterdir()}
    assert uids == {pydicom.dcmread(p).SOPInstanceUID for p in files}
    with pytest.raises(InputError, match="no DICOM results"):
        push_results(tmp_path / "study", address)


def secondary_capture(study_uid: str) -> Dataset:
    """A screen picture as a workstation adds one to a study."""
    picture = Dataset()
    picture.SOPClassUID = SecondaryCaptureImageStorage
    picture.SOPInstanceUID = f"{study_uid}.77.1"
    picture.StudyInstanceUID, picture.SeriesInstanceUID = study_uid, f"{study_uid}.77"
    picture.PatientID, picture.PatientName, picture.Modality = PATIENT_ID, NAME, "OT"
    picture.Rows = picture.Columns = 4
    picture.SamplesPerPixel, picture.PhotometricInterpretation = 1, "MONOCHROME2"
    picture.BitsAllocated = picture.BitsStored = 8
    picture.HighBit, picture.PixelRepresentation = 7, 0
    picture.PixelData = bytes(range(16))
    picture.file_meta = FileMetaDataset()
    picture.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    picture.file_meta.MediaStorageSOPClassUID = picture.SOPClassUID
    picture.file_meta.MediaStorageSOPInstanceUID = picture.SOPInstanceUID
    return picture


@pytest.mark.parametrize("kind", ["web", "dimse"])
def test_a_study_with_a_screen_picture_comes_whole(ports, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    web = f"http://127.0.0.1:{ports[0]}/dicom-web"
    address = web if kind == "web" else f"dicom://ORTHANC@127.0.0.1:{ports[1]}"
    study = f"{STUDY_UID}.5{len(kind)}"
    images = t1(block(), StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1")
    sent = write_files(tmp_path / "sent", [*images, secondary_capture(study)])
    uids = store(sorted(sent.iterdir()), parse_node(web)).sop_instance_uids
    result = CliRunner().invoke(app, ["fetch", study, address, "-o", str(tmp_path / "study")])
    assert result.exit_code == 0, result.output
    assert "11 objects fetched" in result.output and "not fetched" not in result.output
    back = {pydicom.dcmread(p).SOPInstanceUID for p in (tmp_path / "study").iterdir()}
    assert back == set(uids)


def test_a_study_that_is_not_there(node):
    with pytest.raises(InputError):
        fetch("1.2.3.4", node)


def test_a_node_that_is_not_there(files):
    port = free_port()
    for node in (
        DicomwebNode(f"http://127.0.0.1:{port}/dicom-web", timeout_s=5),
        DimseNode("127.0.0.1", port, "NOBODY", timeout_s=5),
    ):
        with pytest.raises(OutputError, match="did not do what it was asked"):
            store(files, node)
        with pytest.raises(InputError):
            fetch(STUDY_UID, node)


def test_what_is_no_dicom_is_not_sent(tmp_path):
    (tmp_path / "a.dcm").write_text("text")
    with pytest.raises(InputError, match="not DICOM"):
        store([tmp_path / "a.dcm"], DimseNode("127.0.0.1", 1, "X"))
    with pytest.raises(InputError, match="nothing to store"):
        store([], DimseNode("127.0.0.1", 1, "X"))


@pytest.mark.parametrize("text", ["", "localhost", "dicom://host", "dicom://A@h:x", "ftp://a"])
def test_addresses_that_are_none(text):
    with pytest.raises(InputError, match="no address of a PACS"):
        parse_node(text)


def test_addresses():
    assert parse_node("https://pacs/dicom-web/") == DicomwebNode("https://pacs/dicom-web")
    assert parse_node("dicom://PACS@10.0.0.7:104") == DimseNode("10.0.0.7", 104, "PACS")
