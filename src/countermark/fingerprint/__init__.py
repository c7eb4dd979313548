"""The fingerprint room: what a picture looks like, in 256 bits that barely change when the picture barely does.

The hash itself is :func:`countermark.fingerprint.pdq.compute` (the module has the package's name ``pdq``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from countermark.fingerprint.index import FingerprintIndex, Hit
    from countermark.fingerprint.pdq import (
        MATCH,
        MIN_QUALITY,
        NEAR,
        Fingerprint,
        classify,
        dihedral,
        distance,
    )
    from countermark.fingerprint.recorded import RecordedFingerprints

_HOMES = {
    "MATCH": "pdq",
    "MIN_QUALITY": "pdq",
    "NEAR": "pdq",
    "Fingerprint": "pdq",
    "FingerprintIndex": "index",
    "Hit": "index",
    "RecordedFingerprints": "recorded",
    "classify": "pdq",
    "dihedral": "pdq",
    "distance": "pdq",
}

__all__ = [
    "MATCH",
    "MIN_QUALITY",
    "NEAR",
    "Fingerprint",
    "FingerprintIndex",
    "Hit",
    "RecordedFingerprints",
    "classify",
    "dihedral",
    "distance",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
