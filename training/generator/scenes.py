"""What the generator can draw: a scene is a backdrop, a time of day, a sky and one thing in the foreground."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .backdrops import BACKDROPS, draw_sky
from .canvas import Canvas, Colour
from .light import LIGHTS
from .things import COLOURS, THINGS, Place

PLACES: dict[str, tuple[str | None, ...]] = {
    "mountains": ("house", "tree", "balloon", "tent", "castle", "windmill", None),
    "sea": ("sailboat", "sailboat", "sailboat", "lighthouse", "lighthouse", "lighthouse", "balloon", None),
    "desert": ("cactus", "cactus", "pyramid", "pyramid", "balloon", "tent", None),
    "forest": ("house", "house", "tent", "tent", "tree", "balloon", "castle", None),
    "city": ("balloon", "balloon", "tree", "house", None),
    "meadow": ("house", "tree", "windmill", "windmill", "flowers", "flowers", "balloon", "castle", None),
    "snow": ("house", "tree", "snowman", "snowman", "snowman", "castle", None),
}
_TIMES = {"day": 4, "sunset": 4, "dawn": 2, "night": 4, "overcast": 2}
_SKIES: dict[str, tuple[str | None, ...]] = {
    "day": ("sun", "clouds", "clouds", None),
    "sunset": ("sun", "sun", "clouds", None),
    "dawn": ("sun", "clouds", None),
    "night": ("moon", "moon", "stars"),
    "overcast": ("clouds",),
}


@dataclass(frozen=True)
class Scene:
    """Everything that decides a picture; the same scene gives the same picture at any size."""

    seed: int
    backdrop: str
    time: str
    sky: str | None
    thing: str | None
    colour: str


def scene_of(seed: int) -> Scene:
    """Draw a scene from a seed."""
    choose = random.Random(seed)
    backdrop = choose.choice(tuple(PLACES))
    time = choose.choices(tuple(_TIMES), tuple(_TIMES.values()))[0]
    thing = choose.choice(PLACES[backdrop])
    colours = [name for name in COLOURS if (thing, name) != ("flowers", "green")]
    return Scene(seed, backdrop, time, choose.choice(_SKIES[time]), thing, choose.choice(colours))


def render(scene: Scene, size: int) -> NDArray[np.uint8]:
    """Draw a scene as RGB uint8 size×size×3."""
    rng = np.random.default_rng(scene.seed + 1)
    canvas, light = Canvas(size), LIGHTS[scene.time]
    horizon = float(rng.uniform(0.58, 0.62))
    sun = draw_sky(canvas, rng, light, scene.time, scene.sky, horizon)
    BACKDROPS[scene.backdrop](canvas, rng, light, horizon, sun)
    if scene.thing is not None:
        place = Place(
            x=float(rng.uniform(0.44, 0.56)),
            y=_footing(scene.thing, horizon, rng),
            scale=float(rng.uniform(1.2, 1.35)),
        )
        colour: Colour = light.on_thing(COLOURS[scene.colour])
        THINGS[scene.thing](canvas, rng, light, place, colour)
    return canvas.finish()


def _footing(thing: str, horizon: float, rng: np.random.Generator) -> float:
    if thing == "balloon":
        return float(rng.uniform(0.25, 0.29))
    if thing in ("sailboat", "lighthouse"):
        return horizon + float(rng.uniform(0.15, 0.18))
    return float(rng.uniform(0.84, 0.87))
