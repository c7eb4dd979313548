"""From marks to the record: which audit entry does each piece of evidence lead to, and is it proved?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import Literal

from countermark.audit import AuditLog, NoteVerifier, TlogProof, verify_receipt
from countermark.audit.checkpoint import peek_checkpoint
from countermark.audit.note import parse_note
from countermark.errors import AuditError, AuditIndexUnusable, ProofInvalid
from countermark.fingerprint import MATCH, MIN_QUALITY, NEAR, Fingerprint, dihedral, distance
from countermark.model import AuditEvidence, Event, EventType, Manifest, Receipt, WatermarkDetection
from countermark.verification.collect import Collected
from countermark.verification.context import Sources

MAX_LOOKALIKES = 16
"""Entries that are read to confirm what the index of fingerprints says, nearest first."""

FAR = 257

Route = Literal["file digest", "manifest", "watermark", "fingerprint"]


@dataclass(frozen=True)
class Record:
    """An entry that some evidence leads to, with its receipt and, where a watermark led to it, that mark.

    ``index`` is -1 where only a receipt is at hand, whose claim is not proved.
    """

    event: Event
    receipt: Receipt
    route: Route
    index: int = -1
    mark: WatermarkDetection | None = None

    @property
    def origin(self) -> str:
        """The log that the receipt claims to be of, empty where it does not say so in due form."""
        note = _checkpoint(self.receipt)
        return peek_checkpoint(note).origin if note else ""


@dataclass(frozen=True)
class Resolved:
    """The records of one log that were found, by route, and what its proof says of the one that counts.

    ``elsewhere`` are routes that lead to records of other logs, and these logs: a picture that was released by one and
    then by another bears marks of both.
    """

    records: dict[Route, Record]
    audit: AuditEvidence
    missing: tuple[Route, ...] = ()
    elsewhere: tuple[tuple[Route, str], ...] = ()

    @property
    def record(self) -> Record | None:
        """The record of the strongest route."""
        return next(iter(self.records.values()), None)


def resolve(collected: Collected, sources: Sources) -> Resolved:
    """Follow every route to a record, strongest first, and check the proof of the first that leads somewhere.

    One that cannot be checked, as its log is not known here, counts only where no other leads anywhere: neither for
    the file nor against it.

    A route that *should* lead to a record of this log and does not (a manifest of ours without its entry, a watermark
    whose tag verifies without its entry) is listed as missing: that is evidence too.
    """
    if sources.log is None and not sources.receipts:
        note = "No audit log and no receipt is available here."
        return Resolved({}, AuditEvidence(state="not_checked", note=note))
    try:
        return _resolve(collected, sources)
    except AuditIndexUnusable as error:
        # Nothing is proved from the index, so its state says nothing about the file.
        return Resolved({}, AuditEvidence(state="not_checked", note=f"{error.message} {error.remedy}"))
    except AuditError as error:
        # The log cannot vouch for what it holds: that is the finding, not a reason to stop.
        return Resolved({}, AuditEvidence(state="failed", note=error.message))


def _resolve(collected: Collected, sources: Sources) -> Resolved:
    records: dict[Route, Record] = {}
    missing: list[Route] = []
    for route, found, expected in _routes(collected, sources):
        if found is not None:
            records[route] = found
        if expected and (found is None or found.index < 0):  # a receipt that proves nothing stands for no entry
            missing.append(route)
    # The fingerprint is asked last and only then: it looks through the whole log and proves the least.
    lookalike = _nearest(collected, sources) if not records and not missing else None
    if lookalike is not None:
        records["fingerprint"] = lookalike
    if not records:
        origin = sources.log.origin if sources.log else ""
        return Resolved({}, AuditEvidence(state="not_found", origin=origin), tuple(missing))
    proofs = {route: prove(record, sources) for route, record in records.items()}
    weights = {route: _weight(record, proofs[route]) for route, record in records.items()}
    chosen = max(weights, key=weights.__getitem__)  # of equals the first, which is the strongest route
    first = records.pop(chosen)
    # Anyone can give a log the name of another: what is not proved lends nothing to what is, whatever it is called.
    beside = {
        route: record
        for route, record in records.items()
        if record.origin == first.origin and weights[route] == weights[chosen]
    }
    return Resolved(
        {chosen: first, **beside},
        proofs[chosen],
        tuple(missing),
        tuple((route, record.origin) for route, record in records.items() if record.origin != first.origin),
    )


def _weight(record: Record, proof: AuditEvidence) -> int:
    """How far a record counts: its proof was checked, it is in the log here, or a receipt merely claims it."""
    if proof.state != "not_checked":
        return 2
    return 1 if record.index >= 0 else 0


def prove(record: Record, sources: Sources) -> AuditEvidence:
    """Check a record's inclusion proof and the signature of the checkpoint that it leads to."""
    event_id = record.event.event_id
    keys = sources.trust.log_keys if _from_here(record, sources) else _keys_of(record.receipt, sources.trust.log_keys)
    if not keys:
        return AuditEvidence(state="not_checked", event_id=event_id, note=_unknown(record, sources))
    fault = ""
    for key in keys:
        policy = sources.trust.witnessing.get(key)
        try:
            proved = verify_receipt(record.receipt, verifier_key=key)
            names = policy.cosigners(TlogProof.parse(record.receipt.proof).checkpoint) if policy else ()
        except ProofInvalid as error:
            fault = error.message
            continue
        checkpoint = proved.checkpoint
        quorum = policy.quorum if policy else 0
        return AuditEvidence(
            state="proved" if len(names) >= quorum else "not_checked",
            event_id=event_id,
            index=proved.index,
            tree_size=checkpoint.size,
            origin=checkpoint.origin,
            witnesses=names,
            note="" if len(names) >= quorum else _unwitnessed(len(names), quorum),
        )
    return AuditEvidence(state="failed", event_id=event_id, note=fault)


