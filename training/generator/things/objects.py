"""Things to play with and to sit under: kite and umbrella."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

from .shapes import Place, arc, is_pale, shape, stroke, tones


def kite(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A diamond kite in three tones with bows on its tail."""
    lean = float(rng.uniform(0.2, 0.4)) * (1.0 if rng.random() < 0.5 else -1.0)
    place = replace(place, turn=lean, scale=place.scale * 0.88)
    tone = tones(colour, light)
    tail = [(0.024 * math.sin(40.0 * (y - 0.1)), y) for y in np.linspace(0.1, 0.285, 15).tolist()]
    stroke(canvas, place, tone.accent, 0.016, *tail)
    for x, y in (tail[6], tail[-1]):
        shape(canvas, place, tone.deep, (x, y), (x - 0.052, y - 0.03), (x - 0.052, y + 0.03))
        shape(canvas, place, tone.base, (x, y), (x + 0.052, y - 0.03), (x + 0.052, y + 0.03))
    top, left, right, low, middle = (0.0, -0.26), (-0.155, -0.11), (0.155, -0.11), (0.0, 0.11), (0.0, -0.11)
    for fill, a, b in (
        (tone.bright, top, left), (tone.base, top, right), (tone.base, left, low), (tone.deep, low, right),
    ):  # fmt: skip
        shape(canvas, place, fill, a, b, middle)
    stroke(canvas, place, tone.accent, 0.016, top, low)
    stroke(canvas, place, tone.accent, 0.016, left, right)


def umbrella(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """An open parasol with a scalloped rim, planted at a slight angle."""
    place = replace(place, turn=float(rng.uniform(0.06, 0.14)) * (1.0 if rng.random() < 0.5 else -1.0))
    tone, wood = tones(colour, light), light.on_thing((150, 106, 72))
    stripe = tone.deep if is_pale(colour) else tone.accent
    stroke(canvas, place, wood, 0.02, (0.0, 0.0), (0.0, -0.44))
    rim, height = -0.235, 0.18
    edges = (-0.22, -0.135, -0.05, 0.05, 0.135, 0.22)
    fills = (tone.base, stripe, tone.base, stripe, mix(tone.base, tone.deep, 0.6))
    for left, right, fill in zip(edges, edges[1:], fills, strict=False):
        half = (right - left) / 2
        side = arc((0.0, rim, abs(left), height), 180.0, 270.0) if left < 0 else arc((0.0, rim, left, height), 0, -90)
        other = (
            arc((0.0, rim, -right, height), 270.0, 180.0) if right < 0 else arc((0.0, rim, right, height), -90.0, 0.0)
        )
        shape(canvas, place, fill, *side, *other, *arc((left + half, rim, half, -0.02), 360.0, 180.0))
    stroke(canvas, place, wood, 0.022, (0.0, rim - height - 0.006), (0.0, rim - height - 0.018))
