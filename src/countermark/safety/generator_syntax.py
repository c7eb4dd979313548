"""The syntax that image generators put around words, taken off: what is left is what they are asked to draw.

Weights ``(word:1.3)`` and ``((word))``, parts that are weakened, swapped or drawn by turns ``[word]``,
``[cat:dog:0.5]``, ``{red|green}``, and add-on networks ``<lora:name:0.8>``, as in AUTOMATIC1111's web UI and NovelAI.
No word is ever taken off, not even the name of a network; ordinary parentheses and times of day stay.
"""

from __future__ import annotations

import re
from typing import Final

from countermark.safety.lexicon import Lexicon

_WEIGHT: Final = r"(?:[0-2]?\.\d{1,4}|[0-2](?:\.\d{1,4})?)"
_WEIGHTS: Final = re.compile(
    rf"(?<![\d\s])(?: ?: ?-?{_WEIGHT})+ ?(?=[)\]}}>])"
)  # after a digit it is a time or a verse
_SWAPPED: Final = re.compile(rf"\[([^\[\]():|]*):([^\[\]():|]*): ?{_WEIGHT} ?\]")
_NETWORK: Final = re.compile(rf"<(?:lora|lyco|hypernet):([^<>]*?)(?: ?: ?-?{_WEIGHT})*>")
_NOTHING_WITHIN: Final = re.compile(r"(?<=[^\W\d_])(?:[\[({<]++[\])}>]++)++(?=[^\W\d_])")
_BARRED: Final = re.compile(r"(?<![\w|])[^\W\d_]{2,}(?:\|[^\W\d_]{2,})+(?![\w|])")
_BEFORE_A_STOP: Final = re.compile(r"(?<! ) {1,8}(?=[.,;:!?])")
_BAR_AS_L: Final = str.maketrans("|", "l")
_WEIGHED: Final = "\0"  # stands where a weight stood; no text has it any more when it comes here
_CLOSED_BY: Final = {"(": ")", "[": "]", "{": "}"}


def take_off(text: str, lexicon: Lexicon) -> str:
    """``text``, lower case, without the syntax of generators; white space stands where it parted words."""
    if "<" in text:
        text = _NETWORK.sub(r" \1 ", text)
    if "[" in text or "(" in text or "{" in text or "<" in text:
        text = _NOTHING_WITHIN.sub("", text)
        text = _open_brackets(_WEIGHTS.sub(_WEIGHED, _SWAPPED.sub(r"[\1 \2]", text))).replace(_WEIGHED, "")
    return _BARRED.sub(lambda found: _part(found[0], lexicon), text) if "|" in text else text


def _open_brackets(text: str) -> str:
    """Without pairs of brackets that are square, curly, doubled or weighed; alternatives within one come apart."""
    opened: list[tuple[str, int, int]] = []  # the bracket, its place, how many bars were seen before it
    bars: list[int] = []
    blank: list[int] = []
    last = (-1, -1)  # the pair of round brackets that was closed last
    for place, char in enumerate(text):
        if char == "|":
            bars.append(place)
        elif char in "([{":
            opened.append((char, place, len(bars)))
        elif char in ")]}" and opened and _CLOSED_BY[opened[-1][0]] == char:
            _, start, before = opened.pop()
            if char == ")":
                if last == (start + 1, place - 1):
                    blank += (start, place, *last)
                elif text[place - 1] == _WEIGHED:
                    blank += (start, place)
                last = (start, place)
            else:
                blank += (start, place, *bars[before:])
                del bars[before:]
    if not blank:
        return text
    chars = list(text)
    for place in blank:
        chars[place] = " "
    return _BEFORE_A_STOP.sub("", "".join(chars))


def _part(barred: str, lexicon: Lexicon) -> str:
    """``man|woman`` as two words; ``ki|ling`` stays, for the bar stands for a letter in it."""
    return barred if lexicon.knows(barred.translate(_BAR_AS_L)) else barred.replace("|", " ")
