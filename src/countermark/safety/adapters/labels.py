"""From a classification model's labels to our categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from countermark.errors import SettingsInvalid
from countermark.model import Category
from countermark.safety.adapters.opinion import Answer, Scale


class LabelMap:
    """The outputs of a classification model that mean a category of ours.

    Args:
        config: the model's configuration, with its labels and the kind of its problem.
        labels: the model's labels that count, and what they mean.
        exclusive: whether the labels exclude each other; as the configuration says unless given.

    Raises:
        SettingsInvalid: the model has no such label, gives no probabilities, or would find something in everything.
    """

    def __init__(self, config: Any, labels: Mapping[str, Category], exclusive: bool | None = None) -> None:
        names: dict[str, list[int]] = {}
        for index, name in config.id2label.items():
            names.setdefault(str(name), []).append(int(index))
        if unknown := sorted(set(labels) - set(names)):
            raise SettingsInvalid(
                f"The model has no label {', '.join(unknown)}; it has {', '.join(sorted(names))}.",
                remedy="Correct the opinion's labels in the settings.",
            )
        self._indices: dict[Category, list[int]] = {}
        self._names: dict[Category, list[str]] = {}
        for name, category in labels.items():
            self._indices.setdefault(category, []).extend(names[name])
            self._names.setdefault(category, []).append(name)
        outputs = sum(map(len, names.values()))
        self._exclusive = _exclusive(config, exclusive) and outputs > 1
        if self._exclusive and sum(map(len, self._indices.values())) == outputs:
            raise SettingsInvalid(
                "Every label of the model is mapped, and they exclude each other: everything would be unsafe.",
                remedy="Leave the harmless label out of the labels; where several may hold, set exclusive = false.",
            )

    def answer(self, logits: torch.Tensor, scale: Scale) -> Answer:
        """The most unsafe of several readings, by category.

        Args:
            logits: readings × labels.
            scale: from the model's probabilities to our scores.
        """
        logits = logits.float()
        probabilities = logits.softmax(-1) if self._exclusive else logits.sigmoid()
        answer = {}
        for category, indices in self._indices.items():
            chosen = probabilities[:, indices]
            # Of labels that exclude each other, either may be meant; of independent ones, the surest counts.
            each = chosen.sum(-1).clamp(max=1.0) if self._exclusive else chosen.amax(-1)
            worst = float(each.max())
            answer[category] = scale.say(worst, f"{' + '.join(self._names[category])} {worst:.3f}")
        return answer


def _exclusive(config: Any, told: bool | None) -> bool:
    """Whether one label alone holds, as transformers' own pipelines take it where nothing else is said."""
    if told is not None:
        return told
    if config.problem_type == "regression":
        raise SettingsInvalid(
            "The model's outputs are numbers (regression), no probabilities.",
            remedy="Name a model that classifies; if its outputs are logits all the same, set exclusive = false.",
        )
    return bool(config.problem_type != "multi_label_classification")
