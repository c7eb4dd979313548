"""The fingerprints that a log holds, ready to be searched: gathered once, kept in a file, brought up to date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np

from countermark.errors import AuditIndexUnusable
from countermark.fingerprint.hamming import pack
from countermark.fingerprint.index import FingerprintIndex, Hit
from countermark.fingerprint.pdq import NEAR, Fingerprint
from countermark.fingerprint.snapshot import Snapshot, SnapshotUnusable, read_snapshot, write_snapshot
from countermark.observe import get_logger

KEEP_FROM = 4096
"""New fingerprints that are worth a file: reading fewer from the log at every start takes a few milliseconds."""
_KEEP_SHARE = 32
"""In a large log, a new file is written when it grew by one part in this many: no entry is written more than about
this often, and no start reads more than that from the log."""
_AT_ONCE = 50_000


class RecordedLog(Protocol):
    """What is asked of a log; :class:`countermark.audit.AuditLog` answers it."""

    origin: str

    @property
    def size(self) -> int:
        """Entries under the newest checkpoint."""
        ...

    def root(self, size: int) -> bytes:
        """The root of the tree of the first ``size`` entries."""
        ...

    def fingerprints(self, after: int) -> Iterator[tuple[int, str]]:
        """Index and fingerprint of every entry beyond ``after`` that has one, oldest first."""
        ...


class RecordedFingerprints:
    """Look-alikes among the entries of a log. Safe to share between threads; several processes may share the file.

    The file is a cache: whatever is wrong with it (damaged, of another log, of a log that was rolled back since), it is
    made again from the log. Where it cannot be written, everything works from memory.

    Args:
        log: whose fingerprints.
        path: where they are kept between processes; ``None`` keeps them in memory only.
        keep_from: how many new ones are worth writing the file.
    """

    def __init__(self, log: RecordedLog, path: Path | None, *, keep_from: int = KEEP_FROM) -> None:
        self._log = log
        self._path = path
        self._keep_from = keep_from
        self._lock = Lock()
        self._index: FingerprintIndex | None = None
        self._covered = 0
        self._kept = 0

    def nearest(self, forms: Sequence[Fingerprint], *, within: int = NEAR, limit: int = 10) -> list[Hit]:
        """Entries of the log, as it is now, within a distance of one of the forms; see ``FingerprintIndex``.

        What is found is where to look, not yet a finding: compare it with the entry itself.

        Raises:
            AuditIndexUnusable: the log's look-up index cannot be used, or holds what is no fingerprint.
            AuditStoreDamaged: the log cannot say its size.
        """
        with self._lock:
            return self._up_to_date().query_forms(forms, within=within, limit=limit)

    def _up_to_date(self) -> FingerprintIndex:
        size = self._log.size
        if self._index is None or size < self._covered:
            self._index, self._covered = self._load(size)
            self._kept = len(self._index)
        try:
            # The log may already hold more than its newest checkpoint covers.
            beyond = self._log.fingerprints(self._covered - 1)
            _gather(self._index, takewhile(lambda entry: entry[0] < size, beyond))
        except BaseException:
            self._index = None  # half of it may have arrived
            raise
        self._covered = size
        if len(self._index) - self._kept >= max(self._keep_from, self._kept // _KEEP_SHARE):
            self._keep(self._index)
        return self._index

    def _load(self, size: int) -> tuple[FingerprintIndex, int]:
        index = FingerprintIndex()
        if self._path is None:
            return index, 0
        try:
            kept = read_snapshot(self._path, origin=self._log.origin, at_most=size)
            if self._log.root(kept.covered) != kept.root:
                raise SnapshotUnusable("the log has another history")
        except SnapshotUnusable as fault:
            get_logger("fingerprint").debug("the kept fingerprints are gathered again", reason=str(fault))
            return index, 0
        index.extend(kept.references, kept.packed)
        return index, kept.covered

    def _keep(self, index: FingerprintIndex) -> None:
        # Whether or not it can be written now: trying again at every look-up would only cost time.
        self._kept = len(index)
        if self._path is None:
            return
        references, packed = index.entries()
        snapshot = Snapshot(self._log.origin, self._covered, self._log.root(self._covered), references, packed)
        try:
            write_snapshot(self._path, snapshot)
        except OSError as error:
            reason = error.strerror or str(error)
            get_logger("fingerprint").info("the fingerprints stay in memory: they cannot be kept", reason=reason)


def _gather(index: FingerprintIndex, entries: Iterable[tuple[int, str]]) -> None:
    entries = iter(entries)
    while batch := list(islice(entries, _AT_ONCE)):
        references = np.array([reference for reference, _ in batch], np.int64)
        try:
            packed = pack([bits for _, bits in batch])
        except ValueError:
            raise AuditIndexUnusable("The look-up index of the audit log holds what is no fingerprint.") from None
        index.extend(references, packed)
