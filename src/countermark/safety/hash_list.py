"""Pictures that somebody has listed: by the digest of their file, and by what they look like.

A SHA-256 knows one file. A PDQ hash also knows it after recompression, shrinking and small changes of tone; asked for
in its eight turns and mirrored forms, it knows it turned too. It does not know crops. What finds look-alikes among
hashes is handed in (see ``compose``): the index of fingerprints lives in another room.

A hit names the list and how near it is. The hash itself is in no message: who knows it could make pictures for it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from countermark.errors import CountermarkError
from countermark.model import UNUSABLE, Category, DetectorRef, Finding, Stage
from countermark.safety.hash_store import HashList, HashListStore
from countermark.safety.interface import assessed, not_assessed
from countermark.safety.known import Known

if TYPE_CHECKING:
    from countermark.safety.hash_store import Hashes

REACH: Final = 31
"""Bits. PDQ's authors (Facebook, 2019) recommend it: up to here two hashes are of the same picture."""
FEATURELESS: Final = 50
"""PDQ quality below which a hash is mostly noise, and its authors discard it."""

_ID: Final = "countermark.hash-lists"
_VERSION: Final = "1"
_PLACE: Final = 32
"""References are the list's number, shifted by this many bits, and the hash's place in the list."""


@dataclass(frozen=True)
class LookAlikes:
    """What a search found: (distance in bits, reference), nearest first; and the picture's PDQ quality, 0..100."""

    quality: int
    found: tuple[tuple[int, int], ...]


class PictureSearch(Protocol):
    """Finds look-alikes of a picture among PDQ hashes, in all its turned and mirrored forms. Asked by one thread."""

    def enter(self, references: NDArray[np.int64], hashes: Hashes) -> None:
        """Add PDQ hashes (``n × 32`` bytes), each under the reference at its place."""
        ...

    def near(self, pixels: NDArray[np.uint8], within: int) -> LookAlikes:
        """Every entry at most ``within`` bits from a form of the picture (RGB uint8 H×W×3)."""
        ...


