"""Is the file the picture that its record describes?

A watermark can be lifted from one picture onto another, so the payload alone proves little: the picture itself has to
be the recorded one. The recorded fingerprint says whether the two are alike as a whole, as far as nobody computed
against it; it cannot speak of a part that was cut out. The kept original says both, tile by tile.

What is compared is what one sees: a transparent file on white and on black, and the worse of the two counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from countermark.errors import CountermarkError
from countermark.fingerprint import MIN_QUALITY, NEAR, Fingerprint, classify, dihedral, distance, pdq
from countermark.imaging import Raster, decode
from countermark.model import FingerprintEvidence, OriginalEvidence, OutputRecord, WatermarkDetection
from countermark.verification.collect import Collected
from countermark.verification.context import Sources
from countermark.verification.registration import MIN_TILES, Overlay, register
from countermark.verification.resolve import Record

ALTERED = 0.05
"""Share of altered tiles from which a picture is called altered. Compression, filters, scales and turns leave less."""

DIFFERENT = 0.6
"""Share of altered or lost tiles from which a picture is called another one."""

GROUNDS = (255, 0)
NOT_COMPARED = OriginalEvidence(state="skipped")


State = Literal["match", "near", "none", "skipped"]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Compared:
    """How far the file is the recorded picture.

    Attributes:
        fingerprint: as a whole. ``match`` and ``near`` say that it may be the same picture, ``none`` that it is not,
            ``skipped`` that it cannot be told.
        original: tile by tile.
        veiled: the file is transparent, shows something else than was recorded, and the original is not kept.
    """

    fingerprint: FingerprintEvidence
    original: OriginalEvidence
    veiled: bool = False


def compare(collected: Collected, record: Record | None, sources: Sources) -> Compared:
    """Compare the file with the fingerprint of its record and, where that is kept, with the original."""
    output = record.event.output if record else None
    if record is None or output is None:
        return Compared(FingerprintEvidence(state="skipped", note="There is no record to compare with."), NOT_COMPARED)
    recorded = Fingerprint(output.fingerprint, quality=0)
    raster, mark = collected.raster, collected.watermark
    if record.route == "file digest":  # these very bytes: transparency and all
        return _compare(raster.pixels, None, recorded, mark)
    original, missing = _kept_original(output, sources)
    worst = max((_likest(view, original, recorded, mark) for view in _views(raster)), key=_gravity)
    if original is None and raster.alpha is not None and worst.fingerprint.state in ("none", "skipped"):
        note = "Part of the file is transparent: whether it shows that picture, only the kept original could tell."
        veiled = FingerprintEvidence(state="skipped", distance=worst.fingerprint.distance, note=note)
        return Compared(veiled, missing, veiled=True)
    return worst if original is not None else replace(worst, original=missing)


@dataclass(frozen=True)
class _View:
    """How a picture looks on a ground; ``None`` for an opaque one, which looks the same on all."""

    pixels: Pixels
    ground: int | None = None


def _views(raster: Raster) -> list[_View]:
    if raster.alpha is None:
        return [_View(raster.pixels)]
    return [_View(raster.over(level), level) for level in GROUNDS]


def _likest(view: _View, original: Raster | None, recorded: Fingerprint, mark: WatermarkDetection) -> Compared:
    """The file as it looks on a ground, beside the original on the same; an opaque file may come from any of them."""
    if original is None or original.alpha is None:
        return _compare(view.pixels, None if original is None else original.pixels, recorded, mark)
    shown = [one for one in _views(original) if view.ground in (None, one.ground)]
    compared = [_compare(view.pixels, one.pixels, pdq.compute(one.pixels), mark) for one in shown]
    if view.ground is None:
        compared.append(_compare(view.pixels, original.pixels, recorded, mark))
    return min(compared, key=_gravity)


def _gravity(compared: Compared) -> tuple[int, int, float]:
    fingerprint, original = compared.fingerprint, compared.original
    return (
        ("same", "skipped", "altered", "different").index(original.state),
        ("match", "near", "skipped", "none").index(fingerprint.state),
        original.altered or 0.0,
    )


def _compare(pixels: Pixels, original: Pixels | None, recorded: Fingerprint, mark: WatermarkDetection) -> Compared:
    if mark.negative:
        pixels = 255 - pixels
    whole = min(distance(form, recorded) for form in dihedral(pixels))
    if whole > NEAR and mark.transform is None:
        state: State = "none" if mark.record_id is None else "skipped"
        note = "The picture as a whole differs from the recorded one."
        return Compared(FingerprintEvidence(state=state, distance=whole, note=note), NOT_COMPARED)
    as_whole = FingerprintEvidence(state=classify(whole), distance=whole)
    if original is None:
        note = "The picture may be a part of the recorded one; without the kept original that cannot be told."
        part = FingerprintEvidence(state="skipped", distance=whole, note=note)
        return Compared(as_whole if whole <= NEAR else part, NOT_COMPARED)
    overlay = register(pixels, original, mark.transform)
    tiles = beside(overlay)
    return Compared(as_whole if whole <= NEAR else _part(overlay, tiles), tiles)


def _part(overlay: Overlay, tiles: OriginalEvidence) -> FingerprintEvidence:
    """The fingerprint of a file beside that of the part of the original which it lies on."""
    first, second = (pdq.compute(np.repeat(luma[..., None], 3, axis=2)) for luma in (overlay.file, overlay.original))
    apart = distance(first, second)
    state: State = classify(apart)
    if state == "none" and (tiles.state in ("same", "altered") or second.quality < MIN_QUALITY):
        # What was put over a part weighs more in so coarse a picture than in the tiles; that of a plain one is noise.
        state = "skipped"
    note = "Compared with the part of the kept original that the watermark's geometry points to."
    return FingerprintEvidence(state=state, distance=apart, note=note)


def _kept_original(output: OutputRecord, sources: Sources) -> tuple[Raster | None, OriginalEvidence]:
    """The original, and what is to be said where there is none."""
    why = "The original is not at hand to compare the picture with."
    if sources.objects is not None and output.object_key:
        try:
            return decode(sources.objects.get(output.object_key), "the kept original"), NOT_COMPARED
        except CountermarkError as error:
            why = f"The picture could not be compared with the kept original: {error.message}"
    return None, OriginalEvidence(state="skipped", note=why)


def beside(overlay: Overlay) -> OriginalEvidence:
    """What an overlay says."""
    if overlay.shown < MIN_TILES and overlay.altered < ALTERED:
        return OriginalEvidence(
            state="skipped", note="There is too little detail to compare it with the original tile by tile."
        )
    gone = overlay.lost if overlay.shown >= MIN_TILES else 0.0
    state: Literal["same", "altered", "different"] = "altered" if overlay.altered >= ALTERED else "same"
    if max(overlay.altered, gone) >= DIFFERENT:
        state = "different"
    return OriginalEvidence(
        state=state,
        altered=round(overlay.altered, 3),
        lost=round(gone, 3),
        covered=round(overlay.covered, 3),
        where=overlay.where if state == "altered" else "",
    )
