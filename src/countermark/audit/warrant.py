"""Why and by whom something is done with what the log keeps, and the event that says so."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from countermark.errors import UsageError
from countermark.model import ActorRef, Event, EventType

MAX_REASON_CHARS: Final = 2000


@dataclass(frozen=True)
class Warrant:
    """Why something is done, by whom (a keyed pseudonym), and on which machine or service."""

    reason: str
    actor: ActorRef | None = None
    source: str = "countermark"

    def __post_init__(self) -> None:
        if not self.reason.strip() or len(self.reason) > MAX_REASON_CHARS:
            raise UsageError(
                "A reason must be given, and in a few sentences.",
                remedy=f"Say why, in 1 to {MAX_REASON_CHARS:,} characters; the log keeps it for ever, so name nobody.",
            )

    def event(self, kind: EventType, *, tenant: str = "", event_id: str = "", **record: Any) -> Event:
        """The event of what is done under this warrant."""
        return Event(
            event_id=event_id or secrets.token_hex(16),
            type=kind,
            time=now(),
            source=self.source,
            nonce=secrets.token_hex(16),
            tenant=tenant,
            attempt="",
            actor=self.actor,
            reasons=(self.reason,),
            **record,
        )


def now() -> str:
    """UTC, milliseconds, RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
