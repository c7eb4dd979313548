"""The audit log: append events durably and signed; everything that reads is in :class:`LogReader`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

from countermark.audit.canonical import canonical_bytes, event_document
from countermark.audit.commit import AppendEntry, BeginAttempt, GroupCommit
from countermark.audit.lock import WriterLock
from countermark.audit.note import NoteSigner
from countermark.audit.privacy import Sealed, Vault
from countermark.audit.query import index_row
from countermark.audit.reader import LogReader
from countermark.audit.sequencer import Sequencer
from countermark.audit.stores.signed import SignedStore
from countermark.audit.stores.sqlite import SqliteStore
from countermark.audit.stores.sqlite_reader import Pending
from countermark.errors import AuditError, AuditStoreDamaged, EventInvalid, KeyUnavailable, SettingsInvalid
from countermark.keys import KeyRing
from countermark.model import Event, EventType

_OUTCOMES = (EventType.RELEASED, EventType.REFUSED, EventType.HELD, EventType.FAILED)


@dataclass(frozen=True)
class Appended:
    """A durable entry: its index, the size of the signed tree that holds it, and the event as recorded."""

    index: int
    size: int
    event: Event


def store_path(path_or_url: str | Path) -> Path:
    """The file that a path or an ``sqlite:`` URL names.

    Raises:
        SettingsInvalid: another kind of URL.
    """
    text = str(path_or_url)
    if isinstance(path_or_url, Path) or "://" not in text:
        return Path(path_or_url)
    parts = urlsplit(text)
    if parts.scheme != "sqlite" or parts.netloc or len(parts.path) < 2:
        raise SettingsInvalid(
            f"An audit log cannot be kept at a '{parts.scheme}:' address of this form.",
            remedy="Use a path, sqlite:///relative/file or sqlite:////absolute/file.",
        )
    return Path(unquote(parts.path[1:]))


def default_origin(public_key: bytes) -> str:
    """The origin of a log that nobody named: unique to its key, under the special-use domain of RFC 6762."""
    return f"countermark.local/{sha256(public_key).hexdigest()[:16]}"


class _Writer:
    """What a log holds while it may write: the lock, the stores, the sequencer and its queue."""

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
            self.queue = GroupCommit(sequencer.commit)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Wait for a running commit, then release everything; later submissions are refused."""
        self.queue.close()
        self._opened.close()


