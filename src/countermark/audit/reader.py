"""Reading a log: proofs, entries, look-ups, protected fields and full verification. Needs no right to write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import Self

import orjson
from pydantic import ValidationError

from countermark.audit.checkpoint import peek_checkpoint
from countermark.audit.findings import LogFinding, LogFindingKind, VerifyReport
from countermark.audit.privacy import Vault
from countermark.audit.proof import TlogProof
from countermark.audit.query import INDEX_COLUMNS, Filter, index_row
from countermark.audit.stores.signed import SignedHead, SignedStore
from countermark.audit.stores.sqlite import SqliteStore
from countermark.audit.stores.sqlite_reader import SqliteReader
from countermark.audit.tiles import TILE_WIDTH, subtree_oracle
from countermark.audit.tree import (
    EMPTY_ROOT,
    HASH_BYTES,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
)
from countermark.audit.verify import Progress, Verification
from countermark.errors import AuditStoreDamaged, KeyUnavailable, NotFound, ProofInvalid
from countermark.model import Event, EventType, Outcome, Receipt

_SIGNING_PAUSE_S = 0.05
_SIGNING_TRIES = 20


class LogReader:
    """What can be asked of a log by whoever can read its files.

    What is read is checked: an entry that does not fit its leaf hash, or an index that says otherwise than the entry
    it names, raises :class:`~countermark.errors.AuditStoreDamaged` instead of being returned.
    """

    def __init__(
        self, store: SqliteStore, *, verifier_key: str, origin: str, signed_path: Path, vault: Vault | None
    ) -> None:
        self._store = store
        self._signed_path = signed_path
        self._vault = vault
        self.verifier_key = verifier_key
        """The log's verifier key (C2SP vkey): publish it where the log's operator cannot change it."""
        self.origin = origin
        """The log's name, the first line of its checkpoints."""

    def close(self) -> None:
        """Release the files."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- proving ----------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Entries under the newest checkpoint."""
        return peek_checkpoint(self.checkpoint()).size

    def checkpoint(self) -> str:
        """The newest checkpoint, a signed note. Keep copies where this log's operator cannot write."""
        with self._store.reader() as reader:
            note = reader.head().note
        if not note:
            raise AuditStoreDamaged(f"The audit log {self._store.path} was never signed.")
        return note

    def receipt(self, index: int) -> Receipt:
        """The entry with its proof under the newest checkpoint, verified before it is handed out.

        Raises:
            NotFound: no such entry.
            AuditStoreDamaged: the store cannot prove it.
        """
        note = self.checkpoint()
        size = peek_checkpoint(note).size
        if not 0 <= index < size:
            raise self._no_entry(index, size)
        entry = self.entry(index)
        proof = TlogProof(index, tuple(self.inclusion(index, size)), note)
        try:
            proof.verify(entry, self.verifier_key)
        except ProofInvalid as error:
            raise AuditStoreDamaged(f"The log {self.origin} cannot prove entry {index}: {error.message}") from error
        return Receipt(
            schema="countermark.receipt/1", entry=entry.decode(), proof=proof.text, log_key=self.verifier_key
        )

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The audit path of an entry in the tree of the first ``size`` entries, leaf to root."""
        with self._proving() as reader:
            self._check_size(reader, size)
            if not 0 <= index < size:
                raise self._no_entry(index, size)
            return inclusion_proof(index, size, subtree_oracle(reader.tile))

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of ``new`` entries begins with the tree of ``old``."""
        with self._proving() as reader:
            self._check_size(reader, new)
            if not 0 <= old <= new:
                raise NotFound(f"A tree of {new} entries cannot extend one of {old}.", remedy="Swap the sizes.")
            return consistency_proof(old, new, subtree_oracle(reader.tile))

    @contextmanager
    def _proving(self) -> Iterator[SqliteReader]:
        with self._store.reader() as reader:
            try:
                yield reader
            except LookupError as error:
                raise AuditStoreDamaged(f"The audit store lacks tree hashes: {error}.") from error

    def _check_size(self, reader: SqliteReader, size: int) -> None:
        entries = reader.head().size
        if not 0 <= size <= entries:
            raise NotFound(f"The log has {entries} entries, so no tree of {size}.", remedy="Ask for a smaller tree.")

    # --- entries ----------------------------------------------------------------------------------------------------

    def entry(self, index: int) -> bytes:
        """An entry's exact bytes, checked against its leaf hash.

        Raises:
            NotFound: no such entry.
            AuditStoreDamaged: the entry was altered.
        """
        with self._store.reader() as reader:
            return self._entry(reader, index)

    def event(self, index: int) -> Event:
        """An entry as an event; see :meth:`entry`."""
        return _parse(self.entry(index), index)

    def find(
        self,
        *,
        event_id: str | None = None,
        record_id: int | None = None,
        output_sha256: str | None = None,
        manifest_sha256: str | None = None,
        attempt: str | None = None,
    ) -> tuple[int, ...]:
        """Indices of the entries that match every criterion given, newest first.

        ``record_id`` is the watermark's, below 2**48; digests are 64 lowercase hexadecimal digits.
        """
        wanted = Filter(
            event_id=event_id,
            watermark_payload=None if record_id is None else f"{record_id:012x}",
            output_sha256=output_sha256,
            manifest_sha256=manifest_sha256,
            attempt=attempt,
        )
        with self._store.reader() as reader:
            found = reader.search(wanted)
            for index in found:
                self._check_index_row(wanted, index, self._entry(reader, index))
        return tuple(found)

    def list(
        self,
        limit: int = 50,
        before: int | None = None,
        *,
        type: EventType | str | None = None,
        tenant: str | None = None,
        outcome: Outcome | str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> list[tuple[int, Event]]:
        """Up to ``limit`` matching entries, newest first; for the next page give the last index as ``before``.

        ``since`` (inclusive) and ``until`` (exclusive) are RFC 3339 times in UTC or any beginning of one, such as
        ``2026-11``.
        """
        wanted = Filter(type=type, tenant=tenant, decision=outcome, since=since, until=until, before=before)
        with self._store.reader() as reader:
            return [(i, _parse(self._entry(reader, i), i)) for i in reader.search(wanted, limit=max(limit, 0))]

    def fingerprints(self, after: int = -1) -> Iterator[tuple[int, str]]:
        """``(index, fingerprint)`` of every entry beyond ``after`` that has one, oldest first."""
        while True:
            with self._store.reader() as reader:
                page = reader.fingerprints(after)
            yield from page
            if not page:
                return
            after = page[-1][0]

    def record_id_taken(self, record_id: int) -> bool:
        """Whether a watermark's record id is already in the log."""
        with self._store.reader() as reader:
            return bool(reader.search(Filter(watermark_payload=f"{record_id:012x}"), limit=1))

    def _entry(self, reader: SqliteReader, index: int) -> bytes:
        body = reader.body(index) if index >= 0 else None
        tile, offset = divmod(max(index, 0), TILE_WIDTH)
        leaf = reader.tile(0, tile)[offset * HASH_BYTES : (offset + 1) * HASH_BYTES]
        if body is None and (index < 0 or not leaf):
            raise self._no_entry(index, reader.head().size)
        if body is None or leaf_hash(body) != leaf:
            raise AuditStoreDamaged(f"Entry {index} of the log {self.origin} is not what was recorded.")
        return body

    def _check_index_row(self, wanted: Filter, index: int, entry: bytes) -> None:
        actual = dict(zip(INDEX_COLUMNS, index_row(orjson.loads(entry)), strict=True))
        if any(actual[name] != value for name, value in wanted.given().items()):
            raise AuditStoreDamaged(f"The look-up index of the log {self.origin} is wrong about entry {index}.")

    def _no_entry(self, index: int, size: int) -> NotFound:
        return NotFound(f"The log {self.origin} has no entry {index} under its {size} entries.")

    # --- protected fields -------------------------------------------------------------------------------------------

    def reveal(self, index: int, field: str) -> str:
        """The plaintext of a protected field, checked against the commitment in the log.

        Whoever calls this records an ``access`` event.

        Raises:
            NotFound: the entry has no such field, or it was erased.
            KeyUnavailable: no master key, or another one.
            AuditStoreDamaged: the stored ciphertext is not what the log committed to.
        """
        vault = self._require_vault()
        event = self.event(index)
        commitment = next((c for c in event.protected if c.field == field), None)
        if commitment is None:
            raise NotFound(f"Entry {index} has no protected field of that name.", remedy="Show the entry to see which.")
        with self._store.reader() as reader:
            key = reader.secret(commitment.key_id)
            ciphertext = reader.blob(event.event_id, field)
        if key is None or ciphertext is None:
            raise NotFound(
                f"The '{field}' of entry {index} was erased; its commitment remains.",
                remedy="Nothing can bring it back: its key is gone.",
            )
        return vault.open(event.event_id, commitment, key, ciphertext)

    def _require_vault(self) -> Vault:
        if self._vault is None:
            raise KeyUnavailable(
                f"The log {self.origin} was opened without its master key.",
                remedy="Open it with master_key to write or read protected fields.",
            )
        return self._vault

    # --- verification -----------------------------------------------------------------------------------------------

    def verify(self, held: str | None = None, *, progress: Progress | None = None) -> VerifyReport:
        """Rehash every entry and compare the whole log with everything that was signed about it.

        Args:
            held: a checkpoint of this log that was kept where its operator cannot write. Only this finds what somebody
                did who has both the database and the signing key.
            progress: called with entries done and entries in all.
        """
        for attempt in range(_SIGNING_TRIES):
            try:
                record = self._signed_record()
                with self._store.snapshot() as reader:
                    if attempt + 1 < _SIGNING_TRIES and _being_signed(reader):
                        sleep(_SIGNING_PAUSE_S)  # a writer is between commit and signature
                        continue
                    return Verification(
                        reader, verifier_key=self.verifier_key, record=record, held=held, progress=progress
                    ).run()
            except AuditStoreDamaged as damage:
                finding = LogFinding(LogFindingKind.STORE, damage.message)
                return VerifyReport(self.origin, self.verifier_key, 0, EMPTY_ROOT, (), (finding,))
        raise AssertionError("the last try returns")

    def _signed_record(self) -> SignedHead | None:
        """What was signed last; read before the snapshot, so that a writer beside us cannot seem rolled back."""
        if not self._signed_path.is_file():
            return None
        signed = SignedStore(self._signed_path, read_only=True)
        try:
            return signed.get(self.origin)
        finally:
            signed.close()


def _being_signed(reader: SqliteReader) -> bool:
    head = reader.head()
    return not head.note or peek_checkpoint(head.note).size < head.size


def _parse(entry: bytes, index: int) -> Event:
    try:
        return Event.model_validate_json(entry)
    except ValidationError:
        raise AuditStoreDamaged(
            f"Entry {index} is proved to be in the log but is not an event that this version knows.",
            remedy="Read it with the version of countermark that wrote it, or a newer one.",
        ) from None
