"""Recording and signing a trial's result, and verifying one offline.

The log's key signs a note (C2SP signed-note) of two lines, which can be taken for no checkpoint, because these begin
with the log's name and go on with a number::

    countermark.red-team/1
    sha256:<hex of the report's canonical JSON (RFC 8785)>

The entry of the log holds the same digest, and the result carries its receipt: the operator cannot later pretend that
there was another result, or none.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import ValidationError

from countermark.audit.note import NoteSigner, NoteVerifier, open_note
from countermark.audit.proof import verify_receipt
from countermark.audit.warrant import Warrant
from countermark.bench.redteam.report import SCHEMA, SignedResult, TrialReport
from countermark.errors import ProofInvalid
from countermark.model import ActorRef, EventType, RedTeamRecord

if TYPE_CHECKING:
    from countermark.audit import AuditLog

MAX_RESULT_BYTES: Final = 64 << 20
_REMEDY: Final = "Ask whoever ran the trial for the file as it was written; keep this one as evidence."


@dataclass(frozen=True)
class VerifiedResult:
    """A result that verifies: its report, and the entry of the log that records it."""

    report: TrialReport
    sha256: str
    origin: str
    index: int
    time: str


def record_and_sign(
    report: TrialReport, log: AuditLog, signer: NoteSigner, *, actor: ActorRef | None = None, tenant: str = ""
) -> SignedResult:
    """Append the trial's entry to the log, then sign: durable before anything is handed over."""
    digest = report_digest(report)
    total = report.total
    record = RedTeamRecord(
        result_sha256=digest,
        stages=report.stages,
        detectors=tuple(report.detectors.values()),
        prompts=total.prompts,
        stopped_by_prompt=total.stopped_by_prompt,
        stopped_by_image=total.stopped_by_image,
        not_run=total.not_run,
        passed=total.passed,
    )
    warrant = Warrant("red-team trial of the checks", actor, source=platform.node()[:100] or "localhost")
    event = warrant.event(
        EventType.RED_TEAM, tenant=tenant, red_team=record, policy=report.policy, model=report.generator
    )
    appended = log.append(event)
    return SignedResult(report=report, note=signer.sign(_note_text(digest)), receipt=log.receipt(appended.index))


def report_digest(report: TrialReport) -> str:
    """SHA-256 of the report's canonical JSON."""
    return hashlib.sha256(orjson.dumps(_plain(report), option=orjson.OPT_SORT_KEYS)).hexdigest()


def to_bytes(result: SignedResult) -> bytes:
    """The file: indented JSON with sorted keys; a file that is not byte for byte so is refused."""
    return orjson.dumps(_plain(result), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"


def verify_result(data: bytes, log_keys: Iterable[str]) -> VerifiedResult:
    """Check a result offline.

    Args:
        data: the file.
        log_keys: verifier keys of the logs that are trusted, known from elsewhere.

    Raises:
        ProofInvalid: it is no result, was changed, or is not signed by one of these logs.
    """
    if len(data) > MAX_RESULT_BYTES:
        raise ProofInvalid(f"The result is larger than {MAX_RESULT_BYTES >> 20} MiB.", remedy=_REMEDY)
    try:
        result = SignedResult.model_validate_json(data)
    except ValidationError:
        raise ProofInvalid("The file is no result of a red-team trial.", remedy=_REMEDY) from None
    if to_bytes(result) != data:
        raise ProofInvalid("The result is not as it was written: something was added or reordered.", remedy=_REMEDY)
    verifiers = [NoteVerifier.parse(key) for key in log_keys]
    text, signed_by = open_note(result.note, verifiers)
    digest = report_digest(result.report)
    if text != _note_text(digest):
        raise ProofInvalid("The report is not the one that was signed.", remedy=_REMEDY)
    signer = min(signed_by, key=lambda verifier: verifier.name)
    proved = verify_receipt(result.receipt, verifier_key=signer.vkey)
    record = proved.event.red_team
    if proved.event.type is not EventType.RED_TEAM or record is None or record.result_sha256 != digest:
        raise ProofInvalid("The entry of the log is not this trial's.", remedy=_REMEDY)
    return VerifiedResult(result.report, digest, signer.name, proved.index, proved.event.time)


def _note_text(digest: str) -> str:
    return f"{SCHEMA}\nsha256:{digest}\n"


def _plain(model: TrialReport | SignedResult) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True)
