"""Whether a fetched object is whole, and of the study that was asked for."""

from __future__ import annotations

import warnings
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from pelvimets.io.dicom.bounds import skip_meta
from pelvimets.io.dicom.frames import MR_CLASSES
from pelvimets.io.pacs.outcome import Received

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def fault_of(item: Received, study: str, series: str | None) -> str:
    """What is wrong with an object, in a few words; empty if nothing is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values are judged where the study is read
            return _fault_of(item, study, series)
    except Exception:  # the parser raises almost anything on damaged bytes
        return "cannot be read"


def _fault_of(item: Received, study: str, series: str | None) -> str:
    dataset = item.dataset()
    whole = _ends_where_it_should(item.content, dataset)
    if not dataset.get("SOPClassUID") or not dataset.get("SeriesInstanceUID"):
        return "does not say what it is"
    if str(dataset.get("StudyInstanceUID", "")) != study:
        return "is of another study"
    if series is not None and str(dataset.SeriesInstanceUID) != series:
        return "is of another series"
    return "" if whole and not _lacks_pixels(dataset) else "is cut short"


def _ends_where_it_should(content: bytes, dataset: Dataset) -> bool:
    """Walk through the elements; the reader itself passes over a last one that is cut short."""
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax == DeflatedExplicitVRLittleEndian:
        return True  # what is cut short cannot be inflated
    stream = BytesIO(content)
    skip_meta(stream)
    try:
        for _ in data_element_generator(stream, syntax.is_implicit_VR, syntax.is_little_endian):
            pass
    except EOFError:
        return False
    return True


def _lacks_pixels(dataset: Dataset) -> bool:
    """Whether an image has fewer bytes of pixels than it needs, or not even its size."""
    rows, columns, bits = (dataset.get(k) for k in ("Rows", "Columns", "BitsAllocated"))
    if not (rows and columns and bits):
        return dataset.SOPClassUID in MR_CLASSES
    found = next((dataset[name].value for name in _PIXELS if name in dataset), None)
    if found is None:
        return True
    if UID(dataset.file_meta.TransferSyntaxUID).is_compressed:
        return not found
    frames, samples = (int(dataset.get(k) or 1) for k in ("NumberOfFrames", "SamplesPerPixel"))
    return len(found) < -(-int(rows) * int(columns) * int(bits) * samples * frames // 8)
