"""The twelve things that can stand in the foreground: a handful of flat shapes each, large enough for 64 pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, Colour, mix
from .light import Light

COLOURS: dict[str, Colour] = {
    "red": (222, 58, 54),
    "orange": (244, 142, 46),
    "yellow": (248, 210, 64),
    "green": (64, 164, 92),
    "blue": (54, 104, 214),
    "purple": (138, 80, 188),
    "pink": (244, 142, 184),
    "white": (248, 246, 240),
}
_PAPER: Colour = (250, 246, 236)
_WOOD: Colour = (118, 80, 56)
_STONE: Colour = (184, 184, 194)


@dataclass(frozen=True)
class Place:
    """Where a thing stands (the middle of its foot; of a balloon: of its envelope) and how large it is drawn."""

    x: float
    y: float
    scale: float

    def at(self, *points: tuple[float, float]) -> list[tuple[float, float]]:
        """Move points given relative to the place, in units of its scale, onto the canvas."""
        return [(self.x + dx * self.scale, self.y + dy * self.scale) for dx, dy in points]


Draw = Callable[[Canvas, np.random.Generator, Light, Place, Colour], None]


def _box(canvas: Canvas, place: Place, corners: tuple[float, float, float, float], colour: Colour) -> None:
    (left, top), (right, bottom) = place.at(corners[:2], corners[2:])
    canvas.rectangle(left, top, right, bottom, colour)


def _disc(canvas: Canvas, place: Place, circle: tuple[float, float, float], colour: Colour) -> None:
    ((x, y),) = place.at(circle[:2])
    canvas.disc(x, y, circle[2] * place.scale, colour)


def house(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """Coloured walls, a slate roof, a door and two windows."""
    slate = light.on_thing((78, 72, 88))
    _box(canvas, place, (0.07, -0.31, 0.11, -0.2), slate)
    _box(canvas, place, (-0.13, -0.18, 0.13, 0.0), colour)
    canvas.polygon(place.at((-0.17, -0.17), (0.17, -0.17), (0.0, -0.32)), slate)
    _box(canvas, place, (-0.03, -0.11, 0.03, 0.0), light.on_thing(_WOOD))
    for x in (-0.1, 0.05):
        _box(canvas, place, (x, -0.13, x + 0.05, -0.07), light.window)


def tree(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A round broadleaf crown on a trunk."""
    dark, bright = light.on_thing((56, 134, 74)), light.on_thing((88, 170, 88))
    _box(canvas, place, (-0.022, -0.18, 0.022, 0.0), light.on_thing(_WOOD))
    for circle in ((-0.08, -0.21, 0.085), (0.08, -0.21, 0.085), (0.0, -0.29, 0.11)):
        _disc(canvas, place, circle, dark)
    for circle in ((-0.06, -0.25, 0.06), (0.03, -0.31, 0.07)):
        _disc(canvas, place, circle, bright)


