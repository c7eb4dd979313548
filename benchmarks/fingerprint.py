"""The index of fingerprints: building, keeping, adding, searching; a plain numpy scan and faiss in the same run.

    python -m benchmarks.fingerprint [--entries N] [--crops N]

Prints one line for each figure: the median of many queries, each for another picture, so that no cache remembers it.
Entries are random, and what is looked for are copies of them with 0 to 31 bits changed. True hashes are not spread so
evenly over the tables, so the same is measured again on as many hashes whose every word is taken from those of random
crops of the photographs that scikit-image and scikit-learn ship. At the end, how far the hash of a picture moves when
the picture is compressed, shrunk or cropped, and how near two different pictures come to each other: for photographs,
and for pictures by the embedded model, which are smoother and more alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from countermark.bench.images import load
from countermark.fingerprint import MATCH, NEAR, Fingerprint, FingerprintIndex, RecordedFingerprints, pdq
from countermark.fingerprint.hamming import LANES, Packed
from countermark.fingerprint.multi_index import MultiIndex
from countermark.fingerprint.snapshot import Snapshot, write_snapshot

FORMS = 8
QUERIES = 200
SCANS = 20


class Log:
    """Stands for an audit log whose every entry is a release."""

    origin = "bench.countermark.example/log"

    def __init__(self, packed: Packed) -> None:
        self.size = len(packed)

    def root(self, size: int) -> bytes:
        return bytes(32)

    def fingerprints(self, after: int) -> Iterator[tuple[int, str]]:
        return iter(())


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of wall clock."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def report(name: str, milliseconds: Sequence[float], note: str = "") -> None:
    worst = f"worst {max(milliseconds):9.2f}" if len(milliseconds) > 1 else ""
    print(f"{name:<52} {statistics.median(milliseconds):>9.3f} ms  {worst}  {note}".rstrip())


def with_flips(row: NDArray[np.uint64], count: int, generator: np.random.Generator) -> NDArray[np.uint64]:
    """A hash with ``count`` bits changed."""
    bits = np.unpackbits(row.view(np.uint8))
    bits[generator.choice(256, count, replace=False)] ^= 1
    return np.packbits(bits).view(np.uint64)


def as_fingerprint(row: NDArray[np.uint64]) -> Fingerprint:
    return Fingerprint(row.tobytes().hex(), 100)


def photographs() -> list[NDArray[np.uint8]]:
    from skimage import data
    from sklearn.datasets import load_sample_images

    names = ("astronaut", "coffee", "chelsea", "rocket")
    return [*(np.asarray(getattr(data, name)())[..., :3] for name in names), *load_sample_images().images]


def crops(count: int, generator: np.random.Generator) -> Packed:
    """Hashes of random crops, half of them flipped."""
    pictures, hashes = photographs(), []
    for _ in range(count):
        picture = pictures[generator.integers(len(pictures))]
        height, width = (int(side * generator.uniform(0.15, 0.9)) for side in picture.shape[:2])
        top, left = generator.integers(picture.shape[0] - height + 1), generator.integers(picture.shape[1] - width + 1)
        crop = picture[top : top + height, left : left + width]
        if generator.random() < 0.5:
            crop = crop[:, ::-1]
        hashes.append(pdq.compute(cv2.resize(crop, (128, 128), interpolation=cv2.INTER_AREA)).packed)
    return np.stack(hashes).view(np.uint64)


def like_crops(true: Packed, count: int, generator: np.random.Generator) -> Packed:
    """Hashes whose tables are as skewed as those of ``true``: each word is that of some crop, each of another one."""
    words = true.view(np.uint16)
    return np.stack([column[generator.integers(len(true), size=count)] for column in words.T], axis=1).view(np.uint64)


def check(index: FingerprintIndex, packed: Packed, generator: np.random.Generator) -> None:
    """Every planted copy is found at its distance, and whatever else is within reach of it too."""
    found = 0
    for distance in range(MATCH + 1):
        place = int(generator.integers(len(packed)))
        query = with_flips(packed[place], distance, generator)
        hits = {(hit.distance, hit.reference) for hit in index.query(as_fingerprint(query), within=MATCH, limit=10**9)}
        apart = np.bitwise_count(packed ^ query).sum(axis=1)
        found += (distance, place) in hits
        assert hits == {(int(apart[i]), int(i)) for i in np.flatnonzero(apart <= MATCH)}
    print(
        f"planted copies found at distances 0 to {MATCH}: {found} of {MATCH + 1}; all answers equal a full comparison"
    )


def searches(name: str, index: FingerprintIndex, packed: Packed, generator: np.random.Generator) -> None:
    """Match and near queries for copies of entries, one form and eight at a time."""
    for within, label, rounds in ((MATCH, "match", QUERIES), (NEAR, "near", SCANS)):
        for count in (1, FORMS):
            times = []
            for number in range(rounds):
                originals = packed[generator.integers(len(packed), size=count)]
                forms = [as_fingerprint(with_flips(row, number % (MATCH + 1), generator)) for row in originals]
                start = time.perf_counter()
                index.query_forms(forms, within=within)
                times.append((time.perf_counter() - start) * 1000)
            report(f"{name}: {label}, {'one form' if count == 1 else 'eight forms'}", times)


def warm(index: FingerprintIndex) -> None:
    """Ask often enough for the tables to be made."""
    forms = [Fingerprint(f"{n:064x}", 100) for n in range(FORMS)]
    for _ in range(16):
        index.query_forms(forms, within=MATCH)


def ours(packed: Packed, generator: np.random.Generator) -> None:
    """Everything that the index does."""
    count = len(packed)
    references = np.arange(count)
    report("tables of all entries, made", [timed(lambda: MultiIndex(packed)) for _ in range(3)])
    index = FingerprintIndex()
    report("all entries, entered at once", [timed(lambda: index.extend(references, packed))])
    forms = [as_fingerprint(row) for row in packed[:FORMS]]
    report("first match of a process (scan), one form", [timed(lambda: index.query(forms[0], within=MATCH))])
    report("first match of a process (scan), eight forms", [timed(lambda: index.query_forms(forms, within=MATCH))])
    warm(index)
    check(index, packed, generator)
    searches(f"{count:,} entries", index, packed, generator)
    more = [as_fingerprint(row) for row in generator.integers(0, 2**64, (20_000, LANES), np.uint64)]
    start = time.perf_counter()
    for number, fingerprint in enumerate(more):
        index.add(fingerprint, count + number)
    report("added one by one, each", [(time.perf_counter() - start) * 1000 / len(more)])
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder) / "fingerprints.idx", Log(packed)
        snapshot = Snapshot(log.origin, count, bytes(32), references, packed)
        report("kept on disk (fsync)", [timed(lambda: write_snapshot(path, snapshot)) for _ in range(3)])
        loads = [timed(lambda: RecordedFingerprints(log, path).nearest(forms[:1], within=MATCH)) for _ in range(5)]
        report("loaded, checked and searched once", loads, f"{path.stat().st_size / 1e6:.1f} MB")


def plain_scan(packed: Packed, generator: np.random.Generator) -> None:
    """What numpy does when asked plainly."""
    times = []
    for place in generator.integers(len(packed), size=5):
        query = packed[place]
        times.append(timed(lambda q=query: np.bitwise_count(packed ^ q).sum(axis=1) <= MATCH))  # type: ignore[misc]
    report("peer: plain numpy scan, one form", times)


def faiss_beside(packed: Packed, generator: np.random.Generator) -> None:
    """The binary indices of faiss, where it is installed: an exact scan, and its multi-hash index at its own pace."""
    try:
        import faiss  # type: ignore[import-not-found]
    except ImportError:
        print("peer: faiss is not installed (pip install faiss-cpu): no comparison")
        return
    faiss.omp_set_num_threads(1)
    rows = packed.view(np.uint8)
    flat = faiss.IndexBinaryFlat(256)
    flat.add(rows)
    queries = [rows[generator.integers(len(rows), size=FORMS)] for _ in range(SCANS)]
    report("peer: faiss IndexBinaryFlat, one form", [timed(lambda q=q: flat.search(q[:1], 10)) for q in queries])
    report("peer: faiss IndexBinaryFlat, eight forms", [timed(lambda q=q: flat.search(q, 10)) for q in queries])
    hashed = faiss.IndexBinaryMultiHash(256, 16, 16)
    report("peer: faiss IndexBinaryMultiHash, built", [timed(lambda: hashed.add(rows))])
    hashed.nflip = 1
    for label, forms in (("one form", 1), ("eight forms", FORMS)):
        times = [timed(lambda q=q, n=forms: hashed.range_search(q[:n], MATCH + 1)) for q in queries]
        report(f"peer: faiss IndexBinaryMultiHash, match, {label}", times)


COPIES: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "JPEG 50": lambda rgb: compressed(rgb, 50),
    "a quarter of the size": lambda rgb: np.asarray(
        cv2.resize(rgb, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    ),
    "4 % cut off each side": lambda rgb: rgb[
        len(rgb) // 25 : -(len(rgb) // 25), rgb.shape[1] // 25 : -(rgb.shape[1] // 25)
    ],
}


def compressed(rgb: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """The picture as a JPEG of this quality decodes."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


