"""Skies and the seven backdrops, drawn as a few flat layers that pale towards the horizon."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas, Colour, mix
from .light import Light

Orb = tuple[float, float] | None
Backdrop = Callable[[Canvas, np.random.Generator, Light, float, Orb], None]


def draw_sky(
    canvas: Canvas, rng: np.random.Generator, light: Light, time: str, kind: str | None, horizon: float
) -> Orb:
    """Paint the sky; returns where the sun or moon stands, if there is one."""
    canvas.gradient([(0.0, light.top), (0.55, light.middle), (1.0, light.low)], horizon + 0.2)
    if time == "night":
        _stars(canvas, rng, horizon, 18 if kind == "stars" else 8)
    orb: Orb = None
    if kind in ("sun", "moon"):
        low = time in ("sunset", "dawn")
        orb = float(rng.uniform(0.16, 0.84)), float(rng.uniform(0.34, 0.44) if low else rng.uniform(0.14, 0.26))
        _orb(canvas, rng, light, orb, crescent=kind == "moon" and rng.random() < 0.4)
    if kind == "clouds":
        for _ in range(int(rng.integers(3, 5)) if time == "overcast" else int(rng.integers(2, 4))):
            _cloud(canvas, rng, light, horizon)
    return orb


def _stars(canvas: Canvas, rng: np.random.Generator, horizon: float, count: int) -> None:
    for _ in range(count):
        x, y, r = rng.random(), rng.random() * (horizon - 0.1), rng.uniform(0.007, 0.011)
        canvas.disc(x, y, r, (250, 246, 220))


def _orb(canvas: Canvas, rng: np.random.Generator, light: Light, at: tuple[float, float], crescent: bool) -> None:
    x, y = at
    radius = float(rng.uniform(0.065, 0.085))
    canvas.veil(x, y, radius * 2.3, light.orb, 0.14)
    canvas.veil(x, y, radius * 1.6, light.orb, 0.2)
    canvas.disc(x, y, radius, light.orb)
    if crescent:
        canvas.disc(x + radius * 0.5, y - radius * 0.2, radius * 0.86, mix(light.top, light.middle, 0.5))


def _cloud(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float) -> None:
    x, y, w = float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.08, horizon - 0.26)), float(rng.uniform(0.1, 0.16))
    canvas.ellipse(x, y, w, w * 0.28, light.cloud)
    canvas.disc(x - w * 0.35, y - w * 0.2, w * 0.36, light.cloud)
    canvas.disc(x + w * 0.2, y - w * 0.3, w * 0.46, light.cloud)


def _swell(rng: np.random.Generator, base: float, height: float, waves: float = 1.5) -> NDArray[np.float64]:
    """A smooth rolling crest line."""
    x = np.linspace(0, 1, 65)
    phase, second = rng.uniform(0, 2 * np.pi, 2)
    roll = np.sin(2 * np.pi * waves * x + phase) + 0.45 * np.sin(4.2 * np.pi * waves * x + second)
    return np.asarray(base + height * roll / 1.45)


def _conifer(canvas: Canvas, x: float, y: float, height: float, colour: Colour, trunk: Colour) -> None:
    width = height * 0.5
    canvas.rectangle(x - height * 0.045, y - height * 0.15, x + height * 0.045, y, trunk)
    for lift, share in ((0.1, 1.0), (0.36, 0.78), (0.6, 0.54)):
        half, foot = width * share / 2, y - height * lift
        canvas.polygon([(x - half, foot), (x + half, foot), (x, foot - height * 0.42)], colour)


def _conifers(
    canvas: Canvas, rng: np.random.Generator, light: Light, row: tuple[int, float, float, Colour, float]
) -> None:
    count, foot, height, colour, haze = row
    fill, trunk = light.on_land(colour, haze), light.on_land((96, 68, 50), haze)
    for k in range(count):
        x = (k + 0.5 + rng.uniform(-0.32, 0.32)) / count
        _conifer(canvas, x, foot + rng.uniform(-0.015, 0.015), height * rng.uniform(0.85, 1.15), fill, trunk)


def mountains(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Snow-capped peaks with a lit and a shaded flank, green hills before them."""
    lit, shade, cap = (light.on_land(c, 0.22) for c in ((132, 142, 164), (98, 108, 134), (250, 252, 255)))
    cap_shade = mix(cap, shade, 0.35)
    for x in (np.array([0.12, 0.88, 0.5]) + rng.uniform(-0.1, 0.1, 3)).tolist():
        top, foot = horizon - rng.uniform(0.22, 0.36), horizon + 0.1
        half = (foot - top) * rng.uniform(0.75, 0.95)
        canvas.polygon([(x - half, foot), (x, top), (x + half, foot)], lit)
        canvas.polygon([(x, top), (x + half, foot), (x + half * 0.12, foot)], shade)
        k = 0.34
        left, right, low = x - half * k, x + half * k, top + (foot - top) * k
        canvas.polygon([(x, top), (left, low), (x - half * 0.12, low - 0.02), (x + half * 0.05, low + 0.03)], cap)
        canvas.polygon(
            [(x, top), (x + half * 0.05, low + 0.03), (x + half * 0.17, low - 0.02), (right, low)], cap_shade
        )
    greens: tuple[Colour, ...] = ((104, 158, 104), (84, 142, 86), (66, 122, 74))
    for k, green in enumerate(greens):
        canvas.land(_swell(rng, horizon + 0.05 + 0.12 * k, 0.03), light.on_land(green, 0.16 - 0.08 * k))
        if k == 0:
            _conifers(canvas, rng, light, (7, horizon + 0.1, 0.13, (52, 104, 84), 0.08))


