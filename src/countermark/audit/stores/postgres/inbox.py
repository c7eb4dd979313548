"""A writer's side of the inbox: put events in, wait until a signed checkpoint covers them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

import orjson
from psycopg import sql

from countermark.audit.checkpoint import peek_checkpoint
from countermark.audit.commit import AppendEntry, BeginAttempt, Submission, already_recorded
from countermark.audit.privacy import PROTECTED_FIELDS, Sealed, WrappedKey
from countermark.audit.stores.postgres.connect import connect, reported, store_name
from countermark.audit.stores.postgres.reader import session_number
from countermark.audit.stores.postgres.store import ADD_PENDING, make_durable
from countermark.audit.tree import leaf_hash
from countermark.errors import AuditError, EventInvalid

PATIENCE_S: Final = 60.0
"""How long an append waits for a sequencer before it gives up; the event stays in the inbox."""
_PUT_AGAIN_S: Final = 2.0
"""Malformed rows leave the inbox, and may have stood in the way of an event whose id they bore."""
_LOOK_S: Final = 0.2
"""Notifications are hints: whoever waits looks for himself this often."""
_PUT = """INSERT INTO inbox (event_id, body, sealed, channel)
SELECT *, %s FROM unnest(%b::text[], %b::bytea[], %b::bytea[]) ON CONFLICT (event_id) DO NOTHING"""
_STATE = """SELECT event_id, seq, leaf, NULL FROM event_index WHERE event_id = ANY(%s COLLATE "C")
UNION ALL SELECT NULL, NULL, NULL, note FROM head"""


def pack_sealed(sealed: Sealed) -> bytes:
    """Protected fields as they wait in the inbox: ciphertexts and the wrapped key, no plaintext."""
    fields = {field: _base64(ciphertext) for field, ciphertext in sealed.ciphertexts.items()}
    return orjson.dumps({"master": sealed.key.master_id, "key": _base64(sealed.key.wrapped), "fields": fields})


def unpack_sealed(event_id: str, packed: bytes) -> Sealed:
    """What :func:`pack_sealed` packed, except the commitments, which stand in the event.

    Raises:
        EventInvalid: somebody else packed it.
    """
    try:
        parts = orjson.loads(packed)
        master_id = bytes.fromhex(parts["master"]).hex()
        key = WrappedKey(event_id, master_id, base64.b64decode(parts["key"], validate=True))
        fields = {name: base64.b64decode(text, validate=True) for name, text in parts["fields"].items()}
        if not fields.keys() <= set(PROTECTED_FIELDS):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise EventInvalid(f"The protected fields of event {event_id} are malformed.") from None
    return Sealed(key, (), fields)


def can_hold(item: AppendEntry) -> bool:
    """Whether PostgreSQL can hold an entry's row; where it cannot, the entry's ``error`` says so."""
    if "\0" in "".join(filter(None, item.row)):
        item.error = EventInvalid(
            f"Event {item.event_id} has U+0000 in a field that is looked up, which PostgreSQL cannot hold.",
            remedy="Remove it from tenant, attempt, model or policy.",
        )
    return item.error is None


class Inbox:
    """One writer's connection, used by one thread at a time.

    Rows need not reach the disk by themselves: the commit of the sequencer that takes them flushes all that came
    before it, and nothing is acknowledged earlier.

    Args:
        parameters: the database.
        session: names this writer; its attempts count as unfinished once its connection is gone.
        wake: called when something was put in.
        check: raises where there is no point in waiting any longer.
    """

    def __init__(
        self,
        parameters: dict[str, Any],
        *,
        session: str,
        wake: Callable[[], None],
        check: Callable[[], None],
    ) -> None:
        self._name = store_name(parameters)
        self._session = session_number(session)
        self._channel = f"countermark_{session}"
        self._wake, self._check = wake, check
        self._connection = connect(parameters)
        try:
            with reported(self._name):
                make_durable(self._connection, self._name)
                self._connection.execute("SELECT pg_advisory_lock(%s)", (self._session,))
                self._connection.execute("SET synchronous_commit = off")
                self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        except BaseException:
            self._connection.close()
            raise

    def commit(self, batch: Sequence[Submission]) -> None:
        """Return when the batch is recorded. Single submissions may be refused (their ``error``).

        Raises:
            AuditError: it is unknown whether it is, or will be, recorded.
        """
        appends = [one for one in batch if isinstance(one, AppendEntry)]
        begins = [one for one in batch if isinstance(one, BeginAttempt)]
        with reported(self._name):
            if begins:
                self._remember(begins)
            if appends:
                self._put(appends)
                self._await(appends)

    def _remember(self, begins: Sequence[BeginAttempt]) -> None:
        rows = [(one.attempt, one.tenant, one.time, self._session) for one in begins]
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = on")
            cursor.executemany(ADD_PENDING, rows)

    def _put(self, appends: Sequence[AppendEntry]) -> None:
        ids = [one.event_id for one in appends]
        bodies = [one.body for one in appends]
        sealed = [pack_sealed(one.sealed) if one.sealed else None for one in appends]
        self._connection.execute(_PUT, (self._channel, ids, bodies, sealed))
        self._wake()

    def _await(self, appends: Sequence[AppendEntry]) -> None:
        waiting: dict[str, list[AppendEntry]] = {}
        for one in appends:
            waiting.setdefault(one.event_id, []).append(one)
        now = monotonic()
        put_again, give_up = now + _PUT_AGAIN_S, now + PATIENCE_S
        while waiting:
            for _ in self._connection.notifies(timeout=_LOOK_S, stop_after=1):
                pass
            self._check()
            self._collect(waiting)
            now = monotonic()
            if waiting and now > give_up:
                raise AuditError(
                    f"No sequencer took the events that wait in {self._name} for {PATIENCE_S:.0f} seconds.",
                    remedy="Start a process that opens the log with its signing key; then repeat with the same events.",
                )
            if waiting and now > put_again:
                self._put([one for alike in waiting.values() for one in alike])
                put_again = now + _PUT_AGAIN_S

    def _collect(self, waiting: dict[str, list[AppendEntry]]) -> None:
        """Settle those events that a signed checkpoint covers."""
        found = self._connection.execute(_STATE, (list(waiting),), binary=True).fetchall()
        # The note is read, not verified: whoever hands out a proof under it verifies it.
        size = next((peek_checkpoint(note).size for *_, note in found if note), 0)
        for event_id, index, leaf, _ in found:
            if event_id is None or index >= size:
                continue
            for one in waiting.pop(event_id):
                one.index, one.size = index, size
                one.error = None if leaf == leaf_hash(one.body) else already_recorded(event_id, index)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