def moved(name: str) -> None:
    """How far hashes of a set's pictures are from those of their copies and from each other, in bits of 256."""
    pictures = [picture.pixels for picture in load(name).pictures]
    hashes = np.stack([pdq.compute(rgb).packed for rgb in pictures])
    for label, copy in COPIES.items():
        copies = np.stack([pdq.compute(np.ascontiguousarray(copy(rgb))).packed for rgb in pictures])
        apart = np.bitwise_count(hashes ^ copies).sum(axis=1)
        within = f"{(apart <= MATCH).mean():.0%} within {MATCH}"
        print(f"{f'{name}: {label}':<52} {np.median(apart):>6.0f} bits  worst {apart.max():>4}  {within}")
    others = [int(np.bitwise_count(a ^ b).sum()) for a, b in combinations(hashes, 2)]
    print(f"{f'{name}: two different pictures':<52} {np.median(others):>6.0f} bits  nearest {min(others):>2}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--crops", type=int, default=10_000)
    options = parser.parse_args()
    generator = np.random.default_rng(7)
    packed = generator.integers(0, 2**64, (options.entries, LANES), np.uint64)
    ours(packed, generator)
    plain_scan(packed, generator)
    faiss_beside(packed, generator)
    skewed = like_crops(crops(options.crops, generator), options.entries, generator)
    index = FingerprintIndex()
    index.extend(np.arange(len(skewed)), skewed)
    warm(index)
    searches("skewed as crops are", index, skewed, generator)
    for name in ("reporting", "generated"):
        moved(name)


if __name__ == "__main__":
    main()
