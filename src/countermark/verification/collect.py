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
    raster = decode(data, name)
    manifest = read(data, raster.media_type, anchors=sources.trust.anchors)
    return Collected(name, hashlib.sha256(data).hexdigest(), raster, manifest, _look_for_mark(raster, sources))


def _look_for_mark(raster: Raster, sources: Sources) -> WatermarkDetection:
    if sources.watermark is None:
        note = "No watermark key is available here; ask whoever may have issued the image."
        return WatermarkDetection(state=WatermarkState.SKIPPED, algorithm="", note=note)
    if min(raster.width, raster.height) < 64:
        note = "The image is too small to carry a watermark."
        return WatermarkDetection(state=WatermarkState.SKIPPED, algorithm=sources.watermark.algorithm, note=note)
    return sources.watermark.detect(raster.pixels)
