"""A small network on fixed embeddings: one hidden layer, a head for "unsafe" and one per category, masked targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from training.prompt_safety.rows import Row

from countermark.safety.prompt_heads import HEAD_CATEGORIES

HEADS: Final = ("unsafe", *HEAD_CATEGORIES)
HIDDEN: Final = 128
_CATEGORY_WEIGHT: Final = 0.35


@dataclass(frozen=True)
class Network:
    """The trained weights; embeddings are standardised first."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    hidden_weights: NDArray[np.float32]
    hidden_biases: NDArray[np.float32]
    head_weights: NDArray[np.float32]
    head_biases: NDArray[np.float32]

    def logits(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows × heads."""
        hidden = np.maximum((embeddings - self.mean) / self.scale @ self.hidden_weights + self.hidden_biases, 0)
        result: NDArray[np.float32] = hidden @ self.head_weights + self.head_biases
        return result


def tensors(rows: list[Row]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Targets and weights, rows × heads; a head whose label is unknown weighs nothing."""
    targets = np.zeros((len(rows), len(HEADS)), np.float32)
    weights = np.zeros_like(targets)
    for i, row in enumerate(rows):
        for j, head in enumerate(HEADS):
            if head in row.targets:
                targets[i, j] = row.targets[head]
                weights[i, j] = row.weight * (1.0 if head == "unsafe" else _CATEGORY_WEIGHT)
            elif row.source == "bank":  # the bank names one category for each concept, and means it
                weights[i, j] = row.weight * _CATEGORY_WEIGHT * 0.5
    return targets, weights


def train(
    rows: list[Row], embeddings: NDArray[np.float32], *, seed: int, epochs: int = 14, hidden: int = HIDDEN
) -> Network:
    """Adam with weight decay, dropout on both layers, noise on the embeddings (four bits are noisy already)."""
    torch.manual_seed(seed)
    mean, scale = embeddings.mean(0), embeddings.std(0) + 1e-6
    inputs = torch.from_numpy((embeddings - mean) / scale)
    targets, weights = (torch.from_numpy(table) for table in tensors(rows))
    model = torch.nn.Sequential(
        torch.nn.Dropout(0.1),
        torch.nn.Linear(embeddings.shape[1], hidden),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(hidden, len(HEADS)),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.5e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs), generator=generator).split(256):
            noisy = inputs[batch] + 0.15 * torch.randn(len(batch), inputs.shape[1], generator=generator)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                model(noisy), targets[batch], weight=weights[batch], reduction="sum"
            ) / len(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    first, second = model[1], model[4]
    return Network(
        mean.astype(np.float32),
        scale.astype(np.float32),
        first.weight.detach().numpy().T.copy(),
        first.bias.detach().numpy().copy(),
        second.weight.detach().numpy().T.copy(),
        second.bias.detach().numpy().copy(),
    )


def joined(networks: list[Network]) -> Network:
    """The mean of several networks' logits, as one network with their hidden layers side by side."""
    first = networks[0]
    return Network(
        first.mean,
        first.scale,
        np.concatenate([network.hidden_weights for network in networks], axis=1),
        np.concatenate([network.hidden_biases for network in networks]),
        np.concatenate([network.head_weights for network in networks]) / np.float32(len(networks)),
        np.mean([network.head_biases for network in networks], axis=0, dtype=np.float32),
    )


def save(path: Path, network: Network, slope: float, intercept: float, thresholds: tuple[float, ...]) -> None:
    """The file that :class:`countermark.safety.multilingual.MultilingualHeads` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        heads=np.array(HEADS),
        calibration=np.array([slope, intercept], np.float32),
        thresholds=np.array(thresholds, np.float32),
        **{name: value.astype(np.float16) for name, value in vars(network).items()},
    )
