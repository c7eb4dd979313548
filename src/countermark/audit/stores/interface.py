"""What a log asks of its store. Each store satisfies it in its own words; one contract suite holds all of them to it.

Three parts: a :class:`StoreReader` answers queries, a :class:`ReaderStore` hands out readers, and a
:class:`WriterStore` is what the sequencer writes through, one transaction at a time. Beside them, and never in the
same place, stands a :class:`SignedRecord`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from countermark.audit.commit import Submission
from countermark.audit.note import NoteSigner
from countermark.audit.privacy import Sealed, SealedField, WrappedKey
from countermark.audit.query import Filter, IndexRow


@dataclass(frozen=True)
class Head:
    """What the store says of itself: entries and root as committed, and the newest signed checkpoint.

    For a moment after a commit the note is older than the size; it is empty only in a log being made.
    """

    size: int
    root: bytes
    note: str


@dataclass(frozen=True)
class SignedHead:
    """The newest head for which a signature was allowed, and its signed checkpoint.

    Two are equal when size and root are. ``note`` is empty in records of before it was kept.
    """

    size: int
    root: bytes
    note: str = field(default="", compare=False)


@dataclass(frozen=True)
class Pending:
    """An attempt that began and has no outcome in the log."""

    attempt: str
    tenant: str
    time: str


StoredRow = tuple[int, bytes, bytes | None, tuple[str | None, ...]]
"""An entry's number and body, and what the index says of it: leaf hash and columns (``None`` without a row there)."""


