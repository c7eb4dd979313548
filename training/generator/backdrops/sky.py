"""Skies: gradients, sun and moon, stars, clouds, and the fog that drifts before the land."""

from __future__ import annotations

import numpy as np
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

from .forms import Orb, swell, translucent


def draw_sky(
    canvas: Canvas, rng: np.random.Generator, light: Light, time: str, kind: str | None, horizon: float
) -> Orb:
    """Paint the sky; returns where the sun or moon stands, if there is one."""
    canvas.gradient([(0.0, light.top), (0.55, light.middle), (0.82, light.low), (1.0, light.low)], horizon + 0.2)
    orb: Orb = None
    if kind in ("sun", "moon"):
        orb = float(rng.uniform(0.16, 0.84)), _height(rng, time)
    if time == "night":
        _stars(canvas, rng, horizon, 20 if kind == "stars" else 10, orb)
    if orb is not None and kind == "moon":
        _moon(canvas, rng, light, orb)
    elif orb is not None:
        _sun(canvas, rng, light, time, orb)
    if kind == "clouds":
        _clouds(canvas, rng, light, time, horizon)
    return orb


def draw_air(canvas: Canvas, rng: np.random.Generator, light: Light, time: str, horizon: float) -> None:
    """Lay two soft banks of fog over the landscape (after the backdrop, before the thing); nothing in clear air."""
    if time != "fog":
        return
    for base, thick, opacity in ((horizon - 0.05, 0.05, 0.2), (horizon + 0.1, 0.035, 0.18)):
        crest = swell(rng, base + float(rng.uniform(-0.015, 0.015)), 0.014, 1.0)
        sole = swell(rng, 0.0, 0.01, 1.3)
        x = np.linspace(-0.01, 1.01, len(crest))
        for share in (1.3, 1.0, 0.7, 0.4):
            upper, lower = crest - thick * share, crest + sole + thick * share
            outline = np.concatenate([np.stack([x, upper], -1), np.stack([x, lower], -1)[::-1]])
            with translucent(canvas, opacity):
                canvas.polygon(outline, light.cloud)


def _height(rng: np.random.Generator, time: str) -> float:
    low, high = {"sunset": (0.36, 0.46), "dawn": (0.34, 0.44), "fog": (0.18, 0.3)}.get(time, (0.14, 0.26))
    return float(rng.uniform(low, high))


def _stars(canvas: Canvas, rng: np.random.Generator, horizon: float, count: int, orb: Orb) -> None:
    """Stars in columns that they are shaken out of, every fourth with four points; none too near the moon."""
    rows = rng.permutation(count)
    for k in range(count):
        x = 0.02 + 0.96 * (k + float(rng.uniform(0.1, 0.9))) / count
        y = 0.03 + (horizon - 0.14) * (rows[k] + float(rng.uniform(0.1, 0.9))) / count
        r = float(rng.uniform(0.007, 0.011))
        if orb is not None and np.hypot(x - orb[0], y - orb[1]) < 0.17:
            continue
        if k % 4 == 1:
            s, w = r * 2.3, r * 0.62
            right = [(x, y - s), (x + w, y - w), (x + s, y), (x + w, y + w)]
            left = [(x, y + s), (x - w, y + w), (x - s, y), (x - w, y - w)]
            canvas.polygon([*right, *left], (252, 248, 224))
        else:
            canvas.disc(x, y, r, (226, 226, 226))


def _sun(canvas: Canvas, rng: np.random.Generator, light: Light, time: str, at: tuple[float, float]) -> None:
    x, y = at
    radius = float(rng.uniform(0.065, 0.085)) * (1.3 if time == "sunset" else 1.0)
    if time == "fog":
        canvas.veil(x, y, radius * 1.5, light.orb, 0.3)
    else:
        for reach, opacity in ((2.6, 0.12), (1.95, 0.15), (1.4, 0.22)):
            canvas.veil(x, y, radius * reach, light.orb, opacity)
    canvas.disc(x, y, radius, light.orb)


