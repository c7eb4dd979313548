"""Group commit: many callers, one trip to the disk.

A caller who finds nobody committing commits; those who come meanwhile wait, and go together on the next trip. Each
returns when its own submissions are durable.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from countermark.audit.privacy import Sealed
from countermark.audit.query import IndexRow, index_row
from countermark.errors import AuditClosed, AuditPoisoned, CountermarkError, EventInvalid
from countermark.model import EventType

MAX_BATCH: Final = 1024
"""The most entries in one commit, and so the most that a crash can leave committed but not yet signed."""


_OUTCOMES = frozenset({EventType.RELEASED, EventType.REFUSED, EventType.HELD, EventType.FAILED})


@dataclass
class Submission:
    """Work for the next commit; ``error`` is set where this one alone was refused."""

    error: CountermarkError | None = field(default=None, init=False)


@dataclass
class AppendEntry(Submission):
    """An entry to append. ``index`` and ``size`` are set when it is durable."""

    event_id: str
    body: bytes
    row: IndexRow
    sealed: Sealed | None = None
    concludes: str | None = None
    index: int = field(default=-1, init=False)
    size: int = field(default=0, init=False)


@dataclass
class BeginAttempt(Submission):
    """An attempt to remember until its outcome is appended."""

    attempt: str
    tenant: str
    time: str


def append_entry(document: Mapping[str, Any], body: bytes, sealed: Sealed | None = None) -> AppendEntry:
    """The entry of an event, from its document and canonical bytes."""
    concludes = document["attempt"] if document["type"] in _OUTCOMES else None
    return AppendEntry(document["event_id"], body, index_row(document), sealed, concludes)


def already_recorded(event_id: str, index: int) -> EventInvalid:
    """The refusal of an event whose id another event of the log has."""
    return EventInvalid(
        f"Event {event_id} is already entry {index} of the log, with other content.",
        remedy="Give each event an id of its own; repeat an append only with the very same event.",
    )


class _Turn:
    """One caller's submissions on their way. ``woken``: they are through (``done``), or it is this caller's to lead."""

    __slots__ = ("done", "failure", "submissions", "woken")

    def __init__(self, submissions: Sequence[Submission]) -> None:
        self.submissions = submissions
        self.woken = threading.Event()
        self.done = False
        self.failure: BaseException | None = None


class GroupCommit:
    """Runs ``commit`` on batches of submissions, one batch at a time.

    The caller whose turn stands first in the queue leads: it takes all that wait, commits them, wakes their callers,
    and hands the lead to whoever is first by then. A lock that the callers queue on would not do: the one that just
    released it tends to take it again before the others wake, and batches stay small.

    Args:
        commit: makes a batch durable, or raises; after it raised once, nothing more is committed.
    """

    def __init__(self, commit: Callable[[Sequence[Submission]], None]) -> None:
        self._commit = commit
        self._mutex = threading.Lock()
        self._idle = threading.Condition(self._mutex)
        self._waiting: deque[_Turn] = deque()
        self._leading = False
        self._failure: BaseException | None = None

    def submit(self, submissions: Sequence[Submission]) -> None:
        """Return when all are durable or refused by themselves (their ``error``).

        Raises:
            AuditPoisoned: a commit failed, now or before: it is unknown whether these are durable.
            AuditClosed: :meth:`close` was called before: these were not committed.
        """
        for start in range(0, len(submissions), MAX_BATCH):
            turn = _Turn(submissions[start : start + MAX_BATCH])
            self._take(turn)
            if isinstance(turn.failure, AuditClosed):
                raise AuditClosed(turn.failure.message)
            if turn.failure is not None:
                why = str(turn.failure).removesuffix(".")
                raise AuditPoisoned(f"The audit log could not commit: {why}.") from turn.failure

    def close(self) -> None:
        """Refuse all that come later, and wait until those that came are through."""
        with self._mutex:
            self._failure = self._failure or AuditClosed("The audit log was closed.")
            self._idle.wait_for(lambda: not self._leading)

    def _take(self, turn: _Turn) -> None:
        with self._mutex:
            self._waiting.append(turn)
            leads = not self._leading
            self._leading = True
        if not leads:
            self._wait(turn)
        if not turn.done:
            self._lead()

    def _wait(self, turn: _Turn) -> None:
        try:
            turn.woken.wait()
        except BaseException:  # interrupted: nobody may wait for a leader that has left
            with self._mutex:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                    if turn.woken.is_set():
                        self._hand_over()
            raise

    def _lead(self) -> None:
        """Commit what waits, up to :data:`MAX_BATCH`; the leader's own turn is the first of it."""
        batch: list[_Turn] = []
        with self._mutex:
            room = MAX_BATCH
            while self._waiting and len(self._waiting[0].submissions) <= room:
                batch.append(self._waiting.popleft())
                room -= len(batch[-1].submissions)
            failure = self._failure
        try:
            if failure is None:
                self._commit([submission for turn in batch for submission in turn.submissions])
        except BaseException as error:
            failure = error
            if not isinstance(error, Exception):
                raise
        finally:
            with self._mutex:
                self._failure = self._failure or failure
                for turn in batch:
                    turn.done, turn.failure = True, failure
                    turn.woken.set()
                self._hand_over()

    def _hand_over(self) -> None:
        """Wake the next leader, if anybody waits. Called with the mutex held."""
        if self._waiting:
            self._waiting[0].woken.set()
        else:
            self._leading = False
            self._idle.notify_all()
