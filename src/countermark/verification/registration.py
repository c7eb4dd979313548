"""A file laid over the kept original, and where the two differ.

A perceptual fingerprint can be computed against: a foreign picture is bent until its hash is near a recorded one, or a
part of a recorded picture is replaced. What the hash cannot say, the kept original can. It is brought into the frame
of the file ("registered"), and the two are compared tile by tile, by the normalised cross-correlation of their luma
(Lewis 1995, "Fast normalized cross-correlation"), which does not see what release, sharing and filters do to a picture:
its scale, brightness, contrast, colours, sharpness, noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from countermark.watermark import registrations

FRAME = 256
"""Longer side, in pixels, of the frame in which the file and the original are compared."""
ENLARGED = 2
"""How many times as large as the file the frame is at most: in a thumbnail drawn larger, blocks of JPEG are detail."""
TILE = 24
FINE, COARSE = 1.0, 4.0
"""Standard deviations, in pixels, of the two blurs between which detail lies. A fingerprint is made of what is coarser:
whoever bends that must not gain anything here. What is finer does not outlive compression."""
SLACK = 4
"""Pixels by which a tile may lie elsewhere in the original: lenses and paper bend pictures as no 3×3 map does."""
MIN_STRUCTURE = 2.0
"""Standard deviation of detail, in levels, from which a tile of the original shows something."""
MIN_CORRELATION = 0.65
MIN_TILES = 8
"""A picture of which fewer tiles show something is too plain, or too small, to be compared."""
CLOSE_UP = 0.5
"""Where less of the file than this lies on the original, as much as does is compared in a frame of its own."""
MAX_PLACEMENTS = 16
FINALISTS = 3
ENOUGH = 0.8
"""Share of what the best placement explains from which another is considered too."""
EXPLAINED = 0.4
"""Share of what the original shows at a placement that has to be found for the file to lie there."""

Matrix = NDArray[np.float64]
Luma = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Overlay:
    """What became of the original's picture in the file, at the place where most of it is found.

    Attributes:
        altered: share of the file's tiles, of those that lie on the original, which show something else, 0 to 1.
        lost: share of the tiles in which the original shows something that the file does not show, 0 to 1.
        shown: number of tiles in which the original shows something.
        covered: share of the file that lies on the original; the rest was put around it.
        file: luma of the file, or of the part that lies on the original, uint8, at most 256 a side.
        original: luma of the original there; where it does not reach, of the file.
        where: the middle of the largest alteration in ``file``: "upper left", "middle", ...; empty for none.
    """

    altered: float
    lost: float
    shown: int
    covered: float
    file: NDArray[np.uint8]
    original: NDArray[np.uint8]
    where: str


def register(
    examined: NDArray[np.uint8], original: NDArray[np.uint8], transform: Sequence[float] | None = None
) -> Overlay:
    """Lay the original over the file at each place that is possible, and compare where most of it is found.

    Args:
        examined: RGB, uint8, H×W×3.
        original: likewise, of any size.
        transform: of the watermark's detection; without it, the file is taken for the whole picture, perhaps turned,
            mirrored, or cut a little.
    """
    source, mine = _halved(_luma(original)), _luma(examined)
    whole = [
        _whole(examined.shape, original.shape, turns, mirrored) for mirrored in (False, True) for turns in range(4)
    ]
    by_mark: list[Matrix] = []
    if transform is not None:
        height, width = examined.shape[:2]
        by_mark = registrations(transform, (height, width), (original.shape[0], original.shape[1]))[:MAX_PLACEMENTS]
    tried = [_Tiles.at(placement, mine, source) for placement in (*whole, *by_mark)]
    if by_mark and not any(map(_Tiles.explains, tried)):
        # A part that is plain, such as a sky, is found nowhere: it is compared where the mark says that it lies.
        most = max(tiles.covered for tiles in tried[len(whole) :])
        tried = [tiles for tiles in tried[len(whole) :] if tiles.covered >= ENOUGH * most]
    tried.sort(key=lambda tiles: (tiles.found_count(), tiles.fit()), reverse=True)
    likely = [tiles for tiles in tried[:FINALISTS] if tiles.found_count() >= ENOUGH * tried[0].found_count()]
    moved = [tiles.moved() for tiles in likely]
    # What was moved so far that it shows less of the original explains less, not better.
    likely += [one for one, was in zip(moved, likely, strict=True) if one.mask.sum() >= ENOUGH * was.mask.sum()]
    return max(likely, key=_Tiles.fit).overlay()


@dataclass(frozen=True)
class _Tiles:
    """Tile by tile, in rows: how alike file and original are, and which of the two show something there.

    Attributes:
        covered: share of the whole file that lies on the original.
        file: luma in the frame of the comparison.
        original: luma in the same frame.
        mask: pixels of the frame that lie on the original.
        within: tiles that do.
    """

    covered: float
    file: Luma
    original: Luma
    mask: Mask
    within: Mask
    correlation: Luma
    mine: Luma
    theirs: Luma

    @classmethod
    def at(cls, placement: Matrix, mine: Luma, source: list[Luma]) -> _Tiles:
        """The original at a placement; where it covers little of the file, in a frame of that part alone."""
        file, original, mask = _laid_over(source, placement, mine)
        covered = float(mask.mean())
        if 0 < covered < CLOSE_UP:
            box = _box(mask, mine.shape)
            there = np.array([[1, 0, box[1].start], [0, 1, box[0].start], [0, 0, 1]])
            file, original, mask = _laid_over(source, placement @ there, mine[box])
        return cls.of(covered, file, original, mask)

    def moved(self) -> _Tiles:
        """The same, moved a little so that it fits better."""
        return _Tiles.of(self.covered, self.file, *_refined(self.file, self.original, self.mask))

    @classmethod
    def of(cls, covered: float, mine: Luma, original: Luma, mask: Mask) -> _Tiles:
        # Where the original does not reach, the file goes on: an edge there would be detail that nobody drew.
        here, there = _detail(mine), _detail(np.where(mask, original, mine))
        rows, columns = (_starts(side) for side in mine.shape)
        shape = len(rows), len(columns)
        within, alike = np.zeros(shape, bool), np.zeros(shape, np.float32)
        shows, showed = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for (row, y), (column, x) in product(enumerate(rows), enumerate(columns)):
            place, tile = (row, column), np.s_[y : y + TILE, x : x + TILE]
            within[place] = mask[tile].all()
            shows[place], showed[place] = here[tile].std(), there[tile].std()
            if within[place] and shows[place] > 0:  # of a flat template OpenCV says that it is everywhere
                around = there[max(0, y - SLACK) : y + TILE + SLACK, max(0, x - SLACK) : x + TILE + SLACK]
                alike[place] = cv2.matchTemplate(around, here[tile], cv2.TM_CCOEFF_NORMED).max()
        return cls(covered, mine, original, mask, within, alike, shows, showed)

    @property
    def shown(self) -> Mask:
        """Tiles in which the original shows something."""
        return self.within & (self.theirs > MIN_STRUCTURE)

    @property
    def found(self) -> Mask:
        """Those of them that the file shows too."""
        return self.shown & (self.correlation >= MIN_CORRELATION)

    @property
    def altered(self) -> Mask:
        """Tiles in which one of the two shows something that the other does not.

        In a plain place noise alone makes a file's tile differ: it has to show twice as much to count.
        """
        busy = self.shown | (self.within & (self.mine > 2 * MIN_STRUCTURE))
        return busy & (self.correlation < MIN_CORRELATION)

    def found_count(self) -> int:
        return int(self.found.sum())

    def explains(self) -> bool:
        """Whether enough of what the original shows here is found for the file to lie here."""
        shown = int(self.shown.sum())
        return shown >= MIN_TILES and self.found_count() >= EXPLAINED * shown

    def fit(self) -> int:
        """How well this placement explains what it covers."""
        return self.found_count() - int(self.altered.sum())

    def overlay(self) -> Overlay:
        shown = int(self.shown.sum())
        return Overlay(
            altered=float(self.altered.sum() / max(1, self.within.sum())),
            lost=1 - self.found_count() / max(1, shown),
            shown=shown,
            covered=self.covered,
            file=_as_bytes(self.file),
            original=_as_bytes(np.where(self.mask, self.original, self.file)),
            where=_middle_of_largest(self.altered),
        )


def _luma(pixels: NDArray[np.uint8]) -> Luma:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.float32)


def _starts(side: int) -> list[int]:
    """Where tiles begin that cover a side; neighbours overlap as needed."""
    return [round(start) for start in np.linspace(0, side - TILE, -(-side // TILE))]


def _detail(luma: Luma) -> Luma:
    """Luma between two scales: a band of frequencies."""
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), FINE) - cv2.GaussianBlur(luma, (0, 0), COARSE), np.float32)


def _as_bytes(luma: Luma) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(luma), 0, 255), np.uint8)


def _box(mask: Mask, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rectangle of a file, in its pixels, in which a mask of the frame lies."""
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0))
    down, across = shape[0] / mask.shape[0], shape[1] / mask.shape[1]
    rows = slice(int(top * down), max(int(top * down) + 1, round((bottom + 1) * down)))
    return rows, slice(int(left * across), max(int(left * across) + 1, round((right + 1) * across)))


