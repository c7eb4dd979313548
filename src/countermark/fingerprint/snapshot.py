"""The fingerprints of a log in a file, so that the next process need not gather them again.

Little-endian throughout::

    16 bytes   "countermark-pdq" and the version, 1
    32         SHA-256 of everything that follows
     2         bits of a fingerprint, 256
     6         length of the log's origin
     8         entries in the file, n
     8         entries of the log that were read
    32         root of the log's tree of that size (RFC 6962)
               the origin in UTF-8, padded with zeros to a multiple of 8
     8 × n     the log's indices, ascending
    32 × n     the fingerprints

The file is a cache and nothing in it is believed: who reads it checks that it is whole, that it was made from the very
log at hand (its origin and root), and each hit against the log. Tables are not kept: making them for a million entries
takes a third of a second, and only who asks often needs them.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from countermark.fingerprint.hamming import LANES, Packed
from countermark.fingerprint.pdq import BITS

MAGIC = b"countermark-pdq\x01"
_FIELDS = struct.Struct("<HxxxxxxQQQ32s")
_RECORD_BYTES = 8 + BITS // 8
MAX_ORIGIN_BYTES = 4096
_ABANDONED_S = 3600
"""A temporary file as old as this was left behind by a process that died."""


class SnapshotUnusable(Exception):
    """The file is damaged, hostile, or of another kind; it never reaches whoever called the room."""


@dataclass(frozen=True)
class Snapshot:
    """The fingerprints among the first ``covered`` entries of a log, in its order."""

    origin: str
    covered: int
    root: bytes
    references: NDArray[np.int64]
    packed: Packed


def read_snapshot(path: Path, *, origin: str, at_most: int) -> Snapshot:
    """Read a snapshot of the log ``origin``, which has ``at_most`` entries now. Memory is bounded by that number.

    Raises:
        SnapshotUnusable: anything at all is wrong with it.
    """
    try:
        if not path.is_file():
            raise SnapshotUnusable("there is none")
        with path.open("rb") as file:
            # What could be in there for a log of this size; one byte more shows that there is too much.
            most = len(MAGIC) + 32 + _FIELDS.size + MAX_ORIGIN_BYTES + at_most * _RECORD_BYTES
            data = file.read(min(most, os.fstat(file.fileno()).st_size) + 1)
    except OSError as error:
        raise SnapshotUnusable(str(error)) from error
    body = memoryview(data)[len(MAGIC) + 32 :]
    if data[: len(MAGIC)] != MAGIC or hashlib.sha256(body).digest() != data[len(MAGIC) : len(MAGIC) + 32]:
        raise SnapshotUnusable("it is damaged, or of another kind")
    return _parse(body, origin, at_most)


def _parse(body: memoryview, origin: str, at_most: int) -> Snapshot:
    if len(body) < _FIELDS.size:
        raise SnapshotUnusable("it is too short")
    bits, origin_bytes, count, covered, root = _FIELDS.unpack_from(body)
    records = _FIELDS.size + _padded(origin_bytes)
    if bits != BITS or not count <= covered <= at_most or len(body) != records + count * _RECORD_BYTES:
        raise SnapshotUnusable("its lengths do not fit")
    if bytes(body[_FIELDS.size : _FIELDS.size + origin_bytes]) != origin.encode():
        raise SnapshotUnusable("it belongs to another log")
    references = np.frombuffer(body, "<i8", count, records).astype(np.int64)
    packed = np.frombuffer(body, np.uint64, count * LANES, records + 8 * count).reshape(count, LANES)
    ascending = np.all(references[1:] > references[:-1])
    if count and not (ascending and references[0] >= 0 and references[-1] < covered):
        raise SnapshotUnusable("its entries are not in the log's order")
    return Snapshot(origin, covered, root, references, packed)


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Put a snapshot in place of the one before, whole or not at all, whoever else does the same.

    Raises:
        OSError: the folder cannot be written.
    """
    origin = snapshot.origin.encode()
    fields = _FIELDS.pack(BITS, len(origin), len(snapshot.references), snapshot.covered, snapshot.root)
    parts = [
        fields + origin.ljust(_padded(len(origin)), b"\0"),
        snapshot.references.astype("<i8").tobytes(),
        snapshot.packed.tobytes(),
    ]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    _sweep(path)
    handle, temporary = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([MAGIC, digest.digest(), *parts])
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sweep(path: Path) -> None:
    """Remove what processes that died while writing left behind."""
    for left in path.parent.glob(f"{path.name}.*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()


def _padded(length: int) -> int:
    return -(-length // 8) * 8
