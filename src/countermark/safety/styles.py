"""Style modifiers of image prompts ("8k, trending on artstation") and how to look past them.

Collections of unsafe prompts are written in this style and collections of benign captions are not, so a classifier
learns style as a shortcut. Scoring the prompt without its pure style takes the shortcut away. What counts as style is a
closed vocabulary, lest a request be hidden as one.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

STYLE_WORD: Final = re.compile(
    r"\b(?:"
    # how good, how real, where seen
    r"masterpiece|quality|best|highly|beautiful|stunning|gorgeous|award|winning|trending|elegant|epic|aesthetic"
    r"|detail\w*|intricate|sharp|focus|smooth|resolution|1?[2468] ?k|u?hd|hdr|ultra\w*|hyper ?(?:real\w*|detail\w*)"
    r"|photo ?real\w*|reali(?:sm|stic)\w*|artstation|cgsociety|deviantart|pixiv|sfw"
    # what it is made with
    r"|art|artwork|concept art|digital|paint(?:ed|ings?)|illustrat(?:ed|ions?)|draw(?:n|ings?)|sketch(?:es)?|etching"
    r"|engraving|woodcut|linocut|lithograph|print|fresco|mural|mosaic|poster|screenshot|wallpaper|portrait|pictures?"
    r"|images?|oil|acrylic|gouache|watercolou?r|charcoal|pencil|ink|brush|strokes?|on canvas|matte|textur\w*|style"
    r"|anime|manga|cartoon|comic|pixar|ghibli|low poly|isometric|voxel|pixel|3 ?d|2 ?d|cgi|render(?:ed|ing)?|octane"
    r"|unreal|engine|v-?ray|blender"
    # through which lens
    r"|(?:film|movie|cinematic) still|shot on"
    r"|(?:wide|long|medium|full|drone|night|macro|product|close[- ]?up|establishing|cinematic) shot"
    r"|photo(?:s|graph\w*)?|cinemat\w*|film|studio|grain|close[- ]?up"
    r"|lens|flare|vignette|wide|angle|telephoto|macro|bokeh|dof|depth of field|exposure|shutter|speed|aperture|iso"
    r"|f ?/? ?\d+(?:\.\d+)?|\d+ ?mm|1/\d+ ?s?|dslr|canon|nikon|kodak|fuji\w*|leica|sony|hasselblad|polaroid"
    # in which light and colours
    r"|light\w*|backlit|rim|volumetric|fog|haze|shadows?|golden hour|blue hour|dramatic|moody|atmospheric"
    r"|colou?r(?:s|ed|ful)?|palette|tones?|grad(?:ed|ing)|contrast|vivid|vibrant|muted|pastel|monochrome"
    r"|black and white|sepia|composition|symmetr\w*|golden ratio"
    r")\b",
    re.IGNORECASE,
)
"""Words and phrases that describe how a picture looks, never what it shows."""

_CLAUSE_BREAK: Final = re.compile(r"[,;|\n]|(?<=[.!?])\s+")
# "--ar 16:9 --tile": known names, and values that are numbers, lest words be hidden as one.
_PARAMETERS: Final = re.compile(
    r"(?:(?:^|\s)--(?:ar|aspect|chaos|c|hd|iw|niji|quality|q|seed|stylize|style|s|tile|upbeta|version|v|weird|w|h)"
    r"(?:\s+(?:\d[\d.:x]*|raw))?(?=\s|$)){1,20}\s*$",
    re.IGNORECASE,
)
_CREDIT: Final = re.compile(
    r"(?P<what>.*?)\b(?:by|(?:in the )?(?:style|manner) of|inspired by|influenced by|as painted by|directed by)"
    r" (?P<names>.+)"
)
_NAMES_BREAK: Final = re.compile(r" and | & ")
_MEDIUM: Final = re.compile(r"(?P<medium>[\w/.\- ]+?) (?:of |(?=(?:an?|the) ))(?P<rest>.+)", re.DOTALL)
_MEDIUM_WORDS: Final = 6
_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
# What is left of "an extremely detailed 8 k render" once the style words are gone.
_FILLERS: Final = frozenset(
    ("a", "an", "the", "of", "in", "on", "and", "with", "very", "super", "extremely", "highly", "insanely", "h", "r")
)


def without_stop(text: str) -> str:
    """``text`` without the full stops at its end, unless it is nothing else.

    Captions are sentences and end with one, most requests are not: like style, it says where a prompt is from and not
    what it asks for.
    """
    return text.rstrip(" .") or text


def clauses(text: str) -> list[str]:
    """The comma- or sentence-separated parts of a prompt, without empty ones."""
    return [clause.strip() for clause in _CLAUSE_BREAK.split(text) if clause.strip()]


def strip_style(text: str, bank: Collection[str]) -> str:
    """``text`` without pure style: clauses, the medium in front ("oil painting of"), and a generator's parameters.

    A credit ("in the style of X and Y") is style where every name is known to the bank: anybody can write "by" before
    what they want to see. Where nothing but style would be left, the text stays as it is.

    Args:
        text: a normalised prompt.
        bank: words and clauses of style, and names of artists, lower case.
    """
    parts = clauses(_PARAMETERS.sub("", text))
    kept = [part for part in parts if not _is_pure_style(part, bank)]
    if not kept:
        return text
    shown = _without_medium(kept[0], bank)
    if len(kept) == len(parts) and shown == kept[0]:
        return text if parts == clauses(text) else ", ".join(kept)
    return ", ".join([shown, *kept[1:]])


def _without_medium(clause: str, bank: Collection[str]) -> str:
    """What a clause such as "a highly detailed oil painting of a cat" or "ultra realistic a cat" shows."""
    found = _MEDIUM.fullmatch(clause)
    if not found or len(found["medium"].split()) > _MEDIUM_WORDS or not _is_style(found["medium"], bank):
        return clause
    return found["rest"]


def _is_pure_style(clause: str, bank: Collection[str]) -> bool:
    clause = clause.lower().strip(" .()[]{}")
    if clause in bank or _is_style(clause, bank):
        return True
    credit = _CREDIT.fullmatch(clause)
    if credit is None or (credit["what"].strip() and not _is_style(credit["what"], bank)):
        return False
    return all(name.strip() in bank for name in _NAMES_BREAK.split(credit["names"]))


def _is_style(clause: str, bank: Collection[str]) -> bool:
    """Whether a clause has style words, and beside them words of the bank, fillers and numbers only."""
    rest, count = STYLE_WORD.subn(" ", clause.lower())
    words = [word for word in _WORD.findall(rest) if not word.isdigit() and word not in _FILLERS]
    return count + len(words) > 0 and all(word in bank for word in words)
