"""Land that people shaped: a city and a farm."""

from __future__ import annotations

import numpy as np
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

from .forms import Orb, bush, lowered, side, swell

Tower = tuple[float, float, float, float]


def city(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Two rows of towers with windows above a park."""
    foot = horizon + 0.12
    rows: tuple[tuple[int, float, Colour, float], ...] = (
        (8, 0.4, (126, 142, 178), 0.42),
        (6, 0.31, (86, 98, 138), 0.08),
    )
    for count, height, tone, haze in rows:
        for k in range(count):
            width = rng.uniform(0.8, 0.96) / count
            left, tall = k / count + rng.uniform(0, 0.02), height * rng.uniform(0.6, 1.25)
            top = foot - tall * lowered(orb, left + width / 2)
            _tower(canvas, rng, light, (left, top, width, foot), (mix(tone, (186, 140, 130), rng.random() * 0.4), haze))
    canvas.land(swell(rng, foot - 0.005, 0.006), light.on_land((96, 156, 98), 0.03))
    leaf = (light.on_land((92, 158, 96)), light.on_land((58, 116, 82)))
    for x in (0.06, 0.22, 0.77, 0.93):
        bush(canvas, x + float(rng.uniform(-0.04, 0.04)), foot + 0.015, float(rng.uniform(0.024, 0.034)), leaf)
    canvas.land(swell(rng, foot + 0.07, 0.01), light.on_land((120, 176, 108)))
    canvas.land(swell(rng, foot + 0.2, 0.01), light.on_land((100, 158, 96)))


def _tower(canvas: Canvas, rng: np.random.Generator, light: Light, tower: Tower, paint: tuple[Colour, float]) -> None:
    left, top, width, foot = tower
    tone, haze = paint
    wall, shade = light.on_land(tone, haze), light.on_land(mix(tone, (40, 46, 84), 0.28), haze)
    roof = rng.integers(0, 4)
    middle = left + width / 2
    if roof == 0:
        canvas.rectangle(middle - width * 0.28, top - 0.035, middle + width * 0.28, top + 0.01, wall)
    elif roof == 1:
        canvas.rectangle(middle - 0.008, top - 0.075, middle + 0.008, top, shade)
    elif roof == 2:
        canvas.polygon([(left, top + 0.002), (left + width, top + 0.002), (left + width, top - 0.05)], wall)
    canvas.rectangle(left, top, left + width, foot, wall)
    canvas.rectangle(left + width * 0.86, top, left + width, foot, shade)
    if haze < 0.2:
        _windows(canvas, rng, light, tower)


def _windows(canvas: Canvas, rng: np.random.Generator, light: Light, tower: Tower) -> None:
    left, top, width, foot = tower
    lit = light.window
    dark = light.on_land((58, 68, 104), 0.04)
    if light.haze:
        lit = mix(lit, light.low, 0.5)
    for y in np.arange(top + 0.03, foot - 0.05, 0.062):
        for share in (0.11, 0.36, 0.61):
            pane = dark if light.lamps and rng.random() < 0.25 else lit
            canvas.rectangle(left + width * share, y, left + width * (share + 0.17), y + 0.032, pane)


def farm(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Furrows of gold and green that run to one point on the horizon, hedges and a fence behind, bales of hay."""
    canvas.land(swell(rng, horizon - 0.035, 0.022, 1.0), light.on_land((150, 190, 140), 0.3))
    canvas.land(swell(rng, horizon + 0.0, 0.014, 1.0), light.on_land((196, 204, 112), 0.2))
    _furrows(canvas, rng, light, horizon)
    leaf = (light.on_land((104, 164, 86), 0.1), light.on_land((68, 128, 76), 0.1))
    canvas.rectangle(-0.01, horizon + 0.035, 1.01, horizon + 0.062, leaf[1])
    for k in range(12):
        bush(
            canvas,
            (k + 0.5) / 12 + float(rng.uniform(-0.02, 0.02)),
            horizon + 0.06,
            float(rng.uniform(0.02, 0.03)),
            leaf,
        )
    way = side(rng)
    _bale(canvas, light, (0.5 + way * float(rng.uniform(0.32, 0.38)), horizon + 0.2, 0.062))
    _bale(canvas, light, (0.5 - way * float(rng.uniform(0.36, 0.42)), horizon + 0.14, 0.042))


def _furrows(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float) -> None:
    x, y = float(rng.uniform(0.4, 0.6)), horizon + 0.01
    tones: tuple[Colour, ...] = ((238, 200, 92), (122, 172, 76))
    top, spacing = horizon + 0.05, 0.24
    shift = float(rng.uniform(0, 2 * spacing))
    for k in range(-12, 13):
        left, right = shift + (k - 0.5) * spacing, shift + (k + 0.5) * spacing
        share = (top - y) / (1.0 - y)
        edge = [(x + left * share, top), (x + right * share, top), (x + right, 1.0), (x + left, 1.0)]
        canvas.polygon(edge, light.on_land(tones[k % 2], 0.03))


def _bale(canvas: Canvas, light: Light, spot: tuple[float, float, float]) -> None:
    """A round bale, seen from the side of its coil."""
    x, foot, r = spot
    for share, tone in ((1.0, (202, 150, 64)), (0.78, (240, 200, 104)), (0.46, (214, 164, 74)), (0.2, (240, 200, 104))):
        canvas.disc(x, foot - r, r * share, light.on_land(tone))
