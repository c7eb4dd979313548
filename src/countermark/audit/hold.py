"""Legal holds, and what was erased: derived from the log's own entries, so that no table has to be trusted for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Final

import orjson

from countermark.audit.query import Filter, IndexRow, checked_conditions, comparable_time, index_row
from countermark.errors import UsageError
from countermark.model import EventType

_HOLD: Final = b'"type":"hold"'
_ERASURE: Final = b'"type":"erasure"'


CONDITIONS: Final = tuple(field.name for field in fields(Filter) if field.name != "before")
"""What a hold's query may ask: what :class:`~countermark.audit.query.Filter` can."""


def check_query(query: Mapping[str, str]) -> dict[str, str]:
    """A hold's conditions as they will be compared; those that no event could meet are refused.

    Raises:
        UsageError: an unknown condition, an empty value, or one that
            :func:`~countermark.audit.query.checked_conditions` refuses.
    """
    for name, value in query.items():
        if name not in CONDITIONS or not value:
            raise UsageError(
                f"'{name}' is not a condition with a value.", remedy=f"Use {', '.join(CONDITIONS)}, as name=value."
            )
    return checked_conditions(query)


def check_until(until: str, now: str) -> str:
    """When a hold is to end, as it will be compared.

    Raises:
        UsageError: it is no time, or is over ``now`` (RFC 3339, UTC): the hold would never be in force.
    """
    ends = comparable_time(until, "until")
    if ends <= now:
        raise UsageError(
            f"The hold would be over already: it is {now}, and it was to end at {until}.",
            remedy="Give a later time (UTC), or none for a hold that lasts until it is released.",
        )
    return ends


@dataclass(frozen=True)
class Hold:
    """A legal hold as the log tells it. ``index`` is the placing entry; ``released_at`` the releasing one."""

    id: str
    index: int
    time: str
    reason: str
    events: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    until: str | None = None
    released_at: int | None = None

    def active(self, now: str) -> bool:
        """Whether it holds at a time (RFC 3339, UTC)."""
        return self.released_at is None and (self._ends is None or now < self._ends)

    @cached_property
    def is_plain(self) -> bool:
        """Whether it says what this version would record: nothing of it has to be guessed."""
        try:
            check_query(self.query)
            return self.until is None or bool(comparable_time(self.until, "until"))
        except UsageError:
            return False

    @cached_property
    def _ends(self) -> str | None:
        """``until``; an earlier version recorded whatever it was given, and what is no time never comes."""
        try:
            return None if self.until is None else comparable_time(self.until, "until")
        except UsageError:
            return None

    @cached_property
    def _filter(self) -> Filter:
        """The conditions that can be judged."""
        known: dict[str, Any] = {}
        for name, value in self.query.items():
            with suppress(UsageError):
                known |= check_query({name: value})
        return Filter(**known)

    def covers(self, document: Mapping[str, Any]) -> bool:
        """Whether it keeps an event from erasure, by the event's document.

        A condition that this version does not know, or would refuse, counts as met: what may be under hold is kept.
        """
        if not self.query:
            return document.get("event_id") in self.events
        return self.covers_row(index_row(document))

    def covers_row(self, row: IndexRow) -> bool:
        """Like :meth:`covers`, by what :func:`~countermark.audit.query.index_row` gives of the event."""
        return row[0] in self.events or (bool(self.query) and self._filter.matches(row))


@dataclass
class Ledger:
    """What the log says about holds and erasures. ``erased`` gives the erasing entry's index by event id."""

    holds: dict[str, Hold] = field(default_factory=dict)
    erased: dict[str, int] = field(default_factory=dict)

    def read(self, index: int, entry: bytes) -> None:
        """Take one entry into account; entries must come in the log's order."""
        # Inside a JSON string a quotation mark is escaped, so neither text can occur but as this very field.
        if _HOLD in entry:
            self._read_hold(index, orjson.loads(entry))
        else:
            for event_id in erased_by(entry):
                self.erased.setdefault(event_id, index)

    def _read_hold(self, index: int, document: Mapping[str, Any]) -> None:
        record = _record(document, EventType.HOLD)
        hold_id = str(record.get("id", ""))
        if record.get("action") == "placed" and hold_id == document.get("event_id"):
            self.holds[hold_id] = Hold(
                id=hold_id,
                index=index,
                time=str(document.get("time", "")),
                reason="; ".join(_texts(document.get("reasons"))),
                events=_texts(record.get("events")),
                query=_conditions(record.get("query")),
                until=_text(record.get("until")),
            )
        elif record.get("action") == "released" and hold_id in self.holds:
            self.holds[hold_id] = replace(self.holds[hold_id], released_at=index)

    def active(self, now: str) -> list[Hold]:
        """The holds in force, oldest first."""
        return [hold for hold in self.holds.values() if hold.active(now)]


def _text(value: object) -> str | None:
    """What was recorded as a text; of another kind it says nothing."""
    return value if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    """The texts of a list; an entry by somebody who may append and writes what no event holds must stop nobody."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _conditions(value: object) -> dict[str, str]:
    """A hold's conditions. One whose value is no text stays, empty: no version can judge it, so it counts as met."""
    return {name: _text(said) or "" for name, said in value.items()} if isinstance(value, dict) else {}


def is_custody(entry: bytes) -> bool:
    """Whether an entry may place or release a hold, or erase."""
    return _HOLD in entry or _ERASURE in entry


def erased_by(entry: bytes) -> tuple[str, ...]:
    """The events whose protected fields an entry erases; mostly none."""
    return _texts(_record(orjson.loads(entry), EventType.ERASURE).get("events")) if _ERASURE in entry else ()


def read_ledger(entries: Iterable[tuple[int, bytes]]) -> Ledger:
    """Holds and erasures from ``(index, entry)`` of the whole log, in order."""
    ledger = Ledger()
    for index, entry in entries:
        ledger.read(index, entry)
    return ledger


def _record(document: Mapping[str, Any], kind: EventType) -> Mapping[str, Any]:
    record = document.get(kind.value) if document.get("type") == kind.value else None
    return record if isinstance(record, dict) else {}
