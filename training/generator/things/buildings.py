"""Buildings: house, church, castle, lighthouse, windmill, pyramid and tent."""

from __future__ import annotations

import math

import numpy as np
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

from .shapes import SLATE, STONE, WOOD, Place, arc, box, disc, shape, tones, window


def house(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A cottage seen from its corner: a lit gable with the door, a shaded side, a slate roof and a chimney."""
    tone, slate = tones(colour, light), light.on_thing(SLATE)
    box(canvas, place, (0.08, -0.37, 0.125, -0.24), light.on_thing((150, 96, 84)))
    box(canvas, place, (-0.02, -0.18, 0.18, 0.0), tone.deep)
    shape(canvas, place, tone.base, (-0.18, 0.0), (-0.18, -0.18), (-0.085, -0.3), (0.01, -0.18), (0.01, 0.0))
    shape(canvas, place, slate, (-0.085, -0.335), (0.13, -0.335), (0.21, -0.165), (0.022, -0.165))
    edge = mix(slate, (20, 14, 40), 0.3)
    shape(
        canvas, place, edge,
        (-0.085, -0.335), (0.03, -0.165), (-0.002, -0.165), (-0.085, -0.288), (-0.168, -0.165), (-0.205, -0.165),
    )  # fmt: skip
    box(canvas, place, (-0.117, -0.115, -0.053, 0.0), light.on_thing(WOOD))
    disc(canvas, place, (-0.085, -0.186, 0.026), light.window)
    box(canvas, place, (0.062, -0.13, 0.132, -0.06), light.window)


def church(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A bell tower with a pointed spire and a cross, a nave with arched windows behind it."""
    tone, slate = tones(colour, light), light.on_thing(SLATE)
    gold = light.on_thing((250, 206, 92))
    box(canvas, place, (-0.06, -0.16, 0.2, 0.0), tone.deep)
    shape(canvas, place, slate, (-0.06, -0.255), (0.17, -0.255), (0.22, -0.15), (-0.06, -0.15))
    for x in (0.0, 0.072, 0.144):
        window(canvas, place, light.window, (x, -0.115, x + 0.038, -0.035))
    box(canvas, place, (-0.19, -0.29, -0.04, 0.0), tone.base)
    box(canvas, place, (-0.066, -0.29, -0.04, 0.0), mix(tone.base, tone.deep, 0.6))
    shape(canvas, place, slate, (-0.21, -0.28), (-0.02, -0.28), (-0.115, -0.45))
    shape(canvas, place, mix(slate, (20, 14, 40), 0.3), (-0.085, -0.28), (-0.02, -0.28), (-0.115, -0.45))
    box(canvas, place, (-0.124, -0.53, -0.106, -0.43), gold)
    box(canvas, place, (-0.151, -0.504, -0.079, -0.486), gold)
    window(canvas, place, light.window, (-0.14, -0.245, -0.09, -0.165))
    window(canvas, place, light.on_thing(WOOD), (-0.147, -0.105, -0.083, 0.0))


def castle(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A crenellated stone wall between three coloured towers with pointed roofs."""
    tone, wall = tones(colour, light), light.on_thing(STONE)
    for x in (-0.108, -0.064, 0.036, 0.08):
        box(canvas, place, (x, -0.182, x + 0.028, -0.15), wall)
    box(canvas, place, (-0.17, -0.155, 0.17, 0.0), wall)
    box(canvas, place, (-0.17, -0.03, 0.17, 0.0), mix(wall, light.on_thing(SLATE), 0.4))
    box(canvas, place, (-0.008, -0.52, 0.008, -0.4), light.on_thing(WOOD))
    shape(canvas, place, tone.bright, (0.008, -0.52), (0.085, -0.492), (0.008, -0.464))
    for x, top, half in ((-0.165, -0.225, 0.05), (0.165, -0.225, 0.05), (0.0, -0.295, 0.06)):
        box(canvas, place, (x - half, top, x + half, 0.0), tone.base)
        box(canvas, place, (x + half * 0.45, top, x + half, 0.0), mix(tone.base, tone.deep, 0.6))
        shape(canvas, place, tone.deep, (x - half * 1.42, top), (x + half * 1.42, top), (x, top - half * 2.6))
        window(canvas, place, light.window, (x - 0.018, top + 0.03, x + 0.018, top + 0.09))
    gate = light.on_thing((84, 58, 50))
    window(canvas, place, gate, (-0.042, -0.12, 0.042, 0.0))


def lighthouse(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A striped tower on a rock; the large lantern under its dome shines after dark."""
    tone, lantern = tones(colour, light), (255, 226, 110)
    rock = light.on_thing((112, 104, 110))
    if light.lamps:
        for radius, opacity in ((0.17, 0.22), (0.11, 0.35)):
            canvas.veil(*place.at((0.0, -0.41))[0], radius * place.scale, lantern, opacity)
    shape(
        canvas, place, rock,
        (-0.16, 0.035), (-0.13, -0.01), (-0.085, -0.028), (0.0, -0.01), (0.09, -0.022), (0.13, 0.0), (0.16, 0.035),
    )  # fmt: skip
    shape(canvas, place, mix(rock, (30, 24, 50), 0.3), (0.04, 0.035), (0.075, 0.0), (0.13, 0.0), (0.16, 0.035))
    for k in range(5):
        grow = 0.011 if k % 2 == 0 else -0.011
        low, high = min(0.0, -0.07 * k + grow), max(-0.35, -0.07 * (k + 1) - grow)
        wide, narrow = 0.09 + 0.09 * low, 0.09 + 0.09 * high
        first, second = (tone.base, tone.deep) if k % 2 == 0 else (tone.accent, mix(tone.accent, (60, 60, 110), 0.2))
        shape(canvas, place, first, (-wide, low), (wide, low), (narrow, high), (-narrow, high))
        shape(canvas, place, second, (wide * 0.4, low), (wide, low), (narrow, high), (narrow * 0.4, high))
    box(canvas, place, (-0.045, -0.45, 0.045, -0.37), lantern)
    for x in (-0.045, 0.031):
        box(canvas, place, (x, -0.45, x + 0.014, -0.37), light.on_thing(SLATE))
    box(canvas, place, (-0.078, -0.375, 0.078, -0.348), light.on_thing(SLATE))
    shape(canvas, place, tone.base, *arc((0.0, -0.445, 0.066, 0.066), 180.0, 360.0))
    shape(canvas, place, tone.deep, (0.02, -0.445), *arc((0.0, -0.445, 0.066, 0.066), 290.0, 360.0))
    disc(canvas, place, (0.0, -0.516, 0.014), light.on_thing(SLATE))


def windmill(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A coloured tower with a dark cap and four broad sails."""
    tone, wood = tones(colour, light), light.on_thing(WOOD)
    sail = tone.accent
    shape(canvas, place, tone.base, (-0.135, 0.0), (0.135, 0.0), (0.082, -0.3), (-0.082, -0.3))
    shape(canvas, place, tone.deep, (0.055, 0.0), (0.135, 0.0), (0.082, -0.3), (0.034, -0.3))
    shape(canvas, place, tone.deep, *arc((0.0, -0.295, 0.092, 0.105), 180.0, 360.0))
    window(canvas, place, wood, (-0.036, -0.1, 0.036, 0.0))
    hub, turn = (0.0, -0.3), float(rng.uniform(0.6, 0.95))
    for k in range(4):
        cos, sin = math.cos(turn + k * math.pi / 2), math.sin(turn + k * math.pi / 2)

        def along(*corners: tuple[float, float], cos: float = cos, sin: float = sin) -> list[tuple[float, float]]:
            return [(hub[0] + a * cos - b * sin, hub[1] + a * sin + b * cos) for a, b in corners]

        shape(canvas, place, sail, *along((0.075, -0.008), (0.235, -0.008), (0.235, 0.043), (0.075, 0.043)))
        shape(canvas, place, wood, *along((0.0, -0.009), (0.235, -0.009), (0.235, 0.007), (0.0, 0.007)))
    disc(canvas, place, (*hub, 0.025), wood)


def pyramid(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A stepped pyramid of sandstone with a lit and a shaded face and an entrance."""
    lit, shade = light.on_thing((242, 200, 126)), light.on_thing((176, 124, 80))
    peak, edge, left, right = (0.0, -0.33), (0.08, 0.015), (-0.3, -0.005), (0.29, -0.035)

    def between(corner: tuple[float, float], share: float) -> tuple[float, float]:
        return peak[0] + (corner[0] - peak[0]) * share, peak[1] + (corner[1] - peak[1]) * share

    shape(canvas, place, lit, left, edge, peak)
    shape(canvas, place, shade, edge, right, peak)
    for share in (0.34, 0.56, 0.78):
        lower = share + 0.018 / 0.33
        shape(
            canvas, place, mix(lit, shade, 0.4), between(left, share), between(edge, share), between(edge, lower),
            between(left, lower),
        )  # fmt: skip
        shape(
            canvas, place, mix(shade, (70, 40, 50), 0.3), between(edge, share), between(right, share),
            between(right, lower), between(edge, lower),
        )  # fmt: skip
    shape(canvas, place, light.on_thing((96, 62, 54)), (-0.085, 0.006), (-0.02, 0.01), (-0.03, -0.07), (-0.075, -0.07))


def tent(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A ridge tent seen from its corner, one flap folded back; a lamp inside lights it after dark."""
    tone = tones(colour, light)
    inside = (255, 214, 120) if light.lamps else light.on_thing((70, 56, 72))
    pole = light.on_thing(WOOD)
    for x in (-0.085, -0.035):
        stick = ((-0.06, -0.23), (-0.06 + (x + 0.06) * 1.1, -0.3))
        shape(
            canvas, place, pole,
            (stick[0][0] - 0.008, stick[0][1]), (stick[0][0] + 0.008, stick[0][1]),
            (stick[1][0] + 0.008, stick[1][1]), (stick[1][0] - 0.008, stick[1][1]),
        )  # fmt: skip
    shape(canvas, place, tone.deep, (-0.06, -0.27), (0.13, -0.25), (0.24, -0.02), (0.09, 0.0))
    shape(canvas, place, tone.base, (-0.23, 0.0), (0.1, 0.0), (-0.06, -0.27))
    shape(canvas, place, inside, (-0.13, 0.0), (0.02, 0.0), (-0.06, -0.19))
    shape(canvas, place, tone.bright, (-0.06, -0.19), (-0.13, 0.0), (-0.155, 0.0), (-0.115, -0.1))
    if light.lamps:
        shape(canvas, place, (255, 242, 186), (-0.09, 0.0), (-0.03, 0.0), (-0.06, -0.08))
