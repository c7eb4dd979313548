"""What the three trainings share: Muon for matrices and kernels, AdamW for the rest, moving averages."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Push the singular values of a matrix towards one (Newton-Schulz, Jordan et al. 2024, "Muon")."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix) / (matrix.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


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


class Trainer:
    """Optimisers, learning-rate schedule by wall clock, gradient clipping, moving averages and a running loss.

    `muon` and `adam` are learning rates; `cooldown` is the share of the time over which they fall to nothing;
    `average` is the decay of the moving averages.
    """

    def __init__(
        self,
        models: dict[str, nn.Module],
        *,
        seconds: float,
        muon: float,
        adam: float,
        cooldown: float,
        average: float,
        warmup: int = 100,
    ) -> None:
        self.models = models
        self.seconds, self.cooldown, self.average, self.warmup = seconds, cooldown, average, warmup
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
        self.steps, self.running, self.started, self.earlier = 0, 0.0, time.monotonic(), 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, those before a resume included."""
        return self.earlier + time.monotonic() - self.started

    @property
    def finished(self) -> bool:
        """Whether the time is up."""
        return self.elapsed >= self.seconds

    def update(self, loss: Tensor) -> None:
        """One optimiser step on a loss."""
        share = min(1.0, self.elapsed / self.seconds)
        factor = min(1.0, (self.steps + 1) / self.warmup) * min(1.0, max(0.01, (1 - share) / self.cooldown))
        for optimiser, rate in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.params, 1.0)
        for optimiser, _ in self.optimisers:
            optimiser.step()
        keep = min(self.average, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name, model in self.models.items():
                targets, sources = list(self.averages[name].parameters()), list(model.parameters())
                torch._foreach_lerp_(targets, sources, 1 - keep)
        self.steps += 1
        value = float(loss.detach())
        self.running = value if self.steps == 1 else 0.98 * self.running + 0.02 * value

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
        self.steps, self.running, self.earlier = state["steps"], state["running"], state["elapsed"]
        self.started = time.monotonic()
