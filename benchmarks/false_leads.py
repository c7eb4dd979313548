"""What the comparison with the kept original says of honest copies, of altered ones, and of forgeries.

    python -m benchmarks.false_leads [--set NAME ...] [--limit N] [--json FILE]

Every picture of the sets (``reporting`` and ``generated``, unless told otherwise) is marked and put through the attacks
of ``countermark bench watermark``; each copy whose mark reads, or whose fingerprint is near, is laid over its original
as ``verify`` does. Forgeries are other pictures of the sets, where the copied mark would have them lie, and pictures
whose low frequencies were moved towards the recorded ones until the fingerprint matches. About a quarter of an hour on
one core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from countermark.bench import images
from countermark.bench.adversary import bent
from countermark.bench.attacks import ATTACKS
from countermark.bench.attacks.attack import LIMITS
from countermark.fingerprint import MATCH, NEAR, dihedral, distance, pdq
from countermark.verification.compare import beside
from countermark.verification.registration import register
from countermark.watermark import Lattice

Pixels = NDArray[np.uint8]

PUT_OVER = ("text banner", "logo", "erase 25%", "sticker", "erased patches", "local blur")
"""Attacks that put something over a part of the picture; all others leave what it shows."""
COPIED_ONTO = ("none", "JPEG 50", "crop 50% offset", "rotate 15", "perspective 3%", "pasted on a page")
"""Attacks after which the mark of one picture is taken to lie on another."""


def cases(
    picture: Pixels, others: list[Pixels], number: int
) -> Iterator[tuple[str, str, Pixels, tuple[float, ...] | None]]:
    """Kind, name, pixels, and where the mark says that they lie."""
    lattice = Lattice(key=bytes(32))
    marked = lattice.embed(picture, number)
    recorded = pdq.compute(marked)
    for name, attack in ATTACKS.items():
        if attack.input_side:
            continue
        copy = np.ascontiguousarray(attack.effect(marked))
        found = lattice.detect(copy)
        transform = found.transform
        if found.negative:
            copy = 255 - copy
        near = min(distance(form, recorded) for form in dihedral(copy)) <= NEAR
        if near or transform is not None:
            kind = "honest copies, at the limits" if attack.group == LIMITS else "honest copies"
            yield "something put over it" if name in PUT_OVER else kind, name, copy, transform
        if name in COPIED_ONTO and transform is not None:
            for other in others:
                yield "another picture, the mark copied", name, cv2.resize(other, copy.shape[1::-1]), transform
    for other in others:
        fitted = cv2.resize(other, marked.shape[1::-1])
        for share in (0.4, 0.6, 0.8, 1.0):
            forged = bent(fitted, marked, share)
            if distance(pdq.compute(forged), recorded) <= MATCH:
                yield "another picture, bent to match", f"{share:.0%}", forged, None
                break


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--set", nargs="+", default=["reporting", "generated"], dest="sets", help="of countermark bench watermark"
    )
    parser.add_argument("--limit", type=int, help="the first so many pictures of each set")
    parser.add_argument("--json", type=Path, help="write every case here, too")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    sets = (images.load(name, limit=options.limit).pictures for name in options.sets)
    pictures = [picture for one in sets for picture in one]
    lattice = Lattice(key=bytes(32))
    said: list[dict[str, object]] = []
    took: list[float] = []
    for number, picture in enumerate(pictures):
        original = lattice.embed(picture.pixels, number)
        others = [pictures[(number + step) % len(pictures)].pixels for step in (1, 5)]
        for kind, name, pixels, transform in cases(picture.pixels, others, number):
            began = time.perf_counter()
            overlay = register(pixels, original, transform)
            took.append(time.perf_counter() - began)
            found = beside(overlay)
            said.append(
                {"kind": kind, "picture": picture.name, "case": name, **found.model_dump(exclude={"note", "where"})}
            )
    for kind in dict.fromkeys(one["kind"] for one in said):
        of_kind = [one["state"] for one in said if one["kind"] == kind]
        shares = {
            state: round(of_kind.count(state) / len(of_kind), 4)
            for state in ("same", "altered", "different", "skipped")
        }
        print(json.dumps({"kind": kind, "cases": len(of_kind), **shares}))
    print(json.dumps({"pictures": len(pictures), "milliseconds each": round(statistics.median(took) * 1000)}))
    if options.json:
        options.json.write_text(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
