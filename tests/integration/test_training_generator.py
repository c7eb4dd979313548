"""The whole training of the embedded generator on a handful of scenes and a few steps: each step feeds the next."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the embedded generator needs the extra 'diffusers'")

# In a process of its own: it trains with threads, seeds and modules of its own.
TRAINING = textwrap.dedent("""
    import sys
    from argparse import Namespace
    from pathlib import Path

    import numpy as np
    import torch
    from countermark.generators import EmbeddedGenerator
    from countermark.generators.embedded.pipeline import ScenePipeline
    from training.generator import imagine, pack, render, train_autoencoder, train_diffusion, train_upsampler
    from training.generator.team import Team

    torch.set_num_threads(1)
    work = Path(sys.argv[1])
    team = Team()
    plan = Namespace(work=work, steps=2, seconds=None, muon=1e-3, adam=1e-3, rate=1e-3, start=None, imagined=False)
    for module in (train_autoencoder, train_diffusion):
        module.HELD_OUT, module.BATCH = 4, 8
    np.save(work / "renders.npy", np.stack([render.small_picture(seed) for seed in range(24)]))
    seeds = range(render.LARGE_SEEDS, render.LARGE_SEEDS + train_upsampler.BATCH)
    np.save(work / "large.npy", np.stack([render.large_picture(seed) for seed in seeds]))
    train_autoencoder.train(team, plan)
    train_diffusion.prepare(work)
    train_diffusion.train(team, plan)
    made = torch.load(work / "diffusion.pt")
    train_diffusion.train(team, plan)
    assert torch.load(work / "diffusion.pt")["steps"] == made["steps"] == 2, "a finished training went on"
    train_upsampler.train(team, plan)
    imagine.work(team, plan)
    train_upsampler.train(team, Namespace(**{**vars(plan), "imagined": True}))
    sys.argv[1:] = ["--work", str(work), "--out", str(work / "weights")]
    pack.main()
    assert EmbeddedGenerator(work / "weights").model.digest
    pipe = ScenePipeline.from_pretrained(work / "weights")
    pictures = pipe("a red house by the sea", num_inference_steps=2, output_type="np").images
    assert pictures.shape == (1, 512, 512, 3)
    assert np.isfinite(pictures).all()
""")


def test_every_step_of_the_training_feeds_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAINING, str(tmp_path)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for path in (tmp_path / "weights").rglob("*.json"):
        assert str(tmp_path) not in path.read_text(), f"{path.name} names a folder of the training machine"
