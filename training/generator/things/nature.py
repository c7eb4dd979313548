"""What grows, and what burns: tree, palm, cactus, flowers, mushroom and campfire."""

from __future__ import annotations

import math

import numpy as np
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

from .shapes import STONE, WOOD, Place, arc, blob, disc, oval, shape, smooth, stroke, tones


def tree(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A round broadleaf crown in three greens on a trunk that forks."""
    deep, base, bright = (light.on_thing(c) for c in ((42, 112, 66), (64, 144, 78), (104, 182, 92)))
    wood = light.on_thing(WOOD)
    shape(canvas, place, wood, (-0.045, 0.0), (0.045, 0.0), (0.024, -0.06), (0.024, -0.22), (-0.024, -0.22),
          (-0.024, -0.06))  # fmt: skip
    stroke(canvas, place, wood, 0.024, (0.0, -0.12), (0.07, -0.19))
    for circle in ((0.1, -0.22, 0.085), (0.04, -0.19, 0.07), (0.05, -0.33, 0.1)):
        disc(canvas, place, circle, deep)
    for circle in ((-0.1, -0.22, 0.085), (0.06, -0.25, 0.085), (-0.01, -0.33, 0.11), (-0.03, -0.22, 0.08)):
        disc(canvas, place, circle, base)
    for circle in ((-0.11, -0.245, 0.05), (-0.035, -0.36, 0.062), (0.05, -0.275, 0.036)):
        disc(canvas, place, circle, bright)


def palm(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A leaning palm with arching fronds and two coconuts."""
    trunk, ring = light.on_thing((164, 118, 76)), light.on_thing((122, 82, 56))
    left = [(-0.06, 0.0), (-0.05, -0.1), (-0.025, -0.2), (0.018, -0.32)]
    right = [(0.048, -0.32), (0.01, -0.2), (-0.008, -0.1), (-0.005, 0.0)]
    shape(canvas, place, trunk, *left, *right)
    for y in (-0.06, -0.13, -0.2):
        share = -y / 0.32
        x = -0.032 + 0.065 * share**1.6
        stroke(canvas, place, ring, 0.014, (x - 0.014, y + 0.003), (x + 0.014, y - 0.003))
    deep, base, bright = (light.on_thing(c) for c in ((36, 112, 74), (58, 150, 82), (112, 190, 92)))
    crown = (0.035, -0.325)
    fronds = (
        (-0.13, 0.13, deep), (0.14, 0.12, deep), (-0.2, 0.06, base), (0.19, 0.05, base),
        (-0.17, -0.06, bright), (0.14, -0.07, bright),
    )  # fmt: skip
    for dx, dy, fill in fronds:
        _frond(canvas, place, crown, (dx, dy), fill)
    for x, y in ((0.012, -0.295), (0.056, -0.29)):
        disc(canvas, place, (x, y, 0.022), light.on_thing((96, 62, 48)))


def _frond(
    canvas: Canvas, place: Place, crown: tuple[float, float], reach: tuple[float, float], colour: Colour
) -> None:
    (x, y), (dx, dy) = crown, reach
    rise = 0.085
    shape(
        canvas, place, colour,
        *smooth([
            (x, y + 0.012), (x + dx * 0.3, y + dy * 0.3 - rise * 0.75), (x + dx * 0.7, y + dy * 0.62 - rise * 0.8),
            (x + dx, y + dy + 0.012), (x + dx * 0.66, y + dy * 0.62 - rise * 0.22), (x + dx * 0.3, y + dy * 0.3 - 0.01),
        ]),
    )  # fmt: skip


def cactus(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A saguaro with two arms, lit from the left, with a blossom on top."""
    deep, base, bright = (light.on_thing(c) for c in ((42, 112, 78), (62, 146, 88), (112, 186, 104)))
    stroke(canvas, place, base, 0.052, (-0.02, -0.12), (-0.115, -0.14), (-0.115, -0.24))
    stroke(canvas, place, deep, 0.052, (0.02, -0.08), (0.115, -0.1), (0.115, -0.26))
    shape(canvas, place, base, (-0.05, 0.0), *arc((0.0, -0.34, 0.05, 0.05), 180.0, 360.0), (0.05, 0.0))
    shape(canvas, place, deep, (0.018, 0.0), *arc((0.018, -0.34, 0.032, 0.046), 270.0, 360.0), (0.05, 0.0))
    stroke(canvas, place, bright, 0.016, (-0.024, -0.34), (-0.024, -0.02))
    stroke(canvas, place, bright, 0.014, (-0.125, -0.15), (-0.125, -0.24))
    for x, y, r in ((-0.022, -0.395, 0.018), (0.022, -0.395, 0.018), (0.0, -0.408, 0.02)):
        disc(canvas, place, (x, y, r), light.on_thing((240, 116, 150)))


def flowers(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A clump of five tulips: two behind, three before."""
    stem, leaf = light.on_thing((46, 124, 66)), light.on_thing((78, 158, 80))
    heads = [
        (x + float(rng.uniform(-0.012, 0.012)), y + float(rng.uniform(-0.015, 0.015)))
        for x, y in ((-0.082, -0.3), (0.088, -0.29), (-0.158, -0.17), (0.005, -0.18), (0.162, -0.165))
    ]
    for k, (x, y) in enumerate(heads):
        foot = x * 0.72
        stroke(canvas, place, stem, 0.018, (x, y), (foot, -0.008))
        if k >= 2:
            for side, fill in ((-1.0, leaf), (1.0, stem)):
                tip = (foot + side * 0.062, -0.115)
                shape(canvas, place, fill, *smooth([(foot - side * 0.004, 0.0), (foot + side * 0.014, -0.06), tip,
                                                    (foot + side * 0.046, -0.04)]))  # fmt: skip
    for x, y in heads:
        _tulip(canvas, light, place, (x, y), colour)


def _tulip(canvas: Canvas, light: Light, place: Place, at: tuple[float, float], colour: Colour) -> None:
    tone, (x, y) = tones(colour, light), at
    outline = ((-0.056, -0.075), (-0.026, -0.035), (0.0, -0.08), (0.026, -0.035), (0.056, -0.075))
    shape(
        canvas, place, tone.base,
        *((x + dx, y + dy) for dx, dy in outline), *arc((x, y, 0.056, 0.056), 0.0, 180.0),
    )  # fmt: skip
    shape(
        canvas, place, tone.deep, (x + 0.02, y - 0.042), (x + 0.056, y - 0.075), *arc((x, y, 0.056, 0.056), 0.0, 70.0)
    )
    blob(canvas, place, tone.bright, (x - 0.004, y - 0.07), (x + 0.022, y - 0.01), (x - 0.002, y + 0.036),
         (x - 0.028, y - 0.01))  # fmt: skip


def mushroom(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A fat toadstool: a domed cap with large dots on a pale stem."""
    tone = tones(colour, light)
    stem, shade = light.on_thing((246, 226, 196)), light.on_thing((206, 172, 144))
    blob(
        canvas, place, stem,
        (-0.06, -0.2), (-0.052, -0.1), (-0.078, -0.02), (-0.03, 0.004), (0.03, 0.004), (0.078, -0.02), (0.052, -0.1),
        (0.06, -0.2),
    )  # fmt: skip
    shape(canvas, place, shade, (-0.064, -0.17), (0.064, -0.17), (0.052, -0.125), (0.0, -0.11), (-0.05, -0.125))
    shape(canvas, place, shade, (0.022, -0.12), (0.052, -0.12), (0.074, -0.03), (0.05, 0.0), (0.026, 0.0))
    cap = [(-0.2, -0.17), *arc((0.0, -0.185, 0.2, 0.19), 180.0, 360.0), (0.2, -0.17)]
    shape(canvas, place, tone.base, *cap, *arc((0.0, -0.172, 0.2, 0.034), 0.0, 180.0))
    shape(
        canvas, place, tone.deep, *arc((0.0, -0.185, 0.2, 0.19), 300.0, 360.0), (0.2, -0.17),
        *arc((0.0, -0.172, 0.2, 0.034), 0.0, 150.0), (0.06, -0.19), (0.13, -0.24),
    )  # fmt: skip
    for x, y, r in ((-0.09, -0.25, 0.038), (0.035, -0.305, 0.034), (0.03, -0.205, 0.03), (0.13, -0.235, 0.028)):
        disc(canvas, place, (x, y, r), tone.accent)
    disc(canvas, place, (-0.155, -0.185, 0.022), tone.accent)


def campfire(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """Flames over crossed logs in a ring of stones; it glows after dark."""
    if light.lamps:
        for radius, opacity in ((0.26, 0.14), (0.18, 0.2)):
            canvas.veil(*place.at((0.0, -0.13))[0], radius * place.scale, (255, 176, 80), opacity)
    sway = float(rng.uniform(-0.012, 0.012))
    for size, fill in ((1.0, (240, 84, 42)), (0.7, (255, 156, 48)), (0.4, (255, 230, 120))):
        outline = (
            (-0.1, -0.09), (-0.125, -0.17), (-0.09, -0.245), (-0.062, -0.2), (-0.035, -0.27), (0.01 + sway, -0.375),
            (0.035, -0.27), (0.06, -0.215), (0.095, -0.26), (0.125, -0.16), (0.1, -0.08), (0.0, -0.04),
        )  # fmt: skip
        blob(canvas, place, fill, *((x * size, -0.05 + (y + 0.05) * size) for x, y in outline))
    for side, fill in ((-1.0, (96, 62, 46)), (1.0, (128, 84, 56))):
        log = light.on_thing(fill)
        stroke(canvas, place, log, 0.044, (-0.13 * side, -0.085), (0.13 * side, -0.03))
        disc(canvas, place, (-0.135 * side, -0.087, 0.016), light.on_thing((216, 168, 112)))
    for k in range(5):
        x = -0.17 + 0.085 * k
        drop = 0.012 * math.sin(math.pi * k / 4)
        for lift, grey in ((0.0, 0.62), (0.01, 0.1)):
            stone = light.on_thing(mix(STONE, (80, 82, 104), grey))
            oval(canvas, place, (x - lift, -0.014 + drop - lift, 0.044 - lift, 0.034 - lift), stone)
