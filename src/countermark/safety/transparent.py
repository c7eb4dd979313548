"""Pictures with transparency, looked at as they will be seen.

What a transparent picture shows depends on what it lies on. Its colours alone may be plain black while the picture
stands in its alpha plane, so that classifiers of colours would see nothing. It is looked at three times: its colours,
and itself on white and on black.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from countermark.safety.interface import ImageClassifier
from countermark.safety.known import NOTHING, Known, look_at

if TYPE_CHECKING:
    from countermark.imaging import Raster
    from countermark.model import Finding

GROUNDS: Final = {"white": 255, "black": 0}


def look_through(classifier: ImageClassifier, raster: Raster, known: Known = NOTHING) -> tuple[Finding, ...]:
    """What a classifier says of a picture; of a transparent one also what more it says of it on white and on black.

    Args:
        classifier: asked once, or three times where the picture is transparent.
        raster: the picture.
        known: what is known of it.
    """
    findings = look_at(classifier, raster.pixels, known)
    for ground, level in () if raster.alpha is None else GROUNDS.items():
        findings += tuple(_more(findings, look_at(classifier, raster.over(level), known), ground))
    return findings


def _more(known: tuple[Finding, ...], found: tuple[Finding, ...], ground: str) -> Iterator[Finding]:
    """The findings that are graver than what is known of their category, or that could not be made on this ground."""
    for finding in found:
        before = [one for one in known if (one.category, one.detector.id) == (finding.category, finding.detector.id)]
        same = any(one.state is finding.state and one.severity >= finding.severity for one in before)
        scores = [one.score for one in before if one.score is not None]
        if same and (finding.score is None or finding.score <= max(scores)):
            continue
        yield finding.model_copy(update={"reason": f"on {ground}: {finding.reason}".rstrip(": ")})
