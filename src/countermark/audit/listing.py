"""Pages of entries, in which a damaged entry is a row that says so instead of an error that hides the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson
from pydantic import ValidationError

from countermark.audit.canonical import event_document
from countermark.audit.query import Filter, index_row
from countermark.errors import AuditStoreDamaged, NotFound
from countermark.model import Event

ReadEntry = Callable[[int], bytes]
"""An entry's bytes by index, checked against its leaf hash."""


@dataclass(frozen=True)
class Listed:
    """One row of a page: ``event`` is ``None`` where the entry is not what was recorded; ``damage`` says what is so."""

    index: int
    event: Event | None
    damage: str = ""


@dataclass(frozen=True)
class Page:
    """A page of entries. ``index_damage`` says why the look-up index could not be used, if it could not."""

    rows: tuple[Listed, ...]
    index_damage: str = ""


def listed(index: int, read: ReadEntry, wanted: Filter) -> Listed:
    """One entry that a look-up for ``wanted`` named, as it is."""
    try:
        entry = read(index)
        event = parse_event(entry, index)
    except (AuditStoreDamaged, NotFound) as error:
        return Listed(index, None, error.message)
    if not wanted.matches(index_row(orjson.loads(entry))):
        return Listed(index, event, "The look-up index is wrong about this entry.")
    return Listed(index, event)


def walk(size: int, read: ReadEntry, wanted: Filter) -> Iterator[Listed]:
    """Matching entries of the first ``size`` without the look-up index, newest first.

    Damaged ones are among them, since nobody can tell what they match.
    """
    everything = Filter()
    for index in range(size - 1 if wanted.before is None else min(size, wanted.before) - 1, -1, -1):
        row = listed(index, read, everything)
        if row.event is None or wanted.matches(index_row(event_document(row.event))):
            yield row


def parse_event(entry: bytes, index: int) -> Event:
    """The event that an entry's bytes spell.

    Raises:
        AuditStoreDamaged: they spell none that this version knows.
    """
    try:
        return Event.model_validate_json(entry)
    except ValidationError:
        raise AuditStoreDamaged(
            f"Entry {index} is proved to be in the log but is not an event that this version knows.",
            remedy="Read it with the version of countermark that wrote it, or a newer one.",
        ) from None
