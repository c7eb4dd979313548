"""How findings, decisions and reports look in a terminal: a symbol *and* a word, never colour alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from countermark.cli.output import literal

if TYPE_CHECKING:
    from countermark.model import Decision, Finding, VerificationReport
    from countermark.pipeline import Result

OK, BAD, NONE, WARN = "[green]✓[/]", "[red]✗[/]", "[dim]–[/]", "[yellow]![/]"

MOSTLY = 0.5
"""Share of a file that a recorded picture has to fill for the file to be called after it."""

_VERDICTS = {
    "verified": ("green", "VERIFIED", ""),
    "recovered": ("cyan", "RECOVERED", "no credentials in the file itself, but it leads to a proved record"),
    "tampered": ("red", "TAMPERED", "the file, its manifest or what it was made from was changed after signing"),
    "untrusted": ("yellow", "UNTRUSTED SIGNER", "intact, but its signer is not, or no longer, trusted here"),
    "contradictory": ("red", "CONTRADICTORY", "its marks cannot all be true"),
    "no_provenance": ("dim", "NO PROVENANCE", "nothing here tells where it comes from"),
    "proof_failed": ("red", "PROOF FAILED", "the audit log does not bear the record out"),
    "inconclusive": ("yellow", "INCONCLUSIVE", "there are traces, but nothing that can be proved here"),
}
_RECORDED = {
    "proved": ", and recorded",
    "not_found": "; no record of it was found",
    "not_checked": "; whether it is recorded is not proved here",
}
_EVIDENCE = {
    "trusted": OK, "valid": WARN, "invalid": BAD, "absent": NONE,
    "detected": OK, "inconclusive": WARN, "foreign": WARN, "skipped": NONE,
    "match": OK, "near": OK, "none": BAD,
    "same": OK, "altered": WARN, "different": BAD,
    "proved": OK, "failed": BAD, "not_found": NONE, "not_checked": NONE,
}  # fmt: skip


def report_lines(report: VerificationReport) -> list[str]:
    """One line for each piece of evidence, then the verdict."""
    evidence = report.evidence
    states = {
        "manifest": evidence.manifest.state,
        "watermark": evidence.watermark.state,
        "picture": evidence.fingerprint.state,
        **({} if evidence.original.state == "skipped" else {"original": evidence.original.state}),
        "audit log": evidence.audit.state,
    }
    colour, word, gloss = _VERDICTS[report.verdict]
    gloss = _recovered(report) or gloss or _verified(report)
    lines = [f"[bold]{literal(report.file)}[/]  {report.media_type}, {report.width}×{report.height}"]
    lines += [f"  {_EVIDENCE[state]} {name}: {state.replace('_', ' ')}" for name, state in states.items()]
    lines += [f"    [dim]{literal(reason)}[/]" for reason in report.reasons]
    if report.generation:
        told = report.generation
        made = f"{told.get('time', '')} by {told.get('model', '?')} under policy {told.get('policy', '?')}"
        lines.append(f"    [dim]Recorded: {literal(made)}[/]")
    if evidence.stored_manifest is not None:
        stored = evidence.stored_manifest
        lines.append(f"    [dim]Stored manifest: {stored.state}, signed by {literal(stored.signer)}.[/]")
    lines.append(f"  [bold {colour}]{word}[/] {gloss} [dim](exit code {report.verdict.exit_code})[/]")
    return lines


def _recovered(report: VerificationReport) -> str:
    """What a recovered picture is only in part."""
    original = report.evidence.original
    if report.verdict != "recovered":
        return ""
    if original.state == "altered":
        return "it leads to a proved record, but a part of the picture was altered since"
    if original.covered is not None and original.covered < MOSTLY:
        return f"a proved record's picture fills {original.covered:.0%} of it; of the rest nothing is known"
    return ""


def _verified(report: VerificationReport) -> str:
    """What "verified" rests on: a manifest needs no record, nor a recorded file a manifest."""
    evidence = report.evidence
    if evidence.manifest.state != "trusted":
        return "the very file that was recorded"
    record = _RECORDED.get(evidence.audit.state, "")
    if evidence.audit.state == "proved" and (report.generation or {}).get("original_sha256") != report.sha256:
        record = "; not this file is recorded, but a picture that it was made from or looks like"
    return f"intact, signed by whom you trust{record}"


def decision_dict(decision: Decision) -> dict[str, Any]:
    """A decision as ``--json`` prints it."""
    return decision.model_dump(mode="json")


def finding_dict(finding: Finding) -> dict[str, Any]:
    """A finding as ``--json`` prints it."""
    plain = finding.model_dump(mode="json")
    plain["detector"] = finding.detector.id
    return plain


def decision_line(decision: Decision) -> str:
    """The outcome in one line, naming category, severity, stage and rule."""
    return f"{OK if decision.outcome == 'allow' else BAD} {literal(decision.sentence)}"


def result_dict(result: Result, path: str | None) -> dict[str, Any]:
    """A result of ``generate`` or ``mark`` as ``--json`` prints it."""
    return {
        "schema": "countermark.result/1",
        "outcome": result.outcome,
        "file": path,
        "asset": result.asset.model_dump() if result.asset else None,
        "event_id": result.event_id,
        "index": result.index,
        "watermark_payload": f"{result.record_id:012x}" if result.record_id is not None else None,
        "decision": decision_dict(result.decision),
        "findings": [finding_dict(finding) for finding in result.findings],
        "notices": list(result.notices),
    }


def result_lines(result: Result, path: str | None) -> list[str]:
    """A result of ``generate`` or ``mark`` for people."""
    if result.released and result.decision.outcome == "redact":
        lines = [f"{WARN} redacted under rule {literal(result.decision.rule)}, then released"]
    else:
        lines = [decision_line(result.decision)]
    lines += [f"    [dim]{literal(reason)}[/]" for reason in result.decision.reasons]
    if path and result.asset:
        size = f"{result.asset.width}×{result.asset.height}"
        lines.append(f"{OK} released {literal(path)} ({size}, every mark read back)")
    lines.append(f"{OK} recorded as entry {result.index}, event {result.event_id}")
    if result.outcome == "held" and result.decision.stage == "image":
        lines.append(f"{WARN} kept, encrypted, for review: countermark log picture {result.index} -o FILE --reason WHY")
    lines += [f"{WARN} {literal(notice)}" for notice in result.notices]
    return lines
