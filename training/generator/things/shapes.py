"""What all things are made of: the colours, the place of a thing, flat shapes relative to it, and tones of a colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

Point = tuple[float, float]

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
PAPER: Colour = (250, 246, 236)
WOOD: Colour = (118, 80, 56)
STONE: Colour = (176, 178, 190)
SLATE: Colour = (84, 80, 98)
COAL: Colour = (46, 44, 58)


@dataclass(frozen=True)
class Place:
    """Where a thing stands (the middle of its foot; of a flying thing: its middle), how large and how it is turned."""

    x: float
    y: float
    scale: float
    facing: float = 1.0
    """1 draws a thing as it is designed, -1 mirrors it."""
    turn: float = 0.0
    """Rotation round the place in radians, clockwise on the canvas."""

    def at(self, *points: Point) -> list[Point]:
        """Move points given relative to the place, in units of its scale, onto the canvas."""
        cos, sin = math.cos(self.turn) * self.scale, math.sin(self.turn) * self.scale
        return [
            (self.x + dx * self.facing * cos - dy * sin, self.y + dx * self.facing * sin + dy * cos)
            for dx, dy in points
        ]


Draw = Callable[[Canvas, np.random.Generator, Light, Place, Colour], None]


@dataclass(frozen=True)
class Tones:
    """A thing's own colour with a brighter and a deeper tone of it, and what contrasts with it for stripes and dots."""

    bright: Colour
    base: Colour
    deep: Colour
    accent: Colour


def is_pale(colour: Colour) -> bool:
    """Whether a tinted colour is the white one, which needs grey where the others need white."""
    return min(colour) > 0.73 * max(colour)


def tones(colour: Colour, light: Light) -> Tones:
    """Derive the tones of an already tinted colour."""
    if is_pale(colour):
        shade = light.on_thing((96, 112, 156))
        return Tones(colour, colour, mix(colour, shade, 0.34), light.on_thing((112, 122, 150)))
    paper = light.on_thing(PAPER)
    return Tones(mix(colour, paper, 0.26), colour, mix(colour, (34, 18, 66), 0.25), paper)


def shape(canvas: Canvas, place: Place, colour: Colour, *points: Point) -> None:
    """Fill a polygon."""
    canvas.polygon(place.at(*points), colour)


def box(canvas: Canvas, place: Place, corners: tuple[float, float, float, float], colour: Colour) -> None:
    """Fill a rectangle given as left, top, right, bottom."""
    left, top, right, bottom = corners
    shape(canvas, place, colour, (left, top), (right, top), (right, bottom), (left, bottom))


def disc(canvas: Canvas, place: Place, circle: tuple[float, float, float], colour: Colour) -> None:
    """Fill a circle given as x, y, radius."""
    ((x, y),) = place.at(circle[:2])
    canvas.disc(x, y, circle[2] * place.scale, colour)


def oval(canvas: Canvas, place: Place, ellipse: tuple[float, float, float, float], colour: Colour) -> None:
    """Fill an ellipse given as x, y and its two radii; it turns with the place."""
    shape(canvas, place, colour, *arc(ellipse, 0.0, 360.0))


def arc(ellipse: tuple[float, float, float, float], start: float, end: float) -> list[Point]:
    """Points along an ellipse between two angles in degrees: 0 is right, 90 down, 180 left, 270 up."""
    x, y, rx, ry = ellipse
    angles = np.radians(np.linspace(start, end, 33)).tolist()
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def smooth(points: Sequence[Point]) -> list[Point]:
    """A closed curve through the points (Catmull-Rom)."""
    p = np.asarray(points, np.float64)
    t = np.linspace(0, 1, 9)[:-1, None, None]
    before, after, next_but_one = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    curve = 0.5 * (
        2 * p
        + (after - before) * t
        + (2 * before - 5 * p + 4 * after - next_but_one) * t**2
        + (3 * p - before - 3 * after + next_but_one) * t**3
    )
    return [(float(x), float(y)) for x, y in curve.transpose(1, 0, 2).reshape(-1, 2)]


def blob(canvas: Canvas, place: Place, colour: Colour, *points: Point) -> None:
    """Fill a smooth closed curve through the points."""
    shape(canvas, place, colour, *smooth(points))


def stroke(canvas: Canvas, place: Place, colour: Colour, width: float, *points: Point) -> None:
    """Draw a line with round ends and joints through the points."""
    half = width / 2
    for (x0, y0), (x1, y1) in pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        nx, ny = -(y1 - y0) / length * half, (x1 - x0) / length * half
        shape(canvas, place, colour, (x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny))
    for x, y in points:
        disc(canvas, place, (x, y, half), colour)


def window(canvas: Canvas, place: Place, colour: Colour, arch: tuple[float, float, float, float]) -> None:
    """Fill a window or gate with a round top, given as left, top, right, bottom."""
    left, top, right, bottom = arch
    r = (right - left) / 2
    shape(canvas, place, colour, (left, bottom), *arc_top(left, right, top + r), (right, bottom))


def rounded(corners: tuple[float, float, float, float], radius: float) -> list[Point]:
    """The outline of a rectangle (left, top, right, bottom) with round corners."""
    left, top, right, bottom = corners
    r = radius
    return [
        *arc((left + r, top + r, r, r), 180.0, 270.0),
        *arc((right - r, top + r, r, r), 270.0, 360.0),
        *arc((right - r, bottom - r, r, r), 0.0, 90.0),
        *arc((left + r, bottom - r, r, r), 90.0, 180.0),
    ]


def arc_top(left: float, right: float, y: float) -> list[Point]:
    """The upper half of a circle between two ends at the height `y`, from left to right."""
    r = (right - left) / 2
    return arc((left + r, y, r, r), 180.0, 360.0)
