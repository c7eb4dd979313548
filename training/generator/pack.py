"""Put the trained parts together as a diffusers folder in half precision, with the digests the adapter checks."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from countermark.generators.embedded.models import SceneAutoencoder, SceneTransformer, SceneUpsampler, WordEncoder
from countermark.generators.embedded.pipeline import ScenePipeline
from countermark.generators.embedded.weights import write_digests


def assemble(work: Path) -> ScenePipeline:
    """Load the averaged parts that the trainings wrote."""
    return ScenePipeline(
        text_encoder=WordEncoder.from_pretrained(work / "text_encoder"),
        transformer=SceneTransformer.from_pretrained(work / "transformer"),
        autoencoder=SceneAutoencoder.from_pretrained(work / "autoencoder"),
        upsampler=SceneUpsampler.from_pretrained(work / "upsampler"),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
    )


def forget_origin(folder: Path) -> None:
    """Take the training machine's paths, which diffusers notes, out of the configurations."""
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        path.write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    """Write the weights folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    pipe = assemble(args.work)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.half()
    pipe.save_pretrained(args.out)
    forget_origin(args.out)
    digest = write_digests(args.out)
    files = [path for path in args.out.rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o644)
    size = sum(path.stat().st_size for path in files)
    print(f"{size / 1e6:.2f} MB, digest {digest}")


if __name__ == "__main__":
    main()
