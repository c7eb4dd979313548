"""What the demo does to its own files: what the web does, what a forger does, what an insider does."""

from __future__ import annotations

import io
import sqlite3
import struct
import zlib
from pathlib import Path

from PIL import Image, ImageDraw

_PNG_HEADER = 8


def repost(data: bytes) -> bytes:
    """Crop to 60 % of the area off centre, shrink to three quarters, save as JPEG quality 50 without metadata."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    side = 0.6**0.5
    width, height = round(image.width * side), round(image.height * side)
    left, top = round((image.width - width) * 0.8), round((image.height - height) * 0.3)
    cropped = image.crop((left, top, left + width, top + height))
    small = cropped.resize((round(width * 0.75), round(height * 0.75)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=50)
    return buffer.getvalue()


def edit_pixels_keep_manifest(data: bytes) -> bytes:
    """Paint over a part of a PNG's pixels and put every other chunk, the manifest too, back where it was."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    box = (image.width // 3, image.height // 3, image.width // 2, image.height // 2)
    ImageDraw.Draw(image).rectangle(box, fill=(200, 30, 30))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    pixels = b"".join(body for kind, body in _chunks(buffer.getvalue()) if kind == b"IDAT")
    out = [data[:_PNG_HEADER]]
    written = False
    for kind, body in _chunks(data):
        if kind != b"IDAT":
            out.append(_chunk(kind, body))
        elif not written:
            out.append(_chunk(b"IDAT", pixels))
            written = True
    return b"".join(out)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], _PNG_HEADER
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def rewrite_refusal(database: Path, copy: Path) -> int:
    """Copy the audit database and rewrite its newest refusal as a release, as an insider with write access would.

    Returns the index of the entry that was changed.
    """
    copy.unlink(missing_ok=True)
    source = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    target = sqlite3.connect(copy)
    try:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, whoever reads it
        row = target.execute(
            "SELECT seq, body FROM entry WHERE instr(CAST(body AS TEXT), 'generation.refused')"
            " ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        forged = bytes(row[1]).replace(b"generation.refused", b"generation.released").replace(b'"block"', b'"allow"')
        target.execute("UPDATE entry SET body = ? WHERE seq = ?", (forged, row[0]))
        target.commit()
        return int(row[0])
    finally:
        source.close()
        target.close()


def side_by_side(before: bytes, after: bytes) -> bytes:
    """Both pictures on one canvas, at their true sizes."""
    pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data in (before, after)]
    gap = 16
    canvas = Image.new("RGB", (sum(p.width for p in pictures) + gap, max(p.height for p in pictures)), (255, 255, 255))
    left = 0
    for picture in pictures:
        canvas.paste(picture, (left, (canvas.height - picture.height) // 2))
        left += picture.width + gap
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()
