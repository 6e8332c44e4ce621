"""Pixel values of frames: decoded, rescaled, directions combined."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pelvimets.errors import InputError, ResourceError
from pelvimets.io.dicom.bounds import PIXEL_TAGS, bounded, check_codestreams
from pelvimets.io.dicom.frames import Frame
from pelvimets.io.dicom.header import as_number

Array32 = npt.NDArray[np.float32]


def read_slices(frames: Sequence[Frame]) -> Array32:
    """Rescaled values (slice, row, column) of frames, in the order given.

    Rescale slope and intercept are applied frame by frame, as they may differ between
    slices. Padding is background: 0, whatever was stored there. Philips' private scale slope
    is not applied: it only scales the whole series.

    Raises:
        InputError: if pixel data are missing, cut short, damaged, or compressed in a way that
            cannot be decoded.
    """
    decoded = _Decoded()
    planes = [_rescaled(decoded.plane(frame), decoded.padding(frame), frame) for frame in frames]
    return np.stack(planes)


def read_trace(components: Sequence[Sequence[Frame]]) -> Array32:
    """Geometric mean over components, each the frames of one direction or repeat in order.

    The mean of the logarithms is what a trace-weighted image is (the exponents of the
    directions average); a voxel that is zero in any component stays zero.
    """
    if len(components) == 1:
        return read_slices(components[0])
    total: npt.NDArray[np.float64] | None = None
    for frames in components:
        values = read_slices(frames)
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(values, 0.0), dtype=np.float64)
        total = logs if total is None else total + logs
    assert total is not None
    return np.exp(total / len(components)).astype(np.float32)


def content_digest(frame: Frame) -> str:
    """Digest of a frame's decoded pixels and rescaling, to find copies."""
    plane = _Decoded().plane(frame)
    digest = hashlib.sha256(np.ascontiguousarray(plane).tobytes())
    digest.update(f"{plane.shape} {frame.slope} {frame.intercept}".encode())
    return digest.hexdigest()


Range = tuple[float, float]


class _Decoded:
    """Decodes each multi-frame file once, and keeps the last single one."""

    def __init__(self) -> None:
        self._files: dict[Path, tuple[np.ndarray, Range | None]] = {}
        self._last: Path | None = None

    def plane(self, frame: Frame) -> np.ndarray:
        """Stored numbers of a frame."""
        array, _ = self._file(frame)
        return _single(array if array.ndim == 2 else array[frame.index or 0], frame)

    def padding(self, frame: Frame) -> Range | None:
        """Lowest and highest stored number that is padding."""
        return self._file(frame)[1]

    def _file(self, frame: Frame) -> tuple[np.ndarray, Range | None]:
        if frame.path not in self._files:
            if self._last is not None:
                del self._files[self._last]
            self._files[frame.path] = _decode(frame)
            self._last = frame.path if frame.index is None else None
        return self._files[frame.path]


def _decode(frame: Frame) -> tuple[np.ndarray, Range | None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = _up_to_pixels(frame.path)
            _state_encoding(dataset)
            check_codestreams(dataset)
            return dataset.pixel_array, _padding(dataset)
    except (ResourceError, MemoryError):
        raise
    except Exception as error:  # parser and decoders raise almost anything on damaged bytes
        raise _undecodable(frame, error) from error


def _padding(dataset: Dataset) -> Range | None:
    """PS3.3 C.7.5.1.1.2: one stored number, or all up to a limit on either side of it."""
    for kind in ("", "Float", "DoubleFloat"):
        value = _number(dataset.get(f"{kind}PixelPaddingValue"))
        if value is None:
            continue
        limit = _number(dataset.get(f"{kind}PixelPaddingRangeLimit"))
        ends = [_as_stored(end, dataset) for end in (value, value if limit is None else limit)]
        return min(ends), max(ends)
    return None


def _number(value: Any) -> float | None:
    """Bytes are left where the header's coding does not say whether the number has a sign."""
    return float(int.from_bytes(value, "little")) if isinstance(value, bytes) else as_number(value)


def _as_stored(value: float, dataset: Dataset) -> float:
    """The number in the sign of the pixels: headers state it in the other one, too."""
    if "PixelRepresentation" not in dataset:
        return value
    whole = 2.0 ** int(dataset.BitsAllocated)
    if dataset.PixelRepresentation:
        return value - whole if value >= whole / 2 else value
    return value + whole if value < 0 else value


def _up_to_pixels(path: Path) -> Dataset:
    """All elements up to the pixels: what is behind them may be long, and is not needed."""
    seen = False

    def behind(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal seen
        stop, seen = seen, tag in PIXEL_TAGS
        return stop

    with path.open("rb") as file:
        return read_partial(file, bounded(behind, file), force=True)


def _state_encoding(dataset: Dataset) -> None:
    """A bare data set without file header does not say how it was written; it is uncompressed."""
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _undecodable(frame: Frame, error: Exception) -> InputError:
    syntax = UID(frame.transfer_syntax_uid)
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    packed = syntax.is_private or (syntax.is_transfer_syntax and syntax.is_compressed)
    if packed:
        return InputError(
            f"The pixels of an image packed as {syntax.name} cannot be decoded",
            got=reason,
            remedy="Export the study uncompressed (Explicit VR Little Endian), or convert it, "
            "for example with gdcmconv --raw",
        )
    return InputError(
        "The pixels of an image are damaged or cut short",
        got=reason,
        remedy="Export the series again",
    )


def _single(array: np.ndarray, frame: Frame) -> np.ndarray:
    expected = (frame.plane.rows, frame.plane.columns) if frame.plane else array.shape
    if array.shape != expected:
        raise InputError(
            "An image has another size than its header says",
            got=f"{array.shape} against {expected}",
            remedy="Export the series again",
        )
    return array


def _rescaled(plane: np.ndarray, padding: Range | None, frame: Frame) -> Array32:
    if frame.slope == 1.0 and frame.intercept == 0.0:
        values = plane.astype(np.float32)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            values = (plane * np.float64(frame.slope) + frame.intercept).astype(np.float32)
    if padding is not None:
        low, high = padding
        values[(plane >= low) & (plane <= high)] = 0.0
    if not np.isfinite(values).all():
        raise InputError(
            "Rescaled values of an image are not finite",
            got=f"rescale slope {frame.slope:g}, intercept {frame.intercept:g}",
            remedy="Export the series again, or leave it out with --dwi-series none or "
            "--t1-series none",
        )
    return values
