"""The office of sequencer: one writer at a time holds it, the others stand by."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

import orjson
from psycopg import errors

from countermark.audit.canonical import canonical_bytes
from countermark.audit.commit import MAX_BATCH, AppendEntry, Submission, append_entry
from countermark.audit.note import NoteSigner
from countermark.audit.sequencer import Sequencer, not_its_key
from countermark.audit.stores.interface import SignedRecord
from countermark.audit.stores.postgres.connect import connect, reported, store_name
from countermark.audit.stores.postgres.inbox import PATIENCE_S, unpack_sealed
from countermark.audit.stores.postgres.reader import PostgresReader, session_number
from countermark.audit.stores.postgres.store import SequencerStore, make_durable
from countermark.errors import AuditError, AuditRollback, EventInvalid

STANDBY_S: Final = 0.25
"""How often those who stand by try for the office."""
_SHORTEST_S: Final = 0.001
_GATHERING_S: Final = 0.004
_LONGEST_S: Final = 0.02
"""Between looks into an empty inbox. Whoever writes in this very process is served at once."""
_LOST_AFTER: Final = "30s"
"""A sequencer silent for so long is stopped or cut off: its session is ended, and with it the lock."""
_LOOK_AFTER_S: Final = 5.0
"""How often those who stand by look whether the sequencer is silent."""

# Objects in two schemas of one database have different numbers, so each log has a lock of its own.
_TRY_LOCK = "SELECT pg_try_advisory_lock((x'436D4C67'::bigint << 32) | 'sequencer'::regclass::oid::bigint)"
# The server's own time-outs do not run while it waits for the rest of what a stopped process was sending.
_END_SILENT = f"""SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND classid::bigint = x'436D4C67'::bigint
AND objid = 'sequencer'::regclass::oid AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND wait_event_type = 'Client' AND state_change < clock_timestamp() - '{_LOST_AFTER}'::interval"""  # noqa: S608
_SESSION = f"""SET idle_session_timeout = '{_LOST_AFTER}'; SET idle_in_transaction_session_timeout = '{_LOST_AFTER}';
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"""


@dataclass
class _Handed:
    """A batch of this very process. ``over``: it is recorded, or there is a ``failure``."""

    batch: Sequence[Submission]
    over: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None


class Office:
    """Tries for the office in a thread of its own and, once in it, sequences what is handed to it and the inbox.

    Takes over ``record``, and closes it. After any failure it leaves office for good: ``failure`` says why, and the log
    has to be opened again.

    Args:
        parameters: the database.
        record: of signed heads.
        signer: the log's key.
        held: a checkpoint kept elsewhere, which vouches for the store where the record is lost.
        session: names this process among those that begin attempts.

    Raises:
        AuditRollback: the database is behind what was signed.
        AuditStoreDamaged: it contradicts itself.
        KeyUnavailable: the log is signed with another key.
    """

    def __init__(
        self, parameters: dict[str, Any], record: SignedRecord, signer: NoteSigner, *, held: str | None, session: str
    ) -> None:
        self.failure: Exception | None = None
        self._name = store_name(parameters)
        self._record = record
        self._signer = signer
        self._held = held
        self._session = session_number(session)
        self._sequencer: Sequencer | None = None
        self._handing = threading.Lock()
        self._handed: _Handed | None = None
        self._work = threading.Event()
        self._over = threading.Event()
        self._look_next = monotonic() + _LOOK_AFTER_S
        with ExitStack() as opened:
            opened.callback(record.close)
            self._connection = connect(parameters)
            opened.callback(self._connection.close)
            with reported(self._name):
                make_durable(self._connection, self._name)
                self._connection.execute(_SESSION.encode())
                while not self._take() and not self._may_stand_by():
                    self._over.wait(_LONGEST_S)  # another process is just making the log
            opened.pop_all()
        self._thread = threading.Thread(target=self._serve, name="countermark-sequencer", daemon=True)
        self._thread.start()

    @property
    def holds(self) -> bool:
        """Whether this process is the sequencer."""
        return self._sequencer is not None

    def wake(self) -> None:
        """There is something in the inbox."""
        self._work.set()

    def commit(self, batch: Sequence[Submission]) -> bool:
        """Return when a batch of this process is recorded; ``False``, at once, where another process has the office.

        Called by one thread at a time. Single submissions may be refused (their ``error``).

        Raises:
            AuditError: it is unknown whether it is, or will be, recorded.
        """
        with self._handing:
            if not self.holds:
                return False
            handed = self._handed = _Handed(batch)
        self._work.set()
        if not handed.over.wait(PATIENCE_S):
            raise AuditError(f"{self._name} did not commit within {PATIENCE_S:.0f} seconds.")
        if handed.failure is not None:
            raise handed.failure
        return True

    def close(self) -> None:
        """Finish the commit under way, then let others have the office."""
        self._over.set()
        self._work.set()
        self._thread.join()
        self._connection.close()
        self._record.close()

    # --- taking office ----------------------------------------------------------------------------------------------

    def _take(self) -> bool:
        """Take the office if it is free, and check everything before the first commit."""
        if not self._one(_TRY_LOCK):
            return False
        epoch = self._one("UPDATE sequencer SET epoch = epoch + 1 WHERE id = 0 RETURNING epoch")
        store = self._store = SequencerStore(self._connection, self._name, epoch)
        self._sequencer = Sequencer(store, self._record, self._signer, held=self._held, session=str(self._session))
        return True

    def _may_stand_by(self) -> bool:
        """Whether the log that another process writes is one that this process could go on with."""
        record = self._record.get(self._signer.name)  # first: it never overtakes the store that it was read before
        reader = PostgresReader(self._connection)
        meta = reader.meta()
        if not meta:
            return False
        if meta.get("verifier_key") != self._signer.verifier_key:
            raise not_its_key(meta, self._signer)
        head = reader.head()
        if record and record.size > head.size:
            raise AuditRollback(f"The audit store holds {head.size} entries, but {record.size} were signed.")
        return True

    def _look_after_sequencer(self) -> None:
        """End the session of a sequencer that is silent; its epoch keeps it from writing should it wake up."""
        if monotonic() >= self._look_next:
            self._look_next = monotonic() + _LOOK_AFTER_S
            with suppress(errors.InsufficientPrivilege):  # of a superuser, say
                self._connection.execute(_END_SILENT.encode())

    def _replaced(self) -> AuditError | None:
        """Why this process is in office no more, if it is not: its successor is no second copy of the log."""
        try:
            with self._store.transaction(durable=False):
                return None
        except AuditError as error:
            return error

    # --- in office --------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            with reported(self._name):
                pause = _SHORTEST_S
                while not self._over.is_set():
                    if self._sequencer is None and not self._take():
                        self._look_after_sequencer()
                        self._over.wait(STANDBY_S)
                        continue
                    assert self._sequencer is not None
                    began = monotonic()
                    drained = self._drain(self._sequencer)
                    # After a commit, let those whom it set free put in what they have next: fewer, larger commits.
                    pause = min((monotonic() - began) / 2, _GATHERING_S) if drained else min(2 * pause, _LONGEST_S)
                    self._work.wait(max(pause, _SHORTEST_S))
                    self._work.clear()
        except AuditRollback as error:
            self.failure = self._replaced() or error
        except Exception as error:
            self.failure = error
        finally:
            with self._handing:
                self._sequencer = None
                self._settle(self.failure or AuditError(f"{self._name} was closed."))
            self._connection.close()  # and with it the lock: whoever stands by takes over and checks the store anew

    def _drain(self, sequencer: Sequencer) -> int:
        """Sequence what was handed over and what is in the inbox; how many that were.

        What does not fit into one commit gets a second one, so that neither keeps the other waiting.
        """
        handed = self._handed
        if handed is None:
            return self._sequence(sequencer, (), MAX_BATCH)
        room = MAX_BATCH - len(handed.batch)
        count = self._sequence(sequencer, handed.batch, room)
        with self._handing:
            self._settle(None)
        if count == MAX_BATCH:
            count += self._sequence(sequencer, (), MAX_BATCH)
        return count

    def _settle(self, failure: Exception | None) -> None:
        """Tell whoever handed a batch over. Called with the lock held."""
        if self._handed is not None:
            self._handed.failure = failure
            self._handed.over.set()
            self._handed = None

    def _sequence(self, sequencer: Sequencer, batch: Sequence[Submission], room: int) -> int:
        """Commit a batch, and with it up to ``room`` rows of the inbox; how many that were together."""
        rows = self._store.take(room) if room else []
        if not rows:
            if batch:
                sequencer.commit(batch)
            return len(batch)
        entries: list[AppendEntry] = []
        refused: list[tuple[int, str, str]] = []
        for number, event_id, body, sealed, _ in rows:
            try:
                entries.append(_checked(event_id, body, sealed))
            except EventInvalid as error:
                refused.append((number, event_id, error.message))
        taken, waiting = [row[0] for row in rows], sorted({row[4] for row in rows})
        sequencer.commit([*batch, *entries], also=lambda: self._store.remove_from_inbox(taken, refused, waiting))
        return len(batch) + len(rows)

    def _one(self, query: str) -> Any:
        return self._connection.execute(query.encode()).fetchall()[0][0]


def _checked(event_id: str, body: bytes, sealed: bytes | None) -> AppendEntry:
    """An entry from the inbox. Who may write there need not be trusted with more than that.

    Raises:
        EventInvalid: not the canonical bytes of an event of that id.
    """
    malformed = EventInvalid(f"What was put into the inbox as event {event_id} is no event of that id.")
    try:
        document = orjson.loads(body)
        entry = append_entry(document, body, unpack_sealed(event_id, sealed) if sealed else None)
        canonical = canonical_bytes(document)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise malformed from None
    if entry.event_id != event_id or canonical != body or not _can_index(entry.row):
        raise malformed
    return entry


def _can_index(row: Sequence[object]) -> bool:
    return all(value is None or (isinstance(value, str) and "\0" not in value) for value in row)
