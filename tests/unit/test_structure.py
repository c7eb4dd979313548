"""Files of few bytes that cost Pillow or the C2PA library gigabytes or minutes are refused before either sees them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from tests.png import chunk

from countermark import imaging
from countermark.credentials import read_xmp
from countermark.errors import AssetInvalid, AssetTooLarge
from countermark.structure import Costly, check_exif, check_structure

SIDE = 64
PIXELS = np.arange(SIDE * SIDE * 3, dtype=np.uint8).reshape(SIDE, SIDE, 3)


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **options)
    return buffer.getvalue()


def exif(entries: int, each: int, *, orientation: int = 6) -> bytes:
    """A block of which every entry points at the same ``each`` bytes."""
    tags = [struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)]
    tags += [struct.pack("<HHII", tag, 1, each, 8) for tag in range(0xB000, 0xB000 + entries)]
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(tags) + bytes(4) + bytes(each)


def with_sub_directory(entries: int, each: int) -> bytes:
    """The same one floor down, beside a pointer that is none."""
    main = b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + struct.pack("<HHII", 0x8769, 4, 1, 60)
    main += struct.pack("<HHII", 0x8825, 2, 3, 0) + bytes(4)
    return main.ljust(60, b"\0") + exif(entries, each)[8:]


def after_header(png: bytes, more: bytes) -> bytes:
    return png[:33] + more + png[33:]


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def in_app1(block: bytes) -> bytes:
    """As EXIF of a JPEG, in as many segments as it takes."""
    parts = [block[at : at + 60_000] for at in range(0, len(block), 60_000)]
    jpeg = encoded("JPEG")
    return jpeg[:2] + b"".join(segment(0xE1, b"Exif\0\0" + part) for part in parts) + jpeg[2:]


def tiff(block: bytes) -> bytes:
    """Entries of an EXIF block put into the directory of a TIFF."""
    file = encoded("TIFF")
    at = struct.unpack("<I", file[4:8])[0]
    count = struct.unpack("<H", file[at : at + 2])[0]
    more = struct.unpack("<H", block[8:10])[0]
    entries = file[at + 2 : at + 2 + 12 * count] + block[10 : 10 + 12 * more]
    entries = b"".join(sorted((entries[i : i + 12] for i in range(0, len(entries), 12)), key=lambda e: e[1::-1]))
    tail = struct.pack("<H", count + more) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", len(file)) + file[8:] + tail + bytes(200_000)


def scans(jpeg: bytes, times: int) -> bytes:
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * times + b"\xff\xd9"


def within_a_segment(jpeg: bytes) -> bytes:
    """Beginning with a segment that holds the beginning of a scan and the end of a picture, as thumbnails do."""
    return jpeg[:2] + segment(0xE0, b"\xff\xda\0\2\xff\xd9") + jpeg[2:]


def behind_a_loop(gif: bytes, comment: bytes) -> bytes:
    """A comment behind a NETSCAPE extension of two ends, which read as one of a single end looks like two images."""
    first = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    loop = b"\x21\xff\x0bNETSCAPE2.0\0" + b"\x2c" + bytes(11) + b"\x2c" + bytes(32) + b"\0"
    return gif[:first] + loop + comment + gif[first:]


BOMB = exif(1000, 200_000)
GIF = encoded("GIF")
COMMENT = b"\x21\xfe" + b"\x01a" * 5000 + b"\0"
HOSTILE = {
    "png, entries of EXIF that overlap": after_header(encoded("PNG"), chunk(b"eXIf", BOMB)),
    "webp, entries of EXIF that overlap": encoded("WEBP", exif=BOMB),
    "jpeg, entries of EXIF that overlap": in_app1(BOMB),
    "jpeg, the same after a marker without length": encoded("JPEG")[:2] + b"\xff\xf0" + in_app1(BOMB)[2:],
    "tiff, entries that overlap": tiff(BOMB),
    "jpeg, EXIF in a hundred pieces": encoded("JPEG")[:2] + segment(0xE1, b"Exif\0\0a") * 100 + encoded("JPEG")[2:],
    "jpeg, scans": scans(encoded("JPEG", progressive=True), 500),
    "jpeg, scans behind a picture within a segment": within_a_segment(scans(encoded("JPEG", progressive=True), 500)),
    "jpeg, segments": encoded("JPEG")[:2] + b"\xff\xe1\0\2" * 100_001 + encoded("JPEG")[2:],
    "jpeg, filled": encoded("JPEG")[:2] + b"\xff" * 1_000_001 + encoded("JPEG")[2:],
    "png, chunks": after_header(encoded("PNG"), chunk(b"abCd", b"") * 500_000),
    "png, colour profiles": after_header(encoded("PNG"), chunk(b"iCCP", b"k\0\0" + zlib.compress(b"a")) * 17),
    "gif, a comment": GIF[:-1] + COMMENT + b";",
    "gif, a comment that hides behind an empty extension": GIF[:-1] + b"\x21\xf9\0\x01a\0" + COMMENT + b";",
    "gif, a comment that hides behind a loop of two ends": behind_a_loop(GIF, COMMENT),
    "gif, blocks of one byte": GIF[:-2] + b"\x01\0" * 500_001 + b"\0;",
    "webp, chunks": encoded("WEBP") + (b"abcd" + bytes(4)) * 100_001,
    "avif, boxes": encoded("AVIF") + b"\0\0\0\x08free" * 10_001,
    "avif, boxes in a box": encoded("AVIF") + struct.pack(">I4s", 8 + 80_008, b"moov") + b"\0\0\0\x08free" * 10_001,
}  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_costly_file_is_refused_before_it_costs(data: bytes) -> None:
    with pytest.raises(AssetTooLarge, match="would cost too much"):
        imaging.decode(data, "it")


@pytest.mark.parametrize("kind", ["jpeg, entries of EXIF that overlap", "png, chunks", "gif, a comment"])
def test_metadata_of_a_costly_file_is_not_read_either(kind: str) -> None:
    with pytest.raises(AssetInvalid, match="would cost too much"):
        read_xmp(HOSTILE[kind])


@pytest.mark.parametrize("block", [BOMB, b"Exif\0\0" + BOMB, with_sub_directory(1000, 200_000)])
def test_exif_that_unfolds_is_costly(block: bytes) -> None:
    with pytest.raises(Costly):
        check_exif(block)


def test_avif_is_asked_for_its_exif_before_pillow_parses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow writes no such file, so what its decoder reports is replaced; should that change, this breaks."""
    real = Image.Exif()
    real[0x010E] = "a note"
    data = encoded("AVIF", exif=real)
    from PIL import _avif

    class Decoder:
        def __init__(self, *arguments: object) -> None:
            self._told = _avif_decoder(*arguments).get_info()

        def get_info(self) -> tuple[object, ...]:
            assert b"a note" in self._told[4]
            return (*self._told[:4], BOMB, *self._told[5:])

    _avif_decoder = _avif.AvifDecoder
    monkeypatch.setattr(_avif, "AvifDecoder", Decoder)
    with pytest.raises(Costly):
        check_structure(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_honest_exif_turns_the_picture(kind: str, orientation: int) -> None:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010E] = "a note " * 1000
    wide = Image.fromarray(np.ascontiguousarray(PIXELS[: SIDE // 2]))
    buffer = io.BytesIO()
    wide.save(buffer, kind, exif=block)
    raster = imaging.decode(buffer.getvalue())
    assert (raster.width, raster.height) == ((SIDE, SIDE // 2) if orientation == 1 else (SIDE // 2, SIDE))


@pytest.mark.parametrize(
    "data",
    [
        encoded("AVIF") + b"\0\0\0\x08free" * 9_900,
        encoded("WEBP") + (b"abcd" + bytes(4)) * 99_900,
        encoded("JPEG")[:2] + b"\xff\xe2\0\2" * 99_900 + encoded("JPEG")[2:],
        encoded("JPEG")[:2] + segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0") * 100 + encoded("JPEG")[2:],
        behind_a_loop(GIF, b"\x21\xfe\x01a\0"),
        scans(encoded("JPEG", progressive=True), 480),
    ],
    ids=["avif", "webp", "jpeg", "jpeg with long XMP", "gif", "scans"],
)
def test_what_is_within_bounds_is_let_through(data: bytes) -> None:
    check_structure(data)


def test_exif_that_a_png_holds_as_text_turns_the_picture() -> None:
    block = exif(0, 0)
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(PIXELS[: SIDE // 2])).save(buffer, "PNG", pnginfo=info)
    assert imaging.decode(buffer.getvalue()).height == SIDE


def test_a_large_gif_and_a_progressive_jpeg_are_read() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2000, 2000), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "GIF")
    assert imaging.decode(buffer.getvalue()).width == 2000
    assert imaging.decode(encoded("JPEG", progressive=True)).width == SIDE
