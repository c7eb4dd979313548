"""Full verification: every entry rehashed and compared with everything that was ever said about it.

The entries are compared with their stored leaf hashes, which names each entry that was changed, removed, inserted or
moved; the tree over them with the stored tree hashes and with every signed checkpoint; the whole with what was signed
last (a store of its own) and with a checkpoint kept elsewhere. Only the last comparison convicts somebody who has both
the database and the signing key.

First comes a sweep (:mod:`countermark.audit.sweep`), which needs little memory and tells only whether entries and tree
agree. Where they do not, everything is read again with all hashes in memory (some 300 bytes an entry), to name what
was done to which entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from os import cpu_count
from typing import Any, Final

from countermark.audit.checkpoint import open_checkpoint
from countermark.audit.findings import LogFinding, LogFindingKind, VerifyReport, explain, runs, span, twins
from countermark.audit.privacy import Vault
from countermark.audit.protected import Claims, check_holds, check_opened, check_protected
from countermark.audit.query import columns_of
from countermark.audit.stores.interface import SignedHead, StoreReader
from countermark.audit.sweep import Intact, OpenStore, Plan, Progress, sweep
from countermark.audit.tiles import TILE_WIDTH, HashedTree, split_hashes, tile_path
from countermark.audit.tree import HASH_BYTES, leaf_hash
from countermark.errors import ProofInvalid

__all__ = ["Progress", "Verification", "sensible_jobs"]

MAX_FINDINGS: Final = 1000
PUBLISHED: Final = "newest checkpoint"
KEPT: Final = "older checkpoints"
RECORD: Final = "record of what was signed"
HELD: Final = "checkpoint kept elsewhere"
INDEX: Final = "index"
PROTECTED: Final = "protected fields"
_PROGRESS_EVERY = 4096
_WORTH_ALL_CORES = 200_000


def sensible_jobs(size: int) -> int:
    """How many processes should sweep a log of ``size`` entries: all cores where it is large, otherwise this one."""
    return (cpu_count() or 1) if size >= _WORTH_ALL_CORES else 1


@dataclass(frozen=True)
class _Reference:
    """A size and root that the log must agree with, and where they come from."""

    source: str
    size: int
    root: bytes


@dataclass
class _Entries:
    """The entries as they stand.

    Numbers and leaf hashes in stored order, where the index says otherwise, what they say of protected fields.
    """

    numbers: list[int] = field(default_factory=list)
    leaves: bytearray = field(default_factory=bytearray)
    not_as_indexed: list[int] = field(default_factory=list)
    claims: Claims = field(default_factory=Claims)

    @property
    def well_numbered(self) -> bool:
        """Whether they count from 0 without a gap."""
        return not self.numbers or (self.numbers[0] == 0 and self.numbers[-1] == len(self.numbers) - 1)

    def pairs(self) -> list[tuple[int, bytes]]:
        return list(zip(self.numbers, split_hashes(bytes(self.leaves)), strict=True))


class Verification:
    """One full verification of one snapshot.

    Args:
        reader: a snapshot of the store.
        verifier_key: the log's key, known from elsewhere where possible.
        record: what was signed last, from the store of its own; read it *before* taking the snapshot.
        held: a signed checkpoint kept elsewhere.
        record_fault: what is wrong with the record, as its reader found; a sentence, or empty.
        vault: opens protected fields, to compare them with their commitments.
        progress: called with entries done and entries in all; from the beginning again where something is wrong.
        index: compare the look-up index with the entries too.
        protected: compare the data keys and ciphertexts too with what the entries say of them.
        jobs: processes that share the work; more than one needs ``open_store``.
        open_store: opens the store once more, in another process; must be picklable.
    """

    def __init__(
        self,
        reader: StoreReader,
        *,
        verifier_key: str,
        record: SignedHead | None,
        held: str | None,
        record_fault: str = "",
        vault: Vault | None = None,
        progress: Progress | None = None,
        index: bool = True,
        protected: bool = True,
        jobs: int = 1,
        open_store: OpenStore | None = None,
    ) -> None:
        self._reader = reader
        self._vault = vault
        self._with_index = index
        self._with_protected = protected
        self._jobs = jobs
        self._open_store = open_store
        self._verifier_key = verifier_key
        self._progress = progress
        self._findings: list[LogFinding] = []
        self._not_compared: list[str] = []
        self._head = reader.head()
        self._published = self._open(PUBLISHED, self._head.note)
        self._kept = [r for _, note in reader.kept_checkpoints() if (r := self._open(KEPT, note))]
        self._record = self._signed(record, record_fault)
        self._held = self._open(HELD, held) if held is not None else None

    def run(self) -> VerifyReport:
        """Everything, compared."""
        meta = self._reader.meta()
        if meta.get("verifier_key") != self._verifier_key:
            self._find(LogFindingKind.CHECKPOINT, "The store names another verifier key than the one given.")
        self._complain(self._reader.schema_complaints())
        self._look()
        self._compare_head()
        rewritten = self._compare_references()
        if self._with_index:
            self._compare_index(rewritten=rewritten)
        sealed = self._compare_protected() if self._with_protected else []
        parts = [*([INDEX] if self._with_index else []), *([PROTECTED] if self._with_protected else [])]
        compared = [r.source for r in (self._published, self._record, self._held) if r]
        return VerifyReport(
            origin=meta.get("origin", ""),
            verifier_key=self._verifier_key,
            size=self._tree.size,
            root=self._tree.root(self._tree.size) or b"",
            compared=("leaf hashes", "tree hashes", *parts, *compared),
            findings=(*self._findings[:MAX_FINDINGS], *sealed[:MAX_FINDINGS]),
            not_compared=tuple(self._not_compared),
        )

    def _look(self) -> None:
        """Sweep the log; read it again to name what differs, where something does."""
        size = self._reader.entry_count()
        sizes = {size, self._head.size, *(r.size for r in self._references())}
        asked = {"index": self._with_index, "protected": self._with_protected}
        plan = Plan(size, sorted(sizes), jobs=self._jobs, open_store=self._open_store, **asked)
        intact = self._sweep(plan)
        self._tree: Intact | HashedTree
        self._recorded: Intact | HashedTree
        if intact:
            self._tree = self._recorded = intact
            self._not_as_indexed, self._claims = intact.not_as_indexed, intact.claims
            return
        entries, recorded = self._hash_entries(), self._recorded_leaves()
        self._not_as_indexed, self._claims = entries.not_as_indexed, entries.claims
        self._tree = tree = HashedTree(bytes(entries.leaves))
        self._recorded = tree if recorded == tree.leaves else HashedTree(recorded)
        self._compare_hashes(entries, tree, recorded)

    def _sweep(self, plan: Plan) -> Intact | None:
        """Sweep the log; the database checks its own files beside us, where other processes sweep, or before."""
        if self._open_store is None or not plan.shared or not self._with_index:
            self._complain(self._reader.file_complaints() if self._with_index else [])
            return sweep(self._reader, plan, self._progress)
        with closing(self._open_store()) as store, store.reader() as reader, ThreadPoolExecutor(1) as beside:
            complaints = beside.submit(reader.file_complaints)
            intact = sweep(self._reader, plan, self._progress)
            self._complain(complaints.result())
        return intact

    def _complain(self, complaints: list[str]) -> None:
        for complaint in complaints:
            self._find(LogFindingKind.STORE, complaint)

    # --- gathering --------------------------------------------------------------------------------------------------

    def _find(self, kind: LogFindingKind, message: str, index: int | None = None, last: int | None = None) -> None:
        self._findings.append(LogFinding(kind, message, index, index if last is None else last))

    def _open(self, source: str, note: str) -> _Reference | None:
        try:
            checkpoint = open_checkpoint(note, self._verifier_key)
        except ProofInvalid as error:
            self._find(LogFindingKind.CHECKPOINT, f"{_sentence(source)} cannot be trusted: {error.message}")
            return None
        return _Reference(source, checkpoint.size, checkpoint.root)

    def _signed(self, record: SignedHead | None, fault: str) -> _Reference | None:
        """The record of what was signed, where there is one."""
        if fault:
            self._find(LogFindingKind.CHECKPOINT, fault)
        if record is None:
            if not fault:
                self._not_compared.append(
                    "The record of what was signed is not here: that the store is an older copy would go unnoticed."
                )
            return None
        if record.note:
            signed = self._open(RECORD, record.note)
            if signed and (signed.size, signed.root) != (record.size, record.root):
                self._find(LogFindingKind.CHECKPOINT, "The record of what was signed contradicts its own checkpoint.")
        return _Reference(RECORD, record.size, record.root)

    def _hash_entries(self) -> _Entries:
        entries = _Entries()
        total = self._reader.entry_count()
        for done, (number, body, *indexed) in enumerate(self._stored()):
            leaf = leaf_hash(body)
            entries.numbers.append(number)
            entries.leaves += leaf
            if self._with_index and indexed != [leaf, columns_of(body)]:
                entries.not_as_indexed.append(number)
            if self._with_protected:
                entries.claims.read(number, body)
            if self._progress and done % _PROGRESS_EVERY == 0:
                self._progress(done, total)
        if self._progress:
            self._progress(total, total)
        return entries

    def _stored(self) -> Iterator[tuple[Any, ...]]:
        """Every entry in stored order, beside its row of the index only where that is asked for: it may be gone."""
        return iter(self._reader.rows() if self._with_index else self._reader.bodies(-(2**63), 2**63 - 1))

    def _recorded_leaves(self) -> bytes:
        """The stored leaf hashes, up to the first tile that is missing or narrow."""
        leaves = bytearray()
        while tile := self._reader.tile(0, len(leaves) // HASH_BYTES // TILE_WIDTH):
            leaves += tile[: len(tile) // HASH_BYTES * HASH_BYTES]
            if len(tile) < TILE_WIDTH * HASH_BYTES:
                break
        return bytes(leaves)

    # --- comparing --------------------------------------------------------------------------------------------------

    def _compare_hashes(self, entries: _Entries, tree: HashedTree, recorded: bytes) -> None:
        """Entries with their leaf hashes, or, where those agree, with the tree hashes above."""
        if tree.leaves == recorded and entries.well_numbered:
            self._compare_tiles(tree)
        elif self._as_signed(entries, tree):
            for first, last in runs(_differing(tree.leaves, recorded)):
                message = f"The stored leaf hashes of {span(first, last)} were altered; the entries are as signed."
                self._find(LogFindingKind.TREE, message, first, last)
        else:
            self._findings += explain(entries.pairs(), split_hashes(recorded))

    def _as_signed(self, entries: _Entries, tree: HashedTree) -> bool:
        published = self._published
        complete = published is not None and published.size == tree.size and entries.well_numbered
        return complete and published is not None and tree.root(published.size) == published.root

    def _compare_tiles(self, tree: HashedTree) -> None:
        for level, index in sorted(tree.keys() ^ self._reader.tile_keys()):
            self._find(
                LogFindingKind.TREE, f"{tile_path(level, index)} is missing, or there although it should not be."
            )
        for level, index in sorted(tree.keys() & self._reader.tile_keys()):
            if self._reader.tile(level, index) != tree.tile(level, index):
                width = TILE_WIDTH ** (level + 1)
                first, last = index * width, min((index + 1) * width, tree.size) - 1
                message = f"The stored tree hashes over {span(first, last)}, {tile_path(level, index)}, were altered."
                self._find(LogFindingKind.TREE, message, first, last)

    def _compare_head(self) -> None:
        head, published = self._head, self._published
        if (head.size, head.root) not in [(tree.size, tree.root(tree.size)) for tree in (self._tree, self._recorded)]:
            self._find(LogFindingKind.TREE, f"The stored head of {head.size} entries is not that of the entries.")
        if published and published.size < self._tree.size:
            first, last = published.size, self._tree.size - 1
            message = (
                f"Not signed, because a crash left it or somebody added it: {span(first, last)}."
                " Opening the log for writing signs what a crash left."
            )
            self._find(LogFindingKind.UNSIGNED, message, first, last)

    def _compare_references(self) -> bool:
        """Whether the log contradicts something that was signed, beyond what its own leaf hashes tell."""
        before = len(self._findings)
        signed = [*self._kept, *([self._published] if self._published else [])]
        bad = [r for r in signed if not self._fits(r)]
        if bad:
            good = max((r.size for r in signed if self._fits(r) and r.size < bad[0].size), default=0)
            self._disagree(bad[0], good)
        resigned = not bad and self._published is not None
        comment = "The log was signed anew, by somebody who has its key." if resigned else ""
        for reference in (self._held, self._record):
            if reference and not self._fits(reference):
                self._disagree(reference, 0, comment)
        return len(self._findings) > before

    def _references(self) -> list[_Reference]:
        return [r for r in (self._published, *self._kept, self._record, self._held) if r]

    def _fits(self, reference: _Reference) -> bool:
        return any(tree.root(reference.size) == reference.root for tree in (self._tree, self._recorded))

    def _disagree(self, reference: _Reference, good: int, comment: str = "") -> None:
        size, source = self._tree.size, _sentence(reference.source)
        if reference.size > size:
            kind = LogFindingKind.ROLLBACK if reference.source is RECORD else LogFindingKind.TRUNCATED
            message = f"{source} counts {reference.size} entries, the store holds {size}: the newest are gone."
            self._find(kind, message, size, reference.size - 1)
            return
        message = (
            f"{source} of {reference.size} entries contradicts the log: an entry up to {reference.size - 1} is not"
        )
        message += f" what was signed. {comment}".rstrip()
        self._find(LogFindingKind.REWRITTEN, message, good, reference.size - 1)

    def _compare_index(self, *, rewritten: bool) -> None:
        """Entries with the look-up index, which names rewritten entries where the forger forgot about it."""
        differing = self._not_as_indexed
        if rewritten and differing:
            self._findings += explain(self._hash_entries().pairs(), self._reader.indexed_leaves())
            return
        differing = [index for index in differing if not self._is_no_event(index)]
        explained = {index for f in self._findings if f.index is not None for index in (f.index, f.last)}
        for first, last in runs(differing):
            if not self._findings or (first not in explained and last not in explained):
                message = f"The look-up index says otherwise of {span(first, last)}: one of the two was altered."
                self._find(LogFindingKind.INDEX, message, first, last)
        for first, last in runs(self._reader.index_rows_beyond(self._tree.size)):
            if not self._findings:
                self._find(
                    LogFindingKind.INDEX, f"The look-up index names {span(first, last)}: not there.", first, last
                )

    def _is_no_event(self, index: int) -> bool:
        """Whether an entry cannot be in the index, because the log's own rules forbid it; then that is found."""
        body = self._reader.body(index) if len(self._findings) < MAX_FINDINGS else None
        if body is None:
            return False
        columns = columns_of(body)
        if columns is None:
            message = f"Entry {index} is no event in canonical form: only somebody who has the log's key recorded it."
            self._find(LogFindingKind.INVALID, message, index)
            return True
        other = self._reader.index_of(str(columns[0]))
        if other is None or other == index:
            return False
        twin = columns_of(self._reader.body(other) or b"")
        if twin is None or twin[0] != columns[0]:
            return False
        self._find(LogFindingKind.INVALID, twins(index, other), max(index, other))
        return True

    def _compare_protected(self) -> list[LogFinding]:
        if self._vault is None and self._claims.committed:
            message = "Protected fields were not opened: without the master key only that they are there is checked."
            self._not_compared.append(message)
        missing = check_protected(self._claims, *self._reader.sealed())
        altered = check_opened(self._claims, self._vault, self._reader.sealed_fields())
        return [*missing, *altered, *check_holds(self._claims, self._reader.body)]


def _differing(left: bytes, right: bytes) -> list[int]:
    """Positions at which two runs of hashes differ."""
    longest = max(len(left), len(right))
    return [
        start // HASH_BYTES
        for start in range(0, longest, HASH_BYTES)
        if left[start : start + HASH_BYTES] != right[start : start + HASH_BYTES]
    ]


def _sentence(source: str) -> str:
    return {KEPT: "An older checkpoint"}.get(source, f"The {source}")
