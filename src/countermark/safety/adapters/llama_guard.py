"""Llama Guard 3 and 4 (Meta): a language model that answers ``safe``, or ``unsafe`` and the codes of what it found.

The categories are those of MLCommons' hazard taxonomy; the prompt is the one of the model's own chat template (model
cards of Llama-Guard-3-1B, -8B and Llama-Guard-4-12B).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from countermark.errors import EnvironmentLacking
from countermark.model import Category
from countermark.safety.adapters.judge import as_quoted, check_length
from countermark.safety.adapters.local import LocalOpinion, device_of, from_files, whole_model
from countermark.safety.adapters.opinion import Answer, CouldNotLook, PromptOpinion, Said, Scale
from countermark.safety.adapters.options import LLAMA_GUARD_CODES, LlamaGuardOptions

CODES: Final[dict[str, Category]] = {
    "S1": Category.VIOLENCE,  # violent crimes
    "S2": Category.ILLICIT,  # non-violent crimes
    "S3": Category.SEXUAL,  # sex-related crimes
    "S4": Category.SEXUAL_MINORS,  # child sexual exploitation
    "S9": Category.ILLICIT,  # indiscriminate weapons
    "S10": Category.HATE,
    "S11": Category.SELF_HARM,
    "S12": Category.SEXUAL,  # sexual content
}
"""What the codes mean here, unless the settings say otherwise. Not ours: S5 defamation, S6 specialised advice,
S7 privacy, S8 intellectual property, S13 elections, S14 abuse of a code interpreter."""

_MOST_NEW_TOKENS: Final = 48
_PROBE: Final = "probe 7f3a"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The model's answer: whether unsafe, and the codes that it named."""

    unsafe: bool
    codes: tuple[str, ...] = ()


def parse(answer: str) -> Verdict:
    """Read the model's answer: ``safe``, or ``unsafe`` with a second line of codes, as in ``S2,S10``.

    Raises:
        CouldNotLook: it is anything else.
    """
    lines = [line.strip() for line in answer.strip().splitlines()]
    if lines == ["safe"]:
        return Verdict(False)
    if lines[:1] != ["unsafe"]:
        raise CouldNotLook("answered neither safe nor unsafe")
    codes = tuple(code.strip() for code in lines[1].split(",")) if len(lines) == 2 else ()
    if not codes or not LLAMA_GUARD_CODES.issuperset(codes):
        raise CouldNotLook("answered unsafe without the codes that it should name")
    return Verdict(True, codes)


def interpret(verdict: Verdict, probability: float, meaning: Mapping[str, Category], scale: Scale) -> Answer:
    """The answer by category.

    Args:
        verdict: what the model said.
        probability: that of "unsafe" against "safe" at the word where the model chose.
        meaning: of the codes.
        scale: from that probability to our scores.
    """
    found = {meaning[code] for code in verdict.codes if code in meaning}
    said = f"unsafe {','.join(verdict.codes)}" if verdict.unsafe else "safe"
    answer: dict[Category, Said] = {}
    for category in set(meaning.values()):
        named = category in found
        score = probability if named or not verdict.unsafe else 0.0
        answer[category] = scale.say(score, f"{said} ({probability:.3f})", at_least=0.5 if named else 0.0)
    return answer


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    tokenizer: Any
    in_parts: bool
    safe: int
    unsafe: int


class LlamaGuard(LocalOpinion[LlamaGuardOptions, _Loaded], PromptOpinion):
    """What Llama Guard says of a prompt, put to it as a user's message.

    The score is the probability of ``unsafe`` against ``safe`` at the word where the model chose. Where it chose
    ``unsafe``, categories that it did not name score 0.
    """

    def __init__(self, options: LlamaGuardOptions) -> None:
        self._meaning = CODES if options.labels is None else options.labels
        super().__init__(options, "llama-guard", self._meaning.values())

    def _open(self, folder: Path) -> _Loaded:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, **from_files())
        legacy = folder / "chat_template.json"
        if not tokenizer.chat_template and legacy.is_file():  # where processors used to keep it
            tokenizer.chat_template = json.loads(legacy.read_bytes())["chat_template"]
        # Llama Guard 4 also takes images; of Llama Guard 3 only the 11B model does.
        sees = hasattr(AutoConfig.from_pretrained(folder, **from_files()), "vision_config")
        kind = AutoModelForImageTextToText if sees else AutoModelForCausalLM
        model = whole_model(kind, folder, device_of(self._options), dtype="auto")
        safe, unsafe = (tokenizer.encode(word, add_special_tokens=False)[0] for word in ("safe", "unsafe"))
        in_parts = _takes_parts(tokenizer)
        return _Loaded(model, tokenizer, in_parts, safe, unsafe)

    def _read(self, text: str) -> Answer:
        loaded = self._model.get()
        import torch  # only now: where it is missing, the model says so

        rendered = _render(loaded.tokenizer, as_quoted(text, loaded.tokenizer), loaded.in_parts)
        inputs = loaded.tokenizer(rendered, add_special_tokens=False, return_tensors="pt").to(loaded.model.device)
        check_length(inputs, loaded.model)
        with torch.inference_mode():
            made = loaded.model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                do_sample=False,
                temperature=None,
                top_p=None,
                max_new_tokens=_MOST_NEW_TOKENS,
                max_time=self._options.timeout,
                pad_token_id=loaded.tokenizer.eos_token_id,
                return_dict_in_generate=True,
                output_logits=True,
            )
        new = made.sequences[0, inputs["input_ids"].shape[1] :]
        if int(new[-1]) not in _ends(loaded.model):
            raise CouldNotLook("did not end its answer in the time and length allowed")
        verdict = parse(loaded.tokenizer.decode(new, skip_special_tokens=True))
        return interpret(verdict, _probability(loaded, new, made.logits, verdict), self._meaning, self._scale)


def _ends(model: Any) -> tuple[int, ...]:
    """The tokens that end an answer."""
    ends = model.generation_config.eos_token_id
    return tuple(ends) if isinstance(ends, list | tuple) else (ends,)


def _probability(loaded: _Loaded, new: Any, logits: Any, verdict: Verdict) -> float:
    """That of "unsafe" against "safe" at the first generated token that is more than white space."""
    import torch

    if loaded.safe != loaded.unsafe:
        chosen = loaded.unsafe if verdict.unsafe else loaded.safe
        for token, row in zip(new.tolist(), logits, strict=False):
            if token == chosen:
                both = row[0, [loaded.safe, loaded.unsafe]].float()
                return float(torch.softmax(both, -1)[1])
            if loaded.tokenizer.decode([token], skip_special_tokens=True).strip():
                break
    return 1.0 if verdict.unsafe else 0.0  # the tokenizer spells the words otherwise: the word alone counts


def _render(tokenizer: Any, text: str, in_parts: bool) -> str:
    content: object = [{"type": "text", "text": text}] if in_parts else text
    rendered: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    return rendered


def _takes_parts(tokenizer: Any) -> bool:
    """Whether the template takes messages in parts (Llama Guard 3 1B, and 4) or as plain text (3 8B)."""
    for in_parts in (True, False):
        try:
            rendered = _render(tokenizer, _PROBE, in_parts)
        except Exception:  # noqa: S112 - templates raise whatever they like at the form that they do not take
            continue
        # A template for plain text would print the list of parts itself.
        if _PROBE in rendered and "'text'" not in rendered:
            return in_parts
    raise EnvironmentLacking(
        "The model has no chat template that takes a user's message.",
        remedy="Use the files as Meta publishes them: the template is in tokenizer_config.json or chat_template.jinja.",
    )
