"""What a DICOM file may cost, judged before it is inflated, parsed or decoded.

A few megabytes can be packed so that they inflate a thousandfold, or hold millions of items,
each of which costs the parser tens of microseconds. Limits are far above what scanners write:
a session of functional MR has some ten thousand frames, and each frame some ten items.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, RLELossless

from pelvimets.errors import ResourceError

PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
MOST_FRAMES = 50_000
MOST_ITEMS = 500_000
MOST_ELEMENTS = 200_000
LARGEST_HEADER_BYTES = 256 * 1024**2
LARGEST_INFLATED_BYTES = 2 * 1024**3
LARGEST_RATIO, RATIO_FROM_BYTES = 100.0, 64 * 1024**2

_SMALL_BYTES = 4 * 1024**2  # too few to hold so many items
_BLOCK = 1 << 20
_ITEM = b"\xfe\xff\x00\xe0"
_HEAD_BYTES = 4096
_SIZE_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_REMEDY = "Leave this file out, or export the series again as single images, uncompressed"

StopWhen = Callable[[BaseTag, str | None, int], bool]


def check_cost(file: BinaryIO, size: int) -> None:
    """Look at a file of so many bytes before it is parsed; the file is left at its start.

    Raises:
        ResourceError: if it would inflate to too much, or holds too many items.
    """
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if DeflatedExplicitVRLittleEndian.encode() in head:
        skip_meta(file)
        _check_items(_inflated(file, size))
    elif size > _SMALL_BYTES:
        _check_items(_blocks(file, LARGEST_HEADER_BYTES))
    file.seek(0)


def skip_meta(file: BinaryIO) -> None:
    """Go to where the data set begins, behind preamble and file meta information."""
    read_preamble(file, force=True)
    _read_file_meta_info(file)


def bounded(stop: StopWhen, file: BinaryIO) -> StopWhen:
    """The same condition to stop at, which also refuses a header without end."""
    count = 0

    def stop_when(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal count
        count += 1
        if count > MOST_ELEMENTS:
            raise _too_much(f"more than {MOST_ELEMENTS} elements")
        if file.tell() > LARGEST_HEADER_BYTES:
            raise _too_much(f"a header of more than {LARGEST_HEADER_BYTES // 1024**2} MiB")
        return stop(tag, vr, length)

    return stop_when


def check_frames(frames: int) -> None:
    """Refuse a number of frames that no scanner writes into one file."""
    if frames > MOST_FRAMES:
        raise _too_much(f"{frames} frames")


def check_codestreams(dataset: Dataset) -> None:
    """That no packed frame unpacks to another size than the header says.

    Decoders take memory for what the packed bytes state, 65535 x 65535 as readily as 256 x 256.

    Raises:
        ResourceError: with what a frame states.
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not syntax.is_encapsulated or syntax == RLELossless:
        return
    wanted = (int(dataset.Rows), int(dataset.Columns))
    frames = int(dataset.get("NumberOfFrames") or 1)
    for packed in generate_frames(dataset.PixelData, number_of_frames=frames):
        stated = _stated_size(packed)
        if stated is not None and stated != wanted:
            raise _too_much("{} x {} packed pixels, {} x {} by the header".format(*stated, *wanted))


def _stated_size(packed: bytes) -> tuple[int, int] | None:
    """Rows and columns by the first frame header of JPEG, JPEG-LS or JPEG 2000; else None."""
    at = packed.find(b"\xff\x4f\xff\x51", 0, _HEAD_BYTES)
    if at >= 0 and len(packed) >= at + 24:
        right, bottom, left, top = struct.unpack_from(">4I", packed, at + 8)
        return bottom - top, right - left
    at = 2
    while packed[:2] == b"\xff\xd8" and at + 9 <= len(packed) and packed[at] == 0xFF:
        marker = packed[at + 1]
        length, _, rows, columns = struct.unpack_from(">HBHH", packed, at + 2)
        if marker in _SIZE_MARKERS:
            return rows, columns
        at += 1 if marker == 0xFF else 2 + length
    return None


def _check_items(blocks: Iterator[bytes]) -> None:
    items, before = 0, b""
    for block in blocks:
        items += (before[-3:] + block).count(_ITEM)
        before = block
        if items > MOST_ITEMS:
            raise _too_much(f"more than {MOST_ITEMS} items")


def _blocks(file: BinaryIO, most: int) -> Iterator[bytes]:
    left = most
    while left > 0 and (block := file.read(min(_BLOCK, left))):
        left -= len(block)
        yield block


def _inflated(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Inflate block by block, keeping none; stop where it becomes too much."""
    most = min(LARGEST_INFLATED_BYTES, max(RATIO_FROM_BYTES, LARGEST_RATIO * size))
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for packed in _blocks(file, size):
        while packed:
            block = inflater.decompress(packed, _BLOCK)
            packed = inflater.unconsumed_tail
            total += len(block)
            if total > most:
                raise _too_much(f"{size / 1e6:.3g} MB that inflate to over {most / 1e6:.3g} MB")
            yield block


def _too_much(got: str) -> ResourceError:
    return ResourceError(
        "A DICOM file would cost more than any image is worth", got=got, remedy=_REMEDY
    )
