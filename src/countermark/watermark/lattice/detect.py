"""Finding the mark: the cheap hypotheses first, each one ended by a tag that verifies or does not.

1. *still*: the picture as it is, perhaps shrunk, flipped or turned by quarters.
2. *moved*: the tones give scale, rotation and aspect.
3. *rarely moved*: likewise, for crops below a fifth of the area, for pictures squeezed to less than two thirds, and for
   those that fill less than a quarter of a page. Apart, so that nothing rare crowds the common out of the short list.
4. *swept*: the tones drowned, as in smooth crops under heavy compression; very many matrices are tried.
5. *projected*: seen from the side, as in the photograph of a screen; a perspective is estimated.

Scores decide only where to spend time. Presence is decided by the tag alone, and every comparison is counted: see
:mod:`countermark.watermark.payload` for the bound that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from countermark.watermark.lattice import canonical, keystream, perspective, polar
from countermark.watermark.lattice.read import Reading, code_llrs, cut, place, read, translation
from countermark.watermark.lattice.shift import Correlation, Lock, folded_spectrum
from countermark.watermark.lattice.spectrum import Spectrum, spectrum_of
from countermark.watermark.lattice.sweep import Swept, turned_crops, upright_crops
from countermark.watermark.lattice.synchronise import Candidates, refine
from countermark.watermark.lattice.tile import keyed_tile
from countermark.watermark.payload import EPOCH_BITS, MESSAGE_BITS, TAG_BITS, Payload, derive_key, tag_verifies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.watermark.lattice.parameters import Parameters

PLACEMENTS = 2
"""Placements of an unmoved picture that are read."""
PLACED_MIN = 3.2
"""Lock from which one of the 64 placements of an unmoved picture is read."""
LOCK_MIN = 4.9
"""Lock from which the best of all orientations and shifts is read: 99 in 100 true ones, one in four of noise."""
NEGATIVE_MIN = 6.0
"""Lock from which a negative is read, which is rarer; clear ones have nine and more."""
RARE_KEPT = 4
"""Rare movements that are looked at closely."""
RARE_TONES_MIN = 4.5
"""Tone score from which one is: reached by all of 73 that could be read, and by a third of those of noise."""
SWEPT_MIN = 5.4
"""Lock from which a matrix of the sweep is looked at closely: reached in about one unmarked picture of ten."""
SWEPT_CLOSELY = tuple(
    np.array([[1 + scale, -turn], [turn, 1 + scale]])
    for scale, turn in ((0, 0), (-0.002, 0), (0.002, 0), (-0.004, 0), (0.004, 0), (0, -0.003), (0, 0.003))
)
"""Changes of scale and rotation tried around it."""
PILOTS_MIN = 1.5
"""Pilot score from which a reading is decoded."""
TONES_PERSPECTIVE = 6.8
"""Tone score from which a perspective is looked for around the best affine map, too."""
SMALL_PLANE_REACH = 2.2
"""Pictures up to this multiple of the small side may be enlarged copies of small ones."""

TRACE_LOCK, SWEPT_TRACE_LOCK = 7.0, 8.0
"""Locks that are a trace of the mark though no tag verifies; the best of a sweep is of many more tries."""


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

    @cached_property
    def windows(self) -> perspective.Windows:
        """The spectra of windows of the full plane."""
        return perspective.windows_of(self.plane(self.full_side))

    @cached_property
    def upright_crops(self) -> Swept:
        """What the sweep of upright crops needs of the full plane; some 25 MB."""
        return upright_crops(self.plane(self.full_side), self.parameters)


@dataclass(frozen=True)
class Found:
    """A payload whose tag verified, and where the mark lies.

    Attributes:
        payload: what the mark says.
        epoch: the epoch of the key that found it.
        key: that key.
        hypothesis: 3×3 map from pattern coordinates (modulo the period) to the plane.
        side: geometric-mean side of the plane.
        stage: which step of the search found it.
        negative: the picture shows the mark, and so itself, with dark and light exchanged.
    """

    payload: Payload
    epoch: int
    key: bytes = field(repr=False)
    hypothesis: NDArray[np.float64]
    side: int
    stage: str
    negative: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a search brought.

    Attributes:
        found: the marks whose tags verified under one key, the clearest first; a picture that was marked twice
            and never moved in between shows both.
        comparisons: tags compared, over all keys and hypotheses.
        tones, lock: the strongest scores seen.
        traced: pilots and tones stood out, though no tag verified.
    """

    found: tuple[Found, ...]
    comparisons: int
    tones: float
    lock: float
    traced: bool


