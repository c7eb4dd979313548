"""What the trainings share: Muon for matrices and kernels, AdamW for the rest, moving averages."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .team import Team

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Push the singular values of a matrix towards one (Newton-Schulz, Jordan et al. 2024, "Muon")."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = ((matrix.T if tall else matrix) / (matrix.norm() + 1e-7)).bfloat16()
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum; convolution kernels count as (outputs, inputs·k·k) matrices.

    The update is scaled to the root mean square that AdamW would have, so that one learning rate suits both.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter once."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                state = self.state[param]
                if not state:
                    state["momentum"] = torch.zeros_like(param)
                state["momentum"].lerp_(param.grad, 1 - group["momentum"])
                update = param.grad.lerp(state["momentum"], group["momentum"]).flatten(1)
                rows, columns = update.shape
                update = orthogonalise(update) * (0.2 * max(rows, columns) ** 0.5)
                param.add_(update.view(param.shape), alpha=-group["lr"])


def _suits_muon(name: str, param: Tensor) -> bool:
    """Matrices and kernels, but no tables and no modulation (which start at zero and are cheap to leave to AdamW)."""
    if "modulation" in name or "table" in name or "position" in name:
        return False
    return param.ndim in (2, 4) and min(param.shape[0], param[0].numel()) > 4


@dataclass(frozen=True)
class Budget:
    """How long a training is: so many optimiser steps or, where `seconds` is given, so many seconds."""

    steps: int
    seconds: float | None = None

    def share(self, steps: int, elapsed: float) -> float:
        """The share of the training that is done."""
        return steps / self.steps if self.seconds is None else elapsed / self.seconds


class Trainer:
    """Optimisers, learning-rate schedule, gradient clipping, moving averages and a running loss, for a team.

    `muon` and `adam` are learning rates; `cooldown` is the share of the training over which they fall to nothing;
    `average` is the decay of the moving averages. A training is as long as `budget` says, in steps or in seconds.
    """

    def __init__(
        self,
        models: dict[str, nn.Module],
        team: Team,
        budget: Budget,
        *,
        muon: float,
        adam: float,
        cooldown: float,
        average: float,
        warmup: int = 100,
    ) -> None:
        self.models, self.team, self.budget = models, team, budget
        self.cooldown, self.average, self.warmup = cooldown, average, warmup
        self.params: list[Tensor] = []
        self.optimisers: list[tuple[torch.optim.Optimizer, float]] = []
        for model in models.values():
            named = [item for item in model.named_parameters() if item[1].requires_grad]
            matrices = [p for key, p in named if _suits_muon(key, p)]
            rest = [p for key, p in named if not _suits_muon(key, p)]
            self.optimisers.append((Muon(matrices, muon), muon))
            self.optimisers.append((torch.optim.AdamW(rest, adam, betas=(0.9, 0.98), weight_decay=0.0), adam))
            self.params += [p for _, p in named]
        self.averages = {name: copy.deepcopy(model).eval().requires_grad_(False) for name, model in models.items()}
        self.steps, self.running, self.elapsed, self.last = 0, 0.0, 0.0, time.monotonic()
        team.agree(self._tensors())

    def _tensors(self) -> list[Tensor]:
        return [p for group in (self.models, self.averages) for model in group.values() for p in model.parameters()]

    @property
    def share(self) -> float:
        """How much of the training is done, 0 to 1; the same in every process of the team."""
        return min(1.0, self.budget.share(self.steps, self.elapsed))

    @property
    def finished(self) -> bool:
        """Whether the training is over."""
        return self.share >= 1.0

    def update(self, loss: Tensor) -> None:
        """One optimiser step on a loss."""
        factor = min(1.0, (self.steps + 1) / self.warmup) * min(1.0, max(0.01, (1 - self.share) / self.cooldown))
        for optimiser, rate in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        now = time.monotonic()
        seconds, value = self.team.average(self.params, now - self.last, float(loss.detach()))
        self.elapsed, self.last = self.elapsed + seconds, now
        nn.utils.clip_grad_norm_(self.params, 1.0)
        for optimiser, _ in self.optimisers:
            optimiser.step()
        keep = min(self.average, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name, model in self.models.items():
                targets, sources = list(self.averages[name].parameters()), list(model.parameters())
                torch._foreach_lerp_(targets, sources, 1 - keep)
        self.steps += 1
        self.running = value if self.steps == 1 else 0.98 * self.running + 0.02 * value

    def progress(self) -> str:
        """Steps, seconds, milliseconds a step and the running loss, for a line of print."""
        pace = 1000 * self.elapsed / max(1, self.steps)
        return f"{self.steps} {self.elapsed:.0f}s ({100 * self.share:.1f} %) {pace:.0f} ms loss {self.running:.4f}"

    def figures(self) -> dict[str, float]:
        """What a model card says of a training."""
        return {"steps": self.steps, "processes": self.team.size, "seconds": round(self.elapsed)}

    def save(self, path: Path) -> None:
        """Write a checkpoint; a half-written one never takes its place."""
        partial = path.with_suffix(".partial")
        torch.save(self.state(), partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one, with other random numbers than those it began with."""
        if path.exists():
            self.load(torch.load(path))
            torch.manual_seed(self.team.rank + 1_000 * self.steps)
        self.team.wait()

    def rng(self) -> np.random.Generator:
        """A generator for drawing the training data; one that goes on draws what it has not just seen."""
        return np.random.default_rng((self.team.rank, self.steps))

    def state(self) -> dict[str, Any]:
        """Everything needed to go on later."""
        return {
            "models": {name: model.state_dict() for name, model in self.models.items()},
            "averages": {name: model.state_dict() for name, model in self.averages.items()},
            "optimisers": [optimiser.state_dict() for optimiser, _ in self.optimisers],
            "steps": self.steps, "running": self.running, "elapsed": self.elapsed,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        for name, model in self.models.items():
            model.load_state_dict(state["models"][name])
            self.averages[name].load_state_dict(state["averages"][name])
        for (optimiser, _), saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.steps, self.running, self.elapsed = state["steps"], state["running"], state["elapsed"]
        self.last = time.monotonic()