class AuditLog(LogReader):
    """One log. Open it with :meth:`open`; use it from any number of threads; close it, or use it as a context manager.

    One process at a time may write; others read beside it with ``read_only=True``.
    """

    _writer: _Writer | None = None

    @classmethod
    def open(
        cls,
        path_or_url: str | Path,
        *,
        signer: NoteSigner | None = None,
        master_key: bytes | None = None,
        signed: Path | None = None,
        read_only: bool = False,
        verifier_key: str | None = None,
        held: str | None = None,
    ) -> AuditLog:
        """Open a log, or start one where there is none.

        Args:
            path_or_url: a file, or ``sqlite:///relative/file`` or ``sqlite:////absolute/file``.
            signer: the log's key, named after its origin; without one, the key ring ``keys/`` beside the file is used.
            master_key: 32 bytes that wrap the data keys of protected fields; comes from the same ring by default.
            signed: the record of what was signed, by default ``signed.db`` beside the file; keep it out of backups.
            read_only: never write; works beside a running writer and on a copy, damaged or not.
            verifier_key: for ``read_only``: the log's key, known from elsewhere; otherwise the stored one is believed.
            held: for writing: a checkpoint kept elsewhere, to vouch for the log where ``signed`` was lost.

        Raises:
            HomeLocked: another process writes to this log.
            AuditRollback: the store is behind what was signed.
            AuditStoreDamaged: the store contradicts itself or is no audit store.
            KeyUnavailable: a key is missing, or not the one this log was written with.
            NotFound: ``read_only`` and there is no such file.
        """
        path = store_path(path_or_url)
        signed = signed or path.with_name("signed.db")
        if read_only:
            return cls._open_to_read(path, signed, master_key, signer.verifier_key if signer else verifier_key)
        if signer is None:
            ring = KeyRing.open(path.parent / "keys")
            ring.ensure()
            key = ring.ed25519("audit-log")
            signer = NoteSigner(default_origin(key.public_key().public_bytes_raw()), key)
            master_key = master_key or ring.secret("master")
        vault = Vault(master_key) if master_key else None
        writer = _Writer(path, signed, signer, held)
        log = cls(writer.store, verifier_key=signer.verifier_key, origin=signer.name, signed_path=signed, vault=vault)
        log._writer = writer
        try:
            log._check_master_key()
        except BaseException:
            log.close()
            raise
        return log

    @classmethod
    def _open_to_read(cls, path: Path, signed: Path, master_key: bytes | None, verifier_key: str | None) -> AuditLog:
        vault = Vault(master_key) if master_key else None
        store = SqliteStore(path, read_only=True)
        try:
            with store.reader() as reader:
                meta = reader.meta()
            if "verifier_key" not in meta:
                raise AuditStoreDamaged(f"{path} holds no audit log.")
        except BaseException:
            store.close()
            raise
        key = verifier_key or meta["verifier_key"]
        return cls(store, verifier_key=key, origin=meta.get("origin", ""), signed_path=signed, vault=vault)

    def _check_master_key(self) -> None:
        with self._store.reader() as reader:
            newest = reader.newest_master_id()
        if self._vault and newest and newest != self._vault.master_id:
            raise KeyUnavailable(
                f"The newest protected fields are under master key {newest}, but {self._vault.master_id} was given.",
                remedy="Give the master key that this log was written with.",
            )

    def close(self) -> None:
        """Release the files and the writer's lock."""
        if self._writer:
            self._writer.close()
        super().close()

    def append(self, event: Event, *, protected: Mapping[str, str] | None = None) -> Appended:
        """Record one event; durable and signed when this returns.

        Repeating an append with the very same event returns the entry it already has.

        Args:
            event: what happened. Its ``protected`` commitments are made here.
            protected: plaintexts to encrypt and commit to, by field: ``prompt``, ``negative_prompt``.

        Raises:
            EventInvalid: cannot be recorded, or its id was used for another event.
            KeyUnavailable: ``protected`` is given but the log has no master key.
            AuditPoisoned: the disk failed: unknown whether the event is recorded. Open the log again and repeat.
        """
        return self.append_many([(event, protected)])[0]

    def append_many(self, events: Iterable[tuple[Event, Mapping[str, str] | None]]) -> list[Appended]:
        """Record several events in one commit, in order; see :meth:`append`. Raises the first one's error."""
        writer = self._require_writer()
        asked = list(events)
        prepared = [self._prepare(event, protected) for event, protected in asked]
        writer.queue.submit([entry for _, entry in prepared])
        for position, (event, protected) in enumerate(asked):
            if prepared[position][1].error and protected:
                # Another thread may have recorded the same event just now, under a data key of its own: commit alike.
                prepared[position] = self._prepare(event, protected)
                writer.queue.submit([prepared[position][1]])
            error = prepared[position][1].error
            if error:
                raise error
        return [Appended(entry.index, entry.size, event) for event, entry in prepared]

    def _prepare(self, event: Event, protected: Mapping[str, str] | None) -> tuple[Event, AppendEntry]:
        sealed = self._seal(event, protected) if protected else None
        if sealed:
            event = event.model_copy(update={"protected": (*event.protected, *sealed.commitments)})
        document = event_document(event)
        concludes = event.attempt if event.type in _OUTCOMES else None
        entry = AppendEntry(event.event_id, canonical_bytes(document), index_row(document), sealed, concludes)
        return event, entry

    def _seal(self, event: Event, protected: Mapping[str, str]) -> Sealed:
        if event.protected:
            raise EventInvalid(
                f"Event {event.event_id} already has commitments, and plaintexts were given too.",
                remedy="Give the event without commitments; the log makes them.",
            )
        vault = self._require_vault()
        with self._store.reader() as reader:
            known = reader.secret(event.event_id)
        return vault.seal(event.event_id, protected, known)

    def begin(self, attempt: str, *, tenant: str, time: str) -> None:
        """Remember durably that an attempt began, until an outcome with the same ``attempt`` is appended."""
        self._require_writer().queue.submit([BeginAttempt(attempt, tenant, time)])

    def unfinished(self) -> tuple[Pending, ...]:
        """Attempts that an earlier process began and never concluded, oldest first."""
        with self._store.reader() as reader:
            return reader.pending(other_than_session=self._writer.session if self._writer else "")

    def _require_writer(self) -> _Writer:
        if self._writer is None:
            raise AuditError(
                f"The audit log {self.origin} is open for reading only.", remedy="Open it without read_only to append."
            )
        return self._writer
