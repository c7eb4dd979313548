"""Content-addressed objects on obstore: a local folder today, S3, GCS or Azure by URL.

An object is written once under the SHA-256 of its bytes and never changed; reading checks the digest again. What
:meth:`ObjectStore.put` has kept in a folder outlives a power cut, so that an event may refer to it.
"""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, from_url

from countermark.errors import AssetTooLarge, AuditStoreDamaged, ForkedProcess, NotFound, OutputUnwritable

if TYPE_CHECKING:
    from obstore.store import RetryConfig

Kind = Literal["released", "held", "manifests"]
MAX_OBJECT_BYTES = 128 * 2**20
_SOON_GIVEN_UP: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
_CHECK_ADDRESS = "Check the address in objects, and the credentials in the environment (AWS_…, GOOGLE_…, AZURE_…)."


class _Threads:
    """obstore's own threads: they begin with its first use, and a child that is forked afterwards waits for them."""

    def __init__(self) -> None:
        self._process = 0

    def require(self) -> None:
        """Note the first use.

        Raises:
            ForkedProcess: it was in the process from which this one was forked.
        """
        here = os.getpid()
        if self._process not in (0, here):
            raise ForkedProcess(
                "Objects were kept or read before this process was forked, and cannot be in it.",
                remedy="Start workers before the first image is marked or verified, or start them with 'spawn'.",
            )
        self._process = here


_threads = _Threads()


class ObjectStore:
    """Objects by kind and digest. Safe to share between threads; see :class:`ForkedProcess` for processes."""

    def __init__(self, store: obstore.store.ObjectStore, url: str, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder
        self.url = url

    @classmethod
    def open(cls, url: str | Path, *, patient: bool = True) -> ObjectStore:
        """A store at a folder or an object-store URL (``s3://…``, ``gs://…``, ``az://…``).

        Args:
            url: the folder or the URL.
            patient: whether a store that does not answer is asked again for three minutes. Otherwise it is given up
                after two more tries or, where it is silent, after half a minute.

        Raises:
            OutputUnwritable: the folder cannot be made, or the URL is not understood.
        """
        text = str(url)
        try:
            if "://" in text and not text.startswith("file://"):
                return cls(from_url(text, retry_config=None if patient else _SOON_GIVEN_UP), text)
            folder = Path(text.removeprefix("file://"))
            return cls(LocalStore(folder, mkdir=True), str(folder), folder)
        except (BaseError, OSError, ValueError) as error:
            raise OutputUnwritable(f"The object store {text} cannot be opened: {_said(error)}.") from error

    def put(self, kind: Kind, data: bytes) -> str:
        """Keep ``data``, durably; return its key. Keeping the same bytes twice is harmless.

        Raises:
            AssetTooLarge: more than 128 MiB, which :meth:`get` would not read.
            OutputUnwritable: the store refused the write.
            ForkedProcess: objects were kept or read before this process was forked.
        """
        if len(data) > MAX_OBJECT_BYTES:
            size, most = len(data) / 2**20, MAX_OBJECT_BYTES >> 20
            raise AssetTooLarge(
                f"An object of {size:.0f} MiB cannot be kept; at most {most} MiB can.",
                remedy="Make a smaller picture, or one that compresses better.",
            )
        key = object_key(kind, hashlib.sha256(data).hexdigest())
        _threads.require()
        try:
            self._write(key, data)
            if self._folder is not None:
                _settle(self._folder, self._folder / key)
        except (BaseError, OSError) as error:
            raise OutputUnwritable(
                f"The object store {self.url} refused a write: {_said(error)}.",
                remedy=_CHECK_ADDRESS if self._folder is None else None,
            ) from error
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
            ForkedProcess: as :meth:`put`.
        """
        _threads.require()
        try:
            result = obstore.get(self._store, key)
            if result.meta["size"] > MAX_OBJECT_BYTES:
                raise AuditStoreDamaged(f"The object {key} is larger than any that was kept.")
            data = bytes(result.bytes())
        except FileNotFoundError as error:
            raise NotFound(f"The object store holds no {key}.") from error
        except (BaseError, OSError, ValueError) as error:  # ValueError: a key that no object can have, as with ".."
            raise NotFound(f"The object {key!r} cannot be read: {_said(error)}.") from error
        if hashlib.sha256(data).hexdigest() != key.rsplit("/", 1)[-1]:
            raise AuditStoreDamaged(f"The object {key} was changed after it was kept.")
        return data


def listable(url: str) -> bool:
    """Whether the store at an object-store URL lets its objects be listed; nothing is made or kept there.

    It is asked once, where a store in use is asked again and again for three minutes.

    Raises:
        OutputUnwritable: it cannot be reached, or there is no such bucket.
        ForkedProcess: as :meth:`ObjectStore.put`.
    """
    _threads.require()
    once: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=10)}
    try:
        for _ in obstore.list(from_url(url, retry_config=once), prefix="released", chunk_size=1):
            break
    except (BaseError, OSError, ValueError) as error:
        if "list request" in str(error) and "403 Forbidden" in str(error):  # that of the store, not of who gives keys
            return False
        raise OutputUnwritable(
            f"The object store {url} cannot be used: {_said(error)}.",
            remedy=_CHECK_ADDRESS,
        ) from error
    return True


def _said(error: Exception) -> str:
    """The first line of an error of obstore: under it comes how it looks inside."""
    return str(error).partition("\n")[0].rstrip(".")


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
