"""What the adapters of judging language models share: a prompt that cannot speak in the template's voice, and fits."""

from __future__ import annotations

import re
from typing import Any, Final

from countermark.safety.adapters.opinion import CouldNotLook

_MARKER: Final = re.compile(r"<(?=\s*/?\s*(?:BEGIN|END)\b)", re.IGNORECASE)


def as_quoted(text: str, tokenizer: Any) -> str:
    """The text with everything broken up that the tokenizer or the template would take for their own.

    A prompt that holds ``<|eot_id|>`` or ``<END CONVERSATION>`` could otherwise end its own examination and answer it.

    Args:
        text: what is to be judged.
        tokenizer: of transformers; its special tokens are looked for.
    """
    text = _MARKER.sub("< ", text)
    special = {str(token) for token in (*tokenizer.all_special_tokens, *tokenizer.get_added_vocab())}
    for token in sorted((t for t in special if t.strip()), key=len, reverse=True):
        text = text.replace(token, f"{token[0]} {token[1:]}".rstrip())
    return text


def check_length(inputs: Any, model: Any) -> None:
    """Refuse a question that is longer than any that the model was made for: whatever it answers means nothing.

    Args:
        inputs: of the tokenizer, with ``input_ids`` of one row.
        model: of transformers.

    Raises:
        CouldNotLook: it has more tokens than the model has positions.
    """
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if most is not None and inputs["input_ids"].shape[1] > most:
        raise CouldNotLook(f"reads at most {most:,} tokens at once")
