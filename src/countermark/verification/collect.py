"""What the file itself says: its digest, its manifest, its watermark."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from countermark.credentials import read
from countermark.imaging import Raster, decode
from countermark.model import Manifest, WatermarkDetection, WatermarkState
from countermark.verification.context import Sources


@dataclass(frozen=True)
class Collected:
    """The evidence in one file."""

    name: str
    sha256: str
    raster: Raster
    manifest: Manifest
    watermark: WatermarkDetection


def collect(data: bytes, name: str, sources: Sources) -> Collected:
    """Read every mark in the file. The network is never used.

    Raises:
        AssetInvalid: the bytes are no image that we can read.
        AssetTooLarge: they exceed the bounds for hostile files.
    """
    raster = decode(data, name or "the image")
    manifest = read(data, raster.media_type, anchors=sources.trust.anchors)
    return Collected(name, hashlib.sha256(data).hexdigest(), raster, manifest, _look_for_marks(raster, sources))


def _look_for_marks(raster: Raster, sources: Sources) -> WatermarkDetection:
    """Our mark; another system's only where ours is not there or could not be looked for."""
    ours = _look_for_ours(raster, sources)
    if sources.foreign is None or ours.state not in (WatermarkState.ABSENT, WatermarkState.SKIPPED):
        return ours
    theirs = sources.foreign.detect(raster.pixels)
    if theirs.state is not WatermarkState.FOREIGN:
        return ours
    return theirs.model_copy(update={"note": f"{theirs.note} {ours.note}".strip()})


def _look_for_ours(raster: Raster, sources: Sources) -> WatermarkDetection:
    if sources.watermark is None:
        note = "No watermark key is available here; ask whoever may have issued the image."
        return WatermarkDetection(state=WatermarkState.SKIPPED, algorithm="", note=note)
    if min(raster.width, raster.height) < 64:
        note = "The image is too small to carry a watermark."
        return WatermarkDetection(state=WatermarkState.SKIPPED, algorithm=sources.watermark.algorithm, note=note)
    return sources.watermark.detect(raster.pixels)
