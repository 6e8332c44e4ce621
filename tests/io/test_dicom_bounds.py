"""Files that cost far more than they weigh are refused before they cost it."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from dicom_samples import block, dwi, enhanced, t1, write
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from pelvimets.errors import ResourceError
from pelvimets.io.dicom import bounds
from pelvimets.io.study import inspect, read_study


def encoded(dataset: Dataset) -> bytes:
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def deflated(folder: Path, image: Dataset, more: int) -> Path:
    """The image deflated, with so many zeros behind its pixels."""
    plain = encoded(image)
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = encoded(image)
    stream = BytesIO(plain)
    bounds.skip_meta(stream)
    data = plain[stream.tell() :]
    stream = BytesIO(head)
    bounds.skip_meta(stream)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = [packer.compress(data)]
    packed += [packer.compress(struct.pack("<HH2sHI", 0x7FE1, 0x1010, b"OB", 0, more))]
    packed += [packer.compress(bytes(1 << 20)) for _ in range(more >> 20)]
    folder.mkdir(exist_ok=True)
    path = folder / "image"
    path.write_bytes(head[: stream.tell()] + b"".join(packed) + packer.flush())
    return path


def test_a_deflated_image_is_read(tmp_path: Path):
    truth = block()
    for k, image in enumerate(t1(truth)):
        deflated(tmp_path / "s", image, 0).rename(tmp_path / "s" / f"{k}")
    np.testing.assert_array_equal(read_study(tmp_path / "s").t1.volume.array, truth.array)


def test_a_bomb_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = deflated(tmp_path, t1(block())[0], 128 << 20)
    assert path.stat().st_size < 200_000
    inflated = 0
    plain = bounds._check_items

    def counting(blocks):
        def each():
            nonlocal inflated
            for data in blocks:
                inflated += len(data)
                yield data

        plain(each())

    monkeypatch.setattr(bounds, "_check_items", counting)
    with pytest.raises(ResourceError, match=r"inflate to over 67\.1 MB"):
        inspect(path)
    assert inflated <= bounds.RATIO_FROM_BYTES


def test_frames_without_end(tmp_path: Path):
    image = enhanced([(block((10, 6, 6)), 800.0)])
    image.NumberOfFrames = 300_000
    write(tmp_path, [image])
    with pytest.raises(ResourceError, match="300000 frames"):
        inspect(tmp_path)


def items(count: int) -> bytes:
    """A sequence of so many empty items."""
    empty = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * count
    return struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, len(empty)) + empty


@pytest.mark.parametrize("build", [lambda: t1(block())[0], lambda: enhanced([(block(), 800.0)])])
def test_items_without_end(tmp_path: Path, build: Callable[[], Dataset]):
    whole = encoded(build())
    place = whole.index(struct.pack("<HH", 0x0010, 0x0010))
    (tmp_path / "image").write_bytes(whole[:place] + items(2_000_000) + whole[place:])
    began = time.monotonic()
    with pytest.raises(ResourceError, match="more than 500000 items"):
        inspect(tmp_path)
    assert time.monotonic() - began < 5


def test_elements_without_end(tmp_path: Path):
    image = t1(block())[0]
    whole = encoded(image)
    place = whole.index(struct.pack("<HH", 0x0010, 0x0010))
    tiny = struct.pack("<HH2sH", 0x0009, 0x1001, b"LO", 0) * 250_000
    (tmp_path / "image").write_bytes(whole[:place] + tiny + whole[place:])
    with pytest.raises(ResourceError, match="more than 200000 elements"):
        inspect(tmp_path)


@pytest.mark.parametrize("many", [False, True])
def test_a_tail_behind_the_pixels_is_not_read(tmp_path: Path, many: bool):
    """20 GB that take no room on the disk; read, they would take minutes and the memory."""
    truth = block()
    write(tmp_path, [enhanced([(truth, 800.0)])] if many else dwi(truth, 800))
    for path in sorted(tmp_path.iterdir())[:1]:
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size + (20 << 30))
    began = time.monotonic()
    study = read_study(tmp_path)
    np.testing.assert_array_equal(study.dwi.volume.array, truth.array)
    assert time.monotonic() - began < 30


def j2k_header(rows: int, columns: int) -> bytes:
    return b"\xff\x4f\xff\x51" + struct.pack(">HHIIII", 41, 0, columns, rows, 0, 0) + bytes(64)


def jls_header(rows: int, columns: int) -> bytes:
    comment = b"\xff\xfe" + struct.pack(">H", 6) + b"abcd"
    return b"\xff\xd8" + comment + b"\xff\xf7" + struct.pack(">HBHH", 11, 16, rows, columns)


@pytest.mark.parametrize(
    ("syntax", "header"), [(JPEG2000Lossless, j2k_header), (JPEGLSLossless, jls_header)]
)
def test_packed_pixels_of_another_size_are_not_decoded(tmp_path: Path, syntax, header):
    images = dwi(block(), 800)
    for image in images:
        image.PixelData = encapsulate([header(65535, 65535)])
        image["PixelData"].VR = "OB"
        image.file_meta.TransferSyntaxUID = syntax
    write(tmp_path, images)
    with pytest.raises(ResourceError, match="65535 x 65535 packed pixels, 12 x 14 by the header"):
        read_study(tmp_path)
