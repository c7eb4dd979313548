"""Animals and the snowman."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

from .shapes import COAL, Place, arc, blob, box, disc, is_pale, oval, shape, stroke, tones


def cat(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A cat that sits and looks at you, its tail curled round to one side."""
    place = replace(place, facing=1.0 if rng.random() < 0.5 else -1.0)
    tone, coal = tones(colour, light), light.on_thing(COAL)
    inner = light.on_thing((240, 160, 166))
    soft = mix(tone.base, tone.deep, 0.5) if is_pale(colour) else mix(tone.base, tone.accent, 0.8)
    stroke(
        canvas, place, tone.deep, 0.05, (0.06, -0.028), *arc((0.13, -0.088, 0.06, 0.06), 90.0, -20.0), (0.172, -0.15)
    )
    blob(
        canvas, place, tone.base,
        (-0.055, -0.23), (-0.085, -0.14), (-0.115, -0.04), (-0.08, 0.0), (0.08, 0.0), (0.115, -0.04), (0.085, -0.14),
        (0.055, -0.23),
    )  # fmt: skip
    for side in (-1.0, 1.0):
        oval(canvas, place, (side * 0.088, -0.04, 0.036, 0.04), tone.deep)
        oval(canvas, place, (side * 0.034, -0.012, 0.034, 0.02), tone.bright)
        shape(canvas, place, tone.base, (side * 0.115, -0.4), (side * 0.12, -0.27), (side * 0.015, -0.33))
        shape(canvas, place, inner, (side * 0.099, -0.365), (side * 0.099, -0.3), (side * 0.05, -0.33))
    blob(canvas, place, soft, (-0.034, -0.18), (0.034, -0.18), (0.024, -0.1), (0.0, -0.075), (-0.024, -0.1))
    oval(canvas, place, (0.0, -0.262, 0.122, 0.098), tone.base)
    oval(canvas, place, (0.0, -0.222, 0.052, 0.036), soft)
    for side in (-1.0, 1.0):
        oval(canvas, place, (side * 0.052, -0.28, 0.021, 0.026), coal)
    shape(canvas, place, inner, (-0.02, -0.244), (0.02, -0.244), (0.0, -0.22))


def duck(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A plump duck afloat, or at rest on the grass: its belly is flat."""
    place = replace(place, facing=1.0 if rng.random() < 0.5 else -1.0)
    tone = tones(colour, light)
    beak, beak_deep = light.on_thing((250, 160, 50)), light.on_thing((214, 112, 44))
    if max(abs(a - b) for a, b in zip(colour, beak, strict=True)) < 60:
        beak, beak_deep = light.on_thing((206, 84, 54)), light.on_thing((160, 58, 50))
    blob(canvas, place, beak, (0.17, -0.255), (0.235, -0.24), (0.262, -0.222), (0.22, -0.206), (0.165, -0.205))
    shape(canvas, place, beak_deep, (0.17, -0.223), (0.262, -0.223), (0.22, -0.205), (0.165, -0.205))
    blob(
        canvas, place, tone.base,
        (-0.25, -0.2), (-0.15, -0.135), (-0.03, -0.145), (0.07, -0.165), (0.17, -0.13), (0.19, -0.06), (0.13, 0.0),
        (0.0, 0.012), (-0.12, 0.0), (-0.195, -0.06),
    )  # fmt: skip
    shape(canvas, place, tone.base, (0.03, -0.12), (0.055, -0.22), (0.16, -0.2), (0.18, -0.1))
    blob(canvas, place, tone.deep, (0.188, -0.06), (0.13, 0.0), (0.0, 0.012), (-0.12, 0.0), (-0.19, -0.05),
         (-0.1, -0.028), (0.06, -0.03))  # fmt: skip
    disc(canvas, place, (0.105, -0.245, 0.09), tone.base)
    blob(canvas, place, tone.deep, (0.06, -0.105), (0.04, -0.05), (-0.06, -0.035), (-0.175, -0.115), (-0.06, -0.125))
    blob(canvas, place, tone.bright, (0.05, -0.115), (0.02, -0.068), (-0.06, -0.06), (-0.165, -0.122), (-0.06, -0.132))
    disc(canvas, place, (0.128, -0.268, 0.019), light.on_thing(COAL))


def snowman(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """Two balls of snow under a large knitted hat, with a long thick scarf and mittens."""
    snow, shade = light.on_thing((255, 255, 255)), light.on_thing((178, 198, 226))
    tone, coal = tones(colour, light), light.on_thing(COAL)
    for side in (-1.0, 1.0):
        stroke(canvas, place, light.on_thing((110, 76, 58)), 0.016, (side * 0.09, -0.13), (side * 0.17, -0.19))
        disc(canvas, place, (side * 0.175, -0.2, 0.04), tone.base if side < 0 else tone.deep)
    for y, r in ((-0.1, 0.122), (-0.27, 0.084)):
        disc(canvas, place, (0.0, y, r), shade)
        disc(canvas, place, (-0.012, y - 0.008, r * 0.88), snow)
    blob(canvas, place, tone.base, (-0.088, -0.31), (-0.078, -0.4), (0.0, -0.455), (0.078, -0.4), (0.088, -0.31))
    blob(canvas, place, tone.deep, (0.03, -0.33), (0.036, -0.43), (0.078, -0.4), (0.09, -0.32))
    disc(canvas, place, (0.0, -0.465, 0.036), tone.accent)
    box(canvas, place, (-0.096, -0.335, 0.096, -0.296), tone.deep)
    blob(canvas, place, tone.base, (-0.102, -0.21), (-0.1, -0.17), (0.0, -0.148), (0.1, -0.17), (0.102, -0.21),
         (0.0, -0.19))  # fmt: skip
    shape(canvas, place, tone.deep, (0.028, -0.175), (0.092, -0.185), (0.1, -0.05), (0.036, -0.05))
    for side in (-1.0, 1.0):
        disc(canvas, place, (side * 0.034, -0.27, 0.013), coal)
    shape(canvas, place, light.on_thing((240, 130, 50)), (-0.004, -0.26), (0.07, -0.236), (-0.004, -0.226))
    for y in (-0.115, -0.06):
        disc(canvas, place, (-0.02, y, 0.015), coal)
