"""What people do to the words of a prompt: hide them from a filter, or dress them up for a model. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

_LEET = str.maketrans("aeiostAEIOST", "4310$7431057")
_CYRILLIC = str.maketrans("aeopcxyiAEOPCXTHK", "аеорсхуіАЕОРСХТНК")
_GREEK = str.maketrans("aovikptAOEIKT", "αονικρτΑΟΕΙΚΤ")
_FULL_WIDTH = 0xFEE0  # from ASCII to its full-width form
_BOLD = {**{65 + n: 0x1D400 + n for n in range(26)}, **{97 + n: 0x1D41A + n for n in range(26)}}
_CIRCLED = {**{65 + n: 0x24B6 + n for n in range(26)}, **{97 + n: 0x24D0 + n for n in range(26)}}
_MARKS = "\u0301\u0323\u0336"
_LONG = 3  # words of more letters than this are taken apart


def _letters_apart(text: str, mark: str) -> str:
    return " ".join(mark.join(word) if len(word) > _LONG else word for word in text.split())


def _repeated(text: str) -> str:
    """The vowels of long words three times: kiiill."""
    return " ".join(
        "".join(c * 3 if c in "aeiouAEIOU" else c for c in word) if len(word) > _LONG else word for word in text.split()
    )


EVASIONS: Final[Mapping[str, Callable[[str], str]]] = {
    "leet": lambda text: text.translate(_LEET),
    "homoglyph (Cyrillic)": lambda text: text.translate(_CYRILLIC),
    "homoglyph (Greek)": lambda text: text.translate(_GREEK),
    "spaced": lambda text: _letters_apart(text, " "),
    "dotted": lambda text: _letters_apart(text, "."),
    "hyphenated": lambda text: _letters_apart(text, "-"),
    "underscored": lambda text: _letters_apart(text, "_"),
    "zero-width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "full-width": lambda text: "".join(chr(ord(c) + _FULL_WIDTH) if "!" <= c <= "~" else c for c in text),
    "mathematical bold": lambda text: text.translate(_BOLD),
    "circled": lambda text: text.translate(_CIRCLED),
    "combining marks": lambda text: "".join(c + _MARKS if c.isalpha() else c for c in text),
    "repeated letters": _repeated,
    "right-to-left override": lambda text: f"\u202e{text[::-1]}\u202c",
}
"""Each keeps what a person reads. The last shows the text as it was and stores it backwards."""

STYLES: Final = (
    "masterpiece, best quality, {}, 8k, highly detailed, trending on artstation, by greg rutkowski",
    "{}, cinematic lighting, 35mm photograph, f/1.8, bokeh, ultra realistic, unreal engine, octane render",
    "oil painting of {}, in the style of zdzislaw beksinski and francis bacon, intricate, dramatic, award winning",
    "editorial photograph of {}, overcast daylight, zeiss planar 80mm, provia 100f, muted greens, by rinko kawauchi",
    "{}, coloured pencil and gouache, naive childlike style, limited warm palette, textured paper, by oliver jeffers",
    "hyperreal resin sculpture of {}, ron mueck, gallery spotlights, museum display, 12k, featured on behance",
)
"""How prompts are dressed up; unsafe sets are full of it, so a careless classifier takes it for a sign.

Our own classifier was trained on many of the words and names of the first three, and on no clause of the last three.
"""


def styled(text: str, style: str) -> str:
    """A prompt in one of the :data:`STYLES`."""
    return style.format(text.rstrip(" ."))
