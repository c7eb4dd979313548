"""What the adapters of judging language models share: a prompt that cannot speak in the template's voice."""

from __future__ import annotations

import re
from typing import Any, Final

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