def _from_here(record: Record, sources: Sources) -> bool:
    """Whether it was read from the log here, which has no excuse for being signed by another key."""
    return record.receipt not in sources.receipts


def _keys_of(receipt: Receipt, log_keys: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the keys that the receipt's checkpoint says it is signed by; all where it is too damaged to say."""
    note = _checkpoint(receipt)
    if not note:
        return log_keys
    signers = {(line.name, line.key_id) for line in parse_note(note).signatures}
    return tuple(key for key in log_keys if (known := NoteVerifier.parse(key)) and (known.name, known.id) in signers)


def _checkpoint(receipt: Receipt) -> str:
    """The checkpoint in a receipt, empty where there is none in due form. Nothing is verified."""
    try:
        note = TlogProof.parse(receipt.proof).checkpoint
        peek_checkpoint(note)
    except ProofInvalid:
        return ""
    return note


def _unknown(record: Record, sources: Sources) -> str:
    if not sources.trust.log_keys:
        return "No log's key is trusted here, so no proof can be checked."
    return (
        f"The receipt is signed by a key of {record.origin} that is not trusted here, so it proves nothing yet. Ask the"
        " log's owner for a trust file, and give it with --trust."
    )


def _unwitnessed(count: int, quorum: int) -> str:
    return (
        f"The log's signature and the proof fit, but only {count} of the {quorum} witnesses that you demand cosigned"
        " the checkpoint: the log's owner alone vouches for it."
    )


def _receipt(log: AuditLog, index: int, sources: Sources) -> Receipt:
    """The receipt of an entry, under the newest cosigned checkpoint if that covers it."""
    if sources.cosigned and index < peek_checkpoint(sources.cosigned).size:
        return log.receipt(index, under=sources.cosigned)
    return log.receipt(index)


def _routes(collected: Collected, sources: Sources) -> Iterator[tuple[Route, Record | None, bool]]:
    """Each route with what it leads to, and whether it had to lead somewhere."""
    yield "file digest", _find(sources, "file digest", Wanted(output_sha256=collected.sha256)), False
    manifest = collected.manifest
    if manifest.event_id:
        expected = sources.log is not None and _names(manifest, sources.log) and manifest.state == "trusted"
        yield "manifest", _find(sources, "manifest", Wanted(event_id=manifest.event_id)), expected
    if collected.watermark.record_id is not None:
        yield "watermark", _newest_marked(collected, sources), sources.log is not None


def _names(manifest: Manifest, log: AuditLog) -> bool:
    """Whether it names this log: one that began anew under another key is another, whatever it is called."""
    return manifest.log_origin == log.origin and manifest.log_key_id in ("", log.verifier_key.rpartition("+")[0])


def _newest_marked(collected: Collected, sources: Sources) -> Record | None:
    """The newest record among the marks: of a picture that was marked again, the earlier ones are its ancestors'.

    Only within one log does the index tell which is newer; the log here comes first.
    """
    here = sources.log.origin if sources.log else ""
    found = [
        replace(record, mark=mark)
        for mark in collected.watermark.marks
        if (record := _find(sources, "watermark", Wanted(record_id=mark.record_id))) is not None
    ]
    return max(found, key=lambda record: (record.origin == here, record.index, record.event.time), default=None)


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
    """The record that a receipt proves, else that of the log, else one that a receipt merely claims."""
    held = [Record(event, receipt, route) for event, receipt in _held(sources) if wanted.fits(event)]
    if (record := _first_proved(held, sources)) is not None:
        return record
    if (log := sources.log) is not None:
        for index in log.find(**asdict(wanted)):
            event = log.event(index)
            if wanted.fits(event):
                return Record(event, _receipt(log, index, sources), route, index)
    return held[0] if held else None


def _held(sources: Sources) -> Iterator[tuple[Event, Receipt]]:
    for receipt in sources.receipts:
        if (event := _event_of(receipt)) is not None:
            yield event, receipt


def _first_proved(held: Sequence[Record], sources: Sources) -> Record | None:
    for record in held:
        proof = prove(record, sources)
        if proof.state == "proved" and proof.index is not None:
            return replace(record, index=proof.index)
    return None


def _event_of(receipt: Receipt) -> Event | None:
    try:
        return Event.model_validate_json(receipt.entry)
    except ValueError:
        return None


def _nearest(collected: Collected, sources: Sources) -> Record | None:
    """The record of a released picture that is nearest to any of the file's eight dihedral forms, if near at all.

    Matches are looked up first: that is quick, and a match is nearer than whatever else is near.
    """
    forms = [form for form in dihedral(collected.raster.pixels) if form.quality >= MIN_QUALITY]
    if not forms:
        return None
    held = [(_apart(event, forms), Record(event, receipt, "fingerprint")) for event, receipt in _held(sources)]
    for within in (MATCH, NEAR):
        alike = [record for apart, record in held if apart <= within]
        if found := _first_proved(alike, sources) or _logged_lookalike(forms, within, sources):
            return found
    return alike[0] if alike else None


def _logged_lookalike(forms: Sequence[Fingerprint], within: int, sources: Sources) -> Record | None:
    if sources.log is None or sources.fingerprints is None:
        return None
    for hit in sources.fingerprints.nearest(forms, within=within, limit=MAX_LOOKALIKES):
        event = sources.log.event(hit.reference)
        # The index is a cache that is easy to change; the entry is under the log's proof.
        if _apart(event, forms) == hit.distance:
            return Record(event, _receipt(sources.log, hit.reference, sources), "fingerprint")
    return None


def _apart(event: Event, forms: Sequence[Fingerprint]) -> int:
    """The distance between a released picture and the nearest form; more than all bits for what is no release."""
    output = event.output
    if event.type is not EventType.RELEASED or output is None:
        return FAR
    recorded = Fingerprint(output.fingerprint, quality=0)
    return min(distance(form, recorded) for form in forms)
