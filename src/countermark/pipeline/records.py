"""From what happened to the event that records it. Prompts never pass through here."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

from countermark.model import Check, Decision, Event, EventType, Finding, PolicyRef


def new_id() -> str:
    """A time-ordered unique id as 32 hexadecimal digits (the layout of RFC 9562 UUID version 7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76) & ~(0x3 << 62)) | (0x7 << 76) | (0x2 << 62)
    return uuid.UUID(int=value).hex


def now() -> str:
    """UTC, milliseconds, RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def checks(findings: Iterable[Finding]) -> tuple[Check, ...]:
    """Findings as recorded: parts per million instead of floats."""
    return tuple(
        Check(
            stage=f.stage,
            category=f.category,
            state=f.state,
            score_ppm=None if f.score is None else round(f.score * 1_000_000),
            severity=f.severity,
            detector=f.detector.id,
            detector_version=f.detector.version,
            digest=f.detector.digest,
            reason=f.reason,
        )
        for f in findings
    )


def policy_ref(decision: Decision) -> PolicyRef:
    """The policy that decided."""
    return PolicyRef(id=decision.policy_id, version=decision.policy_version, digest=decision.policy_digest)


def blank_event(event_type: EventType, *, attempt: str, tenant: str, source: str) -> Event:
    """An event with its identity and nothing else yet."""
    return Event(
        event_id=new_id(),
        type=event_type,
        time=now(),
        source=source,
        nonce=secrets.token_hex(16),
        tenant=tenant,
        attempt=attempt,
    )
