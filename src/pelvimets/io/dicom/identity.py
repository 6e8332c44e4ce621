"""Whether the images of a folder are of one person.

Headers of one study differ: a workstation drops the issuer of the patient's id, another writes
the name in capitals or leaves the id out. Such parts are one person where what they share says
so and nothing contradicts it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

NO_ISSUER = "the issuer of the patient's id is missing in a part of the images"
NO_ID = "the patient's id is missing in a part of the images"


@dataclass(frozen=True, repr=False)
class Identity:
    """What a header says of the patient; it is never printed.

    Attributes:
        identifier, issuer: Patient ID and who gave it.
        name, birth_date: As in the header.
    """

    identifier: str
    issuer: str
    name: str
    birth_date: str

    @property
    def digest(self) -> str:
        """Tells patients apart: of the identifier, else of name and date of birth."""
        text = f"{self.issuer}|{self.identifier}"
        if not self.identifier:
            text = f"{self.name}|{self.birth_date}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def names(self) -> frozenset[str]:
        """The name in each of its scripts, without case, accents of width, or empty parts."""
        groups = (unicodedata.normalize("NFKC", g).casefold() for g in self.name.split("="))
        plain = (" ".join(g.replace("^", " ").replace(",", " ").split()) for g in groups)
        return frozenset(name for name in plain if name)


def identity_of(dataset: Dataset) -> Identity:
    """The patient as a header states him."""
    keywords = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
    return Identity(*(_plain(dataset.get(keyword)) for keyword in keywords))


def _plain(value: object) -> str:
    text = "" if value is None else str(value)
    return "".join(c for c in text if c.isprintable()).strip()[:128]


def persons(identities: Sequence[Identity]) -> list[list[Identity]]:
    """The identities, person by person.

    >>> a, b = Identity("1", "", "A^B", ""), Identity("", "", "a^b", "19500101")
    >>> len(persons([a, b])), len(persons([a, b, Identity("2", "", "A^B", "")]))
    (1, 2)
    """
    found: list[list[Identity]] = []
    for identity in identities:
        same = (person for person in found if all(_same(identity, other) for other in person))
        person = next(same, None)
        if person is None:
            found.append([identity])
        else:
            person.append(identity)
    return found


def gaps(person: Sequence[Identity]) -> tuple[str, ...]:
    """What a part of one person's images does not say of him, for the report."""
    with_id = [i for i in person if i.identifier]
    notes = []
    if with_id and len(with_id) < len(person):
        notes.append(f"{NO_ID}; the name is the same")
    if len({bool(i.issuer) for i in with_id}) > 1:
        notes.append(f"{NO_ISSUER}; the id is the same")
    return tuple(notes)


def _same(one: Identity, other: Identity) -> bool:
    if one == other:
        return True
    if one.identifier and other.identifier:
        if one.identifier != other.identifier:
            return False
        if one.issuer == other.issuer:
            return True
        if one.issuer and other.issuer:
            return False
        return _agree(one, other)
    return bool(one.names & other.names) and _agree(one, other)


def _agree(one: Identity, other: Identity) -> bool:
    """Whether neither name nor date of birth contradicts."""
    names = not one.names or not other.names or bool(one.names & other.names)
    births = one.birth_date == other.birth_date or not (one.birth_date and other.birth_date)
    return names and births
