"""From and to a PACS: fetch a study to read, store what was found in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pelvimets.errors import InputError
from pelvimets.io.pacs.credentials import Ask, signed_in
from pelvimets.io.pacs.nodes import DEFAULT_AE_TITLE, DimseNode, Node, check_ae_title, parse_node
from pelvimets.io.pacs.query import FoundStudy, Wanted, find_studies
from pelvimets.io.pacs.transfer import How, Stored, fetch, save, store
from pelvimets.io.record.output import check_output, staged_folder, tidy

DICOM_FOLDER = "dicom"


@dataclass(frozen=True)
class Call:
    """How to call a PACS.

    Attributes:
        ask: Asks for the password of a user named in the address, if it lies nowhere.
        ae_title: What this side calls itself over DIMSE.
        how: Tries, progress, and the port for C-MOVE.
    """

    ask: Ask | None = None
    ae_title: str = DEFAULT_AE_TITLE
    how: How = field(default_factory=How)

    def node(self, address: str) -> Node:
        """The node of an address, with what signs in there.

        Raises:
            InputError: if the address or the AE title is none, or a password is missing.
        """
        check_ae_title(self.ae_title)
        node = parse_node(address)
        if isinstance(node, DimseNode):
            node = replace(node, calling_ae_title=self.ae_title)
        elif self.how.move_port is not None:
            raise InputError(
                "Only a node of the DICOM network protocol sends by C-MOVE",
                got=node.title,
                remedy="Write dicom://AETITLE@host:port, or leave out --move-port",
            )
        return signed_in(node, self.ask)


_PLAINLY = Call()


def push_results(out: Path, address: str, call: Call = _PLAINLY) -> Stored:
    """Store the DICOM results of a run in a PACS.

    Args:
        out: Output folder of a run with ``--dicom``.
        address: ``http(s)://...`` of a DICOMweb service, or ``dicom(s)://AET@host:port``.
        call: How to call it.

    Returns:
        What was stored, with what the PACS remarked on it.

    Raises:
        InputError: if there are no DICOM results, or the address is none.
        OutputError: if the PACS cannot be reached, or does not confirm that it stored each of them.
    """
    node = call.node(address)
    tidy(Path(out).absolute().parent)
    files = sorted((Path(out) / DICOM_FOLDER).glob("*.dcm"))
    if not files:
        raise InputError(
            "There are no DICOM results in this folder",
            remedy="Run 'pelvimets predict' with --dicom first",
        )
    return store(files, node, call.how)


@dataclass(frozen=True)
class FetchedStudy:
    """How many objects of a study came, and what did not."""

    files: int
    missing: tuple[str, ...] = ()


def fetch_study(
    study_instance_uid: str, address: str, folder: Path, call: Call = _PLAINLY
) -> FetchedStudy:
    """Fetch a study from a PACS into a new folder, one file per object.

    What the PACS cannot hand over does not cost the rest.

    Raises:
        InputError: if the PACS cannot be reached, refuses, or does not hold the study.
        OutputError: if the folder exists already or cannot be written.
    """
    node = call.node(address)
    check_output(folder, overwrite=False)
    fetched = fetch(study_instance_uid, node, how=call.how)
    with staged_folder(folder) as work:
        save(fetched.objects, work)
    return FetchedStudy(len(fetched.objects), fetched.missing)


def studies_at(address: str, wanted: Wanted, call: Call = _PLAINLY) -> tuple[FoundStudy, ...]:
    """Studies that a PACS holds, the latest first.

    Raises:
        InputError: if the PACS cannot be reached or cannot be searched.
    """
    return find_studies(call.node(address), wanted)
