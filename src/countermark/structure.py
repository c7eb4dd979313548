"""Is an image file safe to hand to Pillow and the C2PA library?

Pillow (12.3) bounds the pixels, not the rest of a file. A megabyte of EXIF whose three thousand entries all point at
the same bytes takes it 5 GB; a comment or an EXIF block in many pieces takes time by the square of its length; and a
decoder runs once over the whole picture for each scan of a JPEG, of which a megabyte can declare ten thousand.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
from collections.abc import Iterator
from typing import Any, Final

from PIL import TiffImagePlugin

MAX_READS: Final = 1_000_000
"""How often a decoder may read from one file: a GIF of 64 MiB, the costliest in use, takes some 530,000."""
MAX_PASSES: Final = 8
"""How many times its own length it may read."""
MAX_SCANS: Final = 500
"""Of a JPEG: libjpeg-turbo's fuzzers stop there; encoders write about ten."""
MAX_SEGMENTS: Final = 100_000
"""Of a JPEG; 64 MiB need no more than a thousand."""
MAX_EXIF_SEGMENTS: Final = 64
"""Of a JPEG, 64 KiB each; the standard has one."""
MAX_COMMENTS: Final = 4096
"""Pieces of at most 255 bytes, in a GIF."""
MAX_PROFILES: Final = 16
"""Of a PNG, which may have one; each is unpacked."""

MAX_BOXES: Final = 10_000
"""Of an AVIF; the C2PA library needs 0.4 s for so many."""
MAX_CHUNKS: Final = 100_000
"""Of a WebP; the C2PA library needs 0.9 s for so many."""

_NESTS: Final = frozenset(
    b"moov trak mdia minf stbl moof traf edts udta dinf tref treg mvex mfra meta schi".split()
)  # into which the C2PA library looks
_MARGIN: Final = 1 << 20
_SUB_DIRECTORIES: Final = (0x8769, 0x8825, 0xA005)  # EXIF, GPS, interoperability
_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_BARE: Final = frozenset([0x01, 0xC8, 0xD8, 0xD9, *range(0xF0, 0xFE)])  # followed by no length, for Pillow
_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_EXIF: Final = b"Exif\0\0"


class Costly(Exception):
    """The file would cost more to read than a file of its size should."""


class Metered(io.BytesIO):
    """A file in memory that counts what is read of it, and raises :class:`Costly` when it is too much."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._bytes = MAX_PASSES * len(data) + _MARGIN
        self._reads = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        data = super().read(size)
        self._bytes -= len(data)
        self._reads -= 1
        if self._bytes < 0 or self._reads < 0:
            raise Costly("its parts overlap, or there are too many of them")
        return data


def check_structure(data: bytes) -> None:
    """Look at what :class:`Metered` cannot see, before Pillow opens the file.

    Raises:
        Costly: reading it would take time or memory out of all proportion.
    """
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(data)
    elif data.startswith(b"GIF8"):
        _check_gif(data)
    elif data.startswith(b"\x89PNG") and data.count(b"iCCP") > MAX_PROFILES:
        raise Costly("it holds more colour profiles than one")
    elif data.startswith(b"RIFF"):
        _check_webp(data)
    elif data[4:8] == b"ftyp":
        _check_boxes(data)
        _check_avif(data)


def check_exif(block: bytes) -> None:
    """Whether the entries of an EXIF block hold no more than the block does; a damaged one may pass.

    It is read as Pillow does, by Pillow.

    Raises:
        Costly: they overlap, so that they would unfold to a multiple of it.
    """
    while block.startswith(_EXIF):
        block = block[len(_EXIF) :]
    file, seen = Metered(block), set[object]()
    with contextlib.suppress(SyntaxError, struct.error):
        pending: list[Any] = [TiffImagePlugin.ImageFileDirectory_v2(block[:8]).next]
        while pending:
            pending += _sub_directories(file, block[:8], pending.pop(), seen)


def _sub_directories(file: Metered, head: bytes, at: Any, seen: set[object]) -> list[Any]:
    """Read one directory; where those are to which it points. ``at`` is whatever the file says."""
    directory = TiffImagePlugin.ImageFileDirectory_v2(head)
    with contextlib.suppress(TypeError, ValueError, KeyError, OSError, struct.error):
        if at in seen:
            return []
        file.seek(at)
        seen.add(at)
        directory.load(file)
    found = []
    for tag in _SUB_DIRECTORIES:
        with contextlib.suppress(Exception):  # the entry may hold anything
            found.append(directory[tag])
    return found


def _check_jpeg(data: bytes) -> None:
    exif, scans = [], 0
    for marker, body in _segments(data):
        scans += marker == _SOS
        if scans > MAX_SCANS:
            raise Costly(f"it has more than {MAX_SCANS} scans")
        if marker == _APP1 and not scans and body.startswith(_EXIF):
            exif.append(body[len(_EXIF) :])
            if len(exif) > MAX_EXIF_SEGMENTS:
                raise Costly(f"its EXIF block is in more than {MAX_EXIF_SEGMENTS} pieces")
    check_exif(b"".join(exif))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content, to the end of the first picture; what lies between segments is passed over."""
    position, begun, count = 2, False, 0
    while (found := _MARKER.search(data, position)) is not None:
        if (count := count + 1) > MAX_SEGMENTS:
            raise Costly(f"it has more than {MAX_SEGMENTS:,} segments")
        marker, position = found[1][0], found.end()
        if marker == _EOI and begun:
            return
        if marker in _BARE:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        begun = begun or marker == _SOS
        yield marker, data[position + 2 : position + length]
        position += max(length, 2)


