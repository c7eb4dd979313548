"""The watermark room: an identifier of 48 bits, hidden in the pixels, that only the key's holder can find.

``Lattice`` is the default algorithm; ``InvisibleWatermark`` is a second backend on the package of that name, and
``ForeignMarks`` recognises the constant messages that other generators leave, and needs no package. All are loaded on
first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from countermark.watermark.imwatermark.backend import InvisibleWatermark
    from countermark.watermark.imwatermark.foreign import ForeignMarks
    from countermark.watermark.interface import Detector, Watermark
    from countermark.watermark.lattice import Lattice, canonical_shape, registrations

__all__ = [
    "Detector",
    "ForeignMarks",
    "InvisibleWatermark",
    "Lattice",
    "Watermark",
    "canonical_shape",
    "registrations",
]

_HOMES = {
    "Detector": "countermark.watermark.interface",
    "ForeignMarks": "countermark.watermark.imwatermark.foreign",
    "InvisibleWatermark": "countermark.watermark.imwatermark.backend",
    "Lattice": "countermark.watermark.lattice",
    "Watermark": "countermark.watermark.interface",
    "canonical_shape": "countermark.watermark.lattice",
    "registrations": "countermark.watermark.lattice",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
