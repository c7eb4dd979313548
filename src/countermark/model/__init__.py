"""The vocabulary: frozen pydantic models that every room speaks. See the glossary in ``docs/glossary.md``."""

from __future__ import annotations

from countermark.model.asset import Asset, MediaType
from countermark.model.custody import AccessRecord, ErasureRecord, ExportRecord, HeldBack, HoldRecord
from countermark.model.decision import BLOCKING, ON_NOT_ASSESSED, Decision, Outcome
from countermark.model.event import (
    EVENT_SCHEMA,
    ActorRef,
    Check,
    Event,
    EventType,
    OutputRecord,
    PolicyRef,
    PromptCommitment,
)
from countermark.model.finding import UNUSABLE, Category, DetectorRef, Finding, FindingState, Region, Severity, Stage
from countermark.model.marks import (
    AuditEvidence,
    FingerprintEvidence,
    Manifest,
    ManifestState,
    OriginalEvidence,
    WatermarkDetection,
    WatermarkState,
)
from countermark.model.receipt import Receipt
from countermark.model.report import Evidence, Verdict, VerificationReport
from countermark.model.request import MAX_PROMPT_CHARS, GenerationRequest, ModelRef
from countermark.model.trial import RedTeamRecord

__all__ = [
    "BLOCKING",
    "EVENT_SCHEMA",
    "MAX_PROMPT_CHARS",
    "ON_NOT_ASSESSED",
    "UNUSABLE",
    "AccessRecord",
    "ActorRef",
    "Asset",
    "AuditEvidence",
    "Category",
    "Check",
    "Decision",
    "DetectorRef",
    "ErasureRecord",
    "Event",
    "EventType",
    "Evidence",
    "ExportRecord",
    "Finding",
    "FindingState",
    "FingerprintEvidence",
    "GenerationRequest",
    "HeldBack",
    "HoldRecord",
    "Manifest",
    "ManifestState",
    "MediaType",
    "ModelRef",
    "OriginalEvidence",
    "Outcome",
    "OutputRecord",
    "PolicyRef",
    "PromptCommitment",
    "Receipt",
    "RedTeamRecord",
    "Region",
    "Severity",
    "Stage",
    "Verdict",
    "VerificationReport",
    "WatermarkDetection",
    "WatermarkState",
]
