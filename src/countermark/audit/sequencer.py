"""The one place that gives entries their index, grows the tree and signs it.

A commit is three steps, in an order that no crash can turn into a contradiction:

1. entries, tiles and head in one durable transaction: from here on they are never lost;
2. the checkpoint is signed, and the record of signed heads moves with it from the old head to the new, durably, by
   compare-and-swap;
3. the checkpoint is published.

A crash after step 1 or 2 leaves a store that is *ahead* of its last checkpoint by at most one batch; the next start
takes steps 2 and 3. A store *behind* the record was rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from countermark.audit.checkpoint import open_checkpoint, sign_checkpoint
from countermark.audit.commit import MAX_BATCH, AppendEntry, BeginAttempt, Submission, already_recorded
from countermark.audit.note import NoteSigner, format_vkey
from countermark.audit.stores.interface import Head, SignedHead, SignedRecord, WriterStore
from countermark.audit.tiles import TILE_WIDTH, TileBuilder, subtree_oracle
from countermark.audit.tree import EMPTY_ROOT, HASH_BYTES, leaf_hash
from countermark.errors import AuditRollback, AuditStoreDamaged, KeyUnavailable, ProofInvalid

_AT_ONCE: Final = 512
"""Entries that go to the store together: a database server works on them while the next are hashed."""


def not_its_key(meta: Mapping[str, str], signer: NoteSigner) -> KeyUnavailable:
    """The refusal to write to a log, of that ``meta``, with a key or under a name that are not its own."""
    origin = meta.get("origin")
    if origin != signer.name and meta.get("verifier_key") == format_vkey(str(origin), signer.verifier.public_key):
        return KeyUnavailable(
            f"The key is right, but this log is called '{origin}', not '{signer.name}'.",
            remedy="Give the name too: the setting log.origin, or the name of the NoteSigner.",
        )
    return KeyUnavailable(
        f"The log '{origin}' is signed with another key than the one given for '{signer.name}'.",
        remedy="Give the key that this log was made with, or start a new log in another place.",
    )


class Sequencer:
    """The writer's memory of the tree: its rightmost tiles, its root, and what was signed.

    After an exception from :meth:`commit` memory may be ahead of the disk: drop the object and make another.

    Args:
        store: the log's store, which nobody else may write.
        signed: the record of signed heads.
        signer: the log's key, named after its origin.
        held: a checkpoint of this log kept elsewhere; it vouches for the store where the record is lost.
        session: names this process among those that begin attempts.

    Raises:
        AuditRollback: the store is behind what was signed, or the record is missing and no checkpoint vouches for it.
        AuditStoreDamaged: head, tiles, entries and checkpoint contradict each other.
        KeyUnavailable: the log is signed with another key.
    """

    def __init__(
        self, store: WriterStore, signed: SignedRecord, signer: NoteSigner, *, held: str | None, session: str = ""
    ) -> None:
        self._store = store
        self._signed = signed
        self._signer = signer
        self._session = session
        self._held = held
        if not store.writer.meta():
            with store.transaction():
                store.create(signer.name, signer.verifier_key)
        self._check_key()
        head = store.writer.head()
        self._subtree = subtree_oracle(store.writer.tile)
        try:
            self._tiles = TileBuilder(head.size, store.writer.tile)
            self._current = SignedHead(head.size, self._tiles.root())
            self._published = self._check_head(head)
            self._last_signed = self._check_record(head)
        except LookupError as error:
            raise AuditStoreDamaged(f"The audit store lacks tree hashes: {error}.") from error
        self._newest_id: str | None = None
        recorded = self._last_signed == self._current and self._last_signed.note
        if not recorded or not head.note or self._published < head.size:
            self._publish()

    @property
    def size(self) -> int:
        """Entries in the log."""
        return self._current.size

    # --- committing -------------------------------------------------------------------------------------------------

    def commit(self, batch: Sequence[Submission], *, also: Callable[[], None] | None = None) -> None:
        """Make a batch durable, then sign it. Single submissions may be refused (their ``error``).

        ``also`` writes something more in the same transaction.
        """
        before = self._current
        with self._store.transaction():
            for submission in batch:
                if isinstance(submission, BeginAttempt):
                    self._store.add_pending(submission.attempt, submission.tenant, submission.time, self._session)
            self._stage([submission for submission in batch if isinstance(submission, AppendEntry)])
            if also:
                also()
            after = before
            if self._tiles.size > before.size:
                after = SignedHead(self._tiles.size, self._tiles.root())
                self._store.put_tiles(self._tiles.take_changed())
                self._store.advance_head((before.size, before.root), (after.size, after.root))
        self._current = after
        if after.size > before.size:
            self._publish()
        for submission in batch:
            if isinstance(submission, AppendEntry):
                submission.size = after.size

    def _stage(self, items: Sequence[AppendEntry]) -> None:
        """Write entries inside the transaction, except events that are there already."""
        new = self._new_among(items)
        for start in range(0, len(new), _AT_ONCE):
            part = new[start : start + _AT_ONCE]
            first, bodies = part[0].index, [item.body for item in part]
            self._store.add_bodies(first, bodies)
            leaves = [leaf_hash(body) for body in bodies]
            self._store.add_look_ups(first, leaves, [item.row for item in part])
            self._tiles.extend(leaves)
        for item in new:
            if item.sealed:
                self._store.add_sealed(item.event_id, item.sealed)
        # Of repeats too: whoever repeats an outcome may have begun the attempt again before.
        concluded = [item.concludes for item in items if item.concludes and not item.error]
        if concluded:
            self._store.remove_pending(concluded)

    def _new_among(self, items: Sequence[AppendEntry]) -> list[AppendEntry]:
        """Those that are not in the log yet, each with its index; of the others, where they are or why they may not be.

        Ids begin with their time (RFC 9562, version 7), so most are greater than every id of the log, and new. Only the
        others have to be looked for: repeats, and what was made earlier than something that came sooner.
        """
        if self._newest_id is None:
            self._newest_id = self._store.writer.newest_event_id() or ""
        older = [item.event_id for item in items if item.event_id <= self._newest_id]
        known = dict(self._store.known(older)) if older else {}
        new: list[AppendEntry] = []
        for item in items:
            earlier = known.get(item.event_id)
            if earlier is not None:
                item.index = earlier[0]
                item.error = None if earlier[1] == item.body else already_recorded(item.event_id, item.index)
                continue
            item.index = self._tiles.size + len(new)
            known[item.event_id] = (item.index, item.body)
            new.append(item)
        self._newest_id = max(self._newest_id, *known, "")
        return new

    def _publish(self) -> None:
        current = self._current
        note = sign_checkpoint(self._signer, current.size, current.root)
        signed = SignedHead(current.size, current.root, note)
        self._signed.swap(self._signer.name, self._last_signed, signed)
        self._last_signed = signed
        fills_a_tile = current.size // TILE_WIDTH > self._published // TILE_WIDTH
        with self._store.transaction(durable=False):  # losing it costs nothing: the next start signs the same again
            self._store.put_note(current.size, note, keep=fills_a_tile)
        self._published = current.size

    # --- opening ----------------------------------------------------------------------------------------------------

    def _check_key(self) -> None:
        meta = self._store.writer.meta()
        if meta.get("verifier_key") != self._signer.verifier_key:
            raise not_its_key(meta, self._signer)

    def _check_head(self, head: Head) -> int:
        """The size of the published checkpoint, after comparing head, entries, tiles and checkpoint."""
        if self._current.root != head.root:
            raise AuditStoreDamaged(
                f"The tree hashes of the audit store do not lead to its head of {head.size} entries."
            )
        entries = self._store.writer.entry_count()
        if entries != head.size:
            raise AuditStoreDamaged(f"The audit store has {entries} entries, but its head says {head.size}.")
        if not head.note:
            published = 0
        else:
            try:
                checkpoint = open_checkpoint(head.note, self._signer.verifier_key)
            except ProofInvalid as error:
                raise AuditStoreDamaged(f"The stored checkpoint cannot be trusted: {error.message}") from error
            published = checkpoint.size
            if not self._holds(published, checkpoint.root):
                raise AuditStoreDamaged(f"The tree differs from the signed checkpoint of {published} entries.")
        self._check_unsigned(published, head.size)
        return published

    def _check_unsigned(self, published: int, size: int) -> None:
        """A crash leaves at most one batch unsigned, and its entries fit their leaf hashes."""
        if size - published > MAX_BATCH:
            raise AuditStoreDamaged(f"{size - published} entries are not signed, more than a crash can leave behind.")
        for index in range(published, size):
            body = self._store.writer.body(index)
            tile, offset = divmod(index, TILE_WIDTH)
            leaf = self._store.writer.tile(0, tile)[offset * HASH_BYTES :][:HASH_BYTES]
            if body is None or leaf_hash(body) != leaf:
                raise AuditStoreDamaged(f"Entry {index}, not yet signed, differs from its leaf hash.")

    def _check_record(self, head: Head) -> SignedHead | None:
        """The record of what was signed last, after comparing it with the store."""
        record = self._signed.get(self._signer.name)
        if record is not None and record.size > head.size:
            raise AuditRollback(f"The audit store holds {head.size} entries, but {record.size} were signed.")
        if record is not None and not self._holds(record.size, record.root):
            raise AuditStoreDamaged(f"The tree differs from what was signed at {record.size} entries.")
        doubt = self._doubt(head, record) if head.size else ""
        if doubt:
            self._check_held(head, doubt)
        return SignedHead(record.size, record.root) if record and doubt else record

    def _doubt(self, head: Head, record: SignedHead | None) -> str:
        """What is wrong with the record, so that it vouches for nothing; empty where nothing is.

        Its root was compared with the tree before. One without a note, of before notes were kept, says no more than the
        published checkpoint: beyond that stands what a crash left, or somebody who writes both stores.
        """
        if record is None:
            return "missing"
        if record.size < self._published:
            return f"older than the log (it says {record.size} entries)"
        if not head.note:
            return f"of {record.size} entries, but the log's own checkpoint is gone"
        if not record.note:
            return ""
        try:
            signed = open_checkpoint(record.note, self._signer.verifier_key)
        except ProofInvalid:
            signed = None
        if signed is None or (signed.size, signed.root) != (record.size, record.root):
            return f"not signed by the log's key (it says {record.size} entries)"
        return ""

    def _check_held(self, head: Head, state: str) -> None:
        """Where the record is no witness, only a checkpoint kept elsewhere can vouch for the store."""
        if self._held is None:
            raise AuditRollback(
                f"The record of signed checkpoints, {self._signed.name}, is {state}: nothing here can tell whether"
                f" these {head.size} entries are all that was ever signed.",
                remedy="Bring back signed.db. Where it is lost, let the newest checkpoint kept elsewhere vouch for the"
                " log: countermark log vouch --checkpoint FILE --reason WHY",
            )
        checkpoint = open_checkpoint(self._held, self._signer.verifier_key)
        if checkpoint.size > head.size:
            raise AuditRollback(
                f"The store holds {head.size} entries; the checkpoint kept elsewhere {checkpoint.size}."
            )
        if not self._holds(checkpoint.size, checkpoint.root):
            raise AuditStoreDamaged(
                f"The tree differs from the checkpoint kept elsewhere of {checkpoint.size} entries."
            )

    def _holds(self, size: int, root: bytes) -> bool:
        """Whether the first ``size`` entries have that root, by the stored tree hashes."""
        return size <= self._current.size and root == (self._subtree(0, size) if size else EMPTY_ROOT)
