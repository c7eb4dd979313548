"""What people do with what the log keeps: view protected fields, hold, erase, export. Each is an event of its own."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from countermark.model.base import Frozen, Sha256Hex

EventId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""An event's id: 128 bits as 32 lowercase hexadecimal digits."""
ProtectedField = Literal["prompt", "negative_prompt", "held_picture"]
"""The fields that are encrypted and committed to."""
HELD_PICTURE: Final = "held_picture"
"""A picture kept for review. Its protected text is the key under which it lies, sealed, in the object store."""
HELD_OBJECT: Final = "held_object"
"""The parameter of an event that says where the object store keeps its held picture."""


class AccessRecord(Frozen):
    """Which protected fields of which event were shown; recorded before they were.

    ``held_picture`` is among them where the picture itself was.
    """

    event_id: EventId
    index: int = Field(ge=0)
    fields: tuple[ProtectedField, ...]


class HoldRecord(Frozen):
    """A legal hold placed or released: what it covers may not be erased meanwhile.

    ``id`` is the event id of the placing event, in both. A hold covers the ``events`` named, and, where ``query`` is
    not empty, every event, earlier or later, that meets all its conditions. ``until`` ends it by itself.
    """

    action: Literal["placed", "released"]
    id: EventId
    events: tuple[EventId, ...] = ()
    query: dict[str, str] = Field(default_factory=dict)
    until: str | None = None


class HeldBack(Frozen):
    """How many of the events asked for were kept because of one hold."""

    hold: EventId
    events: int = Field(ge=1)


class ErasureRecord(Frozen):
    """Whose data keys are deleted together with this entry's commit.

    ``subject`` is the pseudonym asked for, if any; ``as_of`` the number of entries that were searched for matches and
    holds.
    """

    events: tuple[EventId, ...]
    subject: str = ""
    held_back: tuple[HeldBack, ...] = ()
    as_of: int = Field(ge=0)


class ExportRecord(Frozen):
    """What was handed over: entries ``first`` to ``end`` (exclusive), proved under a checkpoint of ``size`` entries.

    ``manifest_sha256`` names the bundle exactly; ``disclosed`` counts the events whose protected fields were in it.
    """

    first: int = Field(ge=0)
    end: int = Field(ge=0)
    size: int = Field(ge=0)
    formats: tuple[Literal["jsonl", "csv", "parquet"], ...]
    manifest_sha256: Sha256Hex
    disclosed: int = Field(default=0, ge=0)
