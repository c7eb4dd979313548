"""Content-addressed objects on obstore: a local folder today, S3, GCS or Azure by URL.

An object is written once under the SHA-256 of its bytes and never changed; reading checks the digest again. What
:meth:`ObjectStore.put` has kept in a folder outlives a power cut, so that an event may refer to it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, from_url

from countermark.errors import AssetTooLarge, AuditStoreDamaged, NotFound, OutputUnwritable

Kind = Literal["released", "held", "manifests"]
MAX_OBJECT_BYTES = 128 * 2**20


class ObjectStore:
    """Objects by kind and digest. Safe to share between threads."""

    def __init__(self, store: obstore.store.ObjectStore, url: str, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder
        self.url = url

    @classmethod
    def open(cls, url: str | Path) -> ObjectStore:
        """A store at a folder or an object-store URL (``s3://…``, ``gs://…``, ``az://…``).

        Raises:
            OutputUnwritable: the folder cannot be made, or the URL is not understood.
        """
        text = str(url)
        try:
            if "://" in text and not text.startswith("file://"):
                return cls(from_url(text), text)
            folder = Path(text.removeprefix("file://"))
            return cls(LocalStore(folder, mkdir=True), str(folder), folder)
        except (BaseError, OSError, ValueError) as error:
            raise OutputUnwritable(f"The object store {text} cannot be opened: {error}.") from error

    def put(self, kind: Kind, data: bytes) -> str:
        """Keep ``data``, durably; return its key. Keeping the same bytes twice is harmless.

        Raises:
            AssetTooLarge: more than 128 MiB, which :meth:`get` would not read.
            OutputUnwritable: the store refused the write.
        """
        if len(data) > MAX_OBJECT_BYTES:
            size, most = len(data) / 2**20, MAX_OBJECT_BYTES >> 20
            raise AssetTooLarge(
                f"An object of {size:.0f} MiB cannot be kept; at most {most} MiB can.",
                remedy="Make a smaller picture, or one that compresses better.",
            )
        key = object_key(kind, hashlib.sha256(data).hexdigest())
        try:
            self._write(key, data)
            if self._folder is not None:
                _settle(self._folder, self._folder / key)
        except (BaseError, OSError) as error:
            raise OutputUnwritable(f"The object store {self.url} refused a write: {error}.") from error
        return key

    def _write(self, key: str, data: bytes) -> None:
        try:
            obstore.put(self._store, key, data, mode="create")
        except AlreadyExistsError:
            # What is there may be damaged or half-written by another tool: the bytes must be the same.
            try:
                self.get(key)
            except AuditStoreDamaged:
                obstore.put(self._store, key, data, mode="overwrite")

    def get(self, key: str) -> bytes:
        """The bytes of an object.

        Raises:
            NotFound: there is none under this key.
            AuditStoreDamaged: the bytes are no longer those that were kept.
        """
        try:
            result = obstore.get(self._store, key)
            if result.meta["size"] > MAX_OBJECT_BYTES:
                raise AuditStoreDamaged(f"The object {key} is larger than any that was kept.")
            data = bytes(result.bytes())
        except FileNotFoundError as error:
            raise NotFound(f"The object store holds no {key}.") from error
        except (BaseError, OSError) as error:
            raise NotFound(f"The object {key} cannot be read: {error}.") from error
        if hashlib.sha256(data).hexdigest() != key.rsplit("/", 1)[-1]:
            raise AuditStoreDamaged(f"The object {key} was changed after it was kept.")
        return data


def object_key(kind: Kind, sha256: str) -> str:
    """Where an object lives: ``released/ab/abcd…``."""
    return f"{kind}/{sha256[:2]}/{sha256}"


def _settle(folder: Path, path: Path) -> None:
    """See that a file of the store outlives a power cut: its bytes, and its name in every folder down to it."""
    windows = os.name == "nt"
    _sync(path, os.O_RDWR if windows else os.O_RDONLY)
    for parent in path.relative_to(folder).parents:
        if not windows:  # where folders cannot be opened
            _sync(folder / parent, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    opened = os.open(path, flags)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
