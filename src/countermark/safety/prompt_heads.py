"""The outputs of the prompt encoder, in their order in the model file."""

from __future__ import annotations

from typing import Final

from countermark.model import Category

HEADS: Final = (
    "unsafe",
    "sexual",
    "violence",
    "graphic",
    "illicit",
    "self_harm",
    "hate",
    "harassment",
    "other",
)
"""``unsafe`` is any of the named categories; ``other`` (privacy, copyright, deception) only keeps those out of it."""

HEAD_CATEGORIES: Final[dict[str, Category]] = {
    head: Category(head) for head in HEADS if head not in ("unsafe", "other")
}
"""The heads that answer for a category of ours."""
