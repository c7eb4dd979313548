"""From marks to the record: which audit entry does each piece of evidence lead to, and is it proved?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from typing import Literal

from countermark.audit import verify_receipt
from countermark.errors import AuditError, ProofInvalid
from countermark.fingerprint import Fingerprint, FingerprintIndex, dihedral
from countermark.model import AuditEvidence, Event, EventType, Receipt
from countermark.verification.collect import Collected
from countermark.verification.context import Sources

Route = Literal["file digest", "manifest", "watermark", "fingerprint"]


@dataclass(frozen=True)
class Record:
    """An entry that some evidence leads to, with its receipt."""

    event: Event
    receipt: Receipt
    route: Route


@dataclass(frozen=True)
class Resolved:
    """The records found, by route, and what the log's proof says of the one that counts."""

    records: dict[Route, Record]
    audit: AuditEvidence
    missing: tuple[Route, ...] = ()

    @property
    def record(self) -> Record | None:
        """The record of the strongest route."""
        return next(iter(self.records.values()), None)


def resolve(collected: Collected, sources: Sources) -> Resolved:
    """Follow every route to a record, strongest first, and check the proof of the first that leads somewhere.

    A route that *should* lead to a record of this log and does not (a manifest of ours without its entry, a watermark
    whose tag verifies without its entry) is listed as missing: that is evidence too.
    """
    if sources.log is None and not sources.receipts:
        note = "No audit log and no receipt is available here."
        return Resolved({}, AuditEvidence(state="not_checked", note=note))
    try:
        return _resolve(collected, sources)
    except AuditError as error:
        # The log cannot vouch for what it holds: that is the finding, not a reason to stop.
        return Resolved({}, AuditEvidence(state="failed", note=error.message))


def _resolve(collected: Collected, sources: Sources) -> Resolved:
    records: dict[Route, Record] = {}
    missing: list[Route] = []
    for route, found, expected in _routes(collected, sources):
        if found is not None:
            records[route] = found
        elif expected:
            missing.append(route)
    # The fingerprint is asked last and only then: it looks through the whole log and proves the least.
    lookalike = _nearest(collected, sources) if not records and not missing else None
    if lookalike is not None:
        records["fingerprint"] = lookalike
    if not records:
        origin = sources.log.origin if sources.log else ""
        return Resolved({}, AuditEvidence(state="not_found", origin=origin), tuple(missing))
    first = next(iter(records.values()))
    return Resolved(records, prove(first, sources), tuple(missing))


def prove(record: Record, sources: Sources) -> AuditEvidence:
    """Check a record's inclusion proof and the signature of the checkpoint that it leads to."""
    event_id = record.event.event_id
    fault = "No log's key is trusted here, so no proof can be checked."
    for key in sources.trust.log_keys:
        try:
            proved = verify_receipt(record.receipt, verifier_key=key)
        except ProofInvalid as error:
            fault = error.message
            continue
        checkpoint = proved.checkpoint
        return AuditEvidence(
            state="proved",
            event_id=event_id,
            index=proved.index,
            tree_size=checkpoint.size,
            origin=checkpoint.origin,
        )
    state: Literal["failed", "not_checked"] = "failed" if sources.trust.log_keys else "not_checked"
    return AuditEvidence(state=state, event_id=event_id, note=fault)


def _routes(collected: Collected, sources: Sources) -> Iterator[tuple[Route, Record | None, bool]]:
    """Each route with what it leads to, and whether it had to lead somewhere."""
    yield "file digest", _find(sources, "file digest", Wanted(output_sha256=collected.sha256)), False
    manifest = collected.manifest
    if manifest.event_id:
        ours = sources.log is not None and manifest.log_origin == sources.log.origin
        expected = ours and manifest.state == "trusted"
        yield "manifest", _find(sources, "manifest", Wanted(event_id=manifest.event_id)), expected
    if collected.watermark.record_id is not None:
        found = _find(sources, "watermark", Wanted(record_id=collected.watermark.record_id))
        yield "watermark", found, sources.log is not None


@dataclass(frozen=True)
class Wanted:
    """What a record must say to be the one; fields that are ``None`` do not count."""

    output_sha256: str | None = None
    event_id: str | None = None
    record_id: int | None = None

    def fits(self, event: Event) -> bool:
        """Whether a release says all of it."""
        output = event.output
        if event.type is not EventType.RELEASED or output is None:
            return False
        said = Wanted(output.sha256, event.event_id, int(output.watermark_payload, 16))
        return all(mine in (None, theirs) for mine, theirs in zip(astuple(self), astuple(said), strict=True))


def _find(sources: Sources, route: Route, wanted: Wanted) -> Record | None:
    for receipt in sources.receipts:
        event = _event_of(receipt)
        if event is not None and wanted.fits(event):
            return Record(event, receipt, route)
    if sources.log is None:
        return None
    for index in sources.log.find(**asdict(wanted)):
        event = sources.log.event(index)
        if wanted.fits(event):
            return Record(event, sources.log.receipt(index), route)
    return None


def _event_of(receipt: Receipt) -> Event | None:
    try:
        return Event.model_validate_json(receipt.entry)
    except ValueError:
        return None


def _nearest(collected: Collected, sources: Sources) -> Record | None:
    """The record whose fingerprint is nearest to any of the file's eight dihedral ones, if near at all."""
    if sources.log is None:
        return None
    recorded = FingerprintIndex((Fingerprint(bits, quality=0), str(i)) for i, bits in sources.log.fingerprints())
    hits = [hit for form in dihedral(collected.raster.pixels) for hit in recorded.query(form, limit=1)]
    if not hits:
        return None
    entry = int(min(hits).reference)
    event = sources.log.event(entry)
    return Record(event, sources.log.receipt(entry), "fingerprint") if event.type is EventType.RELEASED else None
