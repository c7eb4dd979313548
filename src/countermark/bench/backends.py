"""The watermarks that are measured, behind one small protocol.

Ours is measured on its own task: a record id of 48 bits under a keyed tag, so that it knows when nothing is there.
The peers of the package *invisible-watermark* are measured the way their users use them: 32 random bits, and all of
them right counts as recovered. That is the easier task: they carry less, and they always return some bits, so absence
and error are invisible to them. With ``+tag`` after its name, a method is measured on our task: the same record id and
a keyed tag, through the product's second backend.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from countermark.errors import AssetTooSmall, MissingExtra, UsageError, WatermarkFailed
from countermark.watermark import InvisibleWatermark, Lattice, Watermark

KEY: Final = b"benchmark key, not a secret"
PEERS: Final = ("dwtDctSvd", "dwtDct", "rivaGan")
TAGGED: Final = tuple(f"{method}+tag" for method in PEERS)
NAMES: Final = ("lattice", *PEERS, *TAGGED)
_PEER_BITS = 32
_PEER_MIN_AREA = 256 * 256


class Backend(Protocol):
    """A watermark under measurement. Pixels are RGB, uint8, H×W×3."""

    name: str
    task: str
    bits: int
    knows_absence: bool

    def embed(self, pixels: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
        """A marked copy that carries ``number``, which is below 2**bits; a refusal is a CountermarkError."""
        ...

    def read(self, pixels: NDArray[np.uint8]) -> int | None:
        """The number found; ``None`` only where the backend knows that there is none."""
        ...


class Product:
    """One of our own watermarks, as the product uses it."""

    bits = 48
    knows_absence = True

    def __init__(self, name: str, mark: Watermark, task: str) -> None:
        self.name, self.task, self._mark = name, task, mark

    def embed(self, pixels: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
        """See :class:`Backend`."""
        return self._mark.embed(pixels, number)

    def read(self, pixels: NDArray[np.uint8]) -> int | None:
        """See :class:`Backend`."""
        return self._mark.detect(pixels).record_id


class Peer:
    """A method of the package invisible-watermark, called as its documentation does; strength as it comes.

    Raises:
        MissingExtra: the package is not installed.
    """

    bits = _PEER_BITS
    knows_absence = False
    task = "32 random bits, all right; the easier task: no key, no tag, absence is not recognised"

    def __init__(self, method: str) -> None:
        try:
            import imwatermark
        except ImportError as error:
            raise MissingExtra("imwatermark", f"Measuring {method}") from error
        self.name = method
        self._package: Any = imwatermark
        if method == "rivaGan":
            imwatermark.WatermarkEncoder.loadModel()

    def embed(self, pixels: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
        """See :class:`Backend`."""
        _check_area(pixels)
        encoder = self._package.WatermarkEncoder()
        encoder.set_watermark("bits", [number >> shift & 1 for shift in range(_PEER_BITS)])
        try:
            marked = encoder.encode(_swapped(pixels), self.name)
        except Exception as error:  # the package raises whatever its parts raise
            raise WatermarkFailed(f"{self.name} could not mark the picture: {error}.") from error
        if np.shape(marked) != pixels.shape:
            raise WatermarkFailed(f"{self.name} changed the size of the picture.")
        return _swapped(np.asarray(marked, np.uint8))

    def read(self, pixels: NDArray[np.uint8]) -> int | None:
        """See :class:`Backend`."""
        _check_area(pixels)
        try:
            bits = self._package.WatermarkDecoder("bits", _PEER_BITS).decode(_swapped(pixels), self.name)
        except Exception as error:
            raise WatermarkFailed(f"{self.name} could not read the picture: {error}.") from error
        return sum(int(bool(bit)) << shift for shift, bit in enumerate(np.asarray(bits).ravel()[:_PEER_BITS]))


def build(name: str, psnr: float = 40.0) -> Backend:
    """A backend by name.

    Args:
        name: one of :data:`NAMES`, in any case.
        psnr: the strength of our own mark in decibels; the peers have a fixed one.

    Raises:
        UsageError: the name is unknown.
        MissingExtra: its package is not installed.
    """
    known = {candidate.lower(): candidate for candidate in NAMES}.get(name.lower())
    if known is None:
        raise UsageError(f"There is no watermark called {name!r}.", remedy=f"Choose from {', '.join(NAMES)}.")
    task = "48-bit record id and a keyed tag; absence is recognised"
    if known == "lattice":
        return Product(known, Lattice(KEY, psnr=psnr), task)
    if known in TAGGED:
        return Product(known, InvisibleWatermark(known.removesuffix("+tag"), key=KEY), task)
    return Peer(known)


def number_for(label: str, bits: int) -> int:
    """A number of so many random bits that is the same in every run."""
    digest = hashlib.sha256(b"countermark bench " + label.encode()).digest()
    return int.from_bytes(digest[:8], "big") % (1 << bits)


def _check_area(pixels: NDArray[np.uint8]) -> None:
    height, width = pixels.shape[:2]
    if height * width < _PEER_MIN_AREA:  # the package's own limit, for which it raises a bare RuntimeError
        raise AssetTooSmall(f"A picture of {width}×{height} pixels is too small for the invisible-watermark package.")


def _swapped(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB to BGR, which the package wants, and back."""
    return np.ascontiguousarray(pixels[:, :, ::-1])
