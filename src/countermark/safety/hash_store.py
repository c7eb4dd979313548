"""Lists of hashes on disk: one compact file a list, added to without reading the source lists again.

Layout, little-endian::

    16 bytes   "countermark-hl", zero, and the version, 1
    then, for every import, a block:
      4        "pdq " or "sha2"
      4        zero
      8        hashes in the block, n
     32        SHA-256 of (the digest before, the 16 bytes above, the hashes); the first "digest before" is that of
               MAGIC and the list's name
     32 × n    the hashes

The last block's digest is the list's: it stands for the name and everything that was ever imported, in order. Adding
costs a copy of the file and the hashes that are new; the file changes whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from countermark.errors import HashListDamaged, HashListInvalid, NotFound, OutputUnwritable
from countermark.files import open_file, write_new
from countermark.safety.hash_import import HASH_BYTES, Batch, HashKind

MAGIC: Final = b"countermark-hl\0\x01"
MAX_HASHES: Final = 20_000_000
"""In one list: 640 MB. The largest industry lists hold a few million."""
MAX_LISTS: Final = 64
SUFFIX: Final = ".hashes"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_BLOCK: Final = struct.Struct("<4s4xQ")
_TAGS: Final[dict[HashKind, bytes]] = {"pdq": b"pdq ", "sha256": b"sha2"}

Hashes = NDArray[np.uint8]
"""``n × 32``."""


@dataclass(frozen=True)
class HashList:
    """One list in memory."""

    name: str
    digest: str
    hashes: dict[HashKind, Hashes]

    def __len__(self) -> int:
        return sum(map(len, self.hashes.values()))


@dataclass(frozen=True)
class Added:
    """What an import did: hashes that are new, that the list already had, and that were of other kinds."""

    new: int
    known: int
    others: int
    digest: str


class HashListStore:
    """The folder in which an installation keeps its lists; made by the first import."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> tuple[str, ...]:
        """The lists, by name; whatever has a list's name and cannot be read as one is among them.

        Raises:
            HashListDamaged: the folder is there and cannot be read.
        """
        try:
            found = [entry.name for entry in os.scandir(self.folder)]
        except OSError as error:
            if not os.path.lexists(self.folder):
                return ()
            raise HashListDamaged(
                f"The folder of the hash lists, {self.folder}, cannot be read: {error.strerror or error}.",
                remedy="It must be a folder that countermark may read; lists are imported into it.",
            ) from error
        return tuple(sorted(name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX)))

    def state(self) -> tuple[tuple[str, int, int, int], ...]:
        """Something that changes whenever a list does: cheap enough to ask before every look-up."""
        try:
            found = [(entry.name, _stat(entry)) for entry in os.scandir(self.folder) if entry.name.endswith(SUFFIX)]
        except OSError as error:
            return (("", error.errno or 0, 0, 0),)
        return tuple(sorted((name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in found))

    def read(self, name: str) -> HashList:
        """Read a list, checking every byte of it against its digest.

        Raises:
            NotFound: there is no such list.
            HashListDamaged: the file cannot be read, was altered, cut off, or is another list's.
        """
        path = self._path(name)
        try:
            with open_file(path) as file:
                data = file.read(MAX_HASHES * HASH_BYTES + 2**20)
        except OSError as error:
            if not os.path.lexists(path):
                raise NotFound(
                    f"There is no hash list {name!r}.", remedy="See the lists with: countermark hashes list"
                ) from error
            raise HashListDamaged(f"The hash list {name!r} cannot be read: {error.strerror or error}.") from error
        return _parse(name, data)

    def add(self, name: str, batches: Iterable[Batch]) -> Added:
        """Add hashes to a list, which is made if it does not exist; what the list already has is left out.

        Raises:
            HashListInvalid: the name cannot be used, there is no hash to add, or the list or the number of lists would
                grow beyond its bound.
            HashListDamaged: the list on disk is damaged; nothing was changed.
            OutputUnwritable: the file cannot be written, or another process changed the list in between.
        """
        path = self._path(name)
        before = self.state()
        exists = os.path.lexists(path)
        if not exists and len(self.names()) >= MAX_LISTS:
            raise HashListInvalid(f"There are {MAX_LISTS} lists already.", remedy="Remove one that is out of use.")
        old = self.read(name) if exists else HashList(name, _seed(name).hex(), _by_kind({}))
        given, others = _collect(batches, MAX_HASHES - len(old), name)
        new = {kind: _fresh(old.hashes[kind], hashes) for kind, hashes in given.items()}
        count = sum(map(len, new.values()))
        known = sum(map(len, given.values())) - count
        if not count and not known:
            left_out = f" besides {others:,} of types that cannot be looked up" if others else ""
            raise HashListInvalid(
                f"There is no hash to import{left_out}: the list {name!r} is as it was.",
                remedy="Ask whoever keeps the list for a fresh copy.",
            )
        if not count:
            return Added(0, known, others, old.digest)
        digest = bytes.fromhex(old.digest)
        parts = [path.read_bytes() if exists else MAGIC]
        for kind, hashes in new.items():
            if len(hashes):
                head, body = _BLOCK.pack(_TAGS[kind], len(hashes)), hashes.tobytes()
                digest = hashlib.sha256(digest + head + body).digest()
                parts += [head, digest, body]
        if self.state() != before:
            raise OutputUnwritable("Another process changed the hash lists meanwhile.", remedy="Import again.")
        self._make_folder()
        write_new(path, b"".join(parts), overwrite=True)
        return Added(count, known, others, digest.hex())

    def remove(self, name: str) -> None:
        """Delete a list.

        Raises:
            NotFound: there is no such list.
            OutputUnwritable: it cannot be deleted.
        """
        try:
            self._path(name).unlink()
        except FileNotFoundError as error:
            raise NotFound(
                f"There is no hash list {name!r}.", remedy="See the lists with: countermark hashes list"
            ) from error
        except OSError as error:
            raise OutputUnwritable(f"The hash list {name!r} cannot be removed: {error.strerror or error}.") from error

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise HashListInvalid(
                "The list's name cannot be used.",
                remedy="Up to 64 of a-z, 0-9, dot, hyphen and underscore; a letter or digit first.",
            )
        return self.folder / f"{name}{SUFFIX}"

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputUnwritable(f"{self.folder} cannot be made: {error.strerror or error}.") from error


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError:  # a link that leads nowhere
        return entry.stat(follow_symlinks=False)


def _collect(batches: Iterable[Batch], room: int, name: str) -> tuple[dict[HashKind, Hashes], int]:
    """All batches as one array for each kind."""
    parts: dict[HashKind, list[Hashes]] = {kind: [] for kind in get_args(HashKind)}
    count = others = 0
    for batch in batches:
        count, others = count + len(batch) - batch.others, others + batch.others
        if count > room:
            raise HashListInvalid(f"The list {name!r} would hold more than {MAX_HASHES:,} hashes.", remedy="Split it.")
        parts["pdq"].append(_rows(batch.pdq))
        parts["sha256"].append(_rows(batch.sha256))
    return _by_kind(parts), others


def _by_kind(parts: dict[HashKind, list[Hashes]]) -> dict[HashKind, Hashes]:
    empty = np.empty((0, HASH_BYTES), np.uint8)
    return {kind: np.concatenate([empty, *parts.get(kind, [])]) for kind in get_args(HashKind)}


def _rows(data: bytes | bytearray | memoryview) -> Hashes:
    return np.frombuffer(data, np.uint8).reshape(-1, HASH_BYTES)


def _fresh(known: Hashes, given: Hashes) -> Hashes:
    """The given hashes that are not yet known, each once, in their order."""
    together = np.concatenate([known, given])
    lanes = together.view(np.uint64)
    order = np.lexsort(lanes.T)  # stable: of equals, the known one or the first comes first
    ordered = lanes[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    kept = np.sort(order[first])
    return np.ascontiguousarray(together[kept[kept >= len(known)]])


def _seed(name: str) -> bytes:
    return hashlib.sha256(MAGIC + name.encode()).digest()


def _parse(name: str, data: bytes) -> HashList:
    damaged = HashListDamaged(f"The hash list {name!r} is damaged, or was altered.")
    if data[: len(MAGIC)] != MAGIC or len(data) == len(MAGIC):  # no import leaves a list without hashes
        raise damaged
    digest, at, view = _seed(name), len(MAGIC), memoryview(data)
    parts: dict[HashKind, list[Hashes]] = {kind: [] for kind in get_args(HashKind)}
    kinds = {tag: kind for kind, tag in _TAGS.items()}
    while at < len(data):
        body = at + _BLOCK.size + hashlib.sha256().digest_size
        if body > len(data):
            raise damaged
        head = view[at : at + _BLOCK.size]
        tag, count = _BLOCK.unpack(head)
        end = body + count * HASH_BYTES
        if tag not in kinds or end > len(data):
            raise damaged
        chained = hashlib.sha256(digest)
        chained.update(head)
        chained.update(view[body:end])
        digest = chained.digest()
        if digest != data[at + _BLOCK.size : body]:
            raise damaged
        parts[kinds[tag]].append(_rows(view[body:end]))
        at = end
    return HashList(name, digest.hex(), _by_kind(parts))
