"""The judge: a small classifier trained on renders alone, which then reads generated pictures.

It forgives blur, so its answers are never the only measure of a picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .optimise import Budget, Trainer
from .render import HELD_OUT
from .scenes import PLACES, STYLES, TIMES, Scene, scene_of
from .team import Team, run_team
from .things import COLOURED, COLOURS, THINGS
from .train_autoencoder import as_tensor

STEPS = 1_600
BATCH = 96
WEIGHTS = Path(__file__).resolve().parent / "judge.safetensors"
ANSWERS: dict[str, tuple[str, ...]] = {
    "scene": tuple(PLACES),
    "time": TIMES,
    "object": ("none", *THINGS),
    "colour": tuple(COLOURS),
    "count": ("1", "2", "3"),
    "style": STYLES,
}
QUESTIONS = tuple(ANSWERS)


class Judge(nn.Module):
    """A convolutional classifier with one head for each question."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        plan = ((3, 1, 2), (1, 1, 1), (1, 2, 2), (2, 2, 1), (2, 4, 2), (4, 4, 1), (4, 4, 1))
        layers: list[nn.Module] = []
        for inputs, outputs, stride in plan:
            channels = inputs if not layers else inputs * width
            layers += [nn.Conv2d(channels, outputs * width, 3, stride, 1, bias=False),
                       nn.GroupNorm(8, outputs * width), nn.ReLU()]  # fmt: skip
        self.body = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Linear(8 * width, len(answers)) for answers in ANSWERS.values())

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """B×3×64×64 in -1..1 to the scores of each question."""
        h = self.body(pictures)
        h = torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1)
        return [head(h) for head in self.heads]


def answers_of(scenes: list[Scene]) -> Tensor:
    """The right answers, N×Q; -1 where a question does not apply."""
    rows = []
    for s in scenes:
        colour = s.colour if s.thing in COLOURED else None
        count = str(s.count) if s.thing is not None else None
        right = (s.backdrop, s.time, s.thing or "none", colour, count, s.style)
        rows.append([-1 if r is None else a.index(r) for r, a in zip(right, ANSWERS.values(), strict=True)])
    return torch.tensor(rows)


def accuracy(judge: nn.Module, pictures: Tensor, answers: Tensor) -> dict[str, float]:
    """Share of right answers to each question where it applies."""
    with torch.inference_mode():
        outs = [torch.cat(parts) for parts in zip(*(judge(p) for p in pictures.split(100)), strict=True)]
    figures = {}
    for q, (name, out) in enumerate(zip(QUESTIONS, outs, strict=True)):
        applies = answers[:, q] >= 0
        figures[name] = round(float((out.argmax(1) == answers[:, q])[applies].float().mean()), 4)
    return figures


def load(path: Path = WEIGHTS) -> Judge:
    """The trained judge."""
    judge = Judge()
    judge.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    return judge.eval()


def _softened(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Some pictures blurred or noisy, so that softness alone does not mislead the judge."""
    if rng.random() < 0.4:
        pictures = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return pictures + torch.randn_like(pictures) * float(rng.uniform(0, 0.1))


def train(team: Team, args: argparse.Namespace) -> None:
    """What each process of the team does."""
    pictures, rng = np.load(args.work / "renders.npy", mmap_mode="r"), np.random.default_rng(team.rank)
    answers = answers_of([scene_of(seed) for seed in range(len(pictures))])
    judge = Judge().to(memory_format=torch.channels_last)
    trainer = Trainer({"judge": judge}, team, Budget(args.steps), muon=2e-3, adam=2e-3, cooldown=0.7, average=0.995)
    trainer.resume(args.work / "judge.pt")
    while not trainer.finished:
        rows = np.sort(rng.integers(0, len(pictures) - HELD_OUT, BATCH))
        truth = answers[torch.from_numpy(rows)]
        with torch.autocast("cpu", torch.bfloat16):
            outs = judge(_softened(as_tensor(pictures[rows]), rng))
        losses = [F.cross_entropy(o.float(), truth[:, q], ignore_index=-1) for q, o in enumerate(outs)]
        trainer.update(torch.stack(losses).sum())
        if team.leads and trainer.steps % 100 == 0:
            print(trainer.progress(), flush=True)
        if team.leads and trainer.steps % 500 == 0:
            trainer.save(args.work / "judge.pt")
    if team.leads:
        average = trainer.averages["judge"]
        print(accuracy(average, as_tensor(pictures[-HELD_OUT:]), answers[-HELD_OUT:]), flush=True)
        save_file({n: t.half().contiguous() for n, t in average.state_dict().items()}, args.out)


def main() -> None:
    """Train on `renders.npy`; print the share of right answers on held-out renders."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--processes", type=int, default=1)
    run_team(train, parser.parse_args())


if __name__ == "__main__":
    main()
