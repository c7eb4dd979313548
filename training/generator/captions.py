"""Captions for scenes: many ways to say the same, with parts left out, so that short prompts work too."""

from __future__ import annotations

import random

from countermark.generators.embedded.vocabulary import split_words

from .scenes import Scene
from .things import COLOURED, COLOURS

BACKDROP_WORDS: dict[str, tuple[str, ...]] = {
    "mountains": ("the mountains", "mountains", "a mountain range", "snowy peaks", "the alps", "a mountain valley"),
    "sea": ("the sea", "the ocean", "calm water", "a bay", "the coast", "the waves"),
    "desert": ("the desert", "a desert", "sand dunes", "desert dunes", "the sand"),
    "forest": ("the forest", "a forest", "the woods", "a pine forest", "fir trees", "a clearing in the woods"),
    "city": ("the city", "a city", "a city skyline", "skyscrapers", "a town", "tall buildings"),
    "meadow": ("a meadow", "a green field", "green hills", "the countryside", "rolling hills", "a grass field"),
    "snow": ("the snow", "a snowy field", "a winter landscape", "a snowy landscape", "snowy hills", "winter"),
}
TIME_WORDS: dict[str, tuple[str, ...]] = {
    "day": ("during the day", "in daylight", "under a blue sky", "at noon", "in the afternoon", "on a sunny day"),
    "sunset": ("at sunset", "at dusk", "in the evening", "under an orange sky", "in evening light", "at golden hour"),
    "dawn": ("at dawn", "at sunrise", "in the morning", "in the early morning", "under a pink sky"),
    "night": ("at night", "by night", "under a night sky", "at midnight", "after dark", "in the dark"),
    "overcast": ("on a cloudy day", "under a grey sky", "on a gray day", "in overcast weather", "under gray clouds"),
}
SKY_WORDS: dict[str, tuple[str, ...]] = {
    "sun": ("with the sun", "with a bright sun", "and the sun"),
    "moon": ("with the moon", "under the moon", "in moonlight", "and the moon"),
    "stars": ("with stars", "under the stars", "under a starry sky"),
    "clouds": ("with clouds", "and clouds", "with some clouds"),
}
THING_WORDS: dict[str, tuple[str, ...]] = {
    "house": ("{c} house", "{c} house", "{c} cottage", "{c} cabin", "house with {c} walls"),
    "tree": ("tree", "green tree", "oak tree", "oak"),
    "balloon": ("{c} hot air balloon", "{c} balloon", "{c} hot air balloon flying"),
    "sailboat": ("{c} sailboat", "{c} sailing boat", "{c} boat", "{c} ship", "boat with {c} sails"),
    "lighthouse": ("{c} lighthouse", "{c} striped lighthouse", "{c} and white lighthouse"),
    "cactus": ("cactus", "green cactus"),
    "pyramid": ("pyramid", "egyptian pyramid"),
    "windmill": ("{c} windmill", "{c} mill"),
    "flowers": ("{c} flowers", "{c} tulips"),
    "snowman": ("snowman with a {c} hat", "snowman with a {c} scarf", "snowman in a {c} hat"),
    "tent": ("{c} tent", "{c} camping tent"),
    "castle": ("castle with {c} roofs", "castle with {c} towers", "{c} castle"),
}
_PLAIN = {
    "snowman": "snowman", "castle": "castle", "sailboat": "sailboat", "lighthouse": "lighthouse", "house": "house",
    "balloon": "hot air balloon", "windmill": "windmill", "flowers": "flowers", "tent": "tent",
}  # fmt: skip
_ADJECTIVES = ("small", "little", "big", "large", "old", "lonely", "beautiful", "pretty", "quiet", "tiny", "lone")
_MEDIA = ("a picture of", "an illustration of", "a painting of", "a drawing of", "a photo of", "an image of")
_LINKS = ("in", "by", "near", "at", "on", "over", "above", "before", "in front of", "against", "next to")


def caption_of(scene: Scene, choose: random.Random) -> str:
    """Describe a scene; which parts are named, and how, is drawn from `choose`."""
    backdrop = choose.choice(BACKDROP_WORDS[scene.backdrop])
    thing = _thing(scene, choose) if scene.thing and choose.random() < 0.95 else ""
    if thing:
        texts = (f"{thing} {choose.choice(_LINKS)} {backdrop}", f"{thing}, {backdrop}", f"{backdrop} with {thing}")
        text = thing if choose.random() < 0.22 else choose.choices(texts, (5, 1, 2))[0]
    else:
        text = backdrop
    if choose.random() < 0.85:
        time = choose.choice(TIME_WORDS[scene.time])
        text = f"{time}, {text}" if choose.random() < 0.08 else f"{text} {time}"
    if scene.sky and choose.random() < 0.45:
        text = f"{text} {choose.choice(SKY_WORDS[scene.sky])}"
    return f"{choose.choice(_MEDIA)} {text}" if choose.random() < 0.15 else text


def full_caption(scene: Scene, choose: random.Random) -> str:
    """A caption that names thing, colour, backdrop and time, for evaluation."""
    words = next((w for w in THING_WORDS[scene.thing or "tree"] if "{c}" in w), THING_WORDS[scene.thing or "tree"][0])
    thing = _with_article(words.format(c=scene.colour), scene.thing)
    link = "by" if scene.backdrop == "sea" else "in"
    return f"{thing} {link} {BACKDROP_WORDS[scene.backdrop][0]} {choose.choice(TIME_WORDS[scene.time][:2])}"


def vocabulary() -> list[str]:
    """Every word that a caption can hold, sorted."""
    groups = [*BACKDROP_WORDS.values(), *TIME_WORDS.values(), *SKY_WORDS.values(), *THING_WORDS.values()]
    texts = [text.replace("{c}", "") for group in groups for text in group]
    extra = (*COLOURS, *_PLAIN.values(), *_ADJECTIVES, *_MEDIA, *_LINKS, "a", "an", "the", "with", "and", "of")
    return sorted({word for text in (*texts, *extra) for word in split_words(text)})


def _thing(scene: Scene, choose: random.Random) -> str:
    thing = scene.thing
    assert thing is not None
    if thing in COLOURED and choose.random() < 0.2:
        words = _PLAIN[thing]
    else:
        words = choose.choice(THING_WORDS[thing]).format(c=scene.colour)
    if choose.random() < 0.15:
        words = f"{choose.choice(_ADJECTIVES)} {words}"
    return words if choose.random() < 0.08 else _with_article(words, thing)


def _with_article(words: str, thing: str | None) -> str:
    if thing == "flowers":
        return words
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"
