"""The judge: from evidence to one verdict, by rules that can be read from top to bottom.

Pure: no file, key or network is touched here. The first rule that applies decides; every rule adds its sentences.
"""

from __future__ import annotations

from dataclasses import dataclass

from countermark.model import Evidence, ManifestState, OriginalEvidence, Verdict, WatermarkState

WHOLLY_COVERED = 0.9
"""Share of a file on the original from which nothing is said of what lies around it: turning leaves corners."""

UNREAD = frozenset({"manifest.remote", "manifest.compressed"})
"""Codes of manifests that there are, and that were not read."""


@dataclass(frozen=True)
class Case:
    """What the judge is told.

    Attributes:
        evidence: the marks and the proof.
        manifest_event: the record that the manifest names, if any.
        watermark_event: the record that the watermark leads to, if any.
        exact: the file's digest is the recorded one.
        missing: routes that had to lead to a record of this log and did not.
        by_fingerprint: the record was found by the fingerprint alone.
        elsewhere: routes that lead to records of other logs than the one that counts, and these logs.
        veiled: the file is transparent, and what it shows is not what its colours were compared for.
    """

    evidence: Evidence
    manifest_event: str = ""
    watermark_event: str = ""
    exact: bool = False
    missing: tuple[str, ...] = ()
    by_fingerprint: bool = False
    veiled: bool = False
    elsewhere: tuple[tuple[str, str], ...] = ()

    @property
    def recorded(self) -> bool:
        """Whether these very bytes are proved to be recorded."""
        return self.exact and self.evidence.audit.state == "proved"

    @property
    def made_from(self) -> bool:
        """Whether a signer whom the reader trusts says that this was made from the picture that the watermark is of."""
        manifest = self.evidence.manifest
        return manifest.state is ManifestState.TRUSTED and self.watermark_event in manifest.ingredient_events

    @property
    def borne_out(self) -> bool:
        """Whether something besides a claim says that the record is this picture's.

        A manifest by a stranger can name any record, and a mark can be copied: then the record is another picture's,
        and what it tells is not told of this one.
        """
        if self.exact:
            return True
        if contradictions(self) or self.veiled or _another_picture(self.evidence):
            return False
        if self.by_fingerprint:
            return _looks_recorded(self)
        alike = self.evidence.fingerprint.state in ("match", "near") or bool(self.watermark_event)
        return alike or self.evidence.manifest.state is ManifestState.TRUSTED