def _whole(examined: tuple[int, ...], original: tuple[int, ...], turns: int, mirrored: bool) -> Matrix:
    """The map from pixels of a file to those of the whole original, which it shows turned and mirrored."""
    centre = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[turns]
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ np.diag([-1 if mirrored else 1, 1, 1])
    onto_original = _to_unit_square(original)
    return np.asarray(
        np.linalg.inv(onto_original) @ np.linalg.inv(centre) @ turn @ centre @ _to_unit_square(examined), np.float64
    )


def _to_unit_square(shape: tuple[int, ...]) -> Matrix:
    """From pixel indices to 0..1; a pixel's centre is its index, so the edge lies half a pixel before."""
    height, width = shape[:2]
    return np.array([[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height], [0, 0, 1]])


def _halved(luma: Luma) -> list[Luma]:
    """A picture, half of it, a quarter, and so on: what is laid over small need not be filtered large each time."""
    levels = [luma]
    while min(levels[-1].shape) > FRAME:
        height, width = levels[-1].shape
        levels.append(np.asarray(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)))
    return levels


def _laid_over(levels: list[Luma], onto_original: Matrix, examined: Luma) -> tuple[Luma, Luma, Mask]:
    """A file in its frame, the original in the same, and the pixels of the frame that lie on it."""
    height, width = examined.shape
    scale = min(FRAME / max(height, width), ENLARGED)
    frame = max(TILE, round(width * scale)), max(TILE, round(height * scale))
    into_frame = np.linalg.inv(_to_unit_square((frame[1], frame[0]))) @ _to_unit_square((height, width))
    onto_frame = into_frame @ np.linalg.inv(onto_original)
    shrunk = _scale(onto_frame)
    original = levels[max(0, min(len(levels) - 1, int(-np.log2(max(shrunk, 1e-6)))))]
    onto_frame = onto_frame @ np.linalg.inv(_to_unit_square(levels[0].shape)) @ _to_unit_square(original.shape)
    shrunk = _scale(onto_frame)
    if shrunk < 1:  # what the frame cannot hold would alias
        original = cv2.GaussianBlur(original, (0, 0), 0.5 * (shrunk**-2 - 1) ** 0.5 + 1e-3)
    warp = partial(cv2.warpPerspective, M=onto_frame, dsize=frame, flags=cv2.INTER_LINEAR)
    mine = cv2.resize(examined, frame, interpolation=cv2.INTER_AREA)
    mask = np.asarray(warp(np.ones_like(original))) > 0.999
    return np.asarray(mine, np.float32), np.asarray(warp(original), np.float32), mask


