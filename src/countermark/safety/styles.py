"""Style modifiers of image prompts ("8k, trending on artstation") and how to look past them.

Collections of unsafe prompts are written in this style and collections of benign captions are not, so a classifier
learns style as a shortcut. Scoring the prompt once more without its pure style clauses takes the shortcut away.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

STYLE_WORD: Final = re.compile(
    r"\b(?:artstation|octane|render(?:ed|ing)?|unreal|engine|8 ?k|4 ?k|hd|uhd|hdr|hyper ?real\w*|photo ?real\w*"
    r"|ultra\w*|detail\w*|intricate|sharp|focus|concept art|digital|painting|illustration|cinematic|light\w*|volumetric"
    r"|smooth|matte|masterpiece|quality|greg rutkowski|artgerm|alphonse mucha|wlop|trending|award|winning|resolution"
    r"|dramatic|bokeh|dof|depth of field|film|lens|35 ?mm|50 ?mm|85 ?mm|canon|nikon|kodak|pixar|ghibli|studio|elegant"
    r"|composition|symmetr\w*|vivid|colou?rs?|style|portrait|photograph\w*|anime|oil|watercolou?r|sketch|cgsociety"
    r"|deviantart|pixiv|vray|cgi|3 ?d|2 ?d|by [a-z. ]+|art|sfw|golden ratio|golden hour|rim|aesthetic|epic|textur\w*"
    r"|best|highly|beautiful|stunning|gorgeous)\b",
    re.IGNORECASE,
)
"""Words and phrases that describe how a picture looks, never what it shows."""

_CLAUSE_BREAK: Final = re.compile(r"[,;|\n]|(?<=[.!?])\s+")
_CREDIT: Final = re.compile(r"(?:art )?by [a-z.\- ]{3,60}")
_ALNUM: Final = re.compile(r"[a-z0-9]+")
# What is left of "an extremely detailed 8 k render" once the style words are gone.
_FILLERS: Final = frozenset(
    ("a", "an", "the", "of", "in", "on", "and", "with", "very", "super", "extremely", "highly", "insanely", "h", "r")
) | frozenset("458")


def clauses(text: str) -> list[str]:
    """The comma- or sentence-separated parts of a prompt, without empty ones."""
    return [clause.strip() for clause in _CLAUSE_BREAK.split(text) if clause.strip()]


def strip_style(text: str, bank: Collection[str]) -> str:
    """``text`` without its pure style clauses; unchanged where nothing else would remain.

    Args:
        text: a normalised prompt.
        bank: style clauses that occur often, lower case.
    """
    parts = clauses(text)
    if len(parts) < 2:
        return text
    kept = [part for part in parts if not _is_pure_style(part, bank)]
    if len(kept) == len(parts) or not kept:
        return text
    return ", ".join(kept)


def _is_pure_style(clause: str, bank: Collection[str]) -> bool:
    clause = clause.lower().strip(" .")
    if clause in bank or _CREDIT.fullmatch(clause):
        return True
    return all(word in _FILLERS for word in _ALNUM.findall(STYLE_WORD.sub(" ", clause)))
