"""Erasure: the data keys of events are deleted, their entries and every proof stay.

The erasure event comes first, durable and signed; then the keys and ciphertexts are deleted. A crash between the two
leaves keys whose erasure is recorded: the next opening for writing deletes them. So does it with keys that somebody
brought back from a copy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from countermark.audit.hold import Hold
from countermark.audit.pictures import picture_of
from countermark.model import ErasureRecord, HeldBack

EVENTS_AN_ENTRY: Final = 1500
"""The most event ids in one erasure event: 35 bytes each, within the 65,535 of an entry."""


@dataclass
class ErasurePlan:
    """What an erasure would do now: the events whose keys go, and those that a legal hold keeps, by hold id."""

    as_of: int
    erase: list[str] = field(default_factory=list)
    held_back: dict[str, list[str]] = field(default_factory=dict)
    already: int = 0
    """How many of the events asked for were erased before."""
    in_the_clear: list[str] = field(default_factory=list)
    """Objects that no erasure reaches: pictures of those to be erased, held before they were sealed."""

    def judge(self, document: Mapping[str, Any], holds: Collection[Hold]) -> None:
        """Put one event with protected fields where it belongs."""
        event_id = str(document["event_id"])
        holding = [hold.id for hold in holds if hold.covers(document)]
        for hold_id in holding:
            self.held_back.setdefault(hold_id, []).append(event_id)
        if holding:
            return
        self.erase.append(event_id)
        picture = picture_of(document)
        if picture and not picture.sealed:
            self.in_the_clear.append(picture.object_key)

    @property
    def kept(self) -> int:
        """How many events a hold keeps; one may be under several."""
        return len({event_id for events in self.held_back.values() for event_id in events})

    def records(self, subject: str) -> list[ErasureRecord]:
        """The erasure as recorded, in as many entries as its events need; what was held back stands in the first."""
        held = tuple(HeldBack(hold=hold_id, events=len(events)) for hold_id, events in self.held_back.items())
        starts = range(0, max(len(self.erase), 1), EVENTS_AN_ENTRY)
        return [
            ErasureRecord(
                events=tuple(self.erase[start : start + EVENTS_AN_ENTRY]),
                subject=subject,
                held_back=held if start == 0 else (),
                as_of=self.as_of,
            )
            for start in starts
        ]


@dataclass(frozen=True)
class Erasure:
    """What an erasure did. ``entries`` are the indices of its own events."""

    entries: tuple[int, ...]
    erased: tuple[str, ...]
    held_back: Mapping[str, tuple[str, ...]]
