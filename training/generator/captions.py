"""Captions for scenes: many ways to say the same, with parts left out, so that short prompts work too."""

from __future__ import annotations

import random

from countermark.generators.embedded.vocabulary import split_words

from .scenes import Scene
from .things import COLOURED, COLOURS, FLYING

BACKDROP_WORDS: dict[str, tuple[str, ...]] = {
    "mountains": ("the mountains", "mountains", "a mountain range", "snowy peaks", "the alps", "a mountain valley"),
    "sea": ("the sea", "the ocean", "calm water", "a bay", "the waves", "open water"),
    "desert": ("the desert", "a desert", "sand dunes", "desert dunes", "the dunes"),
    "forest": ("the forest", "a forest", "the woods", "a pine forest", "fir trees", "a clearing in the woods"),
    "city": ("the city", "a city", "a city skyline", "skyscrapers", "a town", "tall buildings"),
    "meadow": ("a meadow", "a green meadow", "green hills", "the countryside", "rolling hills", "the grass"),
    "snow": ("the snow", "a snowy field", "a winter landscape", "a snowy landscape", "snowy hills", "winter"),
    "beach": ("the beach", "a beach", "a sandy beach", "the shore", "the coast", "the seaside"),
    "lake": ("a lake", "the lake", "a quiet lake", "a pond", "a lake with reeds", "the lakeside"),
    "canyon": ("a canyon", "the canyon", "red rocks", "red cliffs", "a rocky canyon", "mesas"),
    "farm": ("a farm", "farmland", "a ploughed field", "crop fields", "a wheat field", "furrows"),
    "volcano": ("a volcano", "the volcano", "an erupting volcano", "a smoking volcano", "lava"),
}
TIME_WORDS: dict[str, tuple[str, ...]] = {
    "day": ("during the day", "in daylight", "under a blue sky", "at noon", "in the afternoon", "on a sunny day"),
    "sunset": ("at sunset", "at dusk", "in the evening", "under an orange sky", "in evening light", "at golden hour"),
    "dawn": ("at dawn", "at sunrise", "in the morning", "in the early morning", "under a pink sky"),
    "night": ("at night", "by night", "under a night sky", "at midnight", "after dark", "in the dark"),
    "overcast": ("on a cloudy day", "under a grey sky", "on a gray day", "in overcast weather", "under gray clouds"),
    "fog": ("in fog", "in the fog", "in the mist", "on a foggy day", "on a misty day", "in haze"),
}
SKY_WORDS: dict[str, tuple[str, ...]] = {
    "sun": ("with the sun", "with a bright sun", "and the sun"),
    "moon": ("with the moon", "under the moon", "in moonlight", "and the moon"),
    "stars": ("with stars", "under the stars", "under a starry sky"),
    "clouds": ("with clouds", "and clouds", "with some clouds"),
}
STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "flat": ("a flat illustration of", "an illustration of", "a poster of", "flat vector art of", "a drawing of"),
    "painted": (
        "a painting of",
        "a gouache painting of",
        "a watercolour of",
        "a painted picture of",
        "brush strokes of",
    ),
}
_STYLE_ENDINGS: dict[str, tuple[str, ...]] = {
    "flat": ("flat illustration", "flat design", "vector art", "flat style"),
    "painted": ("painterly", "gouache", "painted", "oil painting", "watercolor painting"),
}
THING_WORDS: dict[str, tuple[str, ...]] = {
    "house": ("{c} house", "{c} house", "{c} cottage", "{c} cabin"),
    "tree": ("tree", "green tree", "oak tree", "oak"),
    "balloon": ("{c} hot air balloon", "{c} balloon"),
    "sailboat": ("{c} sailboat", "{c} sailing boat", "{c} boat", "{c} ship"),
    "lighthouse": ("{c} lighthouse", "{c} lighthouse", "{c} striped lighthouse", "{c} and white lighthouse"),
    "cactus": ("cactus", "green cactus"),
    "pyramid": ("pyramid", "egyptian pyramid"),
    "windmill": ("{c} windmill", "{c} mill"),
    "flowers": ("{c} flowers", "{c} tulips"),
    "snowman": ("snowman with a {c} hat", "snowman with a {c} scarf", "snowman in a {c} hat"),
    "tent": ("{c} tent", "{c} camping tent"),
    "castle": ("{c} castle", "{c} castle", "castle with {c} towers"),
    "car": ("{c} car", "{c} car", "{c} automobile"),
    "bus": ("{c} bus", "{c} bus", "{c} coach"),
    "airplane": ("{c} airplane", "{c} plane", "{c} aeroplane"),
    "rocket": ("{c} rocket", "{c} rocket", "{c} spaceship"),
    "kite": ("{c} kite",),
    "umbrella": ("{c} umbrella", "{c} umbrella", "{c} parasol", "{c} sunshade"),
    "mushroom": ("{c} mushroom", "{c} toadstool"),
    "palm": ("palm tree", "palm", "green palm tree", "coconut palm"),
    "church": ("{c} church", "{c} church", "{c} chapel"),
    "cat": ("{c} cat", "{c} cat", "{c} kitten"),
    "duck": ("{c} duck", "{c} duck", "{c} rubber duck"),
    "campfire": ("campfire", "fire", "burning campfire"),
}
_PLURALS = {
    "house": "{c} houses", "tree": "trees", "balloon": "{c} hot air balloons", "sailboat": "{c} sailboats",
    "lighthouse": "{c} lighthouses", "cactus": "cactuses", "pyramid": "pyramids", "windmill": "{c} windmills",
    "flowers": "bunches of {c} flowers", "snowman": "snowmen with {c} hats", "tent": "{c} tents",
    "castle": "{c} castles", "car": "{c} cars", "bus": "{c} buses", "airplane": "{c} airplanes",
    "rocket": "{c} rockets", "kite": "{c} kites", "umbrella": "{c} umbrellas", "mushroom": "{c} mushrooms",
    "palm": "palm trees", "church": "{c} churches", "cat": "{c} cats", "duck": "{c} ducks", "campfire": "campfires",
}  # fmt: skip
_PLAIN = {"snowman": "snowman", "balloon": "hot air balloon"}
_NUMBERS = {2: ("two", "2", "a pair of", "a couple of"), 3: ("three", "3", "several", "some")}
_SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
_SIDE_WORDS = {
    "left": ("on the left", "to the left", "on the left side"),
    "right": ("on the right", "to the right", "on the right side"),
    "middle": ("in the middle", "in the center", "in the centre"),
}
_ADJECTIVES = ("old", "lonely", "beautiful", "pretty", "quiet", "lone", "single", "simple", "lovely")
_MEDIA = ("a picture of", "an image of", "a scene with", "a view of")
_LINKS = ("in", "by", "near", "at", "on", "in front of", "against", "next to", "with", "beside")
_HIGH_LINKS = ("over", "above", "flying over", "in the sky over", "high above")


