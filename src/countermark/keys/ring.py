"""The key ring of one installation.

A folder of small files, one for each purpose and epoch (``watermark-00.key``, ``audit-log-00.key`` …), each readable
by its owner alone. The keys of a purpose may be kept elsewhere, each by a secret URI (see :mod:`countermark.keys.uri`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.errors import KeyUnavailable, OutputUnwritable
from countermark.files import sync_folder
from countermark.keys.uri import SECRET_BYTES, decode_secret, read_private, resolve

_FILE = re.compile(r"^(?P<purpose>[a-z-]+)-(?P<epoch>[0-9]{2})\.key")


class Purpose(StrEnum):
    """What a key is for. No key serves two purposes."""

    WATERMARK = "watermark"
    AUDIT_LOG = "audit-log"
    MASTER = "master"
    PSEUDONYM = "pseudonym"
    WITNESS = "witness"


OF_AN_INSTALLATION = tuple(purpose for purpose in Purpose if purpose is not Purpose.WITNESS)
"""What every installation has. A witness is another party, with a key of its own."""

ROTATED = {Purpose.WATERMARK: 16, Purpose.MASTER: 100, Purpose.PSEUDONYM: 100}
"""What can be rotated, and how many epochs of it there can be: a watermark has four bits for its own."""

RESTORE = "Restore it from a backup: a new key reads nothing of what was made with the old one."

_ALGORITHMS = {
    Purpose.WATERMARK: "keyed watermark, 256 bits",
    Purpose.AUDIT_LOG: "Ed25519",
    Purpose.MASTER: "AES-256-GCM key wrap",
    Purpose.PSEUDONYM: "HMAC-SHA-256",
    Purpose.WITNESS: "Ed25519",
}


@dataclass(frozen=True)
class KeyInfo:
    """What may be shown of a key: never the key."""

    purpose: Purpose
    epoch: int
    algorithm: str
    key_id: str
    location: str
    created: str


class KeyRing:
    """Secrets by purpose and epoch.

    Args:
        folder: where key files are kept; made on first use with mode 0700.
        uris: purposes whose keys live elsewhere: a secret URI, or one for each epoch, the newest first, so that a key
            keeps its epoch when another is put before it.
    """

    def __init__(self, folder: Path, uris: Mapping[Purpose, str | Sequence[str]] | None = None) -> None:
        self.folder = folder
        self._uris = {
            purpose: (named,) if isinstance(named, str) else tuple(reversed(named))  # by epoch
            for purpose, named in (uris or {}).items()
        }

    @classmethod
    def open(cls, folder: Path | str, uris: Mapping[Purpose, str | Sequence[str]] | None = None) -> KeyRing:
        """The ring kept in ``folder``; nothing is made or read yet."""
        return cls(Path(folder), uris)

    def ensure(self, purposes: Iterable[Purpose] = OF_AN_INSTALLATION) -> list[KeyInfo]:
        """Make every key that is missing, of an installation unless told; return those that were made.

        Raises:
            OutputUnwritable: the folder cannot be made or written.
        """
        made: list[KeyInfo] = []
        for purpose in purposes:
            if purpose in self._uris or self.epochs(purpose):
                continue
            self._write(self._path(purpose, 0), secrets.token_bytes(SECRET_BYTES))  # or another process just did
            made.append(self._info(purpose, 0))
        return made

    def rotate(self, purpose: Purpose | str, announce: Callable[[KeyInfo, int, str], None]) -> KeyInfo:
        """Make a new key take over; older ones stay, for what was made with them.

        Args:
            purpose: of :data:`ROTATED`.
            announce: called with the key in force, the next epoch and the next key's id before the key is there; what
                it raises ends the rotation.

        Raises:
            KeyUnavailable: no such key yet, or it cannot be rotated here.
        """
        purpose = Purpose(purpose)
        epochs = self.epochs(purpose)
        if purpose not in ROTATED:
            raise KeyUnavailable(
                f"The key '{purpose}' cannot be rotated: checkpoints and receipts are trusted because they name it.",
                remedy="Where it was lost or stolen, start a new log under a new name and publish its key.",
            )
        if purpose in self._uris:
            older = ", ".join(f'"{uri}"' for uri in reversed(self._uris[purpose]))
            raise KeyUnavailable(
                f"The key '{purpose}' is kept elsewhere, where this ring can make none.",
                remedy="Make a new one there (openssl rand -hex 32), and name it before the old one, which is needed"
                f' for what was made with it: [keys] {purpose} = ["NEW", {older}] in countermark.toml.',
            )
        if not epochs:
            raise KeyUnavailable(f"There is no key '{purpose}' yet.", remedy="Make it with: countermark keys init")
        if epochs[-1] + 1 >= ROTATED[purpose]:
            raise KeyUnavailable(f"All {ROTATED[purpose]} epochs of the key '{purpose}' are used up.")
        value, epoch = secrets.token_bytes(SECRET_BYTES), epochs[-1] + 1
        announce(self._info(purpose, epochs[-1]), epoch, _key_id(purpose, value))
        if not self._write(self._path(purpose, epoch), value):
            raise KeyUnavailable(f"Another process rotated the key '{purpose}' at the same time; theirs is in force.")
        return self._info(purpose, epoch)

    def secret(self, purpose: Purpose | str, epoch: int | None = None) -> bytes:
        """The 32-byte secret of a purpose; the newest epoch unless told.

        Raises:
            KeyUnavailable: no such key, or its file cannot be used.
        """
        purpose = Purpose(purpose)
        epochs = self.epochs(purpose)
        if not epochs or (epoch is not None and epoch not in epochs):
            wanted = "" if epoch is None else f" of epoch {epoch}"
            raise KeyUnavailable(f"The key ring {self.folder} holds no key for '{purpose}'{wanted}.")
        chosen = epochs[-1] if epoch is None else epoch
        if purpose in self._uris:
            return resolve(self._uris[purpose][chosen])
        path = self._path(purpose, chosen)
        return decode_secret(read_private(path), str(path), remedy=RESTORE)

    def secrets(self, purpose: Purpose | str) -> list[bytes]:
        """The secrets of all epochs, the newest first."""
        return [self.secret(purpose, epoch) for epoch in reversed(self.epochs(purpose))]

    def ed25519(self, purpose: Purpose | str) -> Ed25519PrivateKey:
        """The newest signing key of a purpose; the secret is its RFC 8032 seed."""
        return Ed25519PrivateKey.from_private_bytes(self.secret(purpose))

    def epochs(self, purpose: Purpose | str) -> tuple[int, ...]:
        """The epochs held for a purpose, oldest first."""
        if purpose in self._uris:
            return tuple(range(len(self._uris[Purpose(purpose)])))
        if not self.folder.is_dir():
            return ()
        found = (_FILE.fullmatch(path.name) for path in self.folder.iterdir())
        return tuple(sorted(int(m["epoch"]) for m in found if m and m["purpose"] == purpose))

    def missing(self) -> tuple[Purpose, ...]:
        """What an installation needs and this ring does not hold."""
        return tuple(purpose for purpose in OF_AN_INSTALLATION if not self.epochs(purpose))

    def list(self) -> list[KeyInfo]:
        """What is held, without the secrets. The key id is a truncated SHA-256 that identifies and reveals nothing."""
        return [self._info(purpose, epoch) for purpose in Purpose for epoch in self.epochs(purpose)]

    def key_id(self, purpose: Purpose | str, epoch: int | None = None) -> str:
        """A public name for a key: 8 hexadecimal digits of a domain-separated SHA-256."""
        return _key_id(Purpose(purpose), self.secret(purpose, epoch))

    def _info(self, purpose: Purpose, epoch: int) -> KeyInfo:
        if purpose in self._uris:
            location, created = self._uris[purpose][epoch], ""
        else:
            path = self._path(purpose, epoch)
            location = str(path)
            created = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return KeyInfo(purpose, epoch, _ALGORITHMS[purpose], self.key_id(purpose, epoch), location, created)

    def _path(self, purpose: Purpose, epoch: int) -> Path:
        return self.folder / f"{purpose}-{epoch:02d}.key"

    def _write(self, path: Path, value: bytes) -> bool:
        """Write a new key file whole or not at all, never over an old one; whether it is ours.

        It outlives a power cut, as does what will be written under it.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=".new-")  # mode 0600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(value)
                    file.flush()
                    os.fsync(file.fileno())
                os.link(name, path)  # fails where the file exists, unlike rename
                sync_folder(self.folder)
            except FileExistsError:
                return False
            finally:
                with contextlib.suppress(FileNotFoundError):
                    Path(name).unlink()
        except OSError as error:
            raise OutputUnwritable(
                f"The key folder {self.folder} cannot be written: {error.strerror or error}.",
                remedy="Set COUNTERMARK_HOME to a folder that you own.",
            ) from error
        return True


def _key_id(purpose: Purpose, secret: bytes) -> str:
    return hashlib.sha256(b"countermark/key-id/v1\0" + purpose.encode() + secret).hexdigest()[:8]
