"""Every verdict, reached by really doing to a released file what its name says."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.conftest import CLEAN_PROMPT, Given, forget_originals, photograph

from countermark import Countermark, Result, verify
from countermark.cli.demo_attacks import edit_pixels_keep_manifest, repost
from countermark.cli.show import report_lines
from countermark.compose import read_trust, trust_document
from countermark.credentials import Anchors, read
from countermark.errors import AssetInvalid, KeyUnavailable, NotFound, UsageError
from countermark.fingerprint import RecordedFingerprints, pdq
from countermark.fingerprint.hamming import pack
from countermark.fingerprint.snapshot import Snapshot, write_snapshot
from countermark.imaging import Raster, decode, encode
from countermark.model import EventType, GenerationRequest, Manifest, ManifestState, Receipt, Verdict
from countermark.settings import Settings


@pytest.fixture
def released(cm: Countermark, photo: NDArray[np.uint8]) -> Result:
    result = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photo))[0]
    assert result.data is not None
    return result


def jpeg(pixels: NDArray[np.uint8], quality: int = 80) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def test_a_released_file_is_verified(cm: Countermark, released: Result) -> None:
    assert released.data is not None
    report = cm.verify(released.data)
    assert report.verdict is Verdict.VERIFIED
    assert report.verdict.exit_code == 0
    assert report.evidence.manifest.state == "trusted"
    assert report.evidence.watermark.payload == f"{released.record_id:012x}"
    assert report.evidence.fingerprint.state == "match"
    assert report.evidence.audit.state == "proved"
    assert report.generation is not None
    assert report.generation["model"] == "test/given"
    assert CLEAN_PROMPT not in report.model_dump_json()


def test_what_the_web_does_is_recovered_with_its_stored_manifest(cm: Countermark, released: Result) -> None:
    assert released.data is not None
    report = cm.verify(repost(released.data))
    assert report.verdict is Verdict.RECOVERED
    assert report.verdict.exit_code == 15
    assert report.evidence.manifest.state == "absent"
    assert report.evidence.audit.event_id == released.event_id
    assert report.evidence.fingerprint.state in ("match", "near")
    assert report.evidence.stored_manifest is not None
    assert report.evidence.stored_manifest.state == "trusted"


@pytest.mark.parametrize(
    "attack",
    [
        lambda p: jpeg(p, 50),
        lambda p: jpeg(np.ascontiguousarray(np.rot90(p))),
        lambda p: jpeg(np.ascontiguousarray(p[:, ::-1])),
        lambda p: jpeg(np.asarray(Image.fromarray(p).rotate(7, expand=True))),
        lambda p: jpeg(np.asarray(Image.fromarray(p).resize((300, 300)))),
        lambda p: jpeg(np.ascontiguousarray(p[40:400, 90:480])),
        lambda p: jpeg(np.asarray(Image.fromarray(p).convert("L").convert("RGB"))),
    ],
    ids=["jpeg 50", "quarter turn", "mirror", "rotated 7°", "shrunk", "cropped", "greyscale"],
)
def test_everyday_edits_are_recovered(
    cm: Countermark, released: Result, attack: Callable[[NDArray[np.uint8]], bytes]
) -> None:
    assert released.data is not None
    report = cm.verify(attack(decode(released.data).pixels))
    assert report.verdict is Verdict.RECOVERED, report.reasons


# --- a file that lost every mark: the fingerprint alone ---------------------------------------------------------------


def kept_fingerprints(cm: Countermark) -> Path:
    """The file that a verifier keeps beside a large log, made now."""
    RecordedFingerprints(cm.log, cm.home.fingerprints, keep_from=1).nearest([])
    assert cm.home.fingerprints.is_file()
    return cm.home.fingerprints


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flipped", [False, True])
def test_a_picture_without_marks_is_found_by_its_fingerprint_however_turned(
    cm: Countermark, released: Result, photo: NDArray[np.uint8], turns: int, flipped: bool
) -> None:
    unmarked = jpeg(np.ascontiguousarray(np.rot90(photo[:, ::-1] if flipped else photo, turns)))
    report = cm.verify(unmarked)
    assert report.verdict is Verdict.RECOVERED, report.reasons
    assert report.evidence.watermark.state == "absent"
    assert report.evidence.fingerprint.state == "match"
    assert report.evidence.audit.event_id == released.event_id
    assert report.evidence.original.state == "same"
    assert not cm.home.fingerprints.exists(), "so small a log needs no cache"


def test_a_picture_that_is_only_near_is_recovered_by_the_original_and_left_open_without(
    cm: Countermark, released: Result, photo: NDArray[np.uint8]
) -> None:
    turned = jpeg(np.ascontiguousarray(Image.fromarray(photo).rotate(4, resample=Image.Resampling.BICUBIC)))
    report = cm.verify(turned)
    assert report.evidence.fingerprint.state == "near"
    assert report.evidence.watermark.state == "absent"
    assert report.evidence.original.state == "same"
    assert report.verdict is Verdict.RECOVERED, report.reasons
    forget_originals(cm)
    report = cm.verify(turned)
    assert report.verdict is Verdict.INCONCLUSIVE, report.reasons
    assert any("never proof" in reason for reason in report.reasons)


def test_the_kept_fingerprints_serve_and_their_damage_changes_nothing(
    cm: Countermark, released: Result, photo: NDArray[np.uint8]
) -> None:
    path = kept_fingerprints(cm)
    whole = path.read_bytes()
    for data in (whole, b"", whole[:-1], whole[:60] + b"!" + whole[61:], b"not an index" * 100):
        path.write_bytes(data)
        report = cm.verify(jpeg(photo))
        assert report.verdict is Verdict.RECOVERED, report.reasons
        assert report.evidence.audit.event_id == released.event_id


def test_kept_fingerprints_that_lie_are_not_believed(cm: Countermark, released: Result) -> None:
    """A well-made file that names the released entry for a picture that nobody released."""
    stranger = photograph("chelsea")
    lie = pack([pdq.compute(decode(jpeg(stranger)).pixels).bits])
    size = cm.log.size
    write_snapshot(
        cm.home.fingerprints, Snapshot(cm.log.origin, size, cm.log.root(size), np.array([released.index]), lie)
    )
    report = cm.verify(jpeg(stranger))
    assert report.verdict is Verdict.NO_PROVENANCE, report.reasons


def test_only_a_release_is_found_by_its_fingerprint(
    cm: Countermark, released: Result, photo: NDArray[np.uint8]
) -> None:
    """Even where another entry carries the nearer fingerprint."""
    event = cm.log.event(released.index)
    assert event.output is not None
    for fingerprint in (pdq.compute(photo).bits, pdq.compute(photograph("rocket")).bits):
        output = event.output.model_copy(update={"fingerprint": fingerprint, "sha256": fingerprint})
        changed = {"type": EventType.FAILED, "event_id": fingerprint[:32], "output": output}
        cm.log.append(event.model_copy(update=changed))
    report = cm.verify(jpeg(photo))
    assert report.evidence.audit.event_id == released.event_id
    assert cm.verify(jpeg(photograph("rocket"))).verdict is Verdict.NO_PROVENANCE


def test_a_featureless_picture_is_like_no_other(cm: Countermark, released: Result) -> None:
    """Its hash is noise, and the same for every picture as flat."""
    flat = np.full((512, 512, 3), 90, np.uint8)
    event = cm.log.event(released.index)
    assert event.output is not None
    output = event.output.model_copy(update={"fingerprint": pdq.compute(flat).bits, "sha256": "0" * 64})
    cm.log.append(event.model_copy(update={"event_id": "0" * 32, "output": output}))
    report = cm.verify(encode(Raster(flat), "image/png"))
    assert report.verdict is Verdict.NO_PROVENANCE, report.reasons


def test_edited_pixels_under_an_intact_manifest_are_tampered(cm: Countermark, released: Result) -> None:
    assert released.data is not None
    report = cm.verify(edit_pixels_keep_manifest(released.data))
    assert report.verdict is Verdict.TAMPERED
    assert report.verdict.exit_code == 11
    assert "assertion.dataHash.mismatch" in report.evidence.manifest.codes


def test_a_photograph_has_no_provenance(cm: Countermark, released: Result) -> None:
    for name in ("astronaut", "chelsea", "rocket"):
        report = cm.verify(jpeg(photograph(name)))
        assert report.verdict is Verdict.NO_PROVENANCE, report.reasons
        assert report.verdict.exit_code == 10


def test_a_stranger_without_anchors_sees_an_untrusted_signer(released: Result, tmp_path: Path) -> None:
    assert released.data is not None
    report = verify(released.data, settings=Settings(home=tmp_path / "stranger"))
    assert report.verdict is Verdict.UNTRUSTED
    assert report.evidence.watermark.state == "skipped"
    assert not (tmp_path / "stranger").exists(), "verifying makes nothing"


def test_a_stranger_with_trust_file_and_receipt_verifies_offline(
    cm: Countermark, released: Result, tmp_path: Path
) -> None:
    assert released.data is not None
    trust = read_trust(trust_document(cm.settings), "trust.json")
    settings = Settings(home=tmp_path / "stranger")
    receipt = Receipt.model_validate_json(released.receipt.model_dump_json())
    assert '"schema":"countermark.receipt/1"' in released.receipt.model_dump_json()
    report = verify(released.data, settings=settings, trust=trust, receipts=[receipt])
    assert report.model_dump()["schema"] == "countermark.verification/1"
    assert report.verdict is Verdict.VERIFIED
    assert report.evidence.audit.state == "proved"
    forged = released.receipt.model_copy(update={"entry": released.receipt.entry.replace('"art"', '"x"') + " "})
    report = verify(released.data, settings=settings, trust=trust, receipts=[forged])
    assert report.verdict is Verdict.PROOF_FAILED
    assert report.verdict.exit_code == 13


def test_what_is_verified_is_called_recorded_only_where_that_is_proved(
    cm: Countermark, released: Result, tmp_path: Path
) -> None:
    assert released.data is not None
    other = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photograph("chelsea")))[0].receipt
    trust = read_trust(trust_document(cm.settings), "trust.json")
    nowhere = Settings(home=tmp_path / "nowhere")
    told = {
        "intact, signed by whom you trust, and recorded": cm.verify(released.data),
        "whether it is recorded is not proved here": verify(released.data, settings=nowhere, trust=trust),
        "no record of it was found": verify(released.data, settings=nowhere, trust=trust, receipts=[other]),
    }
    for sentence, report in told.items():
        assert (report.verdict, report.verdict.exit_code) == (Verdict.VERIFIED, 0)
        assert sentence in report_lines(report)[-1]
        assert ("and recorded" in report_lines(report)[-1]) == (report.evidence.audit.state == "proved")
    assert "No receipt at hand is of this file." in report.reasons
    bare = told["intact, signed by whom you trust, and recorded"].model_copy(
        update={"evidence": report.evidence.model_copy(update={"manifest": Manifest(state=ManifestState.ABSENT)})}
    )
    assert "signed" not in report_lines(bare)[-1], "a file without a manifest is signed by nobody"


def test_a_trust_file_of_another_kind_is_refused() -> None:
    nested = b"[" * 100_000
    for raw in (b"", b"[]", b"{}", b'{"schema": "countermark.trust/1"}', b'{"schema": "x", "log_keys": []}', nested):
        with pytest.raises(UsageError):
            read_trust(raw, "trust.json")


@pytest.mark.parametrize(
    "change",
    [
        {"manifest_pem": "garbage"},
        {"manifest_pem": "\ud800"},
        {"development_pem": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
        {"tsa_pem": None},
        {"manifest_pem": ["a"]},
        {"log_keys": "abc"},
        {"log_keys": ["name+00000000+AAAA"]},
        {"witness_quorum": float("inf")},
        {"other": "text"},
    ],
)
def test_a_damaged_trust_file_is_refused_and_accuses_no_file(cm: Countermark, change: dict[str, object]) -> None:
    document = json.loads(trust_document(cm.settings))
    with pytest.raises(UsageError, match="not a trust document"):
        read_trust(json.dumps({**document, **change}).encode(), "trust.json")


def test_a_trust_file_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(UsageError):
        read_trust(b"[" * 500_000, "trust.json")


def test_anchors_that_cannot_be_used_are_no_fault_of_the_file(released: Result) -> None:
    assert released.data is not None
    with pytest.raises(KeyUnavailable):
        read(released.data, "image/png", anchors=Anchors(manifest_pem="\ud800"))


def test_a_mark_whose_entry_is_gone_fails_the_proof(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    marked = cm.parts.watermark.embed(photo, 0xABCDEF)
    report = cm.verify(jpeg(marked))
    assert report.verdict is Verdict.PROOF_FAILED
    assert any("removed, never written, or is in another log" in reason for reason in report.reasons)


def test_a_mark_without_a_log_is_inconclusive(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    marked = jpeg(cm.parts.watermark.embed(photo, 0xABCDEF))
    cm.close()
    for path in cm.home.folder.glob("audit.db*"):
        path.unlink()
    report = verify(marked, settings=cm.settings)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.verdict.exit_code == 3


def test_a_rewritten_entry_fails_the_proof(cm: Countermark, released: Result) -> None:
    assert released.data is not None
    cm.close()
    with sqlite3.connect(cm.home.audit_db) as db:
        (body,) = db.execute("SELECT body FROM entry WHERE seq = 0").fetchone()
        db.execute("UPDATE entry SET body = ?", (bytes(body).replace(b"test/given", b"test/other"),))
    report = verify(released.data, settings=cm.settings)
    assert report.verdict is Verdict.PROOF_FAILED, report.reasons


def test_marking_again_needs_a_parent_and_records_it(cm: Countermark, released: Result, tmp_path: Path) -> None:
    from countermark.errors import AlreadyMarked

    original = released.save(tmp_path / "first.png")
    with pytest.raises(AlreadyMarked) as caught:
        cm.mark(original, model="test/editor")
    assert "--parent" in caught.value.remedy
    assert released.data is not None
    brighter = np.clip(decode(released.data).pixels.astype(int) + 12, 0, 255).astype(np.uint8)
    second = cm.mark(brighter, model="test/editor", parent=original)
    assert second.released
    assert second.data is not None
    assert cm.log.event(second.index).parent == f"{released.record_id:012x}"
    report = cm.verify(second.data)
    assert report.verdict is Verdict.VERIFIED, report.reasons
    assert report.evidence.manifest.ingredients
    # Without metadata, the two marks in the pixels are all there is: the newer record is the one that describes them.
    stripped = encode(Raster(decode(second.data).pixels), "image/jpeg", quality=75)
    found = cm.verify(stripped)
    assert found.verdict is Verdict.RECOVERED, found.reasons
    assert found.evidence.audit.index == second.index
    marks = {mark.record_id for mark in found.evidence.watermark.marks}
    assert marks <= {released.record_id, second.record_id}


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/webp", "image/avif"])
def test_every_format_round_trips_to_verified(
    build: Callable[..., Countermark], tmp_path: Path, photo: NDArray[np.uint8], media_type: str
) -> None:
    from countermark.settings import OutputSettings

    settings = Settings(home=tmp_path / "home", output=OutputSettings(format=media_type))  # type: ignore[arg-type]
    cm = build(settings=settings)
    result = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photo))[0]
    assert result.data is not None
    assert cm.verify(result.data).verdict is Verdict.VERIFIED


def test_alpha_is_kept_and_the_mark_reads(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    alpha[:50] = 30
    result = cm.mark(encode(Raster(photo, alpha), "image/png"), model="test/alpha")
    assert result.data is not None
    kept = decode(result.data).alpha
    assert kept is not None
    assert np.array_equal(kept, alpha)
    assert cm.verify(result.data).verdict is Verdict.VERIFIED


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_a_typed_error(cm: Countermark, data: bytes) -> None:
    with pytest.raises(AssetInvalid, match=r"^the image "):
        cm.verify(data)


def test_a_missing_file_is_named(cm: Countermark) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.png"):
        cm.verify("nowhere.png")
