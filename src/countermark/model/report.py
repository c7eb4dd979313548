"""The answer of ``countermark verify``: one verdict, the evidence behind it, and plain sentences."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from countermark.model.base import Frozen
from countermark.model.marks import AuditEvidence, FingerprintEvidence, Manifest, OriginalEvidence, WatermarkDetection

VERIFICATION_SCHEMA: Final = "countermark.verification/1"


class Verdict(StrEnum):
    """What can be concluded about a file.

    ``verified`` needs a manifest by whom you trust, or the recorded file itself; that the file is recorded is proved
    only where ``evidence.audit.state`` is ``proved``.
    """

    VERIFIED = "verified"
    RECOVERED = "recovered"
    TAMPERED = "tampered"
    UNTRUSTED = "untrusted"
    CONTRADICTORY = "contradictory"
    NO_PROVENANCE = "no_provenance"
    PROOF_FAILED = "proof_failed"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """The exit code of ``countermark verify`` for this verdict."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Verdict.VERIFIED: 0,
    Verdict.INCONCLUSIVE: 3,
    Verdict.NO_PROVENANCE: 10,
    Verdict.TAMPERED: 11,
    Verdict.UNTRUSTED: 12,
    Verdict.PROOF_FAILED: 13,
    Verdict.CONTRADICTORY: 14,
    Verdict.RECOVERED: 15,
}


class Evidence(Frozen):
    """One piece for each mark, and the proof.

    ``stored_manifest`` is the manifest that was struck on the original, where the file itself has lost it.
    """

    manifest: Manifest
    watermark: WatermarkDetection
    fingerprint: FingerprintEvidence
    original: OriginalEvidence = OriginalEvidence(state="skipped")
    audit: AuditEvidence
    stored_manifest: Manifest | None = None


class VerificationReport(Frozen):
    """What is known of one file. ``generation`` holds what the record may disclose: never the prompt."""

    schema_: Literal["countermark.verification/1"] = Field(default=VERIFICATION_SCHEMA, alias="schema")
    file: str
    sha256: str
    media_type: str
    width: int
    height: int
    verdict: Verdict
    evidence: Evidence
    generation: dict[str, str] | None = None
    reasons: tuple[str, ...] = ()
