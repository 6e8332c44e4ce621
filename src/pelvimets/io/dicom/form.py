"""How DICOM results are written; loads no DICOM library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pelvimets.io.dicom.signoff import SignOff

SegmentationType = Literal["BINARY", "LABELMAP"]


@dataclass(frozen=True)
class DicomForm:
    """What is written, and on whose word.

    Attributes:
        labelmap: Segmentations as LABELMAP, for readers that know it, rather than BINARY.
        rtstruct: Write ``{dwi,t1}_rtstruct.dcm`` as well.
        signoff: A reader's review of the masks; None where there is none.
    """

    labelmap: bool = False
    rtstruct: bool = False
    signoff: SignOff | None = None

    @property
    def segmentation_type(self) -> SegmentationType:
        """As the Segmentation calls it."""
        return "LABELMAP" if self.labelmap else "BINARY"