def balloon(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A hot-air balloon with a pale middle panel and a basket."""
    pale = mix(colour, light.on_thing(_PAPER), 0.62 if colour[1] < 225 else 0.0)
    pale = pale if pale != colour else light.on_thing((206, 210, 222))
    canvas.polygon(place.at((-0.108, 0.06), (0.108, 0.06), (0.032, 0.19), (-0.032, 0.19)), colour)
    _disc(canvas, place, (0.0, 0.0, 0.125), colour)
    canvas.ellipse(place.x, place.y, 0.05 * place.scale, 0.125 * place.scale, pale)
    canvas.polygon(place.at((-0.047, 0.04), (0.047, 0.04), (0.013, 0.19), (-0.013, 0.19)), pale)
    _box(canvas, place, (-0.032, 0.21, 0.032, 0.26), light.on_thing(_WOOD))


def sailboat(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """Two coloured sails over a dark hull."""
    jib = mix(colour, light.on_thing(_PAPER), 0.45) if colour[1] < 225 else light.on_thing((206, 210, 222))
    canvas.polygon(place.at((-0.008, 0.0), (0.008, 0.0), (0.008, -0.37), (-0.008, -0.37)), light.on_thing(_WOOD))
    canvas.polygon(place.at((0.018, -0.03), (0.018, -0.36), (0.17, -0.03)), colour)
    canvas.polygon(place.at((-0.018, -0.03), (-0.018, -0.3), (-0.13, -0.03)), jib)
    canvas.polygon(place.at((-0.17, -0.015), (0.17, -0.015), (0.11, 0.06), (-0.11, 0.06)), light.on_thing((92, 62, 54)))


def lighthouse(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A striped tower with a lantern on a rock."""
    other = light.on_thing(_PAPER if colour[1] < 225 or colour[2] < 120 else (120, 126, 142))
    canvas.ellipse(place.x, place.y + 0.02, 0.2 * place.scale, 0.06 * place.scale, light.on_thing((112, 104, 106)))
    for k in range(5):
        low, high = -0.074 * k, -0.074 * (k + 1)
        wide, narrow = 0.064 - 0.005 * k, 0.064 - 0.005 * (k + 1)
        stripe = colour if k % 2 == 0 else other
        canvas.polygon(place.at((-wide, low), (wide, low), (narrow, high), (-narrow, high)), stripe)
    slate = light.on_thing((72, 68, 84))
    if light.lamps:
        canvas.veil(*place.at((0.0, -0.41))[0], 0.1 * place.scale, (255, 236, 150), 0.35)
    _box(canvas, place, (-0.054, -0.385, 0.054, -0.365), slate)
    _box(canvas, place, (-0.03, -0.445, 0.03, -0.385), (255, 234, 140))
    canvas.polygon(place.at((-0.045, -0.44), (0.045, -0.44), (0.0, -0.5)), slate)


def cactus(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A saguaro with two arms."""
    green, half = light.on_thing((66, 146, 88)), 0.034
    for x, low, top in ((0.0, 0.0, -0.36), (-0.11, -0.16, -0.26), (0.11, -0.12, -0.24)):
        width = half if x == 0.0 else half * 0.8
        _box(canvas, place, (x - width, top, x + width, low), green)
        _disc(canvas, place, (x, top, width), green)
        if x != 0.0:
            _disc(canvas, place, (x, low, width), green)
            _box(canvas, place, (min(x, 0.0), low - width, max(x, 0.0), low + width), green)


def pyramid(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A pyramid with a lit and a shaded face."""
    peak, edge = (0.0, -0.32), (0.07, 0.01)
    canvas.polygon(place.at((-0.3, -0.01), edge, peak), light.on_thing((240, 196, 120)))
    canvas.polygon(place.at(edge, (0.3, -0.04), peak), light.on_thing((170, 118, 74)))


def windmill(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A coloured tower with four pale sails."""
    roof, sail = light.on_thing((84, 72, 80)), light.on_thing((252, 248, 238))
    if colour[1] > 225:
        sail = light.on_thing((150, 116, 88))
    canvas.polygon(place.at((-0.09, 0.0), (0.09, 0.0), (0.055, -0.27), (-0.055, -0.27)), colour)
    canvas.polygon(place.at((-0.07, -0.265), (0.07, -0.265), (0.0, -0.35)), roof)
    _box(canvas, place, (-0.025, -0.08, 0.025, 0.0), light.on_thing(_WOOD))
    turn = rng.uniform(0.65, 0.9)
    for k in range(4):
        dx, dy = math.cos(turn + k * math.pi / 2), math.sin(turn + k * math.pi / 2)
        corners = ((0.0, 0.0), (0.19, 0.0), (0.19, 0.042), (0.04, 0.042))  # along and across the sail
        sail_points = [(along * dx - across * dy, -0.27 + along * dy + across * dx) for along, across in corners]
        canvas.polygon(place.at(*sail_points), sail)
    _disc(canvas, place, (0.0, -0.27, 0.018), roof)


def flowers(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A row of tulips across the foreground."""
    stem, dark = light.on_thing((52, 128, 66)), mix(colour, (60, 20, 40), 0.16)
    for k in range(6):
        x, top = (k + 0.5 + rng.uniform(-0.1, 0.1)) / 6, float(rng.uniform(0.68, 0.74))
        canvas.rectangle(x - 0.008, top + 0.03, x + 0.008, 1.0, stem)
        canvas.polygon([(x, 0.98), (x + 0.045, top + 0.13), (x + 0.02, 0.99)], stem)
        r = 0.05
        canvas.ellipse(x, top, r, r * 1.05, colour)
        tips = [(x - r, top - r * 1.5), (x, top - r * 0.5), (x + r, top - r * 1.5)]
        canvas.polygon([(x - r, top), *tips, (x + r, top)], colour)
        canvas.polygon([(x - r * 0.5, top), (x, top - r * 1.6), (x + r * 0.5, top), (x, top + r * 0.7)], dark)


def snowman(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """Three balls of snow with a coloured hat and scarf."""
    white, shade = light.on_thing((255, 255, 255)), light.on_thing((176, 196, 222))
    coal, carrot = light.on_thing((52, 50, 62)), light.on_thing((240, 130, 50))
    for y, r in ((-0.08, 0.11), (-0.235, 0.082), (-0.355, 0.062)):
        _disc(canvas, place, (0.012, y + 0.006, r), shade)
        _disc(canvas, place, (-0.004, y, r * 0.94), white)
    _box(canvas, place, (-0.066, -0.318, 0.066, -0.284), colour)
    _box(canvas, place, (0.02, -0.3, 0.056, -0.2), colour)
    _box(canvas, place, (-0.085, -0.415, 0.085, -0.393), colour)
    _box(canvas, place, (-0.055, -0.5, 0.055, -0.4), colour)
    for x in (-0.024, 0.024):
        _disc(canvas, place, (x, -0.372, 0.0095), coal)
    canvas.polygon(place.at((-0.004, -0.36), (0.055, -0.345), (-0.004, -0.338)), carrot)
    for y in (-0.24, -0.19):
        _disc(canvas, place, (-0.01, y, 0.011), coal)


def tent(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A ridge tent with an open flap."""
    canvas.polygon(place.at((-0.2, 0.0), (0.2, 0.0), (0.0, -0.25)), colour)
    canvas.polygon(place.at((0.0, -0.25), (0.2, 0.0), (0.27, -0.02), (0.08, -0.25)), mix(colour, (40, 30, 60), 0.25))
    inside = (255, 214, 120) if light.lamps else light.on_thing((74, 62, 74))
    canvas.polygon(place.at((-0.075, 0.0), (0.075, 0.0), (0.0, -0.18)), inside)


def castle(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """Stone walls and three towers with coloured roofs."""
    wall, tower = light.on_thing(_STONE), light.on_thing((206, 204, 208))
    _box(canvas, place, (-0.17, -0.17, 0.17, 0.0), wall)
    for x, top, half in ((-0.17, -0.26, 0.046), (0.17, -0.26, 0.046), (0.0, -0.32, 0.056)):
        _box(canvas, place, (x - half, top, x + half, 0.0), tower)
        canvas.polygon(place.at((x - half * 1.4, top), (x + half * 1.4, top), (x, top - half * 2.4)), colour)
        _box(canvas, place, (x - 0.014, top + 0.05, x + 0.014, top + 0.1), light.window)
    _box(canvas, place, (-0.034, -0.09, 0.034, 0.0), light.on_thing((84, 62, 54)))
    _disc(canvas, place, (0.0, -0.09, 0.034), light.on_thing((84, 62, 54)))


THINGS: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (
        house, tree, balloon, sailboat, lighthouse, cactus, pyramid, windmill, flowers, snowman, tent, castle,
    )
}  # fmt: skip
COLOURED = frozenset(THINGS) - {"tree", "cactus", "pyramid"}
