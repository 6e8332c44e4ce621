"""What the DICOM results have in common: coded concepts, colours, equipment, identifiers.

Codes of the bones and of the lesion stand in ``labels``; those here name measurements and
statements. ``99PELVIMETS`` is the private scheme for what no public code says.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import datetime

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from pelvimets import __version__
from pelvimets.core.findings import BonePart
from pelvimets.io.dicom.text import UNICODE
from pelvimets.labels import Code, Side

Clock = Callable[[], datetime]

MANUFACTURER = "pelvimets developers"
MODEL_NAME = "pelvimets"
SOFTWARE_VERSION = __version__
PRIVATE_SCHEME = "99PELVIMETS"
SERIES_NUMBERS = {"dwi_seg": 9101, "t1_seg": 9102, "sr": 9103, "report": 9104}


def concept(code: Code) -> CodedConcept:
    """A code of the vocabulary as highdicom takes it."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def _private(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, PRIVATE_SCHEME, meaning)


ANATOMICAL_STRUCTURE = codes.cid7150.AnatomicalStructure
ABNORMAL_STRUCTURE = codes.cid7150.MorphologicallyAbnormalStructure
ALGORITHM_FAMILY = codes.cid7162.ArtificialIntelligence
REPORT_TITLE = CodedConcept("126000", "DCM", "Imaging Measurement Report")
PROCEDURE = CodedConcept("25056-3", "LN", "MRI unspecified body region")

VOLUME = CodedConcept("118565006", "SCT", "Volume")
LONG_AXIS = CodedConcept("103339001", "SCT", "Long Axis")
ADC = CodedConcept("113041", "DCM", "Apparent Diffusion Coefficient")
PROBABILITY_OF_CANCER = CodedConcept("111047", "DCM", "Probability of cancer")
MEAN = CodedConcept("373098007", "SCT", "Mean")
MEDIAN = CodedConcept("373099004", "SCT", "Median")
LESION_SCORE = _private("LESION_SCORE", "Score of being a metastasis, not calibrated")
LESION_COUNT = _private("LESION_COUNT", "Number of lesions")
LESION_VOLUME = _private("LESION_VOLUME", "Total volume of lesions")
LESION_SHARE = _private("LESION_SHARE", "Lesion volume over bone volume")
SUSPICION_SCORE = _private("M1B_SCORE", "Score of suspicion for M1b, not calibrated")
SUSPICION = _private("M1B_SUSPICION", "Suspicion for M1b in the scanned field")
NOT_SUSPECTED = _private("NOT_SUSPECTED", "No suspicion of M1b in the scanned field")
SUSPECTED = CodedConcept("415684004", "SCT", "Suspected")
INDETERMINATE = CodedConcept("82334004", "SCT", "Indeterminate")
NEEDS_REVIEW = _private("NEEDS_REVIEW", "Result needs review before use")
YES = CodedConcept("373066001", "SCT", "Yes")
NO = CodedConcept("373067005", "SCT", "No")
COMMENT = CodedConcept("121106", "DCM", "Comment")

CUBIC_CENTIMETRE = CodedConcept("cm3", "UCUM", "cubic centimeter")
MILLIMETRE = CodedConcept("mm", "UCUM", "millimeter")
ADC_UNIT = CodedConcept("um2/s", "UCUM", "um2/s")
RATIO = CodedConcept("1", "UCUM", "no units")
PERCENT = CodedConcept("%", "UCUM", "Percent")
LESIONS = CodedConcept("{lesions}", "UCUM", "lesions")

_LATERALITY = {
    Side.LEFT: CodedConcept("7771000", "SCT", "Left"),
    Side.RIGHT: CodedConcept("24028007", "SCT", "Right"),
}


def laterality(part: BonePart) -> CodedConcept | None:
    """Side of a paired structure; None on the midline."""
    return _LATERALITY.get(part.side)


def cielab(rgb: tuple[int, int, int]) -> CIELabColor:
    """Recommended display colour of an sRGB triple 0-255."""
    return CIELabColor.from_rgb(*rgb)


def algorithm(bundle: str) -> hd.AlgorithmIdentificationSequence:
    """Who made the segments: this software, its version, and the bundle of networks."""
    return hd.AlgorithmIdentificationSequence(
        name=MODEL_NAME,
        family=ALGORITHM_FAMILY,
        version=SOFTWARE_VERSION,
        source=MANUFACTURER,
        parameters={"bundle": bundle},
    )


def derived_uid(*parts: str | bytes) -> str:
    """A UID (2.25, PS3.5 B.2) from the hash of its parts: the same parts, the same UID.

    >>> derived_uid("a", "b") == derived_uid("a", "b") != derived_uid("ab")
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return f"2.25.{uuid.UUID(bytes=digest.digest()[:16], version=4).int}"


def array_digest(array: np.ndarray) -> bytes:
    """Hash of an array's shape, type and voxels."""
    digest = hashlib.sha256(f"{array.shape}{array.dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def stamp(dataset: Dataset, moment: datetime) -> None:
    """Set every date and time of creation to one moment, so that a run can be repeated.

    All text is Unicode, and declared so.
    """
    dataset.SpecificCharacterSet = UNICODE
    date, time = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")
    for kind in ("InstanceCreation", "Content", "Series"):
        setattr(dataset, f"{kind}Date", date)
        setattr(dataset, f"{kind}Time", time)
    for item in dataset.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = date + time
