"""An event: one audit entry, the leaf of the log.

An event holds no floats (scores are parts per million), writes large integers as strings and uses ASCII keys, so that
sorted compact JSON equals RFC 8785 canonical JSON.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from countermark.model.base import Frozen, Sha256Hex
from countermark.model.custody import AccessRecord, ErasureRecord, ExportRecord, HoldRecord, ProtectedField
from countermark.model.decision import Outcome
from countermark.model.finding import Category, FindingState, Severity, Stage
from countermark.model.request import ModelRef
from countermark.model.trial import RedTeamRecord

EVENT_SCHEMA: Final = "countermark.event/1"


class EventType(StrEnum):
    """What happened."""

    RELEASED = "generation.released"
    REFUSED = "generation.refused"
    HELD = "generation.held"
    FAILED = "generation.failed"
    REVIEW_DECIDED = "review.decided"
    POLICY_CHANGED = "policy.changed"
    KEY_ROTATED = "key.rotated"
    ACCESS = "access"
    EXPORT = "export"
    ERASURE = "erasure"
    HOLD = "hold"
    CHECKPOINT_GAP = "checkpoint.gap"
    RED_TEAM = "red_team"


class ActorRef(Frozen):
    """Who asked: a keyed pseudonym (HMAC-SHA-256), never a name."""

    pseudonym: str
    key_id: str


class PolicyRef(Frozen):
    """The policy in force."""

    id: str
    version: str
    digest: Sha256Hex


class Check(Frozen):
    """A finding as recorded: scores in parts per million, no floats."""

    stage: Stage
    category: Category
    state: FindingState
    score_ppm: int | None = Field(default=None, ge=0, le=1_000_000)
    severity: Severity
    detector: str
    detector_version: str
    digest: Sha256Hex | None = None
    reason: str = ""


class PromptCommitment(Frozen):
    """Binds the entry to a prompt without holding it: HMAC under the event's own data key."""

    field: ProtectedField
    commitment: str = Field(pattern=r"^hmac-sha256:[0-9a-f]{64}$")
    key_id: str


class OutputRecord(Frozen):
    """The released (or held) file and its marks.

    ``watermark_payload`` is the record id as 12 hexadecimal digits; ``fingerprint`` a PDQ hash as 64.
    """

    sha256: Sha256Hex
    media_type: str
    width: int
    height: int
    size: int
    watermark: str
    watermark_payload: str = Field(pattern=r"^[0-9a-f]{12}$")
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    fingerprint_algorithm: Literal["pdq"] = "pdq"
    manifest_sha256: Sha256Hex | None = None
    object_key: str = ""


class Event(Frozen):
    """One entry of the audit log. Everything a proof later stands for.

    ``access``, ``hold``, ``erasure``, ``export`` and ``red_team`` belong to the types of those names.
    """

    schema_: Literal["countermark.event/1"] = Field(default=EVENT_SCHEMA, alias="schema")
    event_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    type: EventType
    time: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
    source: str
    nonce: str = Field(pattern=r"^[0-9a-f]{32}$")
    tenant: str
    attempt: str
    actor: ActorRef | None = None
    trace_id: str = ""
    model: ModelRef | None = None
    params: dict[str, str] = Field(default_factory=dict)
    policy: PolicyRef | None = None
    checks: tuple[Check, ...] = ()
    decision: Outcome | None = None
    rule: str = ""
    reasons: tuple[str, ...] = ()
    protected: tuple[PromptCommitment, ...] = ()
    output: OutputRecord | None = None
    parent: str = ""
    latency_us: dict[str, int] = Field(default_factory=dict)
    error: str = ""
    access: AccessRecord | None = None
    hold: HoldRecord | None = None
    erasure: ErasureRecord | None = None
    export: ExportRecord | None = None
    red_team: RedTeamRecord | None = None
