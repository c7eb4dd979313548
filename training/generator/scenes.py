"""What the generator can draw: a scene is a backdrop, a time or weather, a sky, a style and what stands in front."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .backdrops import BACKDROPS, draw_air, draw_sky
from .canvas import Canvas, Colour
from .light import LIGHTS
from .painterly import paint
from .things import AFLOAT, COLOURS, FLYING, THINGS, Place

_T = TypeVar("_T")

_ANYWHERE = ("house", "tree", "balloon", "tent", "castle", "cat", "car", "campfire", "rocket", "airplane", "kite")
_SKY = ("balloon", "balloon", "airplane", "airplane", "kite", "kite", "rocket", "rocket")
PLACES: dict[str, tuple[str, ...]] = {
    "mountains": (*_ANYWHERE, "windmill", "church", "bus", "flowers", "mushroom", "umbrella"),
    "sea": ("sailboat", "sailboat", "sailboat", "lighthouse", "lighthouse", "lighthouse", "duck", "duck", *_SKY),
    "desert": (*_ANYWHERE, "cactus", "cactus", "cactus", "pyramid", "pyramid", "pyramid", "palm", "bus", "umbrella"),
    "forest": (*_ANYWHERE, "mushroom", "mushroom", "church", "snowman", "windmill", "flowers"),
    "city": (*_ANYWHERE, "car", "bus", "bus", "bus", "church", "umbrella", "palm", "flowers"),
    "meadow": (*_ANYWHERE, "windmill", "windmill", "flowers", "flowers", "mushroom", "church", "bus", "umbrella"),
    "snow": (*_ANYWHERE, "snowman", "snowman", "snowman", "church", "bus", "windmill", "umbrella"),
    "beach": (*_ANYWHERE, "palm", "palm", "palm", "umbrella", "umbrella", "umbrella", "lighthouse", "lighthouse"),
    "lake": ("sailboat", "sailboat", "sailboat", "duck", "duck", "duck", "duck", "lighthouse", *_SKY),
    "canyon": (*_ANYWHERE, "cactus", "cactus", "pyramid", "bus", "palm", "umbrella"),
    "farm": (*_ANYWHERE, "windmill", "windmill", "church", "bus", "flowers", "mushroom", "cactus"),
    "volcano": (*_ANYWHERE, "palm", "palm", "pyramid", "cactus", "mushroom", "bus", "lighthouse"),
}
"""Which things stand where; one that is named twice is drawn twice as often."""

_WATERS = ("sea", "lake")

EMPTY_SHARE = 0.08
"""Share of scenes with nothing in the foreground."""

_TIMES = {"day": 4, "sunset": 3, "dawn": 3, "night": 3, "overcast": 3, "fog": 3}
TIMES = tuple(_TIMES)
_SKIES: dict[str, tuple[str | None, ...]] = {
    "day": ("sun", "clouds", "clouds", None),
    "sunset": ("sun", "sun", "clouds", None),
    "dawn": ("sun", "clouds", None),
    "night": ("moon", "moon", "stars"),
    "overcast": ("clouds",),
    "fog": (None, None, "sun"),
}
_STYLES = {"flat": 3, "painted": 2}
STYLES = tuple(_STYLES)
_COUNTS = {1: 8, 2: 2, 3: 2}
_SIZES = {"small": 1, "middling": 3, "large": 2}
_SIDES = {"left": 1, "middle": 3, "right": 1}
_SCALES = {"small": (0.74, 0.82), "middling": (1.06, 1.18), "large": (1.36, 1.46)}
_SCALES_OF_SEVERAL = {2: (0.74, 0.82), 3: (0.58, 0.64)}
_ACROSS = {"left": 0.28, "middle": 0.5, "right": 0.72}
_ACROSS_OF_SEVERAL = {2: (0.28, 0.72), 3: (0.18, 0.5, 0.82)}


@dataclass(frozen=True)
class Scene:
    """Everything that decides a picture; the same scene gives the same picture at any size.

    `size` and `side` say something only where `count` is 1; `colour` only where the thing takes one.
    """

    seed: int
    backdrop: str
    time: str
    sky: str | None
    style: str
    thing: str | None
    colour: str
    count: int
    size: str
    side: str


def _draw_lot(choose: random.Random, weights: Mapping[_T, int]) -> _T:
    return choose.choices(tuple(weights), tuple(weights.values()))[0]


def scene_of(seed: int) -> Scene:
    """Draw a scene from a seed."""
    choose = random.Random(seed)
    backdrop, time = choose.choice(tuple(PLACES)), _draw_lot(choose, _TIMES)
    thing = None if choose.random() < EMPTY_SHARE else choose.choice(PLACES[backdrop])
    colours = [name for name in COLOURS if (thing, name) != ("flowers", "green")]
    return Scene(
        seed,
        backdrop,
        time,
        sky=choose.choice(_SKIES[time]),
        style=_draw_lot(choose, _STYLES),
        thing=thing,
        colour=choose.choice(colours),
        count=_draw_lot(choose, _COUNTS),
        size=_draw_lot(choose, _SIZES),
        side=_draw_lot(choose, _SIDES),
    )


def render(scene: Scene, size: int) -> NDArray[np.uint8]:
    """Draw a scene as RGB uint8 size×size×3."""
    rng, brush = np.random.default_rng(scene.seed + 1), np.random.default_rng((scene.seed, 2))
    canvas, light = Canvas(size), LIGHTS[scene.time]
    horizon = float(rng.uniform(0.57, 0.61))
    orb = draw_sky(canvas, rng, light, scene.time, scene.sky, horizon)
    BACKDROPS[scene.backdrop](canvas, rng, light, horizon, orb)
    draw_air(canvas, rng, light, scene.time, horizon)
    if scene.thing is not None:
        colour: Colour = light.on_thing(COLOURS[scene.colour])
        for place in _places(scene, horizon, rng):
            THINGS[scene.thing](canvas, rng, light, place, colour)
    return canvas.finish(partial(paint, rng=brush) if scene.style == "painted" else None)


def _places(scene: Scene, horizon: float, rng: np.random.Generator) -> list[Place]:
    """Where the things stand: one where its side says, several in a row."""
    thing = scene.thing
    assert thing is not None
    if scene.count == 1:
        columns, scales = (_ACROSS[scene.side],), _SCALES[scene.size]
    else:
        columns, scales = _ACROSS_OF_SEVERAL[scene.count], _SCALES_OF_SEVERAL[scene.count]
    scale = float(rng.uniform(*scales))
    foot = _footing(scene, horizon, scale, rng)
    return [
        Place(x + float(rng.uniform(-0.03, 0.03)), foot + float(rng.uniform(-0.015, 0.015)), scale) for x in columns
    ]


def _footing(scene: Scene, horizon: float, scale: float, rng: np.random.Generator) -> float:
    if scene.thing in FLYING:
        return 0.13 + 0.17 * scale + float(rng.uniform(-0.02, 0.02))
    if scene.thing in AFLOAT or scene.backdrop in _WATERS:
        return horizon + float(rng.uniform(0.16, 0.19))
    return float(rng.uniform(0.83, 0.86))
