"""What is concluded from the C2PA library's report: a real one, and what it might say instead."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from countermark.credentials import Anchors, SigningIdentity
from countermark.credentials.container import manifest_stores
from countermark.credentials.interpret import explain, interpret
from countermark.credentials.reader import _report
from countermark.credentials.trust import DEVELOPMENT_ANCHORS, MANIFEST_ANCHORS, TSA_ANCHORS
from countermark.model import Manifest

Report = dict[str, Any]


@pytest.fixture(scope="module")
def real(identity: SigningIdentity, signed_png: bytes) -> tuple[Report, bytes]:
    """The report on a file that a development signer signed, and its manifest store."""
    anchors = Anchors(development_pem=identity.anchors_pem)
    report, _ = _report("image/png", signed_png, None, anchors, with_lint=False)
    (store,) = manifest_stores(signed_png) or []
    assert report is not None
    return report, store


@pytest.fixture
def read(real: tuple[Report, bytes]) -> Callable[..., Manifest]:
    """What is concluded when ``change`` was made to the report; it is given report, active manifest and results."""

    def read(change: Callable[[Report, Report, Report], object] | None = None, *, compared: bool = True) -> Manifest:
        report = copy.deepcopy(real[0])
        if change is not None:
            change(report, report["manifests"][report["active_manifest"]], report["validation_results"])
        return interpret(report, real[1], sha256="ab" * 32, compared=compared)

    return read


def fails(code: str) -> Callable[[Report, Report, Report], object]:
    return lambda report, active, results: results["activeManifest"].setdefault("failure", []).append({"code": code})


def stamped(*explanations: str, time: str = "2026-03-01T12:30:00Z") -> Callable[[Report, Report, Report], object]:
    def change(report: Report, active: Report, results: Report) -> None:
        steps = [{"code": "timeStamp.trusted", "explanation": said} for said in explanations]
        results["activeManifest"]["success"] += steps
        active["signature_info"]["time"] = time

    return change


def ingredient(**fields: Any) -> Callable[[Report, Report, Report], object]:
    return lambda report, active, results: active.__setitem__("ingredients", [{"title": "old.png", **fields}])


def test_the_real_report_is_trusted_and_says_what_was_claimed(read: Callable[..., Manifest]) -> None:
    manifest = read()
    assert (manifest.state, manifest.codes, manifest.development, manifest.ai_generated) == ("trusted", (), True, True)
    assert (manifest.time, manifest.time_certified) == ("2026-03-01T12:30:00Z", False)
    assert (manifest.sha256, manifest.log_origin, manifest.model) == ("ab" * 32, "log.example/2026", "example/painter")


@pytest.mark.parametrize("state", ["Valid", "Invalid", "", None])
def test_trust_needs_the_librarys_own_word(read: Callable[..., Manifest], state: str | None) -> None:
    said = lambda report, active, results: report.__setitem__("validation_state", state)  # noqa: E731
    assert read(said).state == "valid"
    assert read(said, compared=False).state == "trusted", "without the file, the library cannot call it so"


@pytest.mark.parametrize("uri", ["urn:other", DEVELOPMENT_ANCHORS, f"[{TSA_ANCHORS}]", ""])
def test_trust_needs_an_anchor_that_was_named_in_brackets(read: Callable[..., Manifest], uri: str) -> None:
    def said(report: Report, active: Report, results: Report) -> None:
        for step in results["activeManifest"]["success"]:
            if step["code"] == "signingCredential.trusted":
                step["explanation"] = uri

    manifest = read(said)
    assert (manifest.state, manifest.codes) == ("valid", ("signingCredential.untrusted",))


def test_which_anchors_vouch_is_told(read: Callable[..., Manifest]) -> None:
    def said(report: Report, active: Report, results: Report) -> None:
        for step in results["activeManifest"]["success"]:
            if step["code"] == "signingCredential.trusted":
                step["explanation"] = f"found in [{MANIFEST_ANCHORS}]"

    manifest = read(said)
    assert (manifest.state, manifest.development) == ("trusted", False)


def test_a_signer_whose_certificate_is_not_there_is_not_trusted(read: Callable[..., Manifest]) -> None:
    manifest = read(lambda report, active, results: active["signature_info"].__setitem__("cert_serial_number", "7"))
    assert (manifest.state, manifest.codes) == ("valid", ("signingCredential.untrusted",))


def test_a_time_is_certified_by_our_own_anchors_alone(read: Callable[..., Manifest]) -> None:
    ours, legacy = f"timestamp cert trusted: T, trust list: {TSA_ANCHORS}", "legacy timestamp cert trusted: "
    for explanations, time, certified in (
        ((ours,), "2026-03-01T12:30:00Z", True),
        ((legacy + "T", ours), "2026-03-01T12:30:00Z", True),
        ((legacy + "T",), "2026-03-01T12:30:00Z", False),
        ((legacy + f"T, trust list: {TSA_ANCHORS}",), "2026-03-01T12:30:00Z", False),
        ((f"timestamp cert trusted: {TSA_ANCHORS}, trust list: {MANIFEST_ANCHORS}",), "2026-03-01T12:30:00Z", False),
        ((), "2026-03-01T12:30:00Z", False),
        ((ours,), "", False),
    ):
        assert read(stamped(*explanations, time=time)).time_certified is certified


@pytest.mark.parametrize(
    ("change", "state", "codes"),
    [
        (fails("assertion.dataHash.mismatch"), "invalid", ("assertion.dataHash.mismatch",)),
        (fails("signingCredential.untrusted"), "valid", ("signingCredential.untrusted",)),
        (fails("signingCredential.expired"), "valid", ("signingCredential.expired",)),
        (fails("signingCredential.revoked"), "valid", ("signingCredential.revoked",)),
        (fails("signingCredential.ocsp.revoked"), "valid", ("signingCredential.ocsp.revoked",)),
        (fails("signingCredential.invalid"), "valid", ("signingCredential.invalid",)),
        (fails("assertion.action.malformed"), "invalid", ("assertion.action.malformed",)),
        (fails("signingCredential.new"), "invalid", ("signingCredential.new",)),
        (fails("timeStamp.untrusted"), "valid", ("timeStamp.untrusted",)),
        (fails("timeStamp.mismatch"), "invalid", ("timeStamp.mismatch",)),
        (
            ingredient(validation_results={"activeManifest": {"failure": [{"code": "assertion.dataHash.mismatch"}]}}),
            "invalid",
            ("ingredient:assertion.dataHash.mismatch",),
        ),
        (
            ingredient(validation_results={"activeManifest": {"failure": [{"code": "signingCredential.untrusted"}]}}),
            "trusted",
            ("ingredient:signingCredential.untrusted",),
        ),
        (
            ingredient(
                validation_status=[
                    {"code": "assertion.action.malformed"},
                    {"code": "signingCredential.ocsp.revoked"},
                ]
            ),
            "trusted",
            ("ingredient:assertion.action.malformed", "ingredient:signingCredential.ocsp.revoked"),
        ),
        (
            ingredient(
                validation_results={
                    "ingredientDeltas": [{"validationDeltas": {"failure": [{"code": "claimSignature.mismatch"}]}}]
                }
            ),
            "invalid",
            ("ingredient:claimSignature.mismatch",),
        ),
        (
            ingredient(validation_status=[{"code": "claimSignature.validated"}, {"code": "claimSignature.mismatch"}]),
            "invalid",
            ("ingredient:claimSignature.mismatch",),
        ),
        (ingredient(validation_status=[{"code": "claimSignature.validated"}]), "trusted", ()),
        (
            lambda report, active, results: results.__setitem__(
                "ingredientDeltas", [{"validationDeltas": {"failure": [{"code": "assertion.hashedURI.mismatch"}]}}]
            ),
            "invalid",
            ("ingredient:assertion.hashedURI.mismatch",),
        ),
        (
            lambda report, active, results: report["manifests"].__setitem__(
                "another", {"ingredients": [{"validation_status": [{"code": "assertion.missing"}]}]}
            ),
            "invalid",
            ("ingredient:assertion.missing",),
        ),
    ],
)
def test_what_shows_a_change_is_told_from_what_says_something_of_a_signer(
    read: Callable[..., Manifest], change: object, state: str, codes: tuple[str, ...]
) -> None:
    manifest = read(change)
    assert (manifest.state, manifest.codes) == (state, codes)
    assert manifest.intact == (state != "invalid" or codes == ("assertion.action.malformed",))


def test_what_the_library_did_not_check_is_not_intact(read: Callable[..., Manifest]) -> None:
    """Should it stop at a bad certificate, before the signature."""

    def stopped(report: Report, active: Report, results: Report) -> None:
        results["activeManifest"] = {"failure": [{"code": "signingCredential.invalid"}], "success": []}

    manifest = read(stopped)
    assert (manifest.state, manifest.intact) == ("invalid", False)
    assert "its signature could not be checked" in manifest.explanation


def test_without_the_file_only_the_comparison_with_it_is_left_out(read: Callable[..., Manifest]) -> None:
    assert read(fails("assertion.dataHash.mismatch"), compared=False).state == "trusted"
    assert read(fails("assertion.hashedURI.mismatch"), compared=False).state == "invalid"
    assert read(compared=False).explanation.endswith("It was not compared with the file's bytes.")
    assert "compared" not in read().explanation


def actions(*listed: Any, label: str = "c2pa.actions.v2") -> Callable[[Report, Report, Report], object]:
    return lambda report, active, results: active.__setitem__(
        "assertions", [{"label": label, "data": {"actions": list(listed)}}]
    )


@pytest.mark.parametrize(
    ("change", "model", "generated"),
    [
        (actions(), "", None),
        (actions({"action": "c2pa.created"}), "", None),
        (actions({"action": "c2pa.created", "softwareAgent": "Painter 1"}), "Painter 1", None),
        (actions({"action": "c2pa.edited", "softwareAgent": {"name": "P"}}, label="c2pa.actions"), "P", None),
        (actions({"action": "c2pa.opened", "softwareAgent": "Viewer"}), "", None),
        (actions({"action": "c2pa.created", "digitalSourceType": "urn:camera"}, {"action": "x"}), "", False),
        (
            actions(
                {"action": "c2pa.created"},
                {
                    "action": "c2pa.edited",
                    "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
                },
            ),
            "",
            True,
        ),
    ],
)
def test_what_made_it_is_read_from_its_actions(
    read: Callable[..., Manifest], change: object, model: str, generated: bool | None
) -> None:
    manifest = read(change)
    assert (manifest.model, manifest.ai_generated) == (model, generated)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("signingCredential.expired", "the certificate of S is not valid now"),
        ("signingCredential.untrusted", "its signer (S) is not among your anchors"),
        ("signingCredential.invalid", "the certificate of S is not one for signing claims"),
        ("signingCredential.ocsp.revoked", "the certificate of S is revoked"),
        ("assertion.dataHash.mismatch", "the file was changed after it was signed"),
        ("assertion.hashedURI.mismatch", "a statement in the manifest was changed after it was signed"),
        ("claimSignature.mismatch", "the signature does not fit the manifest"),
        ("assertion.missing", "it breaks a rule of the specification (assertion.missing)"),
        ("ingredient:assertion.dataHash.mismatch", "an ingredient had been changed"),
    ],
)
def test_each_fault_has_words_of_its_own(code: str, words: str) -> None:
    state = "valid" if code.startswith("signingCredential.") else "invalid"
    said = explain(Manifest(state=state, codes=(code,), signer="S"))
    assert words in said


@pytest.mark.parametrize("state", ["trusted", "valid"])
def test_what_a_stranger_s_manifest_says_of_a_model_is_told(state: str) -> None:
    said = explain(Manifest(state=state, signer="S", ai_generated=True, model="Some Model 3"))
    assert "It says that the picture was made with a trained model (Some Model 3)." in said
    assert "made with a trained model." in explain(Manifest(state=state, signer="S", ai_generated=True))
    for generated in (False, None):
        assert "trained model" not in explain(Manifest(state=state, signer="S", ai_generated=generated, model="M"))


def test_nothing_is_told_of_what_a_changed_manifest_says() -> None:
    said = explain(Manifest(state="invalid", codes=("claimSignature.mismatch",), ai_generated=True, model="M"))
    assert "trained model" not in said


def test_codes_that_an_ingredients_signer_made_up_do_not_crowd_out_what_shows_a_change(
    read: Callable[..., Manifest],
) -> None:
    def crowd(report: Report, active: Report, results: Report) -> None:
        made_up = [{"code": f"assertion.action.malformed{number}"} for number in range(60)]
        ingredient(validation_results={"activeManifest": {"failure": made_up}})(report, active, results)
        results["ingredientDeltas"] = [{"validationDeltas": {"failure": [{"code": "assertion.hashedURI.mismatch"}]}}]

    manifest = read(crowd)
    assert (manifest.state, manifest.intact) == ("invalid", False)
    assert "an ingredient had been changed" in manifest.explanation
    assert len(manifest.codes) <= 50
