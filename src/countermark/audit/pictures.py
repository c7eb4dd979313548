"""Held pictures, as events tell of them: where the object store keeps each, and whether it is sealed there.

The key of a sealed one is a protected field of its event, so that erasing the event makes the picture unreadable too.
Pictures that were held before keys of their own lie there in the clear, and their events have no such field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from countermark.audit.protected import own_fields
from countermark.model import Event, EventType, PromptCommitment
from countermark.model.custody import HELD_OBJECT, HELD_PICTURE


@dataclass(frozen=True)
class HeldPicture:
    """A picture kept for review: its key in the object store, and whether it is sealed there."""

    object_key: str
    sealed: bool


@dataclass(frozen=True)
class ShownPicture:
    """A held picture as the file it is, and the entry that records that it was shown."""

    data: bytes
    access: int


def picture_of(document: Mapping[str, Any]) -> HeldPicture | None:
    """The picture that an event tells of, by the event's document; most have none."""
    object_key = (document.get("params") or {}).get(HELD_OBJECT)
    if document.get("type") != EventType.HELD or not object_key:
        return None
    return HeldPicture(object_key, HELD_PICTURE in own_fields(document))


def texts_of(event: Event) -> tuple[PromptCommitment, ...]:
    """The commitments to what people wrote. A picture's key is not among them: the picture is shown, never its key."""
    return tuple(commitment for commitment in event.protected if commitment.field != HELD_PICTURE)
