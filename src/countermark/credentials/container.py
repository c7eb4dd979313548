"""Finding manifest stores inside an image file, without decoding anything.

Where each format keeps one: C2PA specification 2.4, appendix A.3 (JPEG: APP11 segments as in ISO/IEC 19566-5; PNG: a
``caBX`` chunk; WebP: a ``C2PA`` chunk of RIFF; AVIF: a ``uuid`` box; GIF: an application extension; TIFF: a tag, whose
value is found by its beginning). Every length is checked against the file, so hostile sizes cost nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

STORE_MARK: Final = b"jumdc2pa"
"""The start of a manifest store's description box, 12 bytes into the store, in any container."""

_MARK_OFFSET: Final = 12
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_BMFF_UUID: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_GIF_EXTENSION: Final = b"\x21\xff\x0bC2PA_GIF\x01\x00\x00"
_MAX_PARTS: Final = 10_000


def manifest_stores(data: bytes) -> list[bytes] | None:
    """Every manifest store in a file; ``None`` where the bytes are no PNG, JPEG, WebP, AVIF, TIFF or GIF."""
    for recognise, find in _FORMATS:
        if recognise(data):
            return list(find(data))
    return None


def has_store_mark(data: bytes) -> bool:
    """Whether the bytes hold the start of a manifest store, however damaged the rest is."""
    return STORE_MARK in data


def _png_stores(data: bytes) -> Iterator[bytes]:
    position = len(_PNG)
    for _ in range(_MAX_PARTS):
        header = data[position : position + 8]
        if len(header) < 8:
            return
        length, kind = struct.unpack(">I4s", header)
        if position + 12 + length > len(data):
            return
        if kind == b"caBX":
            yield data[position + 8 : position + 8 + length]
        position += 12 + length


def _webp_stores(data: bytes) -> Iterator[bytes]:
    position = 12
    for _ in range(_MAX_PARTS):
        header = data[position : position + 8]
        if len(header) < 8:
            return
        kind, length = struct.unpack("<4sI", header)
        if position + 8 + length > len(data):
            return
        if kind == b"C2PA":
            yield data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _bmff_stores(data: bytes) -> Iterator[bytes]:
    """The bodies of C2PA ``uuid`` boxes of purpose ``manifest``, past version, purpose and merkle offset."""
    position = 0
    for _ in range(_MAX_PARTS):
        header = data[position : position + 16]
        if len(header) < 8:
            return
        size, kind = struct.unpack(">I4s", header[:8])
        start = 8
        if size == 1 and len(header) == 16:
            size, start = struct.unpack(">Q", header[8:])[0], 16
        end = len(data) if size == 0 else position + size
        if end > len(data) or end < position + start:
            return
        if kind == b"uuid" and data[position + start : position + start + 16] == _BMFF_UUID:
            purpose, separator, rest = data[position + start + 20 : end].partition(b"\0")
            if separator and purpose == b"manifest":
                yield from _one_box(rest[8:])
        position = end


def _gif_stores(data: bytes) -> Iterator[bytes]:
    """The sub-blocks of each C2PA application extension, joined."""
    position = data.find(_GIF_EXTENSION)
    while position >= 0:
        position += len(_GIF_EXTENSION)
        parts = []
        while position < len(data) and data[position]:
            length = data[position]
            parts.append(data[position + 1 : position + 1 + length])
            position += 1 + length
        yield from _one_box(b"".join(parts))
        position = data.find(_GIF_EXTENSION, position)


def _tiff_stores(data: bytes) -> Iterator[bytes]:
    position = data.find(STORE_MARK)
    for _ in range(_MAX_PARTS):
        if position < _MARK_OFFSET:
            return
        store = next(_one_box(data[position - _MARK_OFFSET :]), b"")
        yield from [store] if store else []
        position = data.find(STORE_MARK, position + max(len(store), 1))


def _jpeg_stores(data: bytes) -> Iterator[bytes]:
    """Join the APP11 segments of each box instance; packets must be numbered 1, 2, 3 … in the order of the file."""
    instances: dict[int, list[bytes]] = {}
    for body in _jpeg_app11(data):
        # common identifier "JP", box instance number, packet sequence number, then LBox and TBox, repeated each time
        if len(body) < 16 or body[:2] != b"JP":
            continue
        instance, packet = struct.unpack(">HI", body[2:8])
        packets = instances.setdefault(instance, [])
        if packet != len(packets) + 1:
            return
        packets.append(body[8:] if packet == 1 else body[16:])
    for packets in instances.values():
        if packets[0][_MARK_OFFSET:].startswith(STORE_MARK):
            yield from _one_box(b"".join(packets))


def _jpeg_app11(data: bytes) -> Iterator[bytes]:
    position = 2
    for _ in range(_MAX_PARTS):
        header = data[position : position + 4]
        if len(header) < 4 or header[0] != 0xFF or header[1] in (0xDA, 0xD9):
            return  # scan data or the end: metadata stops here
        (length,) = struct.unpack(">H", header[2:])
        if length < 2 or position + 2 + length > len(data):
            return
        if header[1] == 0xEB:
            yield data[position + 4 : position + 2 + length]
        position += 2 + length


def _one_box(data: bytes) -> Iterator[bytes]:
    """The JUMBF box at the start of ``data``, without what follows it; nothing where it is cut short."""
    size = int.from_bytes(data[:4], "big")
    if 8 <= size <= len(data):
        yield data[:size]


_FORMATS: Final[tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Iterator[bytes]]], ...]] = (
    (lambda data: data.startswith(_PNG), _png_stores),
    (lambda data: data.startswith(b"\xff\xd8"), _jpeg_stores),
    (lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", _webp_stores),
    (lambda data: data[4:8] == b"ftyp", _bmff_stores),
    (lambda data: data.startswith(b"GIF8"), _gif_stores),
    (lambda data: data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff_stores),
)