def caption_of(scene: Scene, choose: random.Random) -> str:
    """Describe a scene; which parts are named, and how, is drawn from `choose`."""
    backdrop = choose.choice(BACKDROP_WORDS[scene.backdrop])
    thing = _thing(scene, choose) if scene.thing and choose.random() < 0.97 else ""
    if thing:
        link = choose.choice(_HIGH_LINKS if scene.thing in FLYING and choose.random() < 0.6 else _LINKS)
        texts = (f"{thing} {link} {backdrop}", f"{thing}, {backdrop}", f"{backdrop} with {thing}")
        text = thing if choose.random() < 0.12 else choose.choices(texts, (5, 1, 2))[0]
    else:
        text = backdrop
    if choose.random() < 0.88:
        time = choose.choice(TIME_WORDS[scene.time])
        text = f"{time}, {text}" if choose.random() < 0.1 else f"{text} {time}"
    if scene.sky and choose.random() < 0.45:
        text = f"{text} {choose.choice(SKY_WORDS[scene.sky])}"
    return _styled(text, scene, choose)


def full_caption(scene: Scene, choose: random.Random) -> str:
    """A caption that names thing, colour, backdrop and time, and else what a prompt would; for evaluation."""
    backdrop, link = BACKDROP_WORDS[scene.backdrop][0], "over" if scene.thing in FLYING else "by"
    text = f"{_thing(scene, choose, full=True)} {link} {backdrop} {choose.choice(TIME_WORDS[scene.time])}"
    return _styled(text, scene, choose)


def vocabulary() -> list[str]:
    """Every word that a caption can hold, sorted."""
    groups = [*BACKDROP_WORDS.values(), *TIME_WORDS.values(), *SKY_WORDS.values(), *THING_WORDS.values()]
    groups += [*STYLE_WORDS.values(), *_STYLE_ENDINGS.values(), *_NUMBERS.values(), *_SIZE_WORDS.values()]
    groups += [*_SIDE_WORDS.values(), tuple(_PLURALS.values()), tuple(_PLAIN.values())]
    texts = [text.replace("{c}", "") for group in groups for text in group]
    extra = (*COLOURS, *_ADJECTIVES, *_MEDIA, *_LINKS, *_HIGH_LINKS, "a", "an", "the", "with", "and", "of")
    return sorted({word for text in (*texts, *extra) for word in split_words(text)})


def _styled(text: str, scene: Scene, choose: random.Random) -> str:
    """Name the style of most paintings and of some flat pictures, so that flat is what a plain prompt gets."""
    if choose.random() < (0.9 if scene.style == "painted" else 0.3):
        if choose.random() < 0.6:
            return f"{choose.choice(STYLE_WORDS[scene.style])} {text}"
        return f"{text}, {choose.choice(_STYLE_ENDINGS[scene.style])}"
    return f"{choose.choice(_MEDIA)} {text}" if choose.random() < 0.1 else text


def _thing(scene: Scene, choose: random.Random, *, full: bool = False) -> str:
    """The thing with its number, size, colour and place; `full` never leaves the colour out."""
    thing = scene.thing
    assert thing is not None
    coloured = thing in COLOURED and (full or choose.random() < 0.88)
    colour = scene.colour if coloured else ""
    if scene.count > 1:
        words = _squeezed(_PLURALS[thing].format(c=colour)) if coloured else _uncoloured(_PLURALS[thing])
        return f"{choose.choice(_NUMBERS[scene.count])} {words}"
    words = choose.choice(THING_WORDS[thing])
    if "{c}" in words:
        plain = _PLAIN.get(thing, _squeezed(THING_WORDS[thing][0].replace("{c}", "")))
        words = words.format(c=colour) if coloured else plain
    if scene.size in _SIZE_WORDS and choose.random() < 0.75:
        words = f"{choose.choice(_SIZE_WORDS[scene.size])} {words}"
    elif choose.random() < 0.1:
        words = f"{choose.choice(_ADJECTIVES)} {words}"
    words = words if choose.random() < 0.08 else _with_article(words, thing)
    if choose.random() < (0.12 if scene.side == "middle" else 0.85):
        words = f"{words} {choose.choice(_SIDE_WORDS[scene.side])}"
    return words


def _uncoloured(plural: str) -> str:
    """A plural without its colour: "snowmen with {c} hats" is just "snowmen"."""
    return plural.split(" with", maxsplit=1)[0] if " with" in plural else _squeezed(plural.replace("{c}", ""))


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _with_article(words: str, thing: str) -> str:
    if thing == "flowers":
        return words
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"
