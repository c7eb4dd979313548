"""The audit log: appending durably and signed. Reading is in :mod:`.reader`, erasing and such in :mod:`.custodian`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from countermark.audit.canonical import canonical_bytes, event_document
from countermark.audit.commit import AppendEntry, BeginAttempt, append_entry
from countermark.audit.exporter import Exporter
from countermark.audit.note import NoteSigner
from countermark.audit.privacy import Sealed, Vault
from countermark.audit.stores.interface import Backend, Pending, Writer
from countermark.audit.stores.sqlite_backend import SqliteBackend, store_path
from countermark.audit.stores.sqlite_schema import NAME_A_STORE
from countermark.audit.verify import Progress
from countermark.errors import (
    AuditClosed,
    AuditError,
    AuditStoreDamaged,
    EventInvalid,
    ForkedProcess,
    KeyUnavailable,
    MissingExtra,
    SettingsInvalid,
)
from countermark.keys import KeyRing, Purpose
from countermark.model import Event


@dataclass(frozen=True)
class Appended:
    """A durable entry: its index, the size of the signed tree that holds it, and the event as recorded."""

    index: int
    size: int
    event: Event


def default_origin(ring: KeyRing) -> str:
    """The origin of a log that nobody named: unique to its key, under the special-use domain of RFC 6762."""
    return f"countermark.local/{ring.key_id(Purpose.AUDIT_LOG)}"


def is_postgres(path_or_url: str | Path) -> bool:
    """Whether an address names a PostgreSQL database."""
    return str(path_or_url).startswith(("postgresql://", "postgres://"))


class AuditLog(Exporter):
    """One log. Open it with :meth:`open`; use it from any number of threads; close it, or use it as a context manager.

    Of a log in files, one process at a time may write; of one in PostgreSQL, any number on any hosts. Others read
    beside them with ``read_only=True``. It serves the process that opened it: a child forked from that one opens its
    own.
    """

    _writer: Writer | None = None
    _writer_process: int = 0
    _closed = False

    @classmethod
    def open(
        cls,
        path_or_url: str | Path,
        *,
        signer: NoteSigner | None = None,
        master_key: bytes | None = None,
        older_master_keys: Sequence[bytes] = (),
        signed: Path | str | None = None,
        read_only: bool = False,
        verifier_key: str | None = None,
        held: str | None = None,
        sequence: bool = True,
    ) -> AuditLog:
        """Open a log, or start one where there is none.

        Args:
            path_or_url: a file, ``sqlite:///relative/file``, ``sqlite:////absolute/file``, or
                ``postgresql://user@host/database`` for writers in several processes or on several hosts.
            signer: the log's key, named after its origin. A log in files without one uses the key ring ``keys/``
                beside it; a log in PostgreSQL needs it, except to read or without ``sequence``.
            master_key: 32 bytes that wrap the data keys of protected fields; comes from the same ring by default.
            older_master_keys: those that were in force before, for what was written then.
            signed: the record of what was signed; keep it out of backups. A log in files has it in ``signed.db``
                beside it; one in PostgreSQL needs it to write: a file where all writers are on one host, otherwise
                the ``postgresql://`` address of another database, which all of them reach.
            read_only: never write; works beside running writers and on a copy, damaged or not.
            verifier_key: for ``read_only``: the log's key, known from elsewhere; otherwise the stored one is believed.
            held: for writing: a checkpoint kept elsewhere, to vouch for the log where ``signed`` was lost.
            sequence: whether this process may become the one that signs. ``False``, in PostgreSQL only: it hands its
                events to whichever process does, and needs neither the key nor ``signed``.

        Raises:
            HomeLocked: another process writes to this log (in files only).
            AuditRollback: the store is behind what was signed.
            AuditStoreDamaged: the store contradicts itself or is no audit store.
            AuditIndexUnusable: for writing: the look-up index is damaged or of an older version. Reading needs none.
            KeyUnavailable: a key is missing, or not the one this log was written with.
            NotFound: ``read_only`` and there is no such log.
            MissingExtra: PostgreSQL, and the extra ``postgres`` is not installed.
        """
        if signer is None and sequence and not read_only:
            signer, ring_keys = _from_key_ring(path_or_url)
            if master_key is None:
                master_key, *older_master_keys = ring_keys
        vault = Vault(master_key, older_master_keys) if master_key else None
        backend = _backend(path_or_url, signed)
        if read_only:
            return cls._open_to_read(backend, vault, signer.verifier_key if signer else verifier_key)
        writer = backend.open_writer(signer if sequence else None, held)
        with writer.store.reader() as reader:
            meta = reader.meta()
        log = cls(
            writer.store,
            verifier_key=signer.verifier_key if signer else verifier_key or meta["verifier_key"],
            origin=meta["origin"],
            signed_head=backend.signed_head,
            vault=vault,
            open_store=backend.open_reader,
        )
        log._writer, log._writer_process = writer, os.getpid()
        try:
            log._check_master_key()
            if sequence:
                log._finish_erasures()
        except BaseException:
            log.close()
            raise
        return log

    @staticmethod
    def reindex(path_or_url: str | Path, *, progress: Progress | None = None) -> int:
        """Build a log's look-up index anew from its entries; gives their number. The log must not be open for writing.

        Raises:
            HomeLocked: a process writes to it (in files only).
            NotFound: there is no such log.
            AuditStoreDamaged: an entry is not what was recorded; nothing was changed.
        """
        return _backend(path_or_url, None).rebuild_index(progress)

    @staticmethod
    def migrate(path_or_url: str | Path) -> tuple[str, str]:
        """Bring the tables of a log in PostgreSQL to the newest format; gives the format before and after.

        Raises:
            SettingsInvalid: the log is in files.
            AuditError: it is newer than this program, or the user may not change its tables.
        """
        if not is_postgres(path_or_url):
            raise SettingsInvalid("Only a log in PostgreSQL is migrated.", remedy="See: countermark log reindex")
        _backend(path_or_url, None)  # says so where the extra is missing
        from countermark.audit.stores.postgres.schema import migrate

        return migrate(str(path_or_url))

    @classmethod
    def _open_to_read(cls, backend: Backend, vault: Vault | None, verifier_key: str | None) -> AuditLog:
        store = backend.open_reader()
        try:
            with store.reader() as reader:
                meta = reader.meta()
            if "verifier_key" not in meta:
                raise AuditStoreDamaged(f"{store.name} holds no audit log.", remedy=NAME_A_STORE)
        except BaseException:
            store.close()
            raise
        key = verifier_key or meta["verifier_key"]
        return cls(
            store,
            verifier_key=key,
            origin=meta.get("origin", ""),
            signed_head=backend.signed_head,
            vault=vault,
            open_store=backend.open_reader,
        )

    def _check_master_key(self) -> None:
        with self._store.reader() as reader:
            newest = reader.newest_master_id()
        if self._vault and newest and not self._vault.opens(newest):
            raise KeyUnavailable(
                f"The newest protected fields are under master key {newest}, but {self._vault.master_id} was given.",
                remedy="Give the master key that this log was written with.",
            )

    def close(self) -> None:
        """Release the store and the right to write; in a forked child do nothing, for they are its parent's."""
        if self.forked:
            return
        self._closed = True
        if self._writer:
            self._writer.close()
        super().close()

    def append(self, event: Event, *, protected: Mapping[str, str] | None = None) -> Appended:
        """Record one event; durable and signed when this returns.

        Repeating an append with the very same event returns the entry it already has.

        Args:
            event: what happened. Its ``protected`` commitments are made here.
            protected: plaintexts to encrypt and commit to, by field: ``prompt``, ``negative_prompt``, ``held_picture``.

        Raises:
            EventInvalid: cannot be recorded, or its id was used for another event.
            KeyUnavailable: ``protected`` is given but the log has no master key.
            AuditPoisoned: the disk failed: unknown whether the event is recorded. Open the log again and repeat.
            AuditClosed, ForkedProcess: see :meth:`check_open`.
        """
        return self.append_many([(event, protected)])[0]

    def append_many(self, events: Iterable[tuple[Event, Mapping[str, str] | None]]) -> list[Appended]:
        """Record several events in one commit, in order; see :meth:`append`. Raises the first one's error."""
        writer = self._require_writer()
        asked = list(events)
        prepared = [self._prepare(event, protected) for event, protected in asked]
        writer.submit([entry for _, entry in prepared])
        for position, (event, protected) in enumerate(asked):
            if prepared[position][1].error and protected:
                # Another thread may have recorded the same event just now, under a data key of its own: commit alike.
                prepared[position] = self._prepare(event, protected)
                writer.submit([prepared[position][1]])
            error = prepared[position][1].error
            if error:
                raise error
        return [Appended(entry.index, entry.size, event) for event, entry in prepared]

    def _prepare(self, event: Event, protected: Mapping[str, str] | None) -> tuple[Event, AppendEntry]:
        sealed = self._seal(event, protected) if protected else None
        if sealed:
            event = event.model_copy(update={"protected": (*event.protected, *sealed.commitments)})
        document = event_document(event)
        return event, append_entry(document, canonical_bytes(document), sealed)

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
        """Remember durably that an attempt began, until an outcome with the same ``attempt`` is appended.

        Raises:
            EventInvalid: one of the texts holds U+0000, which not every store can keep.
        """
        if "\0" in attempt + tenant + time:
            raise EventInvalid(
                "The id, tenant or time of an attempt holds U+0000, which cannot be recorded.",
                remedy="Name the tenant without control characters.",
            )
        self._require_writer().submit([BeginAttempt(attempt, tenant, time)])

    def unfinished(self) -> tuple[Pending, ...]:
        """Attempts that an earlier process began and never concluded, oldest first."""
        with self._store.reader() as reader:
            return reader.pending(other_than_session=self._writer.session if self._writer else "")

    @property
    def forked(self) -> bool:
        """Whether this process was forked from the one that opened the log for writing."""
        return self._writer is not None and self._writer_process != os.getpid()

    def check_open(self) -> None:
        """Check that this process may still append.

        Raises:
            AuditError: it was opened for reading only.
            AuditClosed: it was closed.
            ForkedProcess: another process opened it, from which this one was forked: here the locks and connections
                are the parent's, and an append would part the log from what the parent remembers of it.
        """
        self._require_writer()

    def _require_writer(self) -> Writer:
        if self._writer is None:
            raise AuditError(
                f"The audit log {self.origin} is open for reading only.", remedy="Open it without read_only to append."
            )
        if self._writer_process != os.getpid():
            raise ForkedProcess(f"The audit log {self.origin} was opened before this process was forked.")
        if self._closed:
            raise AuditClosed(f"The audit log {self.origin} was closed.")
        return self._writer


