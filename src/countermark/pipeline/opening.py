"""What opening a pipeline puts on the record: attempts that a dead process left, and another policy in force."""

from __future__ import annotations

import hashlib
from operator import itemgetter
from typing import Final

from countermark.errors import EventInvalid
from countermark.model import EventType
from countermark.observe import get_logger
from countermark.pipeline.context import Parts
from countermark.pipeline.records import blank_event

_INTERRUPTED: Final = "the process ended, or closed the log, before the attempt had an outcome"
_UNDER_A_POLICY: Final = (
    EventType.RELEASED,
    EventType.REFUSED,
    EventType.HELD,
    EventType.FAILED,
    EventType.POLICY_CHANGED,
)


def close_interrupted(parts: Parts) -> None:
    """Give every attempt whose process died its outcome, ``generation.failed``."""
    for pending in parts.log.unfinished():
        blank = blank_event(EventType.FAILED, attempt=pending.attempt, tenant=pending.tenant, source=parts.source)
        # The same for every process that finds it, so that of several which start at once only one is recorded.
        event_id = hashlib.sha256(b"countermark/interrupted\0" + pending.attempt.encode()).hexdigest()[:32]
        reasons = (f"{_INTERRUPTED} (begun {pending.time})",)
        update = {"event_id": event_id, "error": "interrupted", "reasons": reasons, "policy": parts.policy.ref}
        try:
            parts.log.append(blank.model_copy(update=update))
        except EventInvalid:
            if not parts.log.find(event_id=event_id):
                raise
            continue  # another process was first
        get_logger("pipeline").warning("interrupted attempt recorded", attempt=pending.attempt)


def record_policy_change(parts: Parts) -> None:
    """Say so in the log when another policy comes into force than the one that its newest entry under one names."""
    newest = [one for kind in _UNDER_A_POLICY for one in parts.log.list(limit=1, type=kind)]
    before = max(newest, key=itemgetter(0))[1].policy if newest else None
    now_in_force = parts.policy.ref
    if before is None or before.digest == now_in_force.digest:
        return
    blank = blank_event(EventType.POLICY_CHANGED, attempt="", tenant="", source=parts.source)
    reason = f"policy {before.id} {before.version} was replaced by {now_in_force.id} {now_in_force.version}"
    changed = {"policy": now_in_force, "params": {"before_sha256": before.digest}, "reasons": (reason,)}
    parts.log.append(blank.model_copy(update=changed))
    get_logger("pipeline").info("policy changed", before=before.digest, after=now_in_force.digest)
