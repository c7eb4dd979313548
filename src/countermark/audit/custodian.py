"""What is done with what the log keeps: viewing protected fields, legal holds, erasure. All of it is recorded.

The event is always durable first: nothing is shown or deleted that the log does not already tell of.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson

from countermark.audit.canonical import event_document
from countermark.audit.erasure import Erasure, ErasurePlan
from countermark.audit.hold import Hold, Ledger, check_query, check_until, read_ledger
from countermark.audit.pictures import ShownPicture, picture_of
from countermark.audit.privacy import Disclosure
from countermark.audit.protected import parse_protected
from countermark.audit.query import Filter, columns_of
from countermark.audit.scan import checked_entries
from countermark.audit.verifiable import VerifiableReader
from countermark.audit.verify import Progress
from countermark.audit.warrant import Warrant, now
from countermark.errors import AuditClosed, AuditError, NotFound, UsageError
from countermark.model import AccessRecord, ActorRef, Event, EventType, HoldRecord
from countermark.model.custody import HELD_PICTURE, ProtectedField

_PROGRESS_EVERY = 4096
_ID_CHARS = 6
Fetch = Callable[[Event, str, str | None], bytes]
"""A held picture's file by its event, its key in the object store, and the key that it was sealed under, if it was."""


class Custodian(VerifiableReader, ABC):
    """The part of a log that views, holds and erases; whatever appends may be put beneath it."""

    @abstractmethod
    def append_many(self, events: Iterable[tuple[Event, Mapping[str, str] | None]]) -> list[Any]:
        """Record several events in one commit, in order."""

    @abstractmethod
    def _require_writer(self) -> object:
        """What writes; an error where the log is open for reading only."""

    def _record(self, *events: Event) -> tuple[int, ...]:
        return tuple(appended.index for appended in self.append_many([(event, None) for event in events]))

    def _may_write(self, what: str) -> None:
        try:
            self._require_writer()
        except AuditClosed:
            raise
        except AuditError as error:
            raise AuditError(
                f"The audit log {self.origin} is open for reading only, and {what} is an event that it must record.",
                remedy="Open the log for writing, or ask a process that has it open.",
            ) from error

    # --- viewing ----------------------------------------------------------------------------------------------------

    def reveal(self, index: int, field: str, *, reason: str, actor: ActorRef | None = None) -> str:
        """The plaintext of a protected field, checked against the commitment in the log.

        An ``access`` event is durable before this returns.

        Args:
            index: the entry.
            field: ``prompt`` or ``negative_prompt``.
            reason: why it must be seen; recorded.
            actor: who sees it.

        Raises:
            AuditError: the log is open for reading only.
            NotFound: the entry has no such field, or it was erased.
            KeyUnavailable: no master key, or another one.
            AuditStoreDamaged: what is stored is not what the log committed to.
            UsageError: no reason.
        """
        return self.disclose(index, Warrant(reason, actor), fields=(field,))[0].text

    def disclose(
        self, index: int, warrant: Warrant, *, fields: Collection[str] | None = None
    ) -> tuple[Disclosure, ...]:
        """Several protected fields of one entry, by default all texts; see :meth:`reveal`."""
        self._may_write("viewing a protected field")
        event, opened = self._open_fields(index, fields)
        self._record(access_event(index, event, (one.field for one in opened), warrant))
        return opened

    def show_picture(self, index: int, warrant: Warrant, fetch: Fetch) -> ShownPicture:
        """The picture that was held with an entry; an ``access`` event is durable before this returns.

        Args:
            index: the entry.
            warrant: why, and by whom.
            fetch: brings the picture from where it is kept. What it raises goes on, and nothing is recorded.

        Raises:
            AuditError: the log is open for reading only.
            NotFound: the entry holds no picture, or was erased.
            KeyUnavailable: no master key, or another one.
            AuditStoreDamaged: the picture's key is not what the log committed to, or is gone and no erasure says so.
        """
        self._may_write("viewing a held picture")
        event = self.event(index)
        picture = picture_of(event_document(event))
        if picture is None:
            raise NotFound(
                f"Entry {index} holds no picture: only what was held for review after it was made has one.",
                remedy="See which were held with: countermark log list --type generation.held",
            )
        key = None
        if picture.sealed:
            _, (opened,) = self._open_fields(index, (HELD_PICTURE,))
            key = opened.text
        elif event.event_id in (erased := self._ledger().erased):
            raise NotFound(
                f"Entry {index} was erased by entry {erased[event.event_id]}; its picture is not shown any more.",
                remedy=f"It was kept in the clear: delete {picture.object_key} from the object store.",
            )
        data = fetch(event, picture.object_key, key)
        (access,) = self._record(access_event(index, event, (HELD_PICTURE,), warrant))
        return ShownPicture(data, access)

    # --- holding ----------------------------------------------------------------------------------------------------

    def hold(
        self,
        warrant: Warrant,
        *,
        events: Collection[str] = (),
        query: Mapping[str, str] | None = None,
        until: str | None = None,
    ) -> Hold:
        """Place a legal hold: what it covers cannot be erased until it is released or ``until`` has passed.

        Args:
            warrant: why, and by whom.
            events: ids of events in the log.
            query: conditions of :data:`~countermark.audit.hold.CONDITIONS`, joined by *and*; later events are covered
                too. A person's is ``{"actor": pseudonym}``.
            until: an RFC 3339 time in UTC or any beginning of one, still to come.

        Raises:
            UsageError: neither events nor query, a condition that no event could meet, or ``until`` is no time or over.
            NotFound: an event is not in the log.
        """
        if not events and not query:
            raise UsageError("A hold must name events or conditions.", remedy="Name an event, a subject or a query.")
        query = check_query(query or {})
        until = None if until is None else check_until(until, now())
        unknown = [event_id for event_id in events if not self.find(event_id=event_id)]
        if unknown:
            raise self._no_event(unknown[0])
        hold_id = secrets.token_hex(16)
        record = HoldRecord(action="placed", id=hold_id, events=tuple(events), query=query, until=until)
        event = warrant.event(EventType.HOLD, event_id=hold_id, hold=record)
        with self._store.custody():
            (index,) = self._record(event)
        return Hold(hold_id, index, event.time, warrant.reason, record.events, record.query, until)

    def release_hold(self, hold_id: str, warrant: Warrant) -> Hold:
        """End a legal hold; ``hold_id`` may be cut short to 6 characters or more, where it stays unmistakable.

        Raises:
            NotFound: no hold, or several, of that id.
            UsageError: it was released before, or the id is cut too short.
        """
        if len(hold_id) < _ID_CHARS:  # an empty one would name whichever hold is alone
            raise UsageError(
                f"A hold is named by {_ID_CHARS} characters of its id or more, not by {len(hold_id)}.",
                remedy="See the ids with: countermark log hold list",
            )
        found = [hold for hold in self.holds() if hold.id.startswith(hold_id)]
        if len(found) != 1:
            raise NotFound(
                f"The log has {len(found)} holds {hold_id}.", remedy="See them with: countermark log hold list"
            )
        if found[0].released_at is not None:
            raise UsageError(f"Hold {found[0].id} was released by entry {found[0].released_at}.", remedy="Do nothing.")
        record = HoldRecord(action="released", id=found[0].id)
        with self._store.custody():
            self._record(warrant.event(EventType.HOLD, hold=record))
        return found[0]

    def count_covered(self, holds: Sequence[Hold], *, progress: Progress | None = None) -> list[int]:
        """How many events of the log each hold covers now. Looks at the entries themselves.

        Raises:
            AuditStoreDamaged: an entry was altered: under which hold it is cannot be known.
        """
        counts = [len(set(hold.events)) if not hold.query else 0 for hold in holds]
        asking = [place for place, hold in enumerate(holds) if hold.query]
        if not asking:
            return counts
        with self._store.snapshot() as reader:
            size = reader.head().size
            for index, entry in checked_entries(reader, 0, size):
                row = columns_of(entry)
                if row is not None:
                    for place in asking:
                        counts[place] += holds[place].covers_row(row)
                if progress and index % _PROGRESS_EVERY == 0:
                    progress(index, size)
        return counts

    def _no_event(self, event_id: str) -> NotFound:
        return NotFound(f"The log holds no event {event_id}.", remedy="See what it holds with: countermark log list")

    # --- erasing ----------------------------------------------------------------------------------------------------

    def plan_erasure(
        self, *, events: Collection[str] = (), subject: str | Collection[str] = "", progress: Progress | None = None
    ) -> ErasurePlan:
        """What :meth:`erase` would do now. Looks at the entries themselves, so it needs no index and misses nothing.

        Raises:
            UsageError: neither events nor a subject.
            NotFound: an event is not in the log.
            AuditStoreDamaged: an entry was altered: whom it is about, or under which hold, cannot be known.
        """
        return _together(self._plan_erasures(events, subject, progress))

    def _plan_erasures(
        self, events: Collection[str], subject: str | Collection[str], progress: Progress | None
    ) -> dict[str, ErasurePlan]:
        """A plan for each subject, and one under an empty name for events that are of none of them."""
        subjects = tuple(filter(None, (subject,) if isinstance(subject, str) else subject))
        if not events and not subjects:
            raise UsageError("An erasure must say of what.", remedy="Name an event or a subject.")
        sought, needles = set(events), [orjson.dumps(one) for one in subjects]
        concerned: list[dict[str, Any]] = []
        ledger = Ledger()
        with self._store.snapshot() as reader:
            size = reader.head().size
            for index, entry in checked_entries(reader, 0, size):
                ledger.read(index, entry)
                document = parse_protected(entry)
                if document and (document["event_id"] in sought or any(needle in entry for needle in needles)):
                    concerned.append(document)
                if progress and index % _PROGRESS_EVERY == 0:
                    progress(index, size)
        plans = {one: ErasurePlan(as_of=size) for one in (*subjects, "")}
        holds = ledger.active(now())
        for document in concerned:
            event_id, whose = document["event_id"], (document.get("actor") or {}).get("pseudonym")
            if event_id not in sought and whose not in subjects:
                continue
            sought.discard(event_id)
            plan = plans[whose if whose in subjects else ""]
            if event_id in ledger.erased:
                plan.already += 1
            else:
                plan.judge(document, holds)
        for event_id in sorted(sought):
            if not self.find(event_id=event_id):
                raise self._no_event(event_id)
        return plans

    def erase(
        self,
        warrant: Warrant,
        *,
        events: Collection[str] = (),
        subject: str | Collection[str] = "",
        progress: Progress | None = None,
    ) -> Erasure:
        """Make the protected fields of events unreadable for ever, except those under a legal hold.

        Entries and proofs stay. The erasure is recorded first, all of it in one commit; where this process dies before
        the keys are gone, the next opening for writing deletes them.

        Args:
            warrant: why, and by whom.
            events: event ids.
            subject: a pseudonym, or all that a person ever had: every event with such an actor. Each has an entry of
                its own in the log, and so have the events that are of none of them.
            progress: called with entries searched and entries in all.

        Raises:
            NotFound: nothing that could be erased.
            AuditError: the log is open for reading only.
            AuditStoreDamaged: as :meth:`plan_erasure`.
        """
        self._may_write("an erasure")
        with self._store.custody():
            plans = self._plan_erasures(events, subject, progress)
            plan = _together(plans)
            if not plan.erase and not plan.held_back:
                raise NotFound(
                    f"Nothing is left to erase: {plan.already} of the events asked for were erased before.",
                    remedy="Only events with protected fields can be erased; see them with: countermark log show EVENT",
                )
            records = [r for one, part in plans.items() if part.erase or part.held_back for r in part.records(one)]
            indices = self._record(*(warrant.event(EventType.ERASURE, erasure=record) for record in records))
            self._store.erase(plan.erase)
        held_back = {hold_id: tuple(kept) for hold_id, kept in plan.held_back.items()}
        return Erasure(indices, tuple(plan.erase), held_back)

    def _finish_erasures(self) -> None:
        """Delete the keys whose erasure is recorded: what a crash left, or somebody brought back."""
        with self._store.reader() as reader:
            found = sorted(reader.search(Filter(type=EventType.ERASURE)))
            erased = read_ledger((index, self._entry(reader, index)) for index in found).erased
            keys, ciphertexts = reader.sealed() if erased else (set(), set())
        if erased:
            self._store.erase(sorted(erased.keys() & (keys | {event_id for event_id, _ in ciphertexts})))


def _together(plans: Mapping[str, ErasurePlan]) -> ErasurePlan:
    """Several plans as one."""
    whole = ErasurePlan(as_of=next(iter(plans.values())).as_of)
    for plan in plans.values():
        whole.erase += plan.erase
        whole.already += plan.already
        whole.in_the_clear += plan.in_the_clear
        for hold_id, kept in plan.held_back.items():
            whole.held_back.setdefault(hold_id, []).extend(kept)
    return whole


def access_event(index: int, event: Event, fields: Iterable[ProtectedField], warrant: Warrant) -> Event:
    """The event that says which fields of an entry are about to be shown."""
    record = AccessRecord(event_id=event.event_id, index=index, fields=tuple(fields))
    return warrant.event(EventType.ACCESS, tenant=event.tenant, access=record)
