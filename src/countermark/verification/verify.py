"""One file through the corridor: collect, resolve, compare, judge, report."""

from __future__ import annotations

from dataclasses import replace

from countermark.credentials import read_stored
from countermark.errors import CountermarkError
from countermark.model import Event, Evidence, Manifest, Outcome, VerificationReport
from countermark.objects import object_key
from countermark.verification.collect import Collected, collect
from countermark.verification.compare import compare
from countermark.verification.context import Sources
from countermark.verification.judge import Case, judge
from countermark.verification.resolve import Record, Resolved, resolve


def verify_bytes(data: bytes, name: str, sources: Sources) -> VerificationReport:
    """Everything that can be proved about one file.

    Args:
        data: the file's bytes; at most 64 MiB.
        name: how the report calls the file.
        sources: where to look and whom to trust.

    Raises:
        AssetInvalid: the bytes are no image that we can read.
        AssetTooLarge: they exceed the bounds for hostile files.
    """
    collected = collect(data, name, sources)
    resolved = resolve(collected, sources)
    record = resolved.record
    by_mark = resolved.records.get("watermark")
    if by_mark is not None and by_mark.mark is not None:
        collected = replace(collected, watermark=by_mark.mark)
    compared = compare(collected, record, sources)
    evidence = Evidence(
        manifest=collected.manifest,
        watermark=collected.watermark,
        fingerprint=compared.fingerprint,
        original=compared.original,
        audit=resolved.audit,
        stored_manifest=_stored_manifest(record, collected, sources),
    )
    case = _case(evidence, resolved, veiled=compared.veiled)
    verdict, reasons = judge(case)
    return VerificationReport(
        file=name,
        sha256=collected.sha256,
        media_type=collected.raster.media_type,
        width=collected.raster.width,
        height=collected.raster.height,
        verdict=verdict,
        evidence=evidence,
        generation=disclose(record.event) if record and resolved.audit.state == "proved" and case.borne_out else None,
        reasons=reasons + collected.raster.notices,
    )


def _case(evidence: Evidence, resolved: Resolved, *, veiled: bool) -> Case:
    routes = resolved.records
    return Case(
        evidence=evidence,
        manifest_event=routes["manifest"].event.event_id if "manifest" in routes else "",
        watermark_event=routes["watermark"].event.event_id if "watermark" in routes else "",
        exact="file digest" in routes,
        missing=resolved.missing,
        by_fingerprint=set(routes) == {"fingerprint"},
        elsewhere=resolved.elsewhere,
        veiled=veiled,
    )


def _stored_manifest(record: Record | None, collected: Collected, sources: Sources) -> Manifest | None:
    """The manifest that was struck on the original, where the file has lost its own and the store still holds it."""
    output = record.event.output if record else None
    if collected.manifest.state != "absent" or sources.objects is None or output is None or not output.manifest_sha256:
        return None
    try:
        stored = sources.objects.get(object_key("manifests", output.manifest_sha256))
    except CountermarkError:
        return None
    return read_stored(stored, anchors=sources.trust.anchors)


def disclose(event: Event) -> dict[str, str]:
    """What a record may tell a stranger: when, by which model and policy, with what outcome. Never who or what for."""
    told = {
        "time": event.time,
        "outcome": event.type.value.removeprefix("generation."),
        "redacted": event.params.get("redaction", "") if event.decision is Outcome.REDACT else "",
        "model": event.model.id if event.model else "",
        "model_version": event.model.version if event.model else "",
        "weights_sha256": (event.model.digest or "") if event.model else "",
        "policy": f"{event.policy.id} {event.policy.version}" if event.policy else "",
        "policy_sha256": event.policy.digest if event.policy else "",
        "source": event.source,
        "original_sha256": event.output.sha256 if event.output else "",
    }
    return {name: value for name, value in told.items() if value}
