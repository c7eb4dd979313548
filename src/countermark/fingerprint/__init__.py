"""The fingerprint room: what a picture looks like, in 256 bits that barely change when the picture barely does.

The hash itself is :func:`countermark.fingerprint.pdq.pdq` (the module has the package's name ``pdq``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from countermark.fingerprint.index import FingerprintIndex, Hit
    from countermark.fingerprint.pdq import MATCH, NEAR, Fingerprint, classify, dihedral, distance

__all__ = ["MATCH", "NEAR", "Fingerprint", "FingerprintIndex", "Hit", "classify", "dihedral", "distance"]

_INDEX = {"FingerprintIndex", "Hit"}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "countermark.fingerprint.index" if name in _INDEX else "countermark.fingerprint.pdq"
    return getattr(import_module(module), name)
