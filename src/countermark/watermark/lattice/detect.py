"""Finding the mark: the cheap hypotheses first, each one ended by a tag that verifies or does not.

1. *direct*: the picture as it is, perhaps shrunk; nothing to synchronise.
2. *still*: neither turned nor cropped at an odd scale, but shifted, flipped or turned by quarters.
3. *moved*: the tones give scale, rotation and aspect.
4. *projected*: the tones are strong but nothing locks; a perspective is estimated.

Scores decide only where to spend time. Presence is decided by the tag alone, and every comparison is counted: see
:mod:`countermark.watermark.payload` for the bound that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from countermark.watermark.lattice import canonical, keystream, perspective, polar
from countermark.watermark.lattice.read import Reading, code_llrs, cut, place, read
from countermark.watermark.lattice.shift import find_lock
from countermark.watermark.lattice.spectrum import Spectrum, spectrum_of
from countermark.watermark.lattice.synchronise import refine, shortlist
from countermark.watermark.lattice.tile import keyed_tile
from countermark.watermark.payload import MESSAGE_BITS, TAG_BITS, Payload, derive_key, tag_verifies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.parameters import Parameters

DIRECT_PILOTS = 2.5
"""Pilot score from which an unmoved picture is decoded."""
LOCK_MIN = 4.2
"""Tone lock from which a hypothesis is decoded."""
TONES_PERSPECTIVE = 6.0
"""Tone score from which a perspective is estimated."""
SMALL_PLANE_REACH = 2.2
"""Pictures up to this multiple of the small side may be enlarged copies of small ones."""

TRACE_TONES = 6.0
TRACE_PILOTS = 4.0
"""Scores that, together, are a trace of the mark though no tag verifies. None of 1,689 unmarked pictures (photographs
cropped, turned, scaled and compressed; texts, noise and periodic textures) under eight keys had both."""


class Examination:
    """One picture, and everything about it that does not depend on a key; computed once, when first needed."""

    def __init__(self, pixels: NDArray[np.uint8], parameters: Parameters) -> None:
        self.parameters = parameters
        self._pixels = pixels
        self._planes: dict[int, NDArray[np.float32]] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._pixels.shape[0], self._pixels.shape[1]

    @property
    def full_side(self) -> int:
        """The geometric-mean side of the plane that the search works on."""
        return self.parameters.canonical_side

    @property
    def sides(self) -> tuple[int, ...]:
        """The planes that an unturned picture of this size may have been marked on, likeliest first."""
        full, half = self.full_side, self.full_side // 2
        if canonical.geometric_side(*self.shape) > SMALL_PLANE_REACH * self.parameters.small_image_side:
            return (full,)
        return (half, full) if canonical.native_side(*self.shape, self.parameters) == half else (full, half)

    def plane(self, side: int) -> NDArray[np.float32]:
        """The channel plane with this geometric-mean side."""
        if side not in self._planes:
            self._planes[side] = canonical.channel(canonical.luma_plane(self._pixels, side))
        return self._planes[side]

    @cached_property
    def spectrum(self) -> Spectrum:
        """The spectrum of the full plane."""
        return spectrum_of(self.plane(self.full_side))


@dataclass(frozen=True)
class Found:
    """A payload whose tag verified, and where the mark lies.

    Attributes:
        payload: what the mark says.
        epoch: the epoch of the key that found it.
        hypothesis: 3×3 map from tile coordinates to the plane.
        offset: (row, column) of the super-tile at the origin of tile coordinates, in tiles.
        side: geometric-mean side of the plane.
        stage: which step of the search found it.
    """

    payload: Payload
    epoch: int
    hypothesis: NDArray[np.float64]
    offset: tuple[int, int]
    side: int
    stage: str


@dataclass(frozen=True)
class Outcome:
    """What a search brought.

    Attributes:
        found: the mark, if its tag verified.
        comparisons: tags compared, over all keys and hypotheses.
        traced: tones and pilots stood out under one key, though no tag verified.
        tones, pilots: the strongest scores seen.
    """

    found: Found | None
    comparisons: int
    traced: bool
    tones: float
    pilots: float


class KeySearch:
    """The search for one key's mark in one picture."""

    def __init__(self, examination: Examination, key: bytes, epoch: int) -> None:
        self._examination = examination
        self._key = key
        self._epoch = epoch
        self._tag_key = derive_key(key, keystream.label("tag"))
        self._tile = keyed_tile(key, examination.parameters)
        self._best_matrix: NDArray[np.float64] | None = None
        self.comparisons = 0
        self.tones = 0.0
        self.pilots = 0.0

    def direct(self) -> Found | None:
        """Read the picture as it is."""
        for side in self._examination.sides:
            cutting = cut(self._examination.plane(side), np.eye(3), self._tile.parameters.tile)
            if cutting is None:
                continue
            reading = read(cutting, self._tile, fixed=True)
            if reading.score >= DIRECT_PILOTS:
                word = self._decode(reading)
                if word is not None:
                    return self._found(word, np.eye(3), reading.offset, side, "direct")
        return None

    def still(self) -> Found | None:
        """Try shifts, flips and quarter turns at the picture's own scale."""
        for side in self._examination.sides:
            found = self._try(np.eye(3), side, "still")
            if found:
                return found
        return None

    def moved(self) -> Found | None:
        """Search scale, rotation and aspect by the tones."""
        examination = self._examination
        matrices = shortlist(examination.spectrum, self._key, examination.parameters)
        matrices, scores = refine(examination.spectrum, self._tile, matrices)
        self._best_matrix = matrices[int(scores.argmax())]
        self.tones = float(scores.max())
        for index in np.argsort(-scores):
            found = self._try(_homogeneous(matrices[index]), examination.full_side, "moved")
            if found:
                return found
        return None

    def projected(self) -> Found | None:
        """Estimate a perspective, where there are tones to estimate it from."""
        if self._best_matrix is None or self.tones < TONES_PERSPECTIVE:
            return None
        side = self._examination.full_side
        plane = self._examination.plane(side)
        estimate = perspective.from_windows(plane, self._tile, self._best_matrix)
        return None if estimate is None else self._try(estimate, side, "projected")

    def _try(self, hypothesis: NDArray[np.float64], side: int, stage: str) -> Found | None:
        """Lock on to the tones under a hypothesis, then read and decode."""
        plane, tile_side = self._examination.plane(side), self._tile.parameters.tile
        cutting = cut(plane, hypothesis, tile_side)
        if cutting is None:
            return None
        lock = find_lock(cutting.folded(), self._tile)
        located = hypothesis @ lock.local
        relocated = cut(plane, located, tile_side) if lock.score >= LOCK_MIN else None
        if relocated is None:
            return None
        reading = read(relocated, self._tile)
        word = self._decode(reading)
        if word is None:
            return None
        codeword = polar.encode(word, self._tile.parameters.code_length)
        return self._found(word, located, place(relocated, self._tile, codeword, reading.values), side, stage)

    def _decode(self, reading: Reading) -> NDArray[np.uint8] | None:
        """Decode a reading; the first path whose tag verifies is the word: message and tag."""
        self.pilots = max(self.pilots, reading.score)
        llrs = code_llrs(reading.values, self._tile)
        words = polar.decode(llrs, MESSAGE_BITS + TAG_BITS, self._tile.parameters.list_size)
        self.comparisons += len(words)
        return next((word for word in words if tag_verifies(self._tag_key, word)), None)

    def _found(
        self, word: NDArray[np.uint8], hypothesis: NDArray[np.float64], offset: tuple[int, int], side: int, stage: str
    ) -> Found:
        payload = Payload.from_bits(word[:MESSAGE_BITS])
        return Found(payload, self._epoch, hypothesis, offset, side, stage)


def _homogeneous(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    hypothesis = np.eye(3)
    hypothesis[:2, :2] = matrix
    return hypothesis


_STAGES: tuple[Callable[[KeySearch], Found | None], ...] = (
    KeySearch.direct,
    KeySearch.still,
    KeySearch.moved,
    KeySearch.projected,
)


def detect(examination: Examination, keys: Mapping[int, bytes]) -> Outcome:
    """Search a picture for the mark of any of the keys (by epoch), newest first; cheap stages first for all keys."""
    searches = [KeySearch(examination, keys[epoch], epoch) for epoch in sorted(keys, reverse=True)]
    found = next(filter(None, (stage(search) for stage in _STAGES for search in searches)), None)
    return Outcome(
        found=found,
        comparisons=sum(search.comparisons for search in searches),
        traced=any(search.tones >= TRACE_TONES and search.pilots >= TRACE_PILOTS for search in searches),
        tones=max(search.tones for search in searches),
        pilots=max(search.pilots for search in searches),
    )
