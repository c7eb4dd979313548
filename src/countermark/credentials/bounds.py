"""Is a manifest store safe to hand to the C2PA library?

The library (c2pa-rs 0.91) reserves as much memory as a CBOR string *says* it holds, so ten kilobytes can ask for four
gigabytes. Here every JUMBF box must lie within its parent and every CBOR item within its box, before the library sees
them. Sources: ISO/IEC 19566-5 (JUMBF), RFC 8949 (CBOR).
"""

from __future__ import annotations

import struct
from typing import Final, Literal

Objection = Literal["malformed", "compressed"]

_MAX_BOXES: Final = 20_000
_ARGUMENT_BYTES: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_INDEFINITE: Final = 31


def objection(store: bytes) -> Objection | None:
    """Why a manifest store should not be parsed; ``None`` where it may be.

    ``compressed`` is no fault of the file: Brotli could unfold to any size, so we do not open it.
    """
    pending = [(0, len(store))]
    boxes = 0
    while pending:
        position, end = pending.pop()
        while position < end:
            boxes += 1
            box = _box(store, position, end)
            if box is None or boxes > _MAX_BOXES:
                return "malformed"
            kind, start, position = box
            if kind == b"brob":
                return "compressed"
            if kind == b"jumb":
                pending.append((start, position))
            elif kind == b"cbor" and not cbor_is_bounded(store[start:position]):
                return "malformed"
    return None


def _box(store: bytes, position: int, end: int) -> tuple[bytes, int, int] | None:
    """Type, start of the content and end of the box at ``position``, or ``None`` where it leaves its parent."""
    if end - position < 8:
        return None
    size, kind = struct.unpack(">I4s", store[position : position + 8])
    start = position + 8
    if size == 1:
        if end - position < 16:
            return None
        (size,) = struct.unpack(">Q", store[start : start + 8])
        start += 8
    box_end = end if size == 0 else position + size
    return (kind, start, box_end) if start <= box_end <= end else None


def cbor_is_bounded(data: bytes) -> bool:
    """Whether every string in a CBOR sequence ends within it, and no array or map claims more items than bytes.

    Nesting is not followed: heads come one after another whatever they nest in.
    """
    position = 0
    while position < len(data):
        major, info = data[position] >> 5, data[position] & 0x1F
        position += 1
        width = _ARGUMENT_BYTES.get(info, 0)
        if 28 <= info < _INDEFINITE or position + width > len(data):
            return False
        value = int.from_bytes(data[position : position + width], "big") if width else info
        position += width
        if info == _INDEFINITE:
            continue
        if major in (2, 3):
            position += value
        if major in (2, 3, 4, 5) and (position > len(data) or value > len(data)):
            return False
    return True