class HashListClassifier:
    """Looks pictures up in an installation's hash lists; answers for ``hash_match`` alone.

    Lists that are imported or removed while it runs are noticed at the next picture. A list that cannot be read is a
    finding of its own, *not assessed* and :data:`~countermark.model.UNUSABLE`, beside whatever the others say. A
    look-alike has severity 6; one of a picture without features, whose hash says little, has severity 2.

    Args:
        store: the lists.
        new_search: makes an empty search for look-alikes.
    """

    categories: Final = frozenset({Category.HASH_MATCH})

    def __init__(self, store: HashListStore, new_search: Callable[[], PictureSearch]) -> None:
        self._store = store
        self._new_search = new_search
        self._lock = threading.Lock()
        self._state: object = None
        self._lists: list[_Loaded] = []
        self._broken: list[str] = []
        self._search = new_search()

    @property
    def detector(self) -> DetectorRef:
        """The look-up; its digest stands for the lists that are in use, by name and content."""
        with self._lock:
            self._refresh()
            return self._reference()

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """Findings on pixels whose file, if they ever had one, is not known."""
        return self.assess_file(pixels, "")

    def assess_known(self, pixels: NDArray[np.uint8], known: Known) -> tuple[Finding, ...]:
        """As :meth:`assess_file`, for whoever knows the file among other things."""
        return self.assess_file(pixels, known.sha256)

    def assess_file(self, pixels: NDArray[np.uint8], sha256: str) -> tuple[Finding, ...]:
        """One finding for each list that has the picture or cannot be read, or one that says that none has it.

        Args:
            pixels: RGB uint8, H×W×3.
            sha256: of the file that they came from, 64 lowercase hexadecimal digits; empty where it is not known.
        """
        with self._lock:
            try:
                self._refresh()
                return self._look_up(pixels, bytes.fromhex(sha256))
            except Exception as error:  # whatever it is, nobody looked
                detector = DetectorRef(id=_ID, version=_VERSION)
                return (self._unusable(f"the look-up failed ({type(error).__name__})", detector),)

    def _look_up(self, pixels: NDArray[np.uint8], digest: bytes) -> tuple[Finding, ...]:
        detector = self._reference()
        broken = [self._unusable(reason, detector) for reason in self._broken]
        if not self._lists:
            return tuple(broken) or (self._silent("no hash list has been imported", detector),)
        nearest: dict[int, int] = {}
        looked = bool(digest) or any(entry.pictures for entry in self._lists)
        quality = 100
        if any(entry.pictures for entry in self._lists):
            alike = self._search.near(pixels, REACH)
            quality = alike.quality
            for distance, reference in alike.found:
                nearest.setdefault(reference >> _PLACE, distance)
        hits: list[Finding] = []
        for number, entry in enumerate(self._lists):
            if digest and digest in entry.files:
                hits.append(self._hit(entry.name, "the very file (SHA-256)", detector))
            elif number in nearest:
                how = f"PDQ, {nearest[number]} of 256 bits apart"
                hits.append(self._hit(entry.name, how, detector, featureless=quality < FEATURELESS))
        if hits or broken:
            return (*hits, *broken)
        if not looked:
            reason = "the hash lists hold only SHA-256 digests of files, and these pixels are not known as a file"
            return (self._silent(reason, detector),)
        count = sum(entry.count for entry in self._lists)
        listed = f"on none of {len(self._lists)} lists ({count:,} hashes)"
        return (assessed(Stage.IMAGE, Category.HASH_MATCH, detector, 0.0, 0, reason=listed),)

    def _hit(self, name: str, how: str, detector: DetectorRef, *, featureless: bool = False) -> Finding:
        weak = "; the picture has so few features that the likeness says little" if featureless else ""
        return assessed(
            Stage.IMAGE,
            Category.HASH_MATCH,
            detector,
            0.5 if featureless else 1.0,
            2 if featureless else 6,
            reason=f"on the list {name!r}: {how}{weak}",
            signals=(f"hash_list:{name}",),
        )

    def _refresh(self) -> None:
        """Read the lists again if any file changed."""
        state = self._store.state()
        if state == self._state:
            return
        self._lists, self._broken, self._search = [], [], self._new_search()
        try:
            names = self._store.names()
        except CountermarkError as error:
            names = ()
            self._broken.append(f"the folder of the hash lists cannot be used ({error.code})")
        for name in names:
            try:
                self._take(self._store.read(name))
            except CountermarkError as error:
                self._broken.append(f"the hash list {name!r} cannot be used ({error.code})")
        self._state = state

    def _take(self, listed: HashList) -> None:
        pictures = listed.hashes["pdq"]
        start = len(self._lists) << _PLACE
        self._search.enter(np.arange(start, start + len(pictures), dtype=np.int64), pictures)
        files = _Digests(listed.hashes["sha256"])
        self._lists.append(_Loaded(listed.name, listed.digest, len(pictures), files, len(listed)))

    def _reference(self) -> DetectorRef:
        if not self._lists and not self._broken:
            return DetectorRef(id=_ID, version=_VERSION)
        lines = [f"{entry.digest}  {entry.name}\n" for entry in self._lists] + [f"{why}\n" for why in self._broken]
        return DetectorRef(id=_ID, version=_VERSION, digest=hashlib.sha256("".join(lines).encode()).hexdigest())

    @staticmethod
    def _unusable(reason: str, detector: DetectorRef) -> Finding:
        return not_assessed(Stage.IMAGE, Category.HASH_MATCH, detector, reason, (UNUSABLE,))

    @staticmethod
    def _silent(reason: str, detector: DetectorRef) -> Finding:
        return not_assessed(Stage.IMAGE, Category.HASH_MATCH, detector, reason)


class _Digests:
    """SHA-256 digests that can be asked for one, without a Python object for each."""

    def __init__(self, digests: Hashes) -> None:
        heads = np.ascontiguousarray(digests[:, :8]).view(np.uint64).ravel()
        order = np.argsort(heads, kind="stable")
        self._heads = heads[order]
        self._digests = digests[order]

    def __contains__(self, digest: bytes) -> bool:
        head = np.frombuffer(digest[:8], np.uint64)[0]
        start, end = np.searchsorted(self._heads, head, "left"), np.searchsorted(self._heads, head, "right")
        return any(row.tobytes() == digest for row in self._digests[start:end])


@dataclass(frozen=True)
class _Loaded:
    name: str
    digest: str
    pictures: int
    files: _Digests
    count: int
