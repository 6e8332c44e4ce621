"""Find, fetch and push with real programs: Orthanc and DCMTK, C-MOVE, TLS, retries, progress."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pydicom
import pynetdicom
import pytest
from dicom_out_study import STUDY_UID, axial, make_case, write
from dicom_samples import NAME
from pacs_peers import certificate, free_port, program, running_orthanc, wait_for_port
from typer.testing import CliRunner

from pelvimets.arrivals.pacs import Call, fetch_study, push_results
from pelvimets.cli.main import app
from pelvimets.errors import InputError, OutputError
from pelvimets.io.pacs.nodes import DimseNode, Tls, parse_node
from pelvimets.io.pacs.patience import Patience
from pelvimets.io.pacs.query import Wanted, find_studies, objects_of
from pelvimets.io.pacs.transfer import How, fetch, store
from pelvimets.labels import Sequence

QUICK = Patience(tries=4, first_pause_s=0.01)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    grids = {Sequence.DWI: axial((5, 9, 7)), Sequence.T1: axial((6, 12, 10), (4.0, 1.5, 2.0))}
    return write(tmp_path_factory.mktemp("run") / "dicom", make_case(grids))


@pytest.fixture(scope="module")
def uids(files):
    return {str(pydicom.dcmread(path).SOPInstanceUID) for path in files}


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory, files):
    """It knows this side as PELVIMETS on one port, and holds the objects."""
    port = free_port()
    known = {"us": ["PELVIMETS", "127.0.0.1", port]}
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), DicomModalities=known) as server:
        store(files, parse_node(server.address))
        yield server, port


@pytest.fixture(autouse=True)
def loopback(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def told(out: Path) -> set[str]:
    return {str(pydicom.dcmread(path).SOPInstanceUID) for path in out.iterdir()}


def run(*words: str):
    return CliRunner().invoke(app, list(words))


def test_a_study_comes_by_c_move(orthanc, uids, tmp_path):
    server, port = orthanc
    out = tmp_path / "S"
    result = run("fetch", STUDY_UID, server.address, "-o", str(out), "--move-port", str(port))
    assert result.exit_code == 0, result.output
    assert told(out) == uids


def test_a_pacs_that_does_not_know_this_side_says_so(orthanc, tmp_path):
    server, port = orthanc
    call = Call(ae_title="STRANGER", how=How(move_port=port))
    with pytest.raises(InputError, match=r"broke off.*Enter STRANGER in the PACS"):
        fetch_study(STUDY_UID, server.address, tmp_path / "S", call)
    assert not (tmp_path / "S").exists()


def test_a_port_that_is_taken(orthanc, tmp_path):
    server, _ = orthanc
    call = Call(how=How(move_port=server.dicom))
    with pytest.raises(InputError, match="Nothing can be received on this port"):
        fetch_study(STUDY_UID, server.address, tmp_path / "S", call)
    with pytest.raises(InputError, match="Only a node of the DICOM network protocol"):
        fetch_study(STUDY_UID, server.web, tmp_path / "S", call)


@pytest.mark.parametrize("kind", ["web", "address"])
def test_studies_are_found(orthanc, uids, kind):
    server, _ = orthanc
    address = getattr(server, kind)
    (study,) = find_studies(parse_node(address), Wanted(modality="SEG"))
    assert (study.uid, study.objects) == (STUDY_UID, len(uids))
    assert "SEG" in study.modalities
    assert find_studies(parse_node(address), Wanted(patient_id="nobody")) == ()
    assert find_studies(parse_node(address), Wanted(study=STUDY_UID)) == (study,)
    assert set(objects_of(parse_node(address), STUDY_UID)) == uids
    assert objects_of(parse_node(address), STUDY_UID, mr_only=True) == {}
    shown = run("find", address, "--modality", "SEG")
    assert shown.exit_code == 0 and STUDY_UID in shown.output
    assert NAME.split("^")[0] not in shown.output
    assert "0 studies" in run("find", address, "--since", "2999-01-01").output


@contextmanager
def quarrelsome(entity_contexts, handlers):
    entity = pynetdicom.AE("TEST")
    for context, roles in entity_contexts:
        entity.add_supported_context(context, **roles)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield DimseNode("127.0.0.1", server.socket.getsockname()[1], "TEST", timeout_s=5)
    finally:
        server.shutdown()


def storage():
    classes = [c.abstract_syntax for c in pynetdicom.AllStoragePresentationContexts]
    return [(c, {"scu_role": True, "scp_role": True}) for c in classes]


def test_what_was_not_confirmed_is_sent_again_and_nothing_else(files, uids):
    arrived: list[str] = []

    def keep(event) -> int:
        arrived.append(str(event.request.AffectedSOPInstanceUID))
        return {2: 0xA700, 4: 0xA700, 5: 0x0000}.get(len(arrived), 0x0000)

    with quarrelsome(storage(), [(pynetdicom.evt.EVT_C_STORE, keep)]) as node:
        stored = store(files, node, How(QUICK))
    assert set(stored.sop_instance_uids) == uids
    assert len(arrived) == len(files) + 2
    assert sorted(arrived[len(files) :]) == sorted({arrived[1], arrived[3]})


def test_a_refusal_for_good_is_not_tried_again(files):
    arrived: list[str] = []

    def keep(event) -> int:
        arrived.append(str(event.request.AffectedSOPInstanceUID))
        return 0xA900

    with (
        quarrelsome(storage(), [(pynetdicom.evt.EVT_C_STORE, keep)]) as node,
        pytest.raises(OutputError, match="stored 0 of 4"),
    ):
        store(files, node, How(QUICK))
    assert len(arrived) == len(files)


def test_a_connection_that_breaks_off_is_made_again(files, uids):
    arrived: list[str] = []

    def keep(event) -> int:
        arrived.append(str(event.request.AffectedSOPInstanceUID))
        if len(arrived) in (2, 4):
            event.assoc.abort()
        return 0x0000

    seen: list[tuple[int, int | None, str]] = []
    with quarrelsome(storage(), [(pynetdicom.evt.EVT_C_STORE, keep)]) as node:
        quick = replace(node, timeout_s=1.0)
        stored = store(files, quick, How(QUICK, lambda *what: seen.append(what)))
    assert set(stored.sop_instance_uids) == uids
    assert seen[0] == (1, 4, "objects") and {unit for _, _, unit in seen} == {"objects"}


def test_a_node_that_is_away_is_called_as_often_as_asked(files):
    node = DimseNode("127.0.0.1", free_port(), "NOBODY", timeout_s=1)
    pauses = list(Patience(4, 0.5, 1.5).pauses_s)
    assert pauses == [0.5, 1.0, 1.5]
    with pytest.raises(OutputError, match="did not do what it was asked"):
        store(files, node, How(QUICK))
    with pytest.raises(InputError):
        fetch(STUDY_UID, node, how=How(QUICK))


def test_a_fetch_that_breaks_off_goes_on(files, uids):
    """The first answer ends after two objects; what came is kept, the rest comes next time."""
    classes = pynetdicom.sop_class
    datasets = [pydicom.dcmread(path) for path in files]
    asked: list[int] = []

    def hand_over(event):
        asked.append(1)
        chosen = datasets[:2] if len(asked) == 1 else datasets[1:]
        yield len(chosen)
        for dataset in chosen:
            yield 0xFF00, dataset

    def listing(event):
        if event.identifier.QueryRetrieveLevel == "SERIES":
            rows = [{"SeriesInstanceUID": d.SeriesInstanceUID} for d in datasets]
        else:
            series = event.identifier.SeriesInstanceUID
            same = [d for d in datasets if d.SeriesInstanceUID == series]
            rows = [{"SOPInstanceUID": d.SOPInstanceUID} for d in same]
        for row in rows:
            answer = pydicom.Dataset()
            for keyword, value in row.items():
                setattr(answer, keyword, value)
            yield 0xFF00, answer

    contexts = [
        *storage(),
        (classes.StudyRootQueryRetrieveInformationModelGet, {}),
        (classes.StudyRootQueryRetrieveInformationModelFind, {}),
    ]
    handlers = [(pynetdicom.evt.EVT_C_GET, hand_over), (pynetdicom.evt.EVT_C_FIND, listing)]
    seen: list[tuple[int, int | None, str]] = []
    with quarrelsome(contexts, handlers) as node:
        whole = fetch(STUDY_UID, node, how=How(QUICK, lambda *what: seen.append(what)))
        assert whole.missing == () and {o.sop_instance_uid for o in whole.objects} == uids
        assert len(asked) == 2 and seen[0] == (1, 4, "objects")
        asked.clear()
        once = fetch(STUDY_UID, node)
    assert len(once.objects) == 2 and len(once.missing) == 2


@pytest.mark.parametrize("checked", [False, True], ids=["server", "both sides"])
def test_objects_go_over_tls_to_storescp(files, uids, tmp_path, monkeypatch, checked):
    theirs, ours = certificate(tmp_path, "theirs"), certificate(tmp_path, "ours")
    inbox, port = tmp_path / "inbox", free_port()
    inbox.mkdir()
    order = [program("storescp"), "+tls", str(theirs.key), str(theirs.certificate)]
    order += ["-rc", "+cf", str(ours.certificate)] if checked else ["-ic"]
    server = subprocess.Popen([*order, "-od", str(inbox), "+uf", str(port)])
    try:
        wait_for_port(server, port)
        monkeypatch.setenv("PELVIMETS_TLS_CA", str(theirs.certificate))
        if checked:
            monkeypatch.setenv("PELVIMETS_TLS_CERTIFICATE", str(ours.certificate))
            monkeypatch.setenv("PELVIMETS_TLS_KEY", str(ours.key))
        address = f"dicoms://STORESCP@127.0.0.1:{port}"
        assert set(push_results(files[0].parent.parent, address).sop_instance_uids) == uids
        assert told(inbox) == uids
        monkeypatch.setenv("PELVIMETS_TLS_CA", str(ours.certificate))  # it trusts somebody else
        with pytest.raises(OutputError, match="did not do what it was asked"):
            push_results(files[0].parent.parent, address)
        monkeypatch.setenv("PELVIMETS_TLS_CA", str(tmp_path / "none.pem"))
        with pytest.raises(InputError, match="certificates for TLS cannot be used"):
            push_results(files[0].parent.parent, address)
    finally:
        server.terminate()
        server.wait(20)


def test_addresses_over_tls():
    assert parse_node("dicoms://A@host:2762") == DimseNode("host", 2762, "A", tls=Tls())
    with pytest.raises(InputError, match="AE title has 1 to 16"):
        Call(ae_title="MUCH_TOO_LONG_A_TITLE").node("dicom://A@host:1")
