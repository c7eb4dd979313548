"""Compares the converted model with nsfwjs itself, run by node on TensorFlow.js.

    npm install nsfwjs@4.4.0 @tensorflow/tfjs@4.22.0 buffer
    python -m training.image_safety.parity write --work build/parity [--photographs DIR]
    node training/image_safety/reference.mjs build/parity
    python -m training.image_safety.parity compare --work build/parity

Each side reads the same pixels and does its own preprocessing. ``compare --fixture FILE`` also writes the outputs of
nsfwjs for the photographs that the tests use.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from training.image_safety.pictures import photographs

from countermark.safety.image_models import NsfwJsMid

IN_TESTS = ("astronaut", "coffee", "chelsea", "rocket", "china", "flower")


class _AllClasses(NsfwJsMid):
    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        session = self._session.get()
        (output,) = session.run(None, {session.get_inputs()[0].name: self._prepare(pixels)[None]})
        return output[0]


def write(work: Path, folder: Path | None) -> None:
    work.mkdir(parents=True, exist_ok=True)
    sizes = {}
    for name, pixels in photographs(folder):
        (work / f"{name}.raw").write_bytes(pixels.tobytes())
        sizes[name] = pixels.shape
    (work / "sizes.json").write_text(json.dumps(sizes))
    print(f"{len(sizes)} photographs")


def compare(work: Path, fixture: Path | None) -> None:
    theirs = json.loads((work / "reference.json").read_text())
    sizes = json.loads((work / "sizes.json").read_text())
    model = _AllClasses(threads=1, verify=True)
    worst = []
    for name, shape in sizes.items():
        pixels = np.frombuffer((work / f"{name}.raw").read_bytes(), np.uint8).reshape(shape)
        worst.append(np.abs(model.probabilities(pixels) - np.array(theirs["outputs"][name])).max())
    print(f"{len(worst)} photographs: probabilities differ by {max(worst):.1e} at most, median {np.median(worst):.1e}")
    if fixture is not None:
        kept = {name: [round(value, 6) for value in theirs["outputs"][name]] for name in IN_TESTS}
        about = {"nsfwjs": "4.4.0, MobileNetV2Mid", "tfjs": theirs["tfjs"], "backend": theirs["backend"]}
        text = json.dumps({**about, "classes": theirs["classes"], "outputs": kept}, indent=1)
        fixture.write_text(text + "\n")


def main() -> None:
    """Write pictures for node, or compare."""
    parser = argparse.ArgumentParser(prog="python -m training.image_safety.parity", description=main.__doc__)
    parser.add_argument("step", choices=("write", "compare"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--fixture", type=Path)
    args = parser.parse_args()
    if args.step == "write":
        write(args.work, args.photographs)
    else:
        compare(args.work, args.fixture)


if __name__ == "__main__":
    main()