def _check_gif(data: bytes) -> None:
    """Comments, which Pillow puts together piece by piece; it is followed to the second image."""
    position, pieces, images = 13 + _palette(data[10:11]), 0, 0
    while position < len(data) and data[position] != 0x3B:
        kind, label = data[position], data[position + 1 : position + 2]
        if kind == 0x2C and not images:  # its place, its palette, and the width of its codes
            _, position = _blocks(data, position + 11 + _palette(data[position + 9 : position + 10]))
            images = 1
        elif kind == 0x2C:
            return
        elif kind == 0x21 and label == b"\xfe":
            count, position = _blocks(data, position + 2)
            pieces += count + 1
            if pieces > MAX_COMMENTS:
                raise Costly("its comments are in too many pieces")
        elif kind == 0x21:
            first = position + 2
            position = _after(data, first)
            if label == b"\xff" and not images and data[first + 1 : first + 12] == b"NETSCAPE2.0":
                position = _after(data, position)
            _, position = _blocks(data, position)
        else:
            position += 1


def _blocks(data: bytes, position: int) -> tuple[int, int]:
    """How many blocks lie at ``position`` before an empty one, and what comes after that."""
    count = 0
    while position < len(data) and data[position]:
        position, count = _after(data, position), count + 1
        if count > MAX_READS // 2:
            raise Costly("it is in too many pieces")
    return count, position + 1


def _after(data: bytes, position: int) -> int:
    return position + 1 + (data[position] if position < len(data) else 0)


def _palette(flags: bytes) -> int:
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _check_webp(data: bytes) -> None:
    position = 12
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(data):
            return
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    raise Costly(f"it has more than {MAX_CHUNKS:,} chunks")


def _check_boxes(data: bytes) -> None:
    """The C2PA library takes time by the square of their number: 34 s for the 100,000 of an AVIF file of 0.8 MB."""
    pending, count = [(0, len(data))], 0
    while pending:
        position, end = pending.pop()
        while position + 8 <= end:
            if (count := count + 1) > MAX_BOXES:
                raise Costly(f"it has more than {MAX_BOXES:,} boxes")
            size, kind = struct.unpack_from(">I4s", data, position)
            start = position + 8
            if size == 1 and start + 8 <= end:
                size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
            after = position + max(size, 8) if size else end
            if kind in _NESTS:
                pending.append((start + 4 * (kind == b"meta"), min(after, end)))
            position = after


def _check_avif(data: bytes) -> None:
    """Its EXIF block, which Pillow parses as it opens the file."""
    try:
        from PIL import _avif
    except ImportError:  # built without AVIF, of which Pillow will open nothing
        return
    with contextlib.suppress(ValueError, OSError, RuntimeError, SyntaxError):  # damaged: opening it will say so
        *_, exif, _orientation, _xmp = _avif.AvifDecoder(data, "auto", 1).get_info()
        check_exif(exif or b"")
