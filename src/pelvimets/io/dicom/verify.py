"""Read what was written and compare it with what was meant, in patient coordinates.

The Segmentation is decoded here from its attributes alone (PS3.3 C.7.6.16), not with the
library that wrote it: each marked pixel is carried into the patient, and from there into
the grid of the mask.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from pelvimets.core.geometry import Geometry
from pelvimets.errors import VerificationError
from pelvimets.io.dicom.seg import SegmentMaps

_LARGEST_OFFSET_VOXELS = 0.1


def verify_segmentation(path: Path, maps: SegmentMaps, geometry: Geometry) -> None:
    """Compare a written Segmentation with the label maps it was made from.

    Args:
        path: The written file.
        maps: What was meant, on ``geometry``.
        geometry: Grid of the masks.

    Raises:
        VerificationError: if a voxel, a place in the patient or a tracking UID differs.
    """
    written = pydicom.dcmread(path)
    _check_tracking(written, maps, path)
    bones, lesions = _decoded(written, maps, geometry)
    if written.SegmentationType == "LABELMAP":
        pairs = [(maps.labelmap, np.maximum(bones, lesions))]
    else:
        pairs = [(maps.bones, bones), (maps.lesions, lesions)]
    wrong = sum(int(np.count_nonzero(meant != found)) for meant, found in pairs)
    if wrong:
        raise VerificationError(
            f"The Segmentation {path.name} does not hold the mask it was made from",
            got=f"{wrong} voxels differ",
        )


def _check_tracking(written: Dataset, maps: SegmentMaps, path: Path) -> None:
    found = {int(s.SegmentNumber): s.get("TrackingUID") for s in written.SegmentSequence}
    found.pop(0, None)  # background of a label map
    if found != {s.number: s.tracking_uid for s in maps.segments}:
        raise VerificationError(f"The segments of {path.name} are not those that were meant")


def _decoded(
    written: Dataset, maps: SegmentMaps, geometry: Geometry
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """Label maps (bones, lesions) of segment numbers as the file places them in the patient."""
    lesions = {s.number for s in maps.of_kind(lesions=True)}
    layers = np.zeros((2, *geometry.shape), dtype=np.uint16)
    shared = written.SharedFunctionalGroupsSequence[0]
    axes = _pixel_axes(shared)
    frames = written.PerFrameFunctionalGroupsSequence
    for number, frame in enumerate(frames):
        pixels = _frame_pixels(written, number)
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        segment = _segment_number(frame, shared)
        index = np.argwhere(pixels)
        at = _voxels(position + index @ axes, geometry)
        values = pixels[tuple(index.T)] if segment is None else np.full(len(index), segment)
        layer = np.isin(values, list(lesions)).astype(int)
        target = (layer, *at.T)
        if layers[target].any():
            raise VerificationError("Two frames of a Segmentation mark the same voxel twice")
        layers[target] = values
    return layers[0], layers[1]


def _pixel_axes(shared: Dataset) -> npt.NDArray[np.float64]:
    """2 x 3: the step in LPS mm to the next row and to the next column (C.7.6.2.1.1)."""
    orientation = np.array(
        shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float
    ).reshape(2, 3)
    between_rows, between_columns = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    along_row, along_column = orientation
    return np.stack([along_column * between_rows, along_row * between_columns])


def _segment_number(frame: Dataset, shared: Dataset) -> int | None:
    """The segment a frame shows; None in a label map, where the pixels say it."""
    for group in (frame, shared):
        if "SegmentIdentificationSequence" in group:
            return int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    return None


def _frame_pixels(written: Dataset, number: int) -> npt.NDArray[np.integer]:
    """One frame (rows, columns) of native pixel data; bits run on from frame to frame."""
    shape = (int(written.Rows), int(written.Columns))
    size = shape[0] * shape[1]
    if written.BitsAllocated == 1:
        first, skip = divmod(number * size, 8)
        data = np.frombuffer(written.PixelData, np.uint8, -(-(skip + size) // 8), first)
        return np.unpackbits(data, bitorder="little")[skip : skip + size].reshape(shape)
    kind = np.dtype(f"<u{written.BitsAllocated // 8}")
    data = np.frombuffer(written.PixelData, kind, size, number * size * kind.itemsize)
    return data.reshape(shape)


def _voxels(points: npt.NDArray[np.float64], geometry: Geometry) -> npt.NDArray[np.intp]:
    exact = geometry.to_index(points)
    at = np.rint(exact)
    off_grid = np.abs(exact - at).max(initial=0.0) > _LARGEST_OFFSET_VOXELS
    if off_grid or (at < 0).any() or (at >= geometry.shape).any():
        raise VerificationError("A Segmentation marks places that are no voxels of the mask")
    return at.astype(np.intp)