def judge(case: Case) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict and one plain sentence for each finding."""
    return _verdict(case), tuple(_sentences(case))


def _verdict(case: Case) -> Verdict:
    manifest, audit = case.evidence.manifest, case.evidence.audit
    if audit.state == "failed" or case.missing:
        return Verdict.PROOF_FAILED
    if contradictions(case):
        return Verdict.CONTRADICTORY
    if manifest.state is ManifestState.ABSENT:
        return _without_manifest(case)
    if manifest.state is ManifestState.INVALID and not manifest.intact:
        return Verdict.TAMPERED
    if manifest.state is ManifestState.TRUSTED or case.recorded:
        return Verdict.VERIFIED
    return Verdict.UNTRUSTED if manifest.state is ManifestState.VALID else Verdict.INCONCLUSIVE


def _without_manifest(case: Case) -> Verdict:
    watermark, audit = case.evidence.watermark, case.evidence.audit
    if watermark.state is WatermarkState.DETECTED:
        leads = audit.state == "proved" and not case.veiled
        return Verdict.RECOVERED if leads else Verdict.INCONCLUSIVE
    if case.recorded:
        return Verdict.VERIFIED
    if case.by_fingerprint and audit.state == "proved":
        return Verdict.RECOVERED if _looks_recorded(case) else Verdict.INCONCLUSIVE
    if watermark.state is WatermarkState.INCONCLUSIVE or UNREAD & set(case.evidence.manifest.codes):
        return Verdict.INCONCLUSIVE
    return Verdict.NO_PROVENANCE


def _looks_recorded(case: Case) -> bool:
    """Whether a picture without marks is the recorded one: by the kept original, or a fingerprint that matches."""
    original = case.evidence.original.state
    if original != "skipped":
        return original in ("same", "altered")
    return case.evidence.fingerprint.state == "match" and not case.veiled


def _another_picture(evidence: Evidence) -> bool:
    return evidence.fingerprint.state == "none" or evidence.original.state == "different"


def contradictions(case: Case) -> list[str]:
    """Pairs of evidence that cannot both be true."""
    found: list[str] = []
    evidence = case.evidence
    led = case.watermark_event if not case.made_from else ""
    if case.manifest_event and led and case.manifest_event != led:
        found.append(
            "The manifest and the watermark lead to different records: one of them belongs to another picture."
        )
    if led and _another_picture(evidence):
        found.append(
            "The watermark leads to a record of a different picture: the mark was copied, or the picture replaced."
        )
    trusted = evidence.manifest.state is ManifestState.TRUSTED
    if trusted and case.manifest_event and evidence.audit.state == "proved" and not case.exact:
        found.append("The manifest validates, but the record names a file with another digest.")
    return found


def _sentences(case: Case) -> list[str]:
    evidence = case.evidence
    lines = [evidence.manifest.explanation, _watermark_sentence(case)]
    if case.watermark_event or case.by_fingerprint or case.manifest_event:
        lines += [_fingerprint_sentence(case), *_original_sentences(evidence.original)]
    lines.append(_audit_sentence(case))
    lines.extend(contradictions(case))
    for route in case.missing:
        lines.append(
            f"The {route} names a record that this log does not hold: it was removed, never written, or is in another"
            " log."
        )
    for route, origin in case.elsewhere:
        lines.append(f"The {route} leads to a record of another log as well: {origin}.")
    return [line for line in lines if line]


def _watermark_sentence(case: Case) -> str:
    watermark = case.evidence.watermark
    if watermark.state is WatermarkState.DETECTED:
        chance = watermark.false_positive_probability
        return (
            f"The watermark reads {watermark.payload}; an unmarked image does so with a chance of at most {chance:.0e}."
            f"{' The file is a negative: dark and light are exchanged.' * watermark.negative}"
        )
    if watermark.state is WatermarkState.FOREIGN:
        return watermark.note or "It carries another system's watermark, which proves nothing by itself."
    if watermark.state is WatermarkState.INCONCLUSIVE:
        return watermark.note or "There are traces of a watermark of ours that do not decode."
    if watermark.state is WatermarkState.SKIPPED:
        return watermark.note
    return "No watermark of ours was found."


def _fingerprint_sentence(case: Case) -> str:
    fingerprint = case.evidence.fingerprint
    distance = f" ({fingerprint.distance} of 256 bits differ)" if fingerprint.distance is not None else ""
    if fingerprint.state in ("match", "near"):
        alone = case.by_fingerprint and case.evidence.original.state == "skipped"
        return f"The picture looks like the recorded one{distance}.{' A fingerprint alone is never proof.' * alone}"
    if fingerprint.state == "none":
        return f"The picture does not look like the recorded one{distance}."
    return fingerprint.note


def _original_sentences(original: OriginalEvidence) -> list[str]:
    lines = {
        "same": ["Tile by tile it agrees with the kept original."],
        "altered": [
            f"About {original.altered or 0:.0%} of it ({original.where}) differs from the kept original: something was"
            " added, covered or removed there, or lost to a strong filter."
        ],
        "different": ["Tile by tile, most of it differs from the kept original."],
        "skipped": [original.note],
    }[original.state]
    covered = original.covered
    if original.state != "different" and covered is not None and covered < WHOLLY_COVERED:
        lines.append(f"Only {covered:.0%} of the file lies on the recorded picture; the rest was put around it.")
    return lines


def _audit_sentence(case: Case) -> str:
    audit = case.evidence.audit
    if audit.state == "proved":
        cosigned = f", cosigned by {', '.join(audit.witnesses)}" if audit.witnesses else ""
        proved = f"proved under a signed checkpoint of size {audit.tree_size}{cosigned}"
        trusted = case.evidence.manifest.state is ManifestState.TRUSTED
        if trusted and not case.exact and (case.made_from or case.borne_out):
            return (
                f"Entry {audit.index} of {audit.origin} records a picture that this one was made from or looks like,"
                f" {proved}; it does not name this very file."
            )
        if case.borne_out:
            return f"Entry {audit.index} of {audit.origin} records it, {proved}."
        return (
            f"It points to entry {audit.index} of {audit.origin}, {proved}; nothing bears out that this is its record."
        )
    if audit.state == "failed":
        return f"The audit proof does not verify: {audit.note}"
    if audit.state == "not_found":
        # Without a log's name only receipts were looked through.
        where = "The audit log here holds no record" if audit.origin else "No receipt at hand is"
        return f"{where} of this file."
    return audit.note
