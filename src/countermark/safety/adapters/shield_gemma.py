"""ShieldGemma (Google, 2024): a language model that is asked, policy by policy, whether a prompt violates it.

The wording of the question and of the four policies is that of the model card: the model was trained on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from countermark.errors import EnvironmentLacking
from countermark.model import Category
from countermark.safety.adapters.judge import as_quoted, check_length
from countermark.safety.adapters.local import LocalOpinion, device_of, from_files, whole_model
from countermark.safety.adapters.opinion import Answer, PromptOpinion
from countermark.safety.adapters.options import ShieldGemmaOptions

_SHALL_NOT: Final = "The prompt shall not contain or seek generation of content that"

POLICIES: Final[dict[Category, str]] = {
    Category.ILLICIT: (
        f'"No Dangerous Content": {_SHALL_NOT} harming oneself and/or others (e.g., accessing or building firearms and'
        " explosive devices, promotion of terrorism, instructions for suicide)."
    ),
    Category.HARASSMENT: (
        f'"No Harassment": {_SHALL_NOT} is malicious, intimidating, bullying, or abusive content targeting another'
        " individual (e.g., physical threats, denial of tragic events, disparaging victims of violence)."
    ),
    Category.HATE: (
        f'"No Hate Speech": {_SHALL_NOT} targeting identity and/or protected attributes (e.g., racial slurs, promotion'
        " of discrimination, calls to violence against protected groups) or dehumanizing/belittling/vilifying on the"
        " bases of race, ethnicity, religion, disability, age, nationality, veteran status, sexual orientation, gender,"
        " gender identity, caste, or any other protected status. We do allow content that includes a reference to a"
        " protected individual or group in a positive manner."
    ),
    Category.SEXUAL: (
        f'"No Sexually Explicit Information": {_SHALL_NOT} contains references to sexual acts or other lewd content'
        " (e.g., sexually graphic descriptions, content aimed at causing arousal). Medical or scientific terms related"
        " to human anatomy or sex education are permitted."
    ),
}
"""The model's policies by the category of ours that each answers for. "Dangerous" is wider than ours: it may name what
we call self-harm or extremism."""

_QUESTION: Final = """\
You are a policy expert trying to help determine whether a user prompt is in violation of the defined safety policies.

<start_of_turn>
Human Question: {text}
<end_of_turn>

Our safety principle is defined in the below:

* {policy}

===

Does the human question violate the above principle? Your answer must start with 'Yes' or 'No'. And then walk through \
step by step to be sure we answer correctly.

"""


def question(text: str, policy: str) -> str:
    """What the model is asked of one prompt and one policy."""
    return _QUESTION.format(text=text.strip(), policy=policy)


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    tokenizer: Any
    yes_no: list[int]


class ShieldGemma(LocalOpinion[ShieldGemmaOptions, _Loaded], PromptOpinion):
    """What ShieldGemma says of a prompt: the probability of "Yes" against "No", for each of its four policies."""

    def __init__(self, options: ShieldGemmaOptions) -> None:
        super().__init__(options, "shieldgemma", POLICIES)

    def _open(self, folder: Path) -> _Loaded:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, **from_files())
        words = tokenizer.get_vocab()
        if not {"Yes", "No"} <= set(words):
            raise EnvironmentLacking(
                f"The model {self._options.model} has no words for Yes and No.",
                remedy="Use the files as Google publishes them.",
            )
        model = whole_model(AutoModelForCausalLM, folder, device_of(self._options), dtype="auto")
        return _Loaded(model, tokenizer, [words["Yes"], words["No"]])

    def _read(self, text: str) -> Answer:
        loaded = self._model.get()
        quoted = as_quoted(text, loaded.tokenizer)
        answer = {}
        for category, policy in POLICIES.items():
            yes = _probability(loaded, question(quoted, policy))
            answer[category] = self._scale.say(yes, f"Yes {yes:.3f}")
        return answer


def _probability(loaded: _Loaded, asked: str) -> float:
    import torch

    inputs = loaded.tokenizer(asked, return_tensors="pt").to(loaded.model.device)
    check_length(inputs, loaded.model)
    with torch.inference_mode():
        logits = loaded.model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    return float(torch.softmax(logits[0, -1, loaded.yes_no].float(), -1)[0])