class StoreReader(Protocol):
    """Read queries, over one connection, by one thread at a time."""

    def meta(self) -> dict[str, str]:
        """Origin and verifier key as stored; empty in a store being made."""

    def head(self) -> Head:
        """The head.

        Raises:
            AuditStoreDamaged: its row is missing.
        """

    def kept_checkpoints(self) -> list[tuple[int, str]]:
        """``(size, note)`` of the checkpoints kept for the record, oldest first."""

    def tile(self, level: int, index: int) -> bytes:
        """A tile's hashes; empty where there is none."""

    def file_complaints(self) -> list[str]:
        """What the database's own check says of the look-up index, a sentence each."""

    def tile_keys(self) -> set[tuple[int, int]]:
        """``(level, index)`` of every stored tile."""

    def entry_count(self) -> int:
        """One more than the last entry's index."""

    def body(self, index: int) -> bytes | None:
        """An entry's bytes, not yet checked against the tree."""

    def bodies(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """``(index, body)`` of the entries from ``first`` to ``end`` (exclusive) in order, not yet checked."""

    def rows(self) -> Iterator[StoredRow]:
        """Every entry in stored order, with its index row, in one pass."""

    def pages(self, first: int, end: int) -> Iterator[list[tuple[int, bytes]]]:
        """``(index, body)`` of the entries from ``first`` to ``end`` (exclusive) in order, many at a time."""

    def not_as_indexed(self, first: int, expected: Sequence[tuple[bytes, IndexRow | None]]) -> list[int]:
        """Of which entries, ``first`` and those after it, the look-up index says otherwise than ``expected``.

        ``expected`` holds leaf hash and row; ``None`` for an entry that is no event, which always differs. It begins
        and ends where blocks of 4,096 entries do, or ends with the log.
        """

    def index_rows_beyond(self, size: int) -> list[int]:
        """Entries that only the index knows, in a log of ``size`` entries; the first 1,000 of them."""

    def tile_counts(self) -> dict[int, int]:
        """How many tiles each level has."""

    def indexed_leaves(self) -> list[bytes]:
        """The leaf hashes that the index holds, in order."""

    def index_of(self, event_id: str) -> int | None:
        """Where an event stands."""

    def newest_event_id(self) -> str | None:
        """The greatest event id of the log, as text; ``None`` in an empty one."""

    def search(self, wanted: Filter, *, limit: int = -1) -> list[int]:
        """Indices of matching entries, newest first; all of them where ``limit`` is negative."""

    def fingerprints(self, after: int) -> list[tuple[int, str]]:
        """Up to 1,000 ``(index, fingerprint)`` of entries beyond ``after``, oldest first."""

    def secret(self, key_id: str) -> WrappedKey | None:
        """A wrapped data key, unless it was erased."""

    def newest_master_id(self) -> str | None:
        """Under which master key the newest data key is wrapped."""

    def blob(self, event_id: str, field: str) -> bytes | None:
        """The ciphertext of a protected field."""

    def sealed(self) -> tuple[set[str], set[tuple[str, str]]]:
        """Which data keys (by key id) and which ciphertexts (by event id and field) there are."""

    def sealed_fields(self) -> Iterator[SealedField]:
        """Every ciphertext whose data key is there, those of an event together. Needs a snapshot."""

    def schema_complaints(self) -> list[str]:
        """In what the tables differ from those that this program makes: triggers, rules, views in a table's place.

        The look-up index can be made anew: what is missing of it is not told here.
        """

    def pending(self, *, other_than_session: str) -> tuple[Pending, ...]:
        """Attempts begun by sessions that are over and not concluded, oldest first."""


class ReaderStore(Protocol):
    """The tables of one log, to read, and to erase from."""

    @property
    def name(self) -> str:
        """What the store is called in messages; holds no secret."""

    def reader(self) -> AbstractContextManager[StoreReader]:
        """A reader for a few queries by one thread."""

    def snapshot(self) -> AbstractContextManager[StoreReader]:
        """A reader that sees the store as it is now, however much is appended meanwhile."""

    def custody(self) -> AbstractContextManager[object]:
        """Between looking for holds and erasing nobody places one, in whatever process."""

    def erase(self, event_ids: Sequence[str]) -> None:
        """Delete the data keys and ciphertexts of events, durably, in a transaction of its own.

        Deleting what is gone already is no error. Nothing of them may linger in the store's files; where a crash may
        have left something, it is called again with what is left to delete, or with nothing.
        """

    def close(self) -> None:
        """Close every connection."""


class WriterStore(Protocol):
    """What the sequencer writes through; used by one thread at a time.

    A store may accept writes from the one sequencer alone: what is written by a sequencer that another has replaced
    must fail.
    """

    @property
    def name(self) -> str:
        """What the store is called in messages; holds no secret."""

    @property
    def writer(self) -> StoreReader:
        """Reads inside the writer's own transaction."""

    def transaction(self, *, durable: bool = True) -> AbstractContextManager[None]:
        """All or nothing. A transaction that is not ``durable`` may be lost in a power cut, never torn."""

    def create(self, origin: str, verifier_key: str) -> None:
        """Make what a new, empty log needs. Call inside a transaction."""

    def known(self, event_ids: Sequence[str]) -> Mapping[str, tuple[int, bytes | None]]:
        """Index and bytes of those events that are in the log already."""

    def add_bodies(self, first: int, bodies: Sequence[bytes]) -> None:
        """Store entries, of which ``first`` is the index of the first."""

    def add_look_ups(self, first: int, leaves: Sequence[bytes], rows: Sequence[IndexRow]) -> None:
        """Index entries by leaf hash and look-up columns."""

    def add_sealed(self, event_id: str, sealed: Sealed) -> None:
        """Store the ciphertexts of an event and its wrapped data key."""

    def put_tiles(self, tiles: Iterable[tuple[int, int, bytes]]) -> None:
        """Store tiles, over their narrower predecessors."""

    def advance_head(self, old: tuple[int, bytes], new: tuple[int, bytes]) -> None:
        """Move the head from one ``(size, root)`` to the next.

        Raises:
            AuditStoreDamaged: the head is not where the writer left it.
        """

    def put_note(self, size: int, note: str, *, keep: bool) -> None:
        """Publish a signed checkpoint; ``keep`` it for the record too."""

    def add_pending(self, attempt: str, tenant: str, time: str, session: str) -> None:
        """Remember that an attempt began."""

    def remove_pending(self, attempts: Sequence[str]) -> None:
        """These attempts have their outcome."""


class SignedRecord(Protocol):
    """What was signed last, kept where a restored copy of the store does not reach."""

    @property
    def name(self) -> str:
        """What the record is called in messages; holds no secret."""

    def get(self, origin: str) -> SignedHead | None:
        """What was signed last for a log."""

    def swap(self, origin: str, old: SignedHead | None, new: SignedHead) -> None:
        """Move the record from ``old`` (``None``: no record yet) to ``new``, with its note; durable on return.

        Raises:
            AuditRollback: the record is at neither of the two.
        """

    def close(self) -> None:
        """Close the connection."""


class Writer(Protocol):
    """The right to append to one log."""

    @property
    def session(self) -> str:
        """Names this writer among those that begin attempts."""

    @property
    def store(self) -> ReaderStore:
        """The log's store, to read."""

    def submit(self, submissions: Sequence[Submission]) -> None:
        """Return when all are durable and under a signed checkpoint, or refused by themselves (their ``error``).

        Raises:
            AuditPoisoned: a commit failed, now or before: it is unknown whether these are durable.
        """

    def close(self) -> None:
        """Wait for a running commit, then release everything; later submissions are refused."""


class Backend(Protocol):
    """One kind of store, pointed at one log."""

    def open_reader(self) -> ReaderStore:
        """The log's store, never to be written."""

    def open_writer(self, signer: NoteSigner | None, held: str | None) -> Writer:
        """The right to append, and with a ``signer`` to make a log and to sign. ``held``: a checkpoint kept elsewhere.

        Raises:
            SettingsInvalid: this kind of store cannot be written so.
        """

    def signed_head(self, origin: str) -> SignedHead | None:
        """What the record says was signed last; ``None`` where there is no record."""

    def rebuild_index(self, progress: Callable[[int, int], None] | None) -> int:
        """Derive the look-up index from the entries again, however damaged it is; gives their number.

        Each entry is checked first: where one is not what was recorded nothing is changed.
        """
