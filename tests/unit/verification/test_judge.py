"""The judge's table: every rule, and which of two wins."""

from __future__ import annotations

import itertools

import pytest

from countermark.model import (
    AuditEvidence,
    Evidence,
    FingerprintEvidence,
    Manifest,
    ManifestState,
    Verdict,
    WatermarkDetection,
    WatermarkState,
)
from countermark.verification.judge import Case, judge


def case(  # type: ignore[no-untyped-def]
    manifest="absent", watermark="absent", fingerprint="skipped", audit="not_found", **fields
) -> Case:
    detected = {"record_id": 1, "false_positive_probability": 1e-8} if watermark == "detected" else {}
    return Case(
        evidence=Evidence(
            manifest=Manifest(state=ManifestState(manifest), signer="Somebody"),
            watermark=WatermarkDetection(state=WatermarkState(watermark), algorithm="t", **detected),
            fingerprint=FingerprintEvidence(state=fingerprint),
            audit=AuditEvidence(state=audit, origin="log", index=0, tree_size=1),
        ),
        **fields,
    )


OURS = {"manifest_event": "a", "watermark_event": "a", "exact": True}


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (case("trusted", "detected", "match", "proved", **OURS), "verified"),
        (case("trusted"), "verified"),
        (case("valid"), "untrusted"),
        (case("invalid"), "tampered"),
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
        (case("trusted", missing=("manifest",)), "proof_failed"),
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
