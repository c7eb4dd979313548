"""Things to travel in: car, bus, sailboat, airplane, balloon and rocket."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

from .shapes import COAL, WOOD, Place, Tones, arc, blob, box, disc, oval, rounded, shape, tones


def _either_way(rng: np.random.Generator, place: Place) -> Place:
    return replace(place, facing=1.0 if rng.random() < 0.5 else -1.0)


def _wheels(canvas: Canvas, light: Light, place: Place, axles: tuple[float, float], radius: float) -> None:
    for x in axles:
        disc(canvas, place, (x, -radius, radius), light.on_thing(COAL))
        disc(canvas, place, (x, -radius, radius * 0.45), light.on_thing((206, 208, 216)))


def car(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A small round car from the side."""
    place, tone = _either_way(rng, place), tones(colour, light)
    blob(
        canvas, place, tone.base,
        (-0.15, -0.15), (-0.115, -0.225), (-0.04, -0.25), (0.04, -0.235), (0.1, -0.155), (0.0, -0.12),
    )  # fmt: skip
    blob(
        canvas, place, tone.base,
        (-0.2, -0.06), (-0.205, -0.12), (-0.15, -0.16), (0.0, -0.16), (0.12, -0.15), (0.205, -0.115), (0.215, -0.06),
        (0.16, -0.04), (-0.16, -0.04),
    )  # fmt: skip
    shape(canvas, place, tone.deep, (-0.205, -0.075), (0.214, -0.075), (0.19, -0.037), (-0.19, -0.037))
    shape(canvas, place, light.window, (-0.115, -0.15), (-0.092, -0.212), (-0.038, -0.224), (-0.038, -0.15))
    shape(canvas, place, light.window, (-0.016, -0.15), (-0.016, -0.226), (0.036, -0.21), (0.082, -0.15))
    disc(canvas, place, (0.195, -0.103, 0.02), (255, 238, 160))
    _wheels(canvas, light, place, (-0.115, 0.12), 0.052)