def sea(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Water in four bands with soft crests; sun or moon leave a path of light on it."""
    far, near = light.on_land((72, 160, 206), 0.22), light.on_land((22, 88, 146))
    canvas.band(horizon, 1.0, far, far)
    for k in range(1, 4):
        crest = _swell(rng, horizon + 0.045 + 0.1 * (k - 1) * (1 + 0.25 * k), 0.006 + 0.004 * k, 2.5)
        canvas.land(crest, mix(far, near, k / 3))
    if orb is not None:
        path = mix(light.orb, near, 0.25)
        for k in range(5):
            y, half = horizon + 0.03 + 0.075 * k, 0.05 + 0.014 * k * rng.uniform(0.7, 1.3)
            canvas.ellipse(orb[0] + rng.uniform(-0.01, 0.01), y, half, 0.011, path)


def desert(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Dunes, each with a shaded lee side."""
    tones: tuple[Colour, ...] = ((244, 212, 150), (238, 194, 124), (228, 172, 102))
    for k, tone in enumerate(tones):
        crest = _swell(rng, horizon + 0.02 + 0.13 * k, 0.045, 0.9)
        canvas.land(crest, light.on_land(tone, 0.16 - 0.08 * k))
        x = np.linspace(0, 1, 65)
        lee = crest + 0.03 + 0.1 * np.abs(np.sin(np.pi * (x * 1.3 + rng.uniform(0, 1))))
        canvas.land(lee, light.on_land(mix(tone, (196, 126, 76), 0.45), 0.12 - 0.06 * k))


def forest(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Three rows of conifers with a clearing in front."""
    rows: tuple[tuple[int, float, float, Colour, float], ...] = (
        (11, 0.08, 0.26, (88, 150, 120), 0.3),
        (9, 0.13, 0.3, (60, 124, 94), 0.14),
        (7, 0.19, 0.32, (38, 96, 72), 0.0),
    )
    grounds: tuple[Colour, ...] = ((104, 160, 110), (84, 144, 92), (96, 158, 88))
    for (count, drop, height, tree, haze), ground in zip(rows, grounds, strict=True):
        canvas.land(_swell(rng, horizon + drop - 0.04, 0.012), light.on_land(ground, haze))
        _conifers(canvas, rng, light, (count, horizon + drop + 0.02, height, tree, haze))
    canvas.land(_swell(rng, horizon + 0.19, 0.015), light.on_land((104, 168, 90)))


def city(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Two rows of towers with windows above a park."""
    foot = horizon + 0.12
    rows: tuple[tuple[int, float, Colour, float], ...] = (
        (7, 0.34, (126, 140, 172), 0.38),
        (6, 0.26, (84, 96, 134), 0.1),
    )
    for count, height, tone, haze in rows:
        for k in range(count):
            width = rng.uniform(0.78, 0.96) / count
            left, top = k / count + rng.uniform(0, 0.02), foot - height * rng.uniform(0.6, 1.25)
            canvas.rectangle(
                left, top, left + width, foot, light.on_land(mix(tone, (176, 150, 150), rng.random() * 0.3), haze)
            )
            if haze < 0.2:
                _windows(canvas, light, (left, top, width, foot))
    canvas.land(_swell(rng, foot, 0.006), light.on_land((96, 152, 98)))
    canvas.land(_swell(rng, foot + 0.1, 0.012), light.on_land((76, 132, 84)))


def _windows(canvas: Canvas, light: Light, tower: tuple[float, float, float, float]) -> None:
    left, top, width, foot = tower
    pane = light.window
    for y in np.arange(top + 0.03, foot - 0.04, 0.062):
        for share in (0.14, 0.43, 0.72):
            canvas.rectangle(left + width * share, y, left + width * (share + 0.17), y + 0.032, pane)


def meadow(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Rolling hills with round bushes."""
    tones: tuple[Colour, ...] = ((158, 206, 112), (128, 188, 88), (100, 168, 74))
    for k, tone in enumerate(tones):
        crest = _swell(rng, horizon + 0.02 + 0.12 * k, 0.035, 1.0)
        canvas.land(crest, light.on_land(tone, 0.16 - 0.08 * k))
        if k < 2:
            for at in rng.integers(3, 62, 3):
                x, r = at / 64, rng.uniform(0.022, 0.034)
                canvas.disc(x, crest[at] + 0.004, r, light.on_land((76, 144, 84), 0.12 - 0.08 * k))


def snow(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Snow hills with a few dark conifers."""
    tones: tuple[Colour, ...] = ((214, 228, 244), (232, 240, 250), (248, 251, 255))
    for k, tone in enumerate(tones):
        canvas.land(_swell(rng, horizon + 0.02 + 0.12 * k, 0.03, 1.0), light.on_land(tone, 0.1 - 0.05 * k))
        if k < 2:
            _conifers(
                canvas, rng, light, (6 - k, horizon + 0.06 + 0.11 * k, 0.17 + 0.04 * k, (66, 120, 112), 0.18 - 0.12 * k)
            )


BACKDROPS: dict[str, Backdrop] = {
    "mountains": mountains,
    "sea": sea,
    "desert": desert,
    "forest": forest,
    "city": city,
    "meadow": meadow,
    "snow": snow,
}
