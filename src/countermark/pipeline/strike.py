"""Striking the marks: watermark, fingerprint, metadata, manifest; and reading every one back from the final bytes."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray

from countermark.credentials import Claim, Ingredient, Signed, build_xmp
from countermark.credentials.interpret import INGREDIENT
from countermark.errors import AuditError, ReleaseRefused
from countermark.imaging import Raster, decode, encode, suffix_for
from countermark.model import Asset, Event, Manifest, ManifestState, Outcome, OutputRecord, WatermarkState
from countermark.pipeline.context import Parts
from countermark.pipeline.timing import Timer
from countermark.watermark.interface import MIN_EXAMINED_SIDE

MAX_DRAWS = 8
MAX_REHEARSALS = 3


@dataclass(frozen=True)
class Struck:
    """A file with every mark in it, each of them read back.

    ``durable`` says whether the watermark was also read from a cropped, shrunk and compressed copy.
    """

    data: bytes
    asset: Asset
    manifest: bytes
    output: OutputRecord
    record_id: int
    durable: bool


def strike(
    raster: Raster, *, parts: Parts, event: Event, ingredients: tuple[Ingredient, ...], prompted: bool, timer: Timer
) -> Struck:
    """Mark one approved image.

    Args:
        raster: the image; its alpha is kept as it was.
        parts: the rooms.
        event: the audit event that will record it; the manifest takes its id, time, model and policy from there.
        ingredients: files that it was made from.
        prompted: whether a prompt is known; else the manifest says nothing of human oversight.
        timer: where the stages' CPU time goes.

    Raises:
        WatermarkFailed: the mark could not be embedded.
        CredentialFailed: the manifest could not be made.
        ReleaseRefused: a mark did not read back from the final bytes.
    """
    record_id, pixels, durable = _embed(raster.pixels, parts, timer)
    marked = Raster(pixels, raster.alpha, parts.media_type)
    with timer("fingerprint"):
        fingerprint = parts.fingerprint(marked.pixels)
    assert event.model is not None
    claim = Claim(
        title=f"countermark-{event.event_id[:12]}{suffix_for(parts.media_type)}",
        event_id=event.event_id,
        log_origin=parts.log.origin,
        log_key_id=parts.log.verifier_key.rpartition("+")[0],
        model=event.model,
        when=datetime.fromisoformat(event.time),
        generated_now=event.params.get("origin") != "marked",
        watermark_algorithm=parts.watermark.algorithm,
        watermark_payload=f"{record_id:012x}",
        fingerprint=fingerprint,
        policy_digest=event.policy.digest if event.policy else "",
        human_oversight="prompt_guided" if prompted else None,
        redacted=event.decision is Outcome.REDACT,
        ingredients=ingredients,
    )
    with timer("encode"):
        data = encode(marked, parts.media_type, xmp=build_xmp(event.model, source=claim.source), quality=parts.quality)
    with timer("sign"):
        signed = parts.credentials.sign(data, parts.media_type, claim)
    with timer("readback"):
        _read_back(signed, record_id, event.event_id, marked, parts)
    sha256 = hashlib.sha256(signed.data).hexdigest()
    asset = Asset(
        sha256=sha256,
        media_type=parts.media_type,
        width=marked.width,
        height=marked.height,
        size=len(signed.data),
    )
    output = OutputRecord(
        **asset.model_dump(),
        watermark=parts.watermark.algorithm,
        watermark_payload=f"{record_id:012x}",
        fingerprint=fingerprint,
        manifest_sha256=signed.manifest_sha256,
    )
    return Struck(signed.data, asset, signed.manifest, output, record_id, durable)


def _embed(pixels: NDArray[np.uint8], parts: Parts, timer: Timer) -> tuple[int, NDArray[np.uint8], bool]:
    """Draw a record id, embed it, and rehearse what the web will do to it.

    How well a code word suits a picture is luck: on smooth pictures a few do not outlive a crop with heavy compression.
    Another record id is another throw, so a mark that fails the rehearsal is struck anew.
    """
    for _ in range(MAX_REHEARSALS if parts.rehearse else 1):
        record_id = _draw_record_id(parts)
        with timer("watermark"):
            marked = parts.watermark.embed(pixels, record_id)
        if not parts.rehearse:
            return record_id, marked, False
        with timer("rehearsal"):
            survives = parts.watermark.detect(rehearsal(marked)).carries(record_id)
        if survives:
            return record_id, marked, True
    return record_id, marked, False


def rehearsal(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the web does to a picture: seven tenths of its area, three quarters of its size, JPEG quality 50."""
    height, width = pixels.shape[:2]
    rows, columns = round(height * 0.7**0.5), round(width * 0.7**0.5)
    top, left = (height - rows) // 2, (width - columns) // 2
    crop = pixels[top : top + rows, left : left + columns]
    size = max(MIN_EXAMINED_SIDE, round(columns * 0.75)), max(MIN_EXAMINED_SIDE, round(rows * 0.75))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 50])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def _draw_record_id(parts: Parts) -> int:
    """48 random bits that no record has: at 16 million records a collision is likely, so the log is asked."""
    for _ in range(MAX_DRAWS):
        record_id = secrets.randbits(48)
        if not parts.log.record_id_taken(record_id):
            return record_id
    raise AuditError(
        "No free record id was found; the log's index may be damaged.", remedy="Run: countermark log verify"
    )


def _read_back(signed: Signed, record_id: int, event_id: str, marked: Raster, parts: Parts) -> None:
    """Invariant 1: every mark is read from the bytes that will leave, by the code that strangers will run."""
    final = decode(signed.data, "the marked image")
    found = parts.watermark.detect(final.pixels)
    if found.state is not WatermarkState.DETECTED or not found.carries(record_id):
        raise ReleaseRefused(
            f"The watermark did not read back from the final bytes (found: {found.state}).",
            remedy="The image may be too small or too uniform to carry the mark; nothing was released.",
        )
    if (final.width, final.height) != (marked.width, marked.height):
        raise ReleaseRefused("The final file decodes to another size than the marked image.")
    inspection = parts.credentials.inspect(signed.data, parts.media_type)
    _check_manifest(inspection.manifest, event_id)
    faults = [str(problem) for problem in inspection.problems if problem.severity == "error"]
    if faults:
        raise ReleaseRefused("The manifest breaks the conformance rules: " + "; ".join(faults))


def _check_manifest(manifest: Manifest, event_id: str) -> None:
    if manifest.state is not ManifestState.TRUSTED:
        codes = ", ".join(manifest.codes) or manifest.explanation
        if manifest.codes and all(code.startswith(INGREDIENT) for code in manifest.codes):
            raise ReleaseRefused(
                f"What the image was made from was changed after it had been signed ({codes}).",
                remedy="Give the parent's original file, or one that carries no manifest.",
            )
        raise ReleaseRefused(
            f"The manifest did not validate from the final bytes: {manifest.state} ({codes}).",
            remedy="Check the signing certificate and its anchors with: countermark doctor",
        )
    if manifest.event_id != event_id:
        raise ReleaseRefused("The manifest read back names another record than the one it was made for.")
