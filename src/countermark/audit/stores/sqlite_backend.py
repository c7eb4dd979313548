"""A log kept in files of one host: ``audit.db``, ``signed.db`` beside it, and one writing process at a time."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote, urlsplit

from countermark.audit.commit import GroupCommit, Submission
from countermark.audit.lock import WriterLock
from countermark.audit.note import NoteSigner
from countermark.audit.sequencer import Sequencer
from countermark.audit.stores.interface import SignedHead
from countermark.audit.stores.signed import SignedStore
from countermark.audit.stores.sqlite import SqliteStore
from countermark.audit.stores.sqlite_reindex import rebuild_index
from countermark.audit.sweep import Progress
from countermark.errors import SettingsInvalid


def store_path(path_or_url: str | Path) -> Path:
    """The file that a path or an ``sqlite:`` URL names.

    Raises:
        SettingsInvalid: another kind of URL, or a folder.
    """
    text = str(path_or_url)
    if isinstance(path_or_url, Path) or "://" not in text:
        path = Path(path_or_url)
        if not path.name or path.is_dir():
            raise SettingsInvalid(f"{path_or_url} is a folder.", remedy="Name the file of the log, such as audit.db.")
        return path
    parts = urlsplit(text)
    if parts.scheme != "sqlite" or parts.netloc or len(parts.path) < 2:
        raise SettingsInvalid(
            f"An audit log cannot be kept at a '{parts.scheme}:' address of this form.",
            remedy="Use a path, sqlite:///relative/file, sqlite:////absolute/file or postgresql://host/database.",
        )
    return Path(unquote(parts.path[1:]))


class SqliteBackend:
    """A log at ``path``, with its record of signed heads in the file ``signed``."""

    def __init__(self, path: Path, signed: Path) -> None:
        self._path = path
        self._signed = signed

    def open_reader(self) -> SqliteStore:
        """The store, never to be written."""
        return SqliteStore(self._path, read_only=True)

    def open_writer(self, signer: NoteSigner | None, held: str | None) -> SqliteWriter:
        """The right to append and to sign, which in files is one.

        Raises:
            SettingsInvalid: no signer.
        """
        if signer is None:
            raise SettingsInvalid(
                "Who writes a log in files also signs it.", remedy="Open it without sequence=False, or use PostgreSQL."
            )
        return SqliteWriter(self._path, self._signed, signer, held)

    def rebuild_index(self, progress: Progress | None) -> int:
        """Derive the look-up index from the entries again; gives their number."""
        return rebuild_index(self._path, progress)

    def signed_head(self, origin: str) -> SignedHead | None:
        """What the record says was signed last."""
        if not self._signed.is_file():
            return None
        signed = SignedStore(self._signed, read_only=True)
        try:
            return signed.get(origin)
        finally:
            signed.close()


class SqliteWriter:
    """What the one writing process holds: the lock, the stores, the sequencer and its queue."""

    def __init__(self, path: Path, signed: Path, signer: NoteSigner, held: str | None) -> None:
        self.session = secrets.token_hex(16)
        with ExitStack() as opened:
            lock = WriterLock(path.with_name(path.name + ".lock"))
            opened.callback(lock.release)
            self.store = SqliteStore(path, read_only=False)
            opened.callback(self.store.close)
            record = SignedStore(signed)
            opened.callback(record.close)
            with self.store.reported():
                sequencer = Sequencer(self.store, record, signer, held=held, session=self.session)
            self._queue = GroupCommit(sequencer.commit)
            self._opened = opened.pop_all()

    def submit(self, submissions: Sequence[Submission]) -> None:
        """Return when all are durable or refused by themselves."""
        self._queue.submit(submissions)

    def close(self) -> None:
        """Wait for a running commit, then release everything; later submissions are refused."""
        self._queue.close()
        self._opened.close()
