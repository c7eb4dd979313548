"""Two installations, each with keys and a log of its own: files of both, and receipts of one at the other."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.conftest import photograph
from tests.unit.credentials.conftest import Authority

from countermark import Countermark, Result, verify
from countermark.cli.demo_attacks import edit_pixels_keep_manifest
from countermark.cli.show import report_lines
from countermark.compose import read_trust, trust_document
from countermark.credentials import Anchors, certificates
from countermark.errors import ReleaseRefused
from countermark.imaging import decode
from countermark.model import Receipt, Verdict
from countermark.settings import Settings
from countermark.verification import Trust

Build = Callable[..., Countermark]


@pytest.fixture
def other(build: Build, tmp_path: Path) -> Countermark:
    return build(settings=Settings(home=tmp_path / "other"))


@pytest.fixture
def nowhere(tmp_path: Path) -> Settings:
    """A reader's machine, without keys or a log."""
    return Settings(home=tmp_path / "nowhere")


def trusted(cm: Countermark) -> Trust:
    return read_trust(trust_document(cm.settings), "trust.json")


def stripped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(decode(data).pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def brighter(data: bytes) -> NDArray[np.uint8]:
    return np.clip(decode(data).pixels.astype(int) + 12, 0, 255).astype(np.uint8)


def released(cm: Countermark, picture: Any, folder: Path, parent: Result | None = None) -> tuple[bytes, Receipt]:
    options = {"parent": parent.save(folder / "parent.png")} if parent else {}
    result = cm.mark(picture, model="test/given", **options)
    assert result.data is not None
    assert result.receipt is not None
    return result.data, result.receipt


def test_a_receipt_of_a_log_that_nobody_knows_accuses_no_file(
    cm: Countermark, other: Countermark, nowhere: Settings, tmp_path: Path
) -> None:
    data, receipt = released(other, photograph("chelsea"), tmp_path)
    for report in (
        cm.verify(data, receipts=[receipt]),
        verify(data, settings=nowhere, receipts=[receipt], trust=trusted(cm)),
    ):
        assert report.verdict is Verdict.UNTRUSTED, report.reasons
        assert report.evidence.audit.state == "not_checked"
        assert f"signed by a key of {other.log.origin} that is not trusted here" in report.evidence.audit.note
    assert cm.verify(data, receipts=[receipt], trust=trusted(other)).verdict is Verdict.VERIFIED


def test_a_receipt_of_a_log_that_took_a_new_key_accuses_no_file(
    nowhere: Settings, photo: NDArray[np.uint8], build: Build, tmp_path: Path
) -> None:
    """After a theft of its key a log begins anew, under the same name if its owner sets one."""
    named = {"log": {"origin": "images.example"}}
    old = build(settings=Settings(home=tmp_path / "old", **named))
    new = build(settings=Settings(home=tmp_path / "new", **named))
    data, receipt = released(old, photo, tmp_path)
    report = verify(data, settings=nowhere, receipts=[receipt], trust=trusted(new))
    assert (report.verdict, report.evidence.audit.state) == (Verdict.UNTRUSTED, "not_checked")
    # The new log never held it: the old one's absence there is no removal.
    report = new.verify(data, trust=trusted(old))
    assert (report.verdict, report.evidence.audit.state) == (Verdict.VERIFIED, "not_found"), report.reasons
    both = trusted(new) + trusted(old)
    assert verify(data, settings=nowhere, receipts=[receipt], trust=both).verdict is Verdict.VERIFIED


def test_a_bad_receipt_does_not_hide_what_the_log_or_another_receipt_proves(
    cm: Countermark, nowhere: Settings, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    data, receipt = released(cm, photo, tmp_path)
    forged = receipt.model_copy(update={"entry": receipt.entry + " "})
    assert cm.verify(data, receipts=[forged]).verdict is Verdict.VERIFIED
    report = verify(data, settings=nowhere, receipts=[forged, receipt], trust=trusted(cm))
    assert (report.verdict, report.evidence.audit.state) == (Verdict.VERIFIED, "proved")
    assert verify(data, settings=nowhere, receipts=[forged], trust=trusted(cm)).verdict is Verdict.PROOF_FAILED


def test_a_receipt_at_hand_does_not_make_an_older_mark_the_newer(
    cm: Countermark, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    first = cm.mark(photo, model="test/given")
    assert first.data is not None
    data, receipt = released(cm, brighter(first.data), tmp_path, parent=first)
    assert cm.verify(data, receipts=[receipt]).verdict is Verdict.VERIFIED
    found = cm.verify(stripped(data), receipts=[receipt])
    assert found.verdict is Verdict.RECOVERED
    assert found.evidence.audit.index == 1


def test_what_two_released_one_after_the_other_contradicts_nothing(
    cm: Countermark, other: Countermark, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    first = cm.mark(photo, model="test/given")
    assert first.data is not None
    data, receipt = released(other, brighter(first.data), tmp_path, parent=first)
    assert other.verify(data).verdict is Verdict.VERIFIED
    report = cm.verify(data, receipts=[receipt], trust=trusted(other))
    assert report.verdict is Verdict.VERIFIED, report.reasons
    assert (report.evidence.audit.origin, report.generation["original_sha256"]) == (other.log.origin, report.sha256)
    assert f"The watermark leads to a record of another log as well: {cm.log.origin}." in report.reasons
    # Without that receipt only the first release is known, which is not of this file.
    report = cm.verify(data, trust=trusted(other))
    assert report.verdict is Verdict.VERIFIED, report.reasons
    assert "and recorded" not in report_lines(report)[-1]
    assert "not this file is recorded" in report_lines(report)[-1]
    assert any("it does not name this very file" in reason for reason in report.reasons)
    # Nor does a receipt that proves nothing here stand in the way of what the log here proves.
    report = cm.verify(data, receipts=[receipt])
    assert (report.verdict, report.evidence.audit.state) == (Verdict.UNTRUSTED, "proved")
    assert report.evidence.audit.origin == cm.log.origin


def test_what_a_trusted_signer_says_was_made_from_a_recorded_picture_is_no_copied_mark(
    cm: Countermark, other: Countermark, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    first = cm.mark(photo, model="test/given")
    assert first.data is not None
    redone = decode(first.data).pixels.copy()
    redone[:, :330] = photograph("astronaut")[:, :330]
    data, _ = released(other, redone, tmp_path, parent=first)
    report = cm.verify(data, trust=trusted(other))
    assert report.evidence.manifest.ingredient_events == (first.event_id,)
    assert report.evidence.original.state == "different"
    assert (report.verdict, report.generation) == (Verdict.VERIFIED, None), report.reasons
    assert any("records a picture that this one was made from" in reason for reason in report.reasons)
    # A stranger's word for it is none, nor is that of a signer who names no such parent.
    assert cm.verify(data).verdict is Verdict.CONTRADICTORY
    unsaid, _ = released(other, redone, tmp_path)
    assert cm.verify(unsaid, trust=trusted(other)).verdict is Verdict.CONTRADICTORY


def test_who_has_a_receipt_and_no_key_finds_a_copy_by_its_fingerprint(
    cm: Countermark, nowhere: Settings, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    data, receipt = released(cm, photo, tmp_path)
    report = verify(stripped(data), settings=nowhere, receipts=[receipt], trust=trusted(cm))
    assert report.verdict is Verdict.RECOVERED, report.reasons
    assert any("A fingerprint alone is never proof." in reason for reason in report.reasons)
    assert verify(stripped(data), settings=nowhere, receipts=[receipt]).verdict is Verdict.NO_PROVENANCE
    chelsea, _ = released(cm, photograph("chelsea"), tmp_path)
    report = verify(stripped(chelsea), settings=nowhere, receipts=[receipt], trust=trusted(cm))
    assert (report.verdict, report.generation) == (Verdict.NO_PROVENANCE, None)


def test_the_very_file_that_is_recorded_outlives_its_signers_certificate(
    build: Build, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cm = build(identity=Authority().issue("Studio Signer"))
    data, receipt = released(cm, photo, tmp_path)
    monkeypatch.setattr(certificates, "datetime", _Later)
    report = cm.verify(data)
    assert report.evidence.manifest.codes == ("signingCredential.expired",)
    assert report.verdict is Verdict.VERIFIED
    assert "the very file that was recorded" in report_lines(report)[-1]
    assert any("the certificate of Studio Signer is not valid now" in reason for reason in report.reasons)
    trust = replace(Trust(cm.parts.credentials.anchors), log_keys=cm.home.log_keys())
    elsewhere = {"settings": Settings(home=tmp_path / "nowhere"), "trust": trust}
    assert verify(data, receipts=[receipt], **elsewhere).verdict is Verdict.VERIFIED
    report = verify(data, **elsewhere)
    assert report.verdict is Verdict.UNTRUSTED
    assert not any("among your anchors" in reason for reason in report.reasons)
    unknown = replace(trust, anchors=Anchors())
    assert verify(data, **{**elsewhere, "trust": unknown}).verdict is Verdict.UNTRUSTED


class _Later(datetime):
    """The present of whoever reads a year from now."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) + timedelta(days=366)


def test_a_parent_that_was_changed_is_named_and_not_the_certificate(
    cm: Countermark, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    data, _ = released(cm, photo, tmp_path)
    changed = tmp_path / "changed.png"
    changed.write_bytes(edit_pixels_keep_manifest(data))
    with pytest.raises(ReleaseRefused, match="What the image was made from was changed") as caught:
        cm.mark(brighter(data), model="test/editor", parent=changed)
    assert "parent's original file" in caught.value.remedy