def _scale(matrix: Matrix) -> float:
    """How much a map enlarges, at the origin."""
    return float(abs(np.linalg.det(matrix[:2, :2] / matrix[2, 2])) ** 0.5)


def _refined(mine: Luma, original: Luma, mask: Mask) -> tuple[Luma, Mask]:
    """The original moved a little, so that it fits better (Evangelidis and Psarakis 2008, "ECC image alignment")."""
    until = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    warp = np.eye(3, dtype=np.float32)
    visible = mask.astype(np.uint8)
    try:
        _, warp[:2] = cv2.findTransformECC(mine, original, warp[:2].copy(), cv2.MOTION_AFFINE, until, visible, 5)
        _, warp = cv2.findTransformECC(mine, original, warp, cv2.MOTION_HOMOGRAPHY, until, visible, 5)
    except cv2.error:  # it does not converge: nothing to gain
        return original, mask
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = mine.shape[1], mine.shape[0]
    moved = cv2.warpPerspective(original, warp, size, flags=flags)
    return np.asarray(moved, np.float32), cv2.warpPerspective(mask.astype(np.float32), warp, size, flags=flags) > 0.999


def _middle_of_largest(tiles: Mask) -> str:
    """Where the largest connected set of tiles lies, in words."""
    count, _, statistics, centroids = cv2.connectedComponentsWithStats(tiles.astype(np.uint8), connectivity=8)
    if count < 2:
        return ""
    x, y = centroids[1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))]
    across = _third(x, tiles.shape[1], ("left", "", "right"))
    down = _third(y, tiles.shape[0], ("upper", "", "lower"))
    if across and down:
        return f"{down} {across}"
    return {"upper": "top", "lower": "bottom"}.get(down, across) or "middle"


def _third(position: float, tiles: int, names: Iterable[str]) -> str:
    return tuple(names)[min(2, int(3 * (position + 0.5) / tiles))]