class KeySearch:
    """The search for one key's mark in one picture."""

    def __init__(self, examination: Examination, key: bytes, epoch: int) -> None:
        self._examination = examination
        self._key = key
        self._epoch = epoch
        self._tag_key = derive_key(key, keystream.label("tag"))
        self._header = Payload(0, epoch % (1 << EPOCH_BITS)).header_bits()
        self._tile = keyed_tile(key, examination.parameters)
        self._best_matrix: NDArray[np.float64] | None = None
        self.comparisons = 0
        self.tones = 0.0
        self.lock = 0.0
        self.traced = False

    @cached_property
    def _candidates(self) -> Candidates:
        """What the tones say of scale, rotation and aspect."""
        return Candidates(self._examination.spectrum, self._key, self._examination.parameters)

    def still(self) -> list[Found]:
        """Try the picture's own scale: shifts, flips and quarter turns."""
        for side in self._examination.sides:
            found = self._try(np.eye(3), side, "still")
            if found:
                return found
        return []

    def moved(self) -> list[Found]:
        """Search scale, rotation and aspect by the tones."""
        examination = self._examination
        matrices, scores = refine(examination.spectrum, self._tile, self._candidates.shortlist())
        self._best_matrix = matrices[int(scores.argmax())]
        self.tones = float(scores.max())
        for index in np.argsort(-scores):
            found = self._try(_homogeneous(matrices[index]), examination.full_side, "moved")
            if found:
                return found
        return []

    def rarely_moved(self) -> list[Found]:
        """Search small crops, strong squeezes and small parts of pages by the tones."""
        examination = self._examination
        matrices, scores = refine(examination.spectrum, self._tile, self._candidates.rare(), RARE_KEPT)
        for index in np.argsort(-scores):
            if scores[index] < RARE_TONES_MIN:
                break
            found = self._try(_homogeneous(matrices[index]), examination.full_side, "rarely moved")
            if found:
                return found
        return []

    def swept(self) -> list[Found]:
        """Try every scale of an upright crop, and many of a rotated one, by pilots and tones together."""
        examination = self._examination
        parameters, plane = examination.parameters, examination.plane(examination.full_side)
        sweeps = examination.upright_crops, turned_crops(plane, self._candidates, parameters)
        matrices = np.concatenate([swept.matrices for swept in sweeps])
        scores = np.array([score for swept in sweeps for score in swept.scores(self._key, parameters)])
        if scores.max(initial=0) < SWEPT_MIN:
            return []
        best = matrices[scores.argmax()]
        refined, _ = refine(examination.spectrum, self._tile, best[None])
        for matrix in (*refined, *(best @ near for near in SWEPT_CLOSELY)):
            found = self._try(_homogeneous(matrix), examination.full_side, "swept")
            if found:
                return found
        return []

    def projected(self) -> list[Found]:
        """Estimate a perspective."""
        examination = self._examination
        near = self._best_matrix if self.tones >= TONES_PERSPECTIVE else None
        estimate = perspective.from_windows(examination.windows, self._tile, near)
        return [] if estimate is None else self._try(estimate, examination.full_side, "projected")

    def _try(self, hypothesis: NDArray[np.float64], side: int, stage: str) -> list[Found]:
        """Lock on to pilots and tones under a hypothesis, then read and decode."""
        plane, parameters = self._examination.plane(side), self._examination.parameters
        cutting = cut(plane, hypothesis, parameters.tile)
        if cutting is None:
            return []
        correlation = Correlation(folded_spectrum(cutting.folded(parameters.super_tile)), self._key, parameters)
        placed = correlation.placed(PLACEMENTS) if stage == "still" else []
        locks = [lock for lock in placed if lock.score >= PLACED_MIN]
        found = [self._read(hypothesis @ lock.local, lock, side, stage) for lock in locks]
        if not any(found) and correlation.score >= LOCK_MIN:
            best = correlation.best()
            found = [self._read(hypothesis @ best.local, best, side, stage)]
        if not any(found) and correlation.negative_score >= NEGATIVE_MIN:
            best = correlation.negative()
            found = [self._read(hypothesis @ best.local, best, side, stage)]
        distinct = {mark.payload.record_id: mark for mark in found[::-1] if mark is not None}
        return list(distinct.values())[::-1]

    def _read(self, located: NDArray[np.float64], lock: Lock, side: int, stage: str) -> Found | None:
        """Read and decode a located pattern."""
        self.lock = max(self.lock, lock.score)
        self.traced |= lock.score >= (SWEPT_TRACE_LOCK if stage == "swept" else TRACE_LOCK)
        plane, parameters = self._examination.plane(side), self._examination.parameters
        cutting = cut(plane if lock.sign > 0 else -plane, located, parameters.tile)
        if cutting is None:
            return None
        reading = read(cutting, self._tile)
        word = self._decode(reading)
        if word is None:
            return None
        codeword = polar.encode(word, parameters.code_length)
        row, column = place(cutting, self._tile, codeword, reading.values)
        placed = located @ translation(-column * parameters.tile, -row * parameters.tile)
        payload = Payload.from_bits(word[:MESSAGE_BITS])
        return Found(payload, self._epoch, self._key, placed, side, stage, negative=lock.sign < 0)

    def _decode(self, reading: Reading) -> NDArray[np.uint8] | None:
        """Decode a reading; the first path whose tag verifies is the word: message and tag."""
        if reading.score < PILOTS_MIN:
            return None
        llrs = code_llrs(reading.values, self._tile)
        count, paths = MESSAGE_BITS + TAG_BITS, self._tile.parameters.list_size
        words = polar.decode(llrs, count, paths, self._header)
        self.comparisons += len(words)
        return next((word for word in words if tag_verifies(self._tag_key, word)), None)


def _homogeneous(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    hypothesis = np.eye(3)
    hypothesis[:2, :2] = matrix
    return hypothesis


_STAGES: tuple[Callable[[KeySearch], list[Found]], ...] = (
    KeySearch.still,
    KeySearch.moved,
    KeySearch.rarely_moved,
    KeySearch.swept,
    KeySearch.projected,
)


def detect(examination: Examination, keys: Mapping[int, bytes]) -> Outcome:
    """Search a picture for the mark of any of the keys (by epoch), newest first; cheap stages first for all keys."""
    searches = [KeySearch(examination, keys[epoch], epoch) for epoch in sorted(keys, reverse=True)]
    found = next(filter(None, (stage(search) for stage in _STAGES for search in searches)), [])
    return Outcome(
        found=tuple(found),
        comparisons=sum(search.comparisons for search in searches),
        tones=max(search.tones for search in searches),
        lock=max(search.lock for search in searches),
        traced=not found and any(search.traced for search in searches),
    )