def bus(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A long, tall bus with a row of windows and a stripe."""
    place, tone = _either_way(rng, place), tones(colour, light)
    shape(canvas, place, tone.base, *rounded((-0.24, -0.31, 0.236, -0.04), 0.04))
    box(canvas, place, (-0.24, -0.09, 0.236, -0.055), tone.deep)
    box(canvas, place, (-0.225, -0.055, 0.222, -0.038), tone.deep)
    box(canvas, place, (-0.24, -0.118, 0.236, -0.096), tone.accent)
    for x in (-0.215, -0.13, -0.045):
        box(canvas, place, (x, -0.255, x + 0.064, -0.165), light.window)
    box(canvas, place, (0.045, -0.255, 0.1, -0.05), mix(light.window, tone.deep, 0.3))
    shape(canvas, place, light.window, (0.135, -0.255), (0.203, -0.255), (0.222, -0.165), (0.135, -0.165))
    disc(canvas, place, (0.215, -0.107, 0.018), (255, 238, 160))
    _wheels(canvas, light, place, (-0.14, 0.15), 0.05)


def sailboat(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """Two full sails over a wooden hull."""
    tone, hull = tones(colour, light), light.on_thing((112, 72, 58))
    box(canvas, place, (-0.009, -0.41, 0.009, 0.0), light.on_thing(WOOD))
    shape(canvas, place, tone.base, (0.009, -0.05), (0.009, -0.39), (0.1, -0.24), (0.15, -0.14), (0.175, -0.05))
    shape(canvas, place, tone.deep, (0.009, -0.05), (0.009, -0.12), (0.156, -0.12), (0.175, -0.05))
    shape(canvas, place, tone.bright, (-0.022, -0.05), (-0.022, -0.34), (-0.1, -0.2), (-0.15, -0.05))
    shape(canvas, place, hull, (-0.19, -0.03), (0.19, -0.03), (0.14, 0.045), (-0.13, 0.045))
    shape(canvas, place, tone.accent, (-0.19, -0.03), (0.19, -0.03), (0.178, -0.01), (-0.174, -0.01))


def airplane(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """An airliner climbing gently: fuselage, tail fin, swept wings and portholes."""
    place, tone = _either_way(rng, place), tones(colour, light)
    place = replace(place, turn=-0.16 * place.facing, scale=place.scale * 0.92)
    far, near = mix(tone.base, tone.deep, 1.3), tone.deep
    shape(canvas, place, far, (0.1, -0.04), (0.02, -0.04), (-0.035, -0.135), (0.01, -0.135))
    shape(canvas, place, near, (-0.14, -0.03), (-0.255, -0.18), (-0.19, -0.18), (-0.06, -0.04))
    blob(
        canvas, place, tone.base,
        (0.265, 0.012), (0.245, -0.034), (0.18, -0.066), (0.0, -0.074), (-0.14, -0.06), (-0.265, -0.05),
        (-0.24, -0.005), (-0.1, 0.056), (0.06, 0.074), (0.2, 0.062),
    )  # fmt: skip
    shape(canvas, place, light.window, (0.178, -0.042), (0.212, -0.038), (0.243, -0.008), (0.178, -0.008))
    for x in (-0.1, -0.038, 0.024, 0.086):
        shape(canvas, place, light.window, *rounded((x, -0.04, x + 0.034, -0.004), 0.012))
    shape(canvas, place, near, (-0.17, -0.02), (-0.235, -0.02), (-0.295, 0.035), (-0.25, 0.035))
    shape(canvas, place, tone.accent, *rounded((-0.05, 0.082, 0.052, 0.128), 0.02))
    shape(canvas, place, near, (0.09, 0.022), (-0.03, 0.022), (-0.15, 0.165), (-0.09, 0.165))


def balloon(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A hot-air balloon with a contrasting middle gore and a basket."""
    tone = tones(colour, light)
    top = -0.055

    def gore(share: float, fill: Colour) -> None:
        w = 0.145 * share
        upper = arc((0.0, top, w, 0.145), 160.0, 380.0)
        shape(canvas, place, fill, (-0.038 * share, 0.145), *upper, (0.038 * share, 0.145))

    gore(1.0, tone.deep)
    shape(
        canvas, place, tone.base, (-0.038, 0.145), *arc((0.0, top, 0.145, 0.145), 160.0, 270.0),
        *arc((0.0, top, 0.095, 0.145), 270.0, 380.0), (0.025, 0.145),
    )  # fmt: skip
    gore(0.34, tone.accent)
    rope = light.on_thing(WOOD)
    for x in (-0.03, 0.018):
        box(canvas, place, (x, 0.145, x + 0.012, 0.18), rope)
    box(canvas, place, (-0.042, 0.17, 0.042, 0.23), light.on_thing((146, 98, 60)))
    box(canvas, place, (-0.048, 0.165, 0.048, 0.183), rope)


def rocket(canvas: Canvas, rng: np.random.Generator, light: Light, place: Place, colour: Colour) -> None:
    """A rocket on its way up: rounded body with a porthole, swept fins, a flame below."""
    place, tone = replace(place, turn=float(rng.uniform(0.1, 0.4)), scale=place.scale * 0.92), tones(colour, light)
    _flame(canvas, place)
    for side in (-1.0, 1.0):
        shape(
            canvas, place, tone.deep,
            (side * 0.05, 0.02), (side * 0.135, 0.11), (side * 0.135, 0.185), (side * 0.05, 0.13),
        )  # fmt: skip
    _hull(canvas, place, tone)
    disc(canvas, place, (0.0, -0.06, 0.045), tone.accent)
    disc(canvas, place, (0.0, -0.06, 0.03), light.window)


def _flame(canvas: Canvas, place: Place) -> None:
    blob(canvas, place, (255, 146, 48), (-0.045, 0.13), (-0.04, 0.19), (0.0, 0.275), (0.04, 0.19), (0.045, 0.13))
    blob(canvas, place, (255, 226, 110), (-0.024, 0.13), (-0.02, 0.175), (0.0, 0.22), (0.02, 0.175), (0.024, 0.13))


def _hull(canvas: Canvas, place: Place, tone: Tones) -> None:
    left = [(0.0, -0.26), (-0.05, -0.19), (-0.082, -0.08), (-0.085, 0.03), (-0.058, 0.15)]
    right = [(-x, y) for x, y in reversed(left[1:])]
    shape(canvas, place, tone.base, *left, *right)
    shape(canvas, place, tone.deep, (0.0, -0.26), (0.03, -0.1), (0.03, 0.15), *reversed(right[0:]))
    shape(canvas, place, tone.deep, (0.0, -0.26), (-0.05, -0.19), (0.0, -0.17), (0.05, -0.19))
    box(canvas, place, (-0.058, 0.11, 0.058, 0.15), tone.accent)
    oval(canvas, place, (-0.05, 0.03, 0.013, 0.05), tone.bright)
