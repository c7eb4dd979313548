"""What an attacker who knows the construction, but not the key, can do to the lattice's marks.

Every experiment runs on pictures of 512×512 pixels, cut from photographs that test libraries ship; a mark counts as
read only where the whole record id comes back. The result is plain data under the schema
``countermark.bench.watermark-security/1``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from countermark.bench import adversary
from countermark.bench.images import load
from countermark.fingerprint import NEAR, distance
from countermark.fingerprint.pdq import compute
from countermark.model import WatermarkState
from countermark.watermark import Lattice
from countermark.watermark.lattice.parameters import V1

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from countermark.bench.adversary import Plane

    Picture = NDArray[np.uint8]

SCHEMA = "countermark.bench.watermark-security/1"
SIDE = 512
STRENGTHS = (1.5, 2.55)
"""Root mean squared errors of an attack: the mark's own at 40 dB is 2.55, and a quality nobody minds losing 1.5."""

PHOTOGRAPHS = frozenset({"astronaut", "coffee", "chelsea", "rocket", "motorcycle", "china", "flower"})

KEY = b"the key of the security bench"
OTHER_KEY = b"another key of that same bench"

Kind = Literal["removal", "forgery", "marking again", "wrong keys"]


@dataclass(frozen=True)
class Row:
    """One experiment's figures.

    Attributes:
        kind: what is attempted.
        attack: how.
        pictures: how many marked pictures the attacker used.
        rmse: strength of the attack, where there is a choice.
        shares: shares of the victims by what became of them; for wrong keys, counts.
    """

    kind: Kind
    attack: str
    pictures: int
    rmse: float | None
    shares: dict[str, float]


