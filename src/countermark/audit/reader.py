"""Reading a log: proofs, entries, look-ups, and protected fields. Needs no right to write."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import islice
from types import TracebackType
from typing import Self

import orjson

from countermark.audit.checkpoint import peek_checkpoint
from countermark.audit.hold import Hold, Ledger, read_ledger
from countermark.audit.listing import Page, listed, parse_event, walk
from countermark.audit.pictures import texts_of
from countermark.audit.privacy import Disclosure, Vault
from countermark.audit.proof import TlogProof
from countermark.audit.query import INDEX_COLUMNS, Filter, index_row
from countermark.audit.scan import checked_entries
from countermark.audit.stores.interface import ReaderStore, SignedHead, StoreReader
from countermark.audit.tiles import TILE_WIDTH, subtree_oracle
from countermark.audit.tree import (
    HASH_BYTES,
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
)
from countermark.errors import (
    AuditIndexUnusable,
    AuditStoreDamaged,
    KeyUnavailable,
    NotFound,
    ProofInvalid,
)
from countermark.model import Event, EventType, Outcome, Receipt


class LogReader:
    """What can be asked of a log by whoever can read its files.

    What is read is checked: an entry that does not fit its leaf hash, or an index that says otherwise than the entry
    it names, raises :class:`~countermark.errors.AuditStoreDamaged` instead of being returned.
    """

    def __init__(
        self,
        store: ReaderStore,
        *,
        verifier_key: str,
        origin: str,
        signed_head: Callable[[str], SignedHead | None],
        vault: Vault | None,
        open_store: Callable[[], ReaderStore] | None = None,
    ) -> None:
        self._store = store
        self._open_store = open_store  # for other processes that help to verify
        self._signed_head = signed_head
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
            raise AuditStoreDamaged(f"The audit log {self._store.name} was never signed.")
        return note

    def receipt(self, index: int, *, under: str | None = None) -> Receipt:
        """The entry with its proof under the newest checkpoint, verified before it is handed out.

        Args:
            index: the entry.
            under: another signed checkpoint of this log, such as one that witnesses cosigned.

        Raises:
            NotFound: no such entry.
            AuditStoreDamaged: the store cannot prove it.
        """
        note = under or self.checkpoint()
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
            return inclusion_proof(index, size, subtree_oracle(cache(reader.tile)))

    def root(self, size: int) -> bytes:
        """The root of the tree of the first ``size`` entries, as the store's tiles have it.

        Raises:
            NotFound: the log has fewer entries.
            AuditStoreDamaged: the store lacks hashes of that tree.
        """
        with self._proving() as reader:
            self._check_size(reader, size)
            return CompactRange.load(size, subtree_oracle(cache(reader.tile))).root()

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of ``new`` entries begins with the tree of ``old``."""
        with self._proving() as reader:
            self._check_size(reader, new)
            if not 0 <= old <= new:
                raise NotFound(f"A tree of {new} entries cannot extend one of {old}.", remedy="Swap the sizes.")
            return consistency_proof(old, new, subtree_oracle(cache(reader.tile)))

    @contextmanager
    def _proving(self) -> Iterator[StoreReader]:
        with self._store.reader() as reader:
            try:
                yield reader
            except LookupError as error:
                raise AuditStoreDamaged(f"The audit store lacks tree hashes: {error}.") from error

    def _check_size(self, reader: StoreReader, size: int) -> None:
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
        return parse_event(self.entry(index), index)

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

        Raises:
            AuditIndexUnusable: nothing can be looked up until the index is built anew; :meth:`page` does without.
            AuditStoreDamaged: an entry was altered.
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
            return [(i, parse_event(self._entry(reader, i), i)) for i in reader.search(wanted, limit=max(limit, 0))]

    def page(self, wanted: Filter, limit: int = 50) -> Page:
        """Up to ``limit`` matching entries, newest first, whatever is damaged: each such row says so.

        Where the look-up index cannot be used the entries themselves are walked through.
        """
        try:
            with self._store.reader() as reader:
                found = reader.search(wanted, limit=limit)
                return Page(tuple(listed(index, partial(self._entry, reader), wanted) for index in found))
        except AuditStoreDamaged as damage:
            with self._store.reader() as reader:
                rows = walk(reader.head().size, partial(self._entry, reader), wanted)
                return Page(tuple(islice(rows, limit)), damage.message)

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

    def _entry(self, reader: StoreReader, index: int) -> bytes:
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
            raise AuditIndexUnusable(f"The look-up index of the log {self.origin} is wrong about entry {index}.")

    def _no_entry(self, index: int, size: int) -> NotFound:
        return NotFound(f"The log {self.origin} has no entry {index} under its {size} entries.")

    # --- protected fields -------------------------------------------------------------------------------------------

    def _open_fields(self, index: int, fields: Collection[str] | None = None) -> tuple[Event, tuple[Disclosure, ...]]:
        """The protected fields of an entry in the clear, by default all texts. Only for who records the access.

        Raises:
            NotFound: the entry has no such field, or it was erased.
            KeyUnavailable: no master key, or another one.
            AuditStoreDamaged: what is stored is not what the log committed to, or is gone and no erasure says so.
        """
        vault = self._require_vault()
        event = self.event(index)
        wanted = texts_of(event) if fields is None else [c for c in event.protected if c.field in fields]
        if not wanted:
            raise NotFound(
                f"Entry {index} has no protected field of that name.",
                remedy="Show the entry to see which; a held picture is shown by: countermark log picture ENTRY",
            )
        opened = []
        for commitment in wanted:
            with self._store.reader() as reader:
                key = reader.secret(commitment.key_id)
                ciphertext = reader.blob(event.event_id, commitment.field)
            if key is None or ciphertext is None:
                raise self._gone(index, event.event_id, commitment.field)
            opened.append(vault.disclose(event.event_id, commitment, key, ciphertext))
        return event, tuple(opened)

    def _gone(self, index: int, event_id: str, field: str) -> NotFound | AuditStoreDamaged:
        erased_by = self._ledger().erased.get(event_id)
        if erased_by is None:
            return AuditStoreDamaged(f"The '{field}' of entry {index} is gone, and no erasure is recorded.")
        return NotFound(
            f"The '{field}' of entry {index} was erased by entry {erased_by}; its commitment remains.",
            remedy="Nothing can bring it back: its key is gone.",
        )

    def _ledger(self) -> Ledger:
        """Holds and erasures, from the entries themselves, each checked against its leaf hash."""
        with self._store.snapshot() as reader:
            return read_ledger(checked_entries(reader, 0, reader.head().size))

    def holds(self) -> tuple[Hold, ...]:
        """Every legal hold that was ever placed, oldest first; derived from the entries alone."""
        return tuple(self._ledger().holds.values())

    def _require_vault(self) -> Vault:
        if self._vault is None:
            raise KeyUnavailable(
                f"The log {self.origin} was opened without its master key.",
                remedy="Open it with master_key to write or read protected fields.",
            )
        return self._vault