def _from_key_ring(path_or_url: str | Path) -> tuple[NoteSigner, list[bytes]]:
    """The keys of a log in files whose caller has none: those of the ring beside it, made where missing."""
    if is_postgres(path_or_url):
        raise KeyUnavailable(
            "A log in PostgreSQL was opened for writing without its key.",
            remedy="Give signer=NoteSigner(origin, key); every writer of one log uses the same key.",
        )
    ring = KeyRing.open(store_path(path_or_url).parent / "keys")
    ring.ensure()
    return NoteSigner(default_origin(ring), ring.ed25519(Purpose.AUDIT_LOG)), ring.secrets(Purpose.MASTER)


def _backend(path_or_url: str | Path, signed: Path | str | None) -> Backend:
    if is_postgres(path_or_url):
        return _postgres_backend(str(path_or_url), signed)
    path = store_path(path_or_url)
    if signed is not None and is_postgres(signed):
        raise SettingsInvalid(
            "The record of signed heads of a log in files cannot be in PostgreSQL.", remedy="Name a file for it."
        )
    return SqliteBackend(path, Path(signed) if signed else path.with_name("signed.db"))


def _postgres_backend(url: str, signed: Path | str | None) -> Backend:
    try:
        from countermark.audit.stores.postgres.backend import PostgresBackend
    except ModuleNotFoundError as error:
        if error.name not in ("psycopg", "alembic", "sqlalchemy"):
            raise
        raise MissingExtra("postgres", "An audit log in PostgreSQL") from error
    return PostgresBackend(url, signed)