@dataclass(frozen=True)
class Security:
    """The whole bench."""

    victims: int
    psnr: float
    rows: tuple[Row, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {"schema": SCHEMA, "side": SIDE, **asdict(self)}


def photographs() -> list[Picture]:
    """The everyday photographs among those that the benches report on.

    Raises:
        MissingExtra: the packages that hold them are not installed.
    """
    return [picture.pixels for picture in load("reporting").pictures if picture.name in PHOTOGRAPHS]


def pool(count: int, seed: int, side: int = SIDE) -> list[Picture]:
    """That many different squares: cut from the photographs at random places and scales, some of them flipped."""
    sources, generator = photographs(), np.random.default_rng(seed)
    return [_square(sources[number % len(sources)], side, generator) for number in range(count)]


def _square(source: Picture, side: int, generator: np.random.Generator) -> Picture:
    scale = generator.uniform(1.02, 1.5) * side / min(source.shape[:2])
    enlarged = cv2.resize(source, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top, left = (int(generator.integers(0, length - side + 1)) for length in enlarged.shape[:2])
    square = enlarged[top : top + side, left : left + side]
    return np.ascontiguousarray(square[:, ::-1] if generator.random() < 0.5 else square)


class SecurityBench:
    """Victims under one key, and everything that is tried on them.

    Args:
        victims: how many pictures are attacked.
        colluders: how many marked pictures an attacker averages; one row for each.
        wrong_keys: how many other keys are tried on every victim.
        psnr: strength of the marks in decibels.
    """

    def __init__(
        self, victims: int = 12, colluders: Sequence[int] = (20, 50, 100), wrong_keys: int = 20, psnr: float = 40.0
    ) -> None:
        self.psnr, self.colluders, self.wrong_keys = psnr, tuple(colluders), wrong_keys
        self.mark = Lattice(KEY, psnr=psnr)
        self.originals = pool(victims, seed=4)
        self.ids = [_record_id(number, seed=5) for number in range(victims)]
        self.marked = [self.mark.embed(pixels, number) for pixels, number in zip(self.originals, self.ids, strict=True)]

    def run(self) -> Security:
        """Everything, in order."""
        parts = (self.removal, self.collusion, self.forgery, self.marking_again, self.wrong)
        rows = tuple(row for part in parts for row in part())
        return Security(victims=len(self.originals), psnr=self.psnr, rows=rows)

    # --- removal ---

    def removal(self) -> Iterator[Row]:
        """What can be taken away with one marked picture and nothing else."""
        yield Row("removal", "nothing", 0, None, self._read(self.marked))
        noise = np.random.default_rng(6).standard_normal((SIDE, SIDE)).astype(np.float32)
        yield from self._subtract("noise in the mark's shape", 0, lambda _: noise)
        yield from self._subtract("own tile folded", 1, lambda marked: _folded(adversary.channel_of(marked)))
        yield from self._subtract("own strongest tones", 1, lambda marked: _peaks(adversary.channel_of(marked)))
        yield from self._subtract(
            "own tile under unknown signs", 1, lambda marked: adversary.unsigned(adversary.channel_of(marked))
        )

    def collusion(self) -> Iterator[Row]:
        """What can be taken away by averaging marked pictures of one key and different ids."""
        many = self.colluding(max(self.colluders, default=0))
        for count in self.colluders:
            mean = adversary.average(many[:count])
            aligned = adversary.aligned_average(many[:count])
            estimates: dict[str, Plane] = {
                "average, folded to a tile": _folded(mean),
                "average, strongest tones": _peaks(mean),
                "average of whole planes": mean,
                "average, tile under unknown signs": adversary.unsigned(mean),
            }
            for name, estimate in estimates.items():
                yield from self._subtract(name, count, partial(_always, estimate))
            yield from self._subtract("average of aligned planes", count, partial(_laid_over, aligned))

    def colluding(self, count: int) -> list[Picture]:
        """Other marked pictures of the same key, each with an id of its own."""
        return [
            self.mark.embed(pixels, _record_id(number, seed=8)) for number, pixels in enumerate(pool(count, seed=7))
        ]

    def _subtract(self, attack: str, pictures: int, estimate: Callable[[Picture], Plane]) -> Iterator[Row]:
        planes = [-estimate(marked) for marked in self.marked]
        for rmse in STRENGTHS:
            attacked = [adversary.add(*pair, rmse) for pair in zip(self.marked, planes, strict=True)]
            yield Row("removal", attack, pictures, rmse, self._read(attacked))

    def _read(self, pictures: Sequence[Picture]) -> dict[str, float]:
        return {
            "read": self._share(pictures, self.ids),
            "read after 5°": self._share([adversary.turned(pixels) for pixels in pictures], self.ids),
        }

    def _share(self, pictures: Sequence[Picture], ids: Sequence[int], mark: Lattice | None = None) -> float:
        found = [(mark or self.mark).detect(pixels).record_id for pixels in pictures]
        return float(np.mean([one == wanted for one, wanted in zip(found, ids, strict=True)]))

    # --- forgery ---

    def forgery(self) -> Iterator[Row]:
        """A mark moved to a picture that was never marked. *far* is the share whose fingerprint tells it apart."""
        source, record_id = self.marked[0], self.ids[0]
        exact = source.astype(np.float32) - self.originals[0]
        residual = adversary.denoising_residual(source)
        channel = adversary.channel_of(source)
        one_id = adversary.average(self.mark.embed(pixels, record_id) for pixels in pool(20, seed=9))
        forgeries: list[tuple[str, int, Callable[[Picture], Picture]]] = [
            ("exact difference to the original", 1, lambda pixels: adversary.add_difference(pixels, exact)),
            ("denoising residual", 1, lambda pixels: adversary.add_difference(pixels, residual)),
            ("own tile folded", 1, lambda pixels: adversary.add(pixels, _folded(channel), STRENGTHS[1])),
            ("own tile under unknown signs", 1, lambda p: adversary.add(p, adversary.unsigned(channel), STRENGTHS[1])),
            ("average of 20 pictures of one id", 20, lambda pixels: adversary.add(pixels, one_id, STRENGTHS[1])),
        ]
        recorded = compute(source)
        for attack, pictures, forge in forgeries:
            forged = [forge(pixels) for pixels in self.originals[1:]]
            shares = {
                "read": self._share(forged, [record_id] * len(forged)),
                "far": float(np.mean([distance(compute(pixels), recorded) > NEAR for pixels in forged])),
            }
            yield Row("forgery", attack, pictures, None, shares)

    # --- keys ---

    def marking_again(self) -> Iterator[Row]:
        """A second mark over the first."""
        again = [_record_id(number, seed=10) for number in range(len(self.ids))]
        for name, second in (("same key", self.mark), ("another key", Lattice(OTHER_KEY, psnr=self.psnr))):
            twice = [second.embed(pixels, number) for pixels, number in zip(self.marked, again, strict=True)]
            moved = [adversary.turned(pixels) for pixels in twice]
            shares = {
                "first read": self._share(twice, self.ids),
                "second read": self._share(twice, again, second),
                "first read after 5°": self._share(moved, self.ids),
                "second read after 5°": self._share(moved, again, second),
            }
            yield Row("marking again", name, 1, None, shares)

    def wrong(self) -> Iterator[Row]:
        """Other keys, searched in full on every marked picture."""
        keys = [b"a wrong key, number %06d" % number for number in range(self.wrong_keys)]
        states = [Lattice(key).detect(pixels).state for key in keys for pixels in self.marked]
        shares = {
            "searches": float(len(states)),
            "detected": float(states.count(WatermarkState.DETECTED)),
            "inconclusive": float(states.count(WatermarkState.INCONCLUSIVE)),
        }
        yield Row("wrong keys", f"{self.wrong_keys} other keys", 0, None, shares)


def _record_id(number: int, seed: int) -> int:
    return int(np.random.default_rng([seed, number]).integers(0, 2**48))


def _folded(plane: Plane) -> Plane:
    return adversary.fold(plane, V1.tile)


def _laid_over(estimate: Plane, marked: Picture) -> Plane:
    return adversary.aligned(estimate, adversary.shape_spectrum(adversary.channel_of(marked), slope=0.0))


def _always(estimate: Plane, _: Picture) -> Plane:
    return estimate


def _peaks(plane: Plane) -> Plane:
    return adversary.peaks(plane)
