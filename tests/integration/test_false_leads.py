"""Files made to lead to a record that is another picture's: what a verifier says of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.conftest import CLEAN_PROMPT, Given, forget_originals, photograph

from countermark import Countermark, Result
from countermark.bench.adversary import add_difference, bent, denoising_residual
from countermark.cli.show import report_lines
from countermark.credentials.manifest import Claim
from countermark.fingerprint import MATCH, distance, pdq
from countermark.imaging import Raster, decode, encode
from countermark.model import GenerationRequest, ModelRef, Verdict
from countermark.settings import Settings

Pixels = NDArray[np.uint8]


@pytest.fixture
def released(cm: Countermark, photo: Pixels) -> Result:
    return cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photo))[0]


@pytest.fixture
def marked(released: Result) -> Pixels:
    assert released.data is not None
    return decode(released.data).pixels


def png(pixels: Pixels, alpha: Pixels | None = None) -> bytes:
    return encode(Raster(pixels, alpha), "image/png")


def jpeg(pixels: Pixels, quality: int = 80) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


# --- pictures bent to have the recorded fingerprint -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "rocket"])
def test_a_picture_bent_to_the_recorded_fingerprint_is_not_recovered(
    cm: Countermark, marked: Pixels, name: str
) -> None:
    forged = bent(photograph(name), marked, 1)
    assert distance(pdq.compute(forged), pdq.compute(marked)) <= MATCH
    report = cm.verify(png(forged))
    assert report.evidence.fingerprint.state == "match"
    assert report.evidence.original.state == "different"
    assert report.verdict is Verdict.INCONCLUSIVE, report.reasons
    assert report.generation is None, "the record is another picture's"
    assert any("most of it differs" in reason for reason in report.reasons)
    assert not any("records it" in reason for reason in report.reasons)


def test_a_copied_mark_on_a_bent_picture_contradicts(cm: Countermark, marked: Pixels, released: Result) -> None:
    forged = add_difference(bent(photograph("chelsea"), marked, 0.7), 1.5 * denoising_residual(marked))
    report = cm.verify(jpeg(forged, 90))
    assert report.evidence.watermark.payload == f"{released.record_id:012x}"
    assert report.evidence.fingerprint.state in ("match", "near")
    assert report.verdict is Verdict.CONTRADICTORY, report.reasons
    assert report.generation is None


def test_without_the_original_a_fingerprint_is_called_what_it_is(cm: Countermark, marked: Pixels) -> None:
    forget_originals(cm)
    report = cm.verify(jpeg(marked, 30))
    assert report.evidence.original.state == "skipped"
    assert report.verdict is Verdict.RECOVERED, report.reasons
    forged = cm.verify(png(bent(photograph("astronaut"), marked, 1)))
    assert forged.verdict is Verdict.RECOVERED
    assert any("A fingerprint alone is never proof." in reason for reason in forged.reasons)


# --- parts of a recorded picture --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("where", "y", "x"), [("upper left", 0, 0), ("middle", 180, 170), ("lower right", 352, 352)])
def test_a_part_that_was_replaced_is_pointed_out(cm: Countermark, marked: Pixels, where: str, y: int, x: int) -> None:
    edited = marked.copy()
    edited[y : y + 160, x : x + 160] = photograph("chelsea", 160)
    report = cm.verify(jpeg(edited))
    assert report.verdict is Verdict.RECOVERED, report.reasons
    original = report.evidence.original
    assert (original.state, original.where) == ("altered", where)
    assert original.altered is not None
    assert 0.05 < original.altered < 0.25, "160² of 512² are a tenth"
    assert any(f"({where}) differs from the kept original" in reason for reason in report.reasons)
    lines = report_lines(report)
    assert any("original: altered" in line for line in lines)
    assert "a part of the picture was altered since" in lines[-1]


def test_a_picture_of_which_most_was_replaced_contradicts_its_mark(cm: Countermark, marked: Pixels) -> None:
    edited = np.concatenate([marked[:170], photograph("astronaut")[170:]])
    report = cm.verify(jpeg(edited, 95))
    assert report.evidence.watermark.state == "detected"
    assert report.verdict is Verdict.CONTRADICTORY, report.reasons


def test_what_was_put_around_it_is_said(cm: Countermark, marked: Pixels) -> None:
    page = np.full((900, 900, 3), 240, np.uint8)
    page[300:812, 200:712] = marked
    report = cm.verify(jpeg(page))
    assert report.verdict is Verdict.RECOVERED, report.reasons
    assert report.evidence.original.state == "same"
    assert report.evidence.original.covered == pytest.approx(512**2 / 900**2, abs=0.02)
    assert any("Only 32% of the file lies on the recorded picture" in reason for reason in report.reasons)
    assert "fills 32% of it; of the rest nothing is known" in report_lines(report)[-1]


# --- plain pictures: nothing to compare is no contradiction -----------------------------------------------------------


def sky(height: int, width: int = 512) -> Pixels:
    down = np.linspace((60, 150, 230), (130, 200, 245), height)
    return np.broadcast_to(np.rint(down).astype(np.uint8)[:, None], (height, width, 3)).copy()


def released_pixels(cm: Countermark, picture: Pixels) -> Pixels:
    data = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(picture))[0].data
    assert data is not None
    return decode(data).pixels


def test_a_cut_out_of_plain_sky_is_not_accused(cm: Countermark, photo: Pixels) -> None:
    pixels = released_pixels(cm, np.concatenate([sky(220), photo[220:]]))
    report = cm.verify(jpeg(pixels[:180], 90))
    assert report.evidence.watermark.state == "detected"
    assert report.verdict is Verdict.RECOVERED, report.reasons
    assert report.evidence.original.state == "skipped"
    assert any("too little detail to compare" in reason for reason in report.reasons)


def test_what_is_drawn_over_a_cut_out_of_plain_sky_is_said(cm: Countermark, photo: Pixels) -> None:
    pixels = released_pixels(cm, np.concatenate([sky(220), photo[220:]]))[:180].copy()
    pixels[30:150, 40:240] = photograph("chelsea", 240)[:120, :200]
    report = cm.verify(jpeg(pixels, 90))
    assert report.evidence.original.state == "altered", report.reasons


def test_a_plain_picture_is_recovered_however_it_was_edited(cm: Countermark) -> None:
    pixels = released_pixels(cm, sky(512))
    page = np.full((900, 800, 3), 245, np.uint8)
    page[250:762, 150:662] = pixels
    for edited in (pixels[:, :256], pixels[100:300], np.ascontiguousarray(pixels[..., ::-1]), page):
        report = cm.verify(jpeg(edited, 90))
        assert report.evidence.watermark.state == "detected"
        assert report.verdict is Verdict.RECOVERED, report.reasons
        assert report.evidence.original.state == "skipped", report.evidence.original


# --- an original that cannot be compared ------------------------------------------------------------------------------


def test_why_the_original_was_not_compared_is_said(cm: Countermark, marked: Pixels, released: Result) -> None:
    assert released.asset is not None
    (kept,) = (cm.home.folder / "objects" / "released").rglob(released.asset.sha256)
    kept.write_bytes(b"another file")
    changed = cm.verify(jpeg(marked))
    kept.unlink()
    gone = cm.verify(jpeg(marked))
    for report, why in ((changed, "was changed after it was kept"), (gone, "The object store holds no released/")):
        assert report.verdict is Verdict.RECOVERED
        assert report.evidence.original.state == "skipped"
        assert any("could not be compared with the kept original" in one and why in one for one in report.reasons)


def test_parts_and_pages_of_a_picture_that_is_not_square_are_compared_likewise(cm: Countermark) -> None:
    wide = np.ascontiguousarray(np.asarray(Image.fromarray(photograph("coffee", 768)).crop((0, 150, 768, 606))))
    result = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(wide))[0]
    assert result.data is not None
    marked = decode(result.data).pixels
    page = np.full((700, 1400, 3), 240, np.uint8)
    page[130:586, 560:1328] = marked
    part = np.ascontiguousarray(marked[80:420, 40:640])
    for file, covered in ((page, marked.size / page.size), (part, 1), (np.ascontiguousarray(np.rot90(part)), 1)):
        report = cm.verify(jpeg(file, 90))
        assert report.verdict is Verdict.RECOVERED, report.reasons
        assert report.evidence.original.state == "same"
        assert report.evidence.original.covered == pytest.approx(covered, abs=0.03)
    edited = part.copy()
    edited[20:160, 400:560] = photograph("astronaut")[:140, 200:360]
    report = cm.verify(jpeg(edited, 90))
    assert report.verdict is Verdict.RECOVERED, report.reasons
    assert (report.evidence.original.state, report.evidence.original.where) == ("altered", "upper right")


# --- transparency -----------------------------------------------------------------------------------------------------


def test_a_recorded_picture_under_a_veil_that_shows_another_contradicts(cm: Countermark, marked: Pixels) -> None:
    """Its colours are the recorded ones; what one sees is not."""
    silhouette = np.where(photograph("astronaut")[..., 0] > 60, 0, 255).astype(np.uint8)
    for alpha in (silhouette, np.zeros((512, 512), np.uint8)):
        report = cm.verify(png(marked, alpha))
        assert report.evidence.watermark.state == "detected"
        assert report.verdict is Verdict.CONTRADICTORY, report.reasons
        assert report.generation is None


def test_without_the_original_a_veil_leaves_it_open(cm: Countermark, marked: Pixels, released: Result) -> None:
    forget_originals(cm)
    report = cm.verify(png(marked, np.zeros((512, 512), np.uint8)))
    assert report.verdict is Verdict.INCONCLUSIVE, report.reasons
    assert report.generation is None
    assert any("Part of the file is transparent" in reason for reason in report.reasons)
    assert cm.verify(png(marked, np.full((512, 512), 230, np.uint8))).verdict is Verdict.RECOVERED


def test_a_transparent_original_is_found_again(cm: Countermark, photo: Pixels) -> None:
    alpha = np.full((512, 512), 255, np.uint8)
    alpha[:, :200] = np.linspace(0, 255, 200).astype(np.uint8)
    result = cm.mark(Image.fromarray(np.dstack([photo, alpha]), "RGBA"), model="test/given")
    assert result.data is not None
    raster = decode(result.data)
    assert raster.alpha is not None
    for again in (
        encode(Raster(raster.pixels, raster.alpha), "image/webp"),
        jpeg(raster.pixels),
        jpeg(raster.over(255)),
        jpeg(raster.over(0)),
    ):
        report = cm.verify(again)
        assert report.verdict is Verdict.RECOVERED, report.reasons
        assert report.evidence.original.state == "same"


# --- claims -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def stranger(build: Callable[..., Countermark], tmp_path: Path) -> Countermark:
    return build(settings=Settings(home=tmp_path / "stranger"))


def naming(event_id: str, origin: str, pixels: Pixels, signer: Countermark) -> bytes:
    """A picture with an intact manifest that names an event of somebody else's log."""
    claim = Claim(
        title="a picture.png",
        event_id=event_id,
        log_origin=origin,
        model=ModelRef(id="their/model", version="1"),
        when=datetime.now(UTC),
    )
    return signer.pipeline.parts.credentials.sign(png(pixels), "image/png", claim).data


