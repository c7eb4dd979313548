"""Characters that *look* like Latin letters.

Visual look-alikes only. Transliteration tables (anyascii, unidecode) map by sound, Cyrillic "с" to "s" and "р" to "r",
which turns a homoglyph attack into a different word instead of undoing it. The pairs follow the idea of Unicode
Technical Standard 39, section 4 (confusable detection), restricted to letters that fonts draw alike.
"""

from __future__ import annotations

from typing import Final


def _pairs(foreign: str, latin: str) -> dict[str, str]:
    return dict(zip(foreign, latin, strict=True))


_CYRILLIC = _pairs("аеорсхуіѕјԁԛԝһӏкмтнвгпьЬ", "aeopcxyisjdqwhlkmthbrnbb") | _pairs(
    "АВЕКМНОРСТХІЅЈУԌԚԜҺЗ", "ABEKMHOPCTXISJYGQWHE"
)
_GREEK = _pairs("αβεηικνορτυχωγ", "abenikvoptuxwy") | _pairs("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX")
_ARMENIAN = _pairs("օոսհցզքԼՕՍ", "onuhgqpLOU")
_CHEROKEE = _pairs("ᎪᎬᎻᎥᏙᎫᏞᎷᏃᏢᏚᎢᏴᏀ", "AEHiVJLMZPSTBG")
FOREIGN: Final[dict[str, str]] = _CYRILLIC | _GREEK | _ARMENIAN | _CHEROKEE
"""Letters of other scripts → the Latin letter they look like."""

FAUX: Final[dict[str, str]] = _pairs("яЯиИйшШцґғөѵΛΔΣΩЛДЦШΞ", "rRnNnwWurfovAAEOLAUWE")
"""Letters that posters draw as Latin ones (KoЯn, ΛDIDΛS). Read so only inside words that hold Latin letters too."""

_IPA = _pairs("ɑɡɩɪıʀꞑɐəɛɜɔɯʏ", "agiiirnaeeecmy")
_SMALL_CAPITALS = _pairs("ᴀʙᴄᴅᴇꜰɢʜᴊᴋʟᴍɴᴏᴘꜱᴛᴜᴠᴡᴢ", "abcdefghjklmnopstuvwz")
_STROKED = _pairs("øłđħŧƀɨʉɍꝑꝗØŁĐĦŦ", "oldhtbiurpqOLDHT")
LATIN_VARIANTS: Final[dict[str, str]] = _IPA | _SMALL_CAPITALS | _STROKED
"""Unusual Latin letters → the plain one; several are ordinary in some language, so only known words are read so."""

_NEGATIVE_SQUARED = {chr(0x1F170 + i): chr(ord("a") + i) for i in range(26)}
_NEGATIVE_CIRCLED = {chr(0x1F150 + i): chr(ord("a") + i) for i in range(26)}
SYMBOL_LETTERS: Final[dict[str, str]] = _NEGATIVE_SQUARED | _NEGATIVE_CIRCLED
"""Pictures of letters that NFKC leaves alone, but for regional indicators, which may be flags."""