def _moon(canvas: Canvas, rng: np.random.Generator, light: Light, at: tuple[float, float]) -> None:
    x, y = at
    radius, crescent = float(rng.uniform(0.07, 0.088)), rng.random() < 0.45
    for reach, opacity in ((2.2, 0.07), (1.5, 0.1)):
        canvas.veil(x, y, radius * reach, light.orb, opacity)
    if crescent:
        turn = np.linspace(-0.62 * np.pi, 0.62 * np.pi, 33)
        edge = np.cos(0.62 * np.pi)
        outer = np.stack([-np.cos(turn), np.sin(turn)], -1)
        inner = np.stack([-edge - 0.44 * np.cos(turn / 1.24), np.sin(0.62 * np.pi) * np.sin(turn / 1.24)], -1)
        tilt = np.array([[0.94, -0.34], [0.34, 0.94]])
        canvas.polygon(np.array([x, y]) + radius * np.concatenate([outer, inner[::-1]]) @ tilt, light.orb)
        return
    canvas.disc(x, y, radius, light.orb)
    sea = mix(light.orb, light.low, 0.22)
    for dx, dy, size in ((-0.3, -0.2, 0.26), (0.32, 0.3, 0.2), (0.28, -0.42, 0.15)):
        canvas.disc(x + dx * radius, y + dy * radius, size * radius, sea)


def _clouds(canvas: Canvas, rng: np.random.Generator, light: Light, time: str, horizon: float) -> None:
    if time == "overcast":
        _ceiling(canvas, rng, light)
        return
    count = int(rng.integers(2, 4))
    for k in range(count):
        x = (k + float(rng.uniform(0.25, 0.75))) / count
        y = 0.13 + (horizon - 0.37) * ((k % 2) * 0.5 + float(rng.uniform(0.0, 0.5)))
        w = float(rng.uniform(0.12, 0.17))
        if time in ("sunset", "dawn"):
            _streaks(canvas, rng, light, (x, y, w * 1.25))
        else:
            _cumulus(canvas, rng, light, (x, y, w))


def _ceiling(canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
    """Layers of heavy cloud with billowing lower edges, darkest at the top."""
    lift = float(rng.uniform(-0.03, 0.03))
    for k, lowest in enumerate((0.3, 0.19, 0.08)):
        base = lowest + lift + float(rng.uniform(-0.015, 0.015))
        tone = mix(light.cloud, mix(light.top, (60, 70, 84), 0.3), (0.0, 0.45, 0.9)[k])
        canvas.band(0.0, base, tone, tone)
        x = -0.05 + float(rng.uniform(-0.05, 0.05))
        while x < 1.1:
            half = float(rng.uniform(0.09, 0.16))
            canvas.ellipse(x + half * 0.8, base, half, half * float(rng.uniform(0.3, 0.6)), tone)
            x += half * 1.5


def _cumulus(canvas: Canvas, rng: np.random.Generator, light: Light, place: tuple[float, float, float]) -> None:
    """A heap of half discs on a level base, shaded below."""
    x, y, w = place
    flip = 1 if rng.random() < 0.5 else -1
    shade = mix(light.cloud, light.middle, 0.35)
    turn = np.linspace(np.pi, 2 * np.pi, 25)
    for dx, rx, ry in ((-0.62, 0.38, 0.34), (0.66, 0.34, 0.26), (0.22, 0.46, 0.5), (-0.18, 0.5, 0.66)):
        heap = np.stack([x + flip * dx * w + rx * w * np.cos(turn), y + ry * w * np.sin(turn)], -1)
        canvas.polygon(heap, light.cloud)
    _bar(canvas, (x, y, w, 0.11 * w), shade)
    _bar(canvas, (x - flip * 0.06 * w, y - 0.08 * w, w * 0.92, 0.1 * w), light.cloud)


def _streaks(canvas: Canvas, rng: np.random.Generator, light: Light, place: tuple[float, float, float]) -> None:
    """Long level bars of cloud, lit from below."""
    x, y, w = place
    upper = mix(light.cloud, light.top, 0.3)
    shift = float(rng.uniform(0.2, 0.45)) * (1 if rng.random() < 0.5 else -1)
    _bar(canvas, (x + shift * w, y - 0.03, w * 0.7, 0.016), upper)
    _bar(canvas, (x, y, w, 0.019), light.cloud)
    _bar(canvas, (x + shift * w * 0.9, y + 0.03, w * 0.5, 0.013), light.cloud)


def _bar(canvas: Canvas, bar: tuple[float, float, float, float], colour: Colour) -> None:
    """A level bar with round ends: middle, half its length, half its thickness."""
    x, y, half, thick = bar
    canvas.rectangle(x - half + thick, y - thick, x + half - thick, y + thick, colour)
    canvas.disc(x - half + thick, y, thick, colour)
    canvas.disc(x + half - thick, y, thick, colour)
