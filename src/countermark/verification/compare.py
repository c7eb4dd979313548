"""Is the file the picture that its record describes?

A watermark can be lifted from one picture onto another, so the payload alone proves little: the picture itself has to
be near the recorded one. For a whole picture the recorded fingerprint answers that. For a cropped one it cannot (PDQ
does not survive a crop), but the watermark says *where* in the original the file lies, so the kept original is brought
into the same frame and the two are compared there.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from countermark.errors import CountermarkError
from countermark.fingerprint import NEAR, Fingerprint, classify, dihedral, distance, pdq
from countermark.imaging import decode
from countermark.model import FingerprintEvidence, OutputRecord
from countermark.verification.collect import Collected
from countermark.verification.context import Sources
from countermark.verification.resolve import Record
from countermark.watermark import registrations

FRAME = 512
"""Longer side, in pixels, of the frame in which a crop and its original are compared."""
MAX_PLACEMENTS = 16


def compare(collected: Collected, record: Record | None, sources: Sources) -> FingerprintEvidence:
    """How far the file is from the recorded picture, in bits of a PDQ hash.

    ``match`` and ``near`` say that it may be the same picture; ``none`` that it is another one; ``skipped`` that it
    cannot be told (a crop whose original is not kept here).
    """
    output = record.event.output if record else None
    if output is None:
        return FingerprintEvidence(state="skipped", note="There is no record to compare with.")
    recorded = Fingerprint(output.fingerprint, quality=0)
    whole = min(distance(form, recorded) for form in dihedral(collected.raster.pixels))
    if whole <= NEAR:
        return FingerprintEvidence(state=classify(whole), distance=whole)
    transform = collected.watermark.transform
    if transform is None:
        state: Literal["none", "skipped"] = "skipped" if collected.watermark.record_id is not None else "none"
        return FingerprintEvidence(
            state=state, distance=whole, note="The picture as a whole differs from the recorded one."
        )
    original = _kept_original(output, sources)
    if original is None:
        note = "The picture may be a part of the recorded one; without the kept original that cannot be told."
        return FingerprintEvidence(state="skipped", distance=whole, note=note)
    registered = _registered_distance(collected.raster.pixels, transform, original)
    note = "Compared with the part of the kept original that the watermark's geometry points to."
    return FingerprintEvidence(state=classify(registered), distance=registered, note=note)


def _kept_original(output: OutputRecord, sources: Sources) -> NDArray[np.uint8] | None:
    if sources.objects is None or not output.object_key:
        return None
    try:
        return decode(sources.objects.get(output.object_key), "the kept original").pixels
    except CountermarkError:
        return None


def _registered_distance(examined: NDArray[np.uint8], transform: tuple[float, ...], original: NDArray[np.uint8]) -> int:
    """Lay the original over the file at every place that the mark allows; the least distance counts."""
    height, width = examined.shape[:2]
    scale = FRAME / max(height, width)
    frame = (max(8, round(width * scale)), max(8, round(height * scale)))
    to_frame = np.diag([frame[0] / width, frame[1] / height, 1.0])
    mine = pdq.compute(cv2.resize(examined, frame, interpolation=cv2.INTER_AREA))
    best = 256
    for placement in registrations(transform, (height, width), original.shape[:2])[:MAX_PLACEMENTS]:
        original_to_frame = to_frame @ np.linalg.inv(placement)
        laid_over = cv2.warpPerspective(original, original_to_frame, frame, flags=cv2.INTER_AREA)
        best = min(best, distance(mine, pdq.compute(laid_over)))
    return best
