"""The hash lists: importing, reading and searching a million hashes, beside comparing with every one of them.

    python -m benchmarks.hash_list [--entries N]

Half of the pictures asked for are planted: a photograph whose hash is on the list, recompressed and turned. The search
is exact, and answers are compared with those of the brute-force scan in the same run. Times are medians of wall clock;
a search asks for the picture and its eight turned and mirrored forms.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.fingerprint import photographs
from countermark.compose.hash_lists import PdqSearch, forms_of, hash_list_classifier, hash_lists
from countermark.fingerprint import pdq
from countermark.safety.hash_import import Batch, read_hashes
from countermark.safety.hash_list import REACH

QUERIES = 200
WARMING = 16
"""Searches after which the index has made its tables: a process that asks once does without them."""


def brute_force(hashes: NDArray[np.uint64], forms: NDArray[np.uint64]) -> set[tuple[int, int]]:
    """(distance, place) of every hash within reach of a form: the comparison with all, as plainly as numpy does it."""
    nearest = np.full(len(hashes), 257, np.int64)
    for form in forms:
        np.minimum(nearest, np.bitwise_count(hashes ^ form).sum(axis=1, dtype=np.int64), out=nearest)
    return {(int(nearest[i]), int(i)) for i in np.flatnonzero(nearest <= REACH)}


def pictures(generator: np.random.Generator, count: int) -> list[NDArray[np.uint8]]:
    """Random crops of photographs."""
    sources, made = photographs(), []
    for _ in range(count):
        source = sources[generator.integers(len(sources))]
        height, width = (int(side * generator.uniform(0.3, 0.9)) for side in source.shape[:2])
        top, left = generator.integers(source.shape[0] - height + 1), generator.integers(source.shape[1] - width + 1)
        made.append(np.ascontiguousarray(source[top : top + height, left : left + width]))
    return made


def altered(picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """JPEG 50 at three quarters of the size, in one of the eight orientations."""
    small = cv2.resize(picture, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 50])
    turned = np.rot90(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8), number % 4)
    return np.ascontiguousarray(turned[:, ::-1] if number % 8 >= 4 else turned)


def timed(work: object) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()  # type: ignore[operator]
    return (time.perf_counter() - start) * 1000, result


def report(name: str, times: list[float], note: str = "") -> None:
    worst = f"worst {max(times):9.2f}" if len(times) > 1 else ""
    print(f"{name:<58} {statistics.median(times):>10.3f} ms  {worst}  {note}".rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    arguments = parser.parse_args()
    generator = np.random.default_rng(7)
    shown = pictures(generator, QUERIES)
    hashes = generator.integers(0, 2**64, (arguments.entries, 4), np.uint64)
    planted = generator.choice(arguments.entries, QUERIES // 2, replace=False)
    for place, picture in zip(planted, shown[::2], strict=True):
        hashes[place] = pdq.compute(picture).packed.view(np.uint64)
    asked = [altered(picture, number) for number, picture in enumerate(shown)]
    with tempfile.TemporaryDirectory() as folder:
        through_files(Path(folder), hashes, asked)
    searching(hashes, asked)


def through_files(home: Path, hashes: NDArray[np.uint64], asked: list[NDArray[np.uint8]]) -> None:
    """From a text file to the finding on a picture."""
    source = home / "list.txt"
    source.write_text("\n".join(row.tobytes().hex() for row in hashes))
    store = hash_lists(home)
    report("import from text", [timed(lambda: store.add("bench", read_hashes(source, kind="pdq")))[0]])
    more = Batch(pdq=bytearray(np.random.default_rng(8).bytes(32 * 1000)))
    report("adding 1,000 to them", [timed(lambda: store.add("bench", [more]))[0]])
    size = sum(path.stat().st_size for path in store.folder.iterdir())
    report("read and checked against the digest", [timed(lambda: store.read("bench"))[0]], f"{size / 2**20:.1f} MiB")
    classifier = hash_list_classifier(home)
    report("first picture of a process (reads the list, scans)", [timed(lambda: classifier.assess(asked[0]))[0]])
    for picture in asked[:WARMING]:
        classifier.assess(picture)
    times, sure, weak = [], 0, 0
    for picture in asked:
        spent, (finding,) = timed(lambda picture=picture: classifier.assess(picture))  # type: ignore[misc]
        times.append(spent)
        sure, weak = sure + (finding.severity == 6), weak + (finding.severity == 2)  # type: ignore[attr-defined]
    report("a picture: hashes of all forms, search, finding", times)
    print(f"altered copies found: {sure} and {weak} with hardly any features, of {len(asked) // 2} planted")


def searching(hashes: NDArray[np.uint64], asked: list[NDArray[np.uint8]]) -> None:
    """The search alone, beside the brute-force scan."""
    search = PdqSearch()
    search.enter(np.arange(len(hashes)), hashes.view(np.uint8))
    forms = [forms_of(picture) for picture in asked]
    for eight in forms[:WARMING]:
        search.index.query_forms(eight, within=REACH)
    times, scans, agree = [], [], 0
    for number, eight in enumerate(forms):
        spent, hits = timed(lambda eight=eight: search.index.query_forms(eight, within=REACH, limit=1000))  # type: ignore[misc]
        times.append(spent)
        if number < QUERIES // 10:
            packed = np.stack([form.packed for form in eight]).view(np.uint64)
            spent, all_of_them = timed(lambda packed=packed: brute_force(hashes, packed))  # type: ignore[misc]
            scans.append(spent)
            agree += all_of_them == {(hit.distance, hit.reference) for hit in hits}  # type: ignore[attr-defined]
    report(f"search among {len(hashes):,}, all forms", times)
    report(f"brute force among {len(hashes):,}, all forms", scans)
    print(f"answers equal: {agree} of {len(scans)}")


if __name__ == "__main__":
    main()
