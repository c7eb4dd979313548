"""The judge's table: every rule, and which of two wins."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from countermark.model import (
    AuditEvidence,
    Evidence,
    FingerprintEvidence,
    Manifest,
    ManifestState,
    OriginalEvidence,
    Verdict,
    WatermarkDetection,
    WatermarkState,
)
from countermark.verification.judge import Case, contradictions, judge


def case(  # type: ignore[no-untyped-def]
    manifest="absent",
    watermark="absent",
    fingerprint="skipped",
    audit="not_found",
    original="skipped",
    intact=False,
    codes=(),
    parents=(),
    **fields,
) -> Case:
    detected = {"record_id": 1, "false_positive_probability": 1e-8} if watermark == "detected" else {}
    return Case(
        evidence=Evidence(
            manifest=Manifest(
                state=ManifestState(manifest),
                signer="Somebody",
                intact=intact,
                codes=codes,
                ingredient_events=parents,
                explanation=manifest,
            ),
            watermark=WatermarkDetection(state=WatermarkState(watermark), algorithm="t", **detected),
            fingerprint=FingerprintEvidence(state=fingerprint),
            original=OriginalEvidence(state=original),
            audit=AuditEvidence(state=audit, origin="log", index=0, tree_size=1),
        ),
        **fields,
    )


OURS = {"manifest_event": "a", "watermark_event": "a", "exact": True}
LIKE = {"by_fingerprint": True}


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (case("trusted", "detected", "match", "proved", **OURS), "verified"),
        (case("trusted"), "verified"),
        (case("valid"), "untrusted"),
        (case("valid", "absent", "match", "proved", manifest_event="a", exact=True), "verified"),
        (case("valid", "absent", "match", "not_checked", manifest_event="a", exact=True), "untrusted"),
        (case("invalid"), "tampered"),
        (case("invalid", "absent", "match", "proved", manifest_event="a", exact=True), "tampered"),
        (case("invalid", intact=True), "inconclusive"),
        (case("invalid", "absent", "match", "proved", manifest_event="a", exact=True, intact=True), "verified"),
        (case("absent", codes=("manifest.remote",)), "inconclusive"),
        (case("absent", codes=("manifest.compressed",)), "inconclusive"),
        (case("absent", codes=("asset.unreadable",)), "no_provenance"),
        (case("invalid", "detected", "match", "proved", watermark_event="a"), "tampered"),
        (case("absent", "detected", "near", "proved", watermark_event="a"), "recovered"),
        (case("absent", "detected", "skipped", "proved", watermark_event="a"), "recovered"),
        (case("absent", "detected", "none", "proved", watermark_event="a"), "contradictory"),
        (case("absent", "detected", "skipped", "not_checked"), "inconclusive"),
        (case("absent", "detected", "skipped", "not_found", missing=("watermark",)), "proof_failed"),
        (case("absent", "absent", "match", "proved", by_fingerprint=True), "recovered"),
        (case("absent", "absent", "near", "proved", by_fingerprint=True), "inconclusive"),
        (case("absent", "inconclusive"), "inconclusive"),
        (case("absent", "foreign"), "no_provenance"),
        (case("absent", "absent"), "no_provenance"),
        (case("trusted", "detected", "match", "failed", **OURS), "proof_failed"),
        (
            case("trusted", "detected", "match", "proved", manifest_event="a", watermark_event="b", exact=True),
            "contradictory",
        ),
        (case("trusted", "absent", "match", "proved", manifest_event="a", exact=False), "contradictory"),
        (case("trusted", "absent", "match", "not_checked", manifest_event="a", exact=False), "verified"),
        (case("trusted", "detected", "none", "proved", "different", watermark_event="b", parents=("b",)), "verified"),
        # Whoever is not trusted may declare what they like as parent.
        (
            case("invalid", "detected", "none", "proved", "different", True, watermark_event="b", parents=("b",)),
            "contradictory",
        ),
        (
            case("trusted", "detected", "none", "proved", "different", watermark_event="b", parents=("a",)),
            "contradictory",
        ),
        (
            case("valid", "detected", "none", "proved", "different", watermark_event="b", parents=("b",)),
            "contradictory",
        ),
        (
            case(
                "trusted",
                "detected",
                "match",
                "proved",
                exact=True,
                manifest_event="a",
                watermark_event="b",
                parents=("b",),
            ),
            "verified",
        ),
        (case("trusted", missing=("manifest",)), "proof_failed"),
        (case("absent", "absent", "match", "proved", exact=True), "verified"),
        (case("absent", "absent", "match", "not_checked", exact=True), "no_provenance"),
        (case("absent", "inconclusive", "match", "not_checked", exact=True), "inconclusive"),
        (case("absent", "absent", "match", "not_checked", **LIKE), "no_provenance"),
        (case("absent", "absent", "match", "proved"), "no_provenance"),
        (case("absent", "absent", "match", "proved", "same", **LIKE), "recovered"),
        (case("absent", "absent", "near", "proved", "same", **LIKE), "recovered"),
        (case("absent", "absent", "near", "proved", "altered", **LIKE), "recovered"),
        (case("absent", "absent", "match", "proved", "different", **LIKE), "inconclusive"),
        (case("absent", "absent", "match", "proved", veiled=True, **LIKE), "inconclusive"),
        (case("absent", "detected", "match", "proved", "altered", watermark_event="a"), "recovered"),
        (case("absent", "detected", "match", "proved", "different", watermark_event="a"), "contradictory"),
        (case("absent", "detected", "skipped", "proved", watermark_event="a", veiled=True), "inconclusive"),
    ],
)
def test_the_table(given: Case, verdict: str) -> None:
    assert judge(given)[0] == verdict


def test_nothing_bad_is_ever_called_verified() -> None:
    for manifest, watermark, fingerprint, audit in itertools.product(
        ("trusted", "valid", "invalid", "absent"),
        ("detected", "absent", "inconclusive", "foreign", "skipped"),
        ("match", "near", "none", "skipped"),
        ("proved", "failed", "not_found", "not_checked"),
    ):
        verdict, reasons = judge(case(manifest, watermark, fingerprint, audit))
        assert reasons
        if verdict is Verdict.VERIFIED:
            assert manifest == "trusted"
            assert audit != "failed"
        if manifest == "invalid" and audit != "failed":
            assert verdict is Verdict.TAMPERED


def test_what_each_verdict_needs_whatever_else_is_known() -> None:
    """Every combination of what the judge is told; said another way than the judge says it."""
    for manifest, watermark, fingerprint, audit, original in itertools.product(
        ("trusted", "valid", "invalid", "absent"),
        ("detected", "absent", "inconclusive"),
        ("match", "near", "none", "skipped"),
        ("proved", "failed", "not_found"),
        ("same", "altered", "different", "skipped"),
    ):
        evidence = case(manifest, watermark, fingerprint, audit, original).evidence
        proved = audit == "proved"
        for named, led, exact, missing, alone, veiled in itertools.product(
            ("", "a"), ("", "a", "b"), (False, True), ((), ("watermark",)), (False, True), (False, True)
        ):
            given = Case(evidence, named, led, exact, missing, alone, veiled)
            verdict = judge(given)[0]
            foreign = led and (fingerprint == "none" or original == "different")
            replaced = manifest == "trusted" and named and proved and not exact
            contradicts = bool((named and led == "b") or foreign or replaced)
            assert bool(contradictions(given)) is contradicts
            assert (verdict == "proof_failed") is (audit == "failed" or bool(missing))
            if verdict == "proof_failed":
                continue
            assert (verdict == "contradictory") is contradicts
            if contradicts:
                continue
            if manifest == "valid" and exact and proved:
                assert verdict == "verified", "the recorded file itself"
            elif manifest != "absent":
                assert verdict == {"trusted": "verified", "valid": "untrusted", "invalid": "tampered"}[manifest]
            elif verdict == "verified":
                assert exact
                assert proved
                assert watermark != "detected"
            elif verdict == "recovered":
                assert proved
                assert watermark == "detected" or alone
                assert not veiled or (watermark != "detected" and original in ("same", "altered"))
            else:
                assert verdict in ("no_provenance", "inconclusive")


@pytest.mark.parametrize(
    ("given", "borne_out"),
    [
        (case("trusted", "detected", "match", "proved", **OURS), True),
        (case("invalid", "absent", "none", "proved", "different", manifest_event="a", exact=True, veiled=True), True),
        (case("absent", "detected", "skipped", "proved", watermark_event="a"), True),
        (case("trusted", "absent", "skipped", "not_checked", manifest_event="a"), True),
        (case("valid", "absent", "match", "proved", manifest_event="a"), True),
        (case("valid", "absent", "near", "proved", manifest_event="a"), True),
        (case("valid", "absent", "skipped", "proved", manifest_event="a"), False),
        (case("valid", "absent", "none", "proved", manifest_event="a"), False),
        (case("invalid", "absent", "skipped", "proved", manifest_event="a"), False),
        (case("valid", "absent", "match", "proved", "different", manifest_event="a"), False),
        (case("valid", "absent", "match", "proved", manifest_event="a", veiled=True), False),
        (case("absent", "detected", "skipped", "proved", watermark_event="a", veiled=True), False),
        (case("absent", "detected", "none", "proved", watermark_event="a"), False),
        (case("valid", "detected", "match", "proved", manifest_event="a", watermark_event="b"), False),
        (case("trusted", "absent", "match", "proved", manifest_event="a"), False),
        (case("absent", "absent", "match", "proved", **LIKE), True),
        (case("absent", "absent", "near", "proved", "altered", **LIKE), True),
        (case("absent", "absent", "near", "proved", **LIKE), False),
        (case("trusted", "absent", "near", "proved", **LIKE), False),
    ],
)
def test_a_record_is_told_of_a_picture_only_where_the_picture_bears_it_out(given: Case, borne_out: bool) -> None:
    assert given.borne_out is borne_out
    records, points = (any(said in line for line in judge(given)[1]) for said in ("records it", "nothing bears out"))
    assert (records, points) == (
        (borne_out, not borne_out) if given.evidence.audit.state == "proved" else (False, False)
    )


def told(given: Case, **evidence: object) -> tuple[str, ...]:
    return judge(replace(given, evidence=given.evidence.model_copy(update=evidence)))[1]


def test_each_piece_of_evidence_is_said_and_nothing_else() -> None:
    foreign = WatermarkDetection(state=WatermarkState.FOREIGN, algorithm="t")
    skipped = WatermarkDetection(state=WatermarkState.SKIPPED, algorithm="t", note="No key is at hand.")
    changed = Manifest(state=ManifestState.INVALID, codes=("a.mismatch",), explanation="It was changed.")
    near = FingerprintEvidence(state="near", distance=40)
    none = FingerprintEvidence(state="none", distance=90, note="not said")
    failed = AuditEvidence(state="failed", note="the root differs")
    proved = AuditEvidence(state="proved", origin="log", index=7, tree_size=9, witnesses=("W1", "W2"))
    altered = OriginalEvidence(state="altered", altered=0.25, where="top")
    led = case("absent", "detected", "match", "proved", watermark_event="a")
    alone = case("absent", "absent", "match", "proved", by_fingerprint=True)
    bare = ("absent", "No watermark of ours was found.")
    looked = ("The audit log here holds no record of this file.",)
    assert told(case()) == bare + looked
    assert told(case(), audit=AuditEvidence(state="not_found")) == (*bare, "No receipt at hand is of this file.")
    assert told(case(), audit=AuditEvidence(state="not_checked", note="Not looked.")) == (*bare, "Not looked.")
    assert told(case(), audit=failed) == (*bare, "The audit proof does not verify: the root differs")
    assert told(case(), watermark=foreign)[1].startswith("It carries another system's watermark")
    assert told(case(), watermark=skipped) == (bare[0], "No key is at hand.", *looked)
    assert told(case("absent", "inconclusive"))[1].startswith("There are traces of a watermark of ours")
    assert told(led)[1].startswith(
        "The watermark reads 000000000001; an unmarked image does so with a chance of at most 1e-08"
    )
    assert told(case("trusted"))[0] == "trusted", "what the reader said of the manifest"
    assert told(case(), manifest=changed) == ("It was changed.", bare[1], *looked)
    assert told(led, fingerprint=near)[2] == "The picture looks like the recorded one (40 of 256 bits differ)."
    assert told(alone, fingerprint=near)[2].endswith("(40 of 256 bits differ). A fingerprint alone is never proof.")
    assert "alone" not in told(alone, fingerprint=near, original=OriginalEvidence(state="same"))[2]
    assert told(case("valid", manifest_event="a"), fingerprint=none)[2] == (
        "The picture does not look like the recorded one (90 of 256 bits differ)."
    )
    assert told(led, original=altered)[3].startswith("About 25% of it (top) differs from the kept original")
    assert "Tile by tile it agrees with the kept original." in told(led, original=OriginalEvidence(state="same"))
    assert told(led, audit=proved)[-1] == (
        "Entry 7 of log records it, proved under a signed checkpoint of size 9, cosigned by W1, W2."
    )
    assert told(case(missing=("watermark",)))[-1].startswith("The watermark names a record that this log does not hold")
    assert told(case(elsewhere=(("watermark", "b.example"),)))[-1] == (
        "The watermark leads to a record of another log as well: b.example."
    )
    signed_anew = case("trusted", "detected", "match", "proved", watermark_event="a")
    edited = case("trusted", "detected", "none", "proved", watermark_event="a", parents=("a",))
    assert (signed_anew.borne_out, edited.borne_out) == (True, False)
    assert told(signed_anew)[-1] == told(edited)[-1]
    assert told(signed_anew)[-1] == (
        "Entry 0 of log records a picture that this one was made from or looks like, proved under a signed checkpoint"
        " of size 1; it does not name this very file."
    )


def test_what_lies_around_the_recorded_picture_is_said() -> None:
    said = {}
    for state, covered in (("same", 0.89), ("same", 0.9), ("altered", 0.5), ("different", 0.5), ("same", None)):
        evidence = case("absent", "detected", "match", "proved", state).evidence
        original = OriginalEvidence(state=state, covered=covered, altered=0.2, where="top")
        given = Case(evidence.model_copy(update={"original": original}), watermark_event="a")
        said[state, covered] = any("lies on the recorded picture" in line for line in judge(given)[1])
    assert [key for key, is_said in said.items() if is_said] == [("same", 0.89), ("altered", 0.5)]


def test_another_systems_mark_is_named_and_decides_nothing() -> None:
    note = "It carries the constant mark that Somebody's software writes; anyone can write it."
    foreign = WatermarkDetection(state=WatermarkState.FOREIGN, algorithm="t", note=note)
    for manifest, verdict in (("absent", "no_provenance"), ("trusted", "verified"), ("invalid", "tampered")):
        evidence = case(manifest).evidence.model_copy(update={"watermark": foreign})
        decided, reasons = judge(Case(evidence=evidence))
        assert decided == verdict
        assert note in reasons


def test_a_mark_that_does_not_verify_is_reported_with_its_note() -> None:
    traces = WatermarkDetection(state=WatermarkState.INCONCLUSIVE, algorithm="t", note="Its tag does not verify.")
    evidence = case().evidence.model_copy(update={"watermark": traces})
    decided, reasons = judge(Case(evidence=evidence))
    assert decided is Verdict.INCONCLUSIVE
    assert "Its tag does not verify." in reasons


def test_exit_codes_are_those_that_scripts_rely_on() -> None:
    codes = {verdict.value: verdict.exit_code for verdict in Verdict}
    assert codes == {
        "verified": 0,
        "inconclusive": 3,
        "no_provenance": 10,
        "tampered": 11,
        "untrusted": 12,
        "proof_failed": 13,
        "contradictory": 14,
        "recovered": 15,
    }
