"""How many of the demo's pictures lose their record to the demo's attack, with and without a rehearsal before release.

    python -m benchmarks.rehearsal [--rounds 40]

Each round makes a new home, so new keys; each picture is struck anew and attacked as in the demo (metadata stripped,
60 % of the area, three quarters of the size, JPEG quality 50). The pictures are smooth: the hard case for a watermark.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from countermark import Countermark
from countermark.cli.demo import PROMPTS
from countermark.cli.demo_attacks import repost
from countermark.generators import EmbeddedGenerator
from countermark.model import GenerationRequest, ModelRef
from countermark.pipeline import Pipeline
from countermark.settings import Settings


class Given:
    """A generation core that hands over a picture which exists already."""

    def __init__(self, model: ModelRef, pixels: np.ndarray) -> None:
        self.model = model
        self.pixels = pixels

    def __call__(self) -> tuple[list[np.ndarray], dict[str, str], tuple[str, ...]]:
        return [self.pixels], {}, ()


def main() -> None:
    """Print a line for each picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    generator = EmbeddedGenerator()
    requests = {name: GenerationRequest(prompt=prompt, seed=seed) for name, prompt, seed in PROMPTS}
    cores = {name: Given(generator.model, generator.generate(asked).images[0]) for name, asked in requests.items()}
    lost = {(name, rehearse): 0 for name in cores for rehearse in (False, True)}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as home, Countermark(Settings(home=Path(home))) as cm:
            for rehearse in (False, True):
                pipeline = Pipeline(dataclasses.replace(cm.parts, rehearse=rehearse))
                for name, core in cores.items():
                    result = pipeline.generate(requests[name], core)[0]
                    assert result.data is not None
                    lost[name, rehearse] += cm.verify(repost(result.data)).verdict != "recovered"
    print(f"lost of {rounds} each    without rehearsal   with rehearsal")
    for name in cores:
        print(f"{name:<22}{lost[name, False]:>12}{lost[name, True]:>17}")
    for_all = [sum(lost[name, rehearse] for name in cores) for rehearse in (False, True)]
    print(f"{'all':<22}{for_all[0]:>12}{for_all[1]:>17}   of {rounds * len(cores)}")


if __name__ == "__main__":
    main()