def test_a_strangers_manifest_does_not_make_our_record_that_of_its_picture(
    cm: Countermark, stranger: Countermark, released: Result
) -> None:
    report = cm.verify(naming(released.event_id, cm.log.origin, photograph("astronaut"), stranger))
    assert report.evidence.manifest.event_id == released.event_id
    assert report.verdict is Verdict.UNTRUSTED, report.reasons
    assert report.generation is None
    assert not any("records it" in reason for reason in report.reasons)
    assert any("nothing bears out that this is its record" in reason for reason in report.reasons)


def test_a_strangers_manifest_on_our_own_picture_leads_to_its_record(
    cm: Countermark, stranger: Countermark, released: Result, marked: Pixels
) -> None:
    report = cm.verify(naming(released.event_id, cm.log.origin, marked, stranger))
    assert report.verdict is Verdict.UNTRUSTED, report.reasons
    assert report.generation is not None, "the mark and the original bear it out"


def test_our_manifest_moved_to_another_picture_tells_nothing_of_that(cm: Countermark, released: Result) -> None:
    assert released.data is not None
    plain, signed = png(photograph("astronaut")), released.data
    at, length = 8, 0
    while signed[at + 4 : at + 8] != b"caBX":
        at += 12 + int.from_bytes(signed[at : at + 4])
    length = 12 + int.from_bytes(signed[at : at + 4])
    report = cm.verify(plain[:33] + signed[at : at + length] + plain[33:])
    assert report.verdict is Verdict.TAMPERED, report.reasons
    assert report.evidence.manifest.event_id == released.event_id
    assert report.generation is None
