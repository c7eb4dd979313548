"""Water: the open sea, a beach and a lake."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from training.generator.canvas import Canvas, Colour, mix
from training.generator.light import Light

from .forms import Orb, away, conifers, crest_at, curve, swell


def sea(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Water in bands with soft crests; sun or moon leave a path of light on it."""
    far, near = light.on_land((84, 172, 212), 0.2), light.on_land((20, 84, 144))
    canvas.band(horizon, 1.0, far, far)
    for k in range(1, 4):
        crest = swell(rng, horizon + (0.04, 0.115, 0.23)[k - 1], 0.005 + 0.004 * k, 2.5)
        canvas.land(crest, mix(far, near, k / 3))
    if orb is None or light.haze:
        for k in range(5):
            y, half = horizon + 0.035 + 0.08 * k, 0.035 + 0.012 * k
            glint = mix(mix(far, near, k / 5), light.on_land((236, 248, 252)), 0.3)
            canvas.ellipse(float(rng.uniform(0.05, 0.95)), y, half, 0.009, glint)
        return
    path = mix(light.orb, near, 0.2)
    for k in range(6):
        y, half = horizon + 0.016 + 0.066 * k, (0.045 + 0.016 * k) * rng.uniform(0.75, 1.25)
        canvas.ellipse(orb[0] + rng.uniform(-0.012, 0.012), y, half, 0.0115, path)


def beach(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """A curved shore: sand in front, a line of foam, a strip of turquoise sea and a headland."""
    way = away(rng, orb)
    deep, shallow = light.on_land((36, 124, 184), 0.12), light.on_land((84, 206, 204), 0.03)
    canvas.band(horizon - 0.03, 1.0, deep, deep)
    canvas.band(horizon - 0.035, horizon - 0.028, light.low, light.low)
    canvas.band(horizon - 0.03, horizon + 0.03, deep, deep)
    _headland(canvas, rng, light, horizon - 0.028, way)
    canvas.land(swell(rng, horizon + 0.025, 0.006, 2.0), mix(deep, shallow, 0.5))
    canvas.land(swell(rng, horizon + 0.06, 0.006, 2.0), shallow)
    near, far = horizon + 0.19 + float(rng.uniform(0, 0.03)), horizon + 0.07
    knots = [(0.0, near), (0.45, horizon + 0.115), (1.0, far)]
    shore = curve(knots if way > 0 else [(1 - x, y) for x, y in reversed(knots)])
    x = np.linspace(0, 1, len(shore))
    scallop = 0.007 * np.abs(np.sin(np.pi * (x * 5 + rng.uniform(0, 1))))
    canvas.land(shore - 0.012 - scallop, light.on_land((252, 254, 252)))
    canvas.land(shore + 0.014, light.on_land((214, 178, 128)))
    canvas.land(shore + 0.05, light.on_land((244, 218, 164)))
    bank = curve([(0.0, horizon + 0.33), (0.5, horizon + 0.37), (1.0, horizon + 0.3)])
    canvas.land(bank, light.on_land((250, 230, 184)))
    _shells(canvas, rng, light, horizon)


def _headland(canvas: Canvas, rng: np.random.Generator, light: Light, foot: float, way: int) -> None:
    edge = 1.0 if way > 0 else 0.0
    half, height = float(rng.uniform(0.26, 0.34)), float(rng.uniform(0.08, 0.11))
    for reach, tall, tone, haze in ((1.35, 0.6, (120, 168, 150), 0.34), (1.0, 1.0, (84, 150, 104), 0.14)):
        t = np.linspace(-1, 1, 49)
        hill = np.stack([edge + half * reach * t, foot - height * tall * np.cos(np.pi * t / 2) ** 0.8], -1)
        canvas.polygon(hill, light.on_land(tone, haze))


def _shells(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float) -> None:
    tones: tuple[Colour, ...] = ((240, 128, 100), (255, 252, 244))
    for k in range(4):
        x = float(rng.uniform(0.04, 0.24)) + (0.7 if k % 2 else 0.0)
        canvas.ellipse(x, horizon + float(rng.uniform(0.31, 0.38)), 0.015, 0.0105, light.on_land(tones[k // 2]))


def lake(canvas: Canvas, rng: np.random.Generator, light: Light, horizon: float, orb: Orb) -> None:
    """Still water between wooded shores that mirror in it, far hills behind, a grassy bank with reeds in front."""
    line = horizon + 0.03
    hills = swell(rng, horizon - 0.11, 0.045, 1.0)
    canvas.land(hills, light.on_land((128, 164, 188), 0.4), line)
    left, right = (float(v) for v in rng.uniform(0.09, 0.17, 2))
    woods = curve(
        [(0.0, line - left), (0.3, line - 0.045), (0.52, line - 0.012), (0.7, line - 0.04), (1.0, line - right)]
    )
    canvas.land(woods, light.on_land((84, 146, 98), 0.1), line)
    conifers(canvas, rng, light, (13, 0.035, 0.115, (48, 108, 84), 0.1), woods)
    water = light.on_land((112, 184, 218), 0.14)
    near = mix(light.on_land((60, 134, 186), 0.04), light.middle, 0.36)
    canvas.band(line, 1.0, mix(water, light.low, 0.25), near)
    _mirror(canvas, (2 * line - hills, mix(light.on_land((128, 164, 188), 0.3), near, 0.45)), line, near)
    _mirror(canvas, (2 * line - woods + 0.045, light.on_land((44, 104, 92), 0.06)), line, near)
    canvas.rectangle(0.0, line - 0.006, 1.0, line + 0.01, mix(water, light.on_land((250, 252, 250)), 0.6))
    for k in range(4):
        x, y = float(rng.uniform(0.15, 0.85)), line + 0.06 + 0.05 * k
        canvas.ellipse(x, y, 0.06 + 0.02 * k, 0.009, mix(near, light.low, 0.4))
    if orb is not None and not light.haze:
        for k in range(3):
            y, half = line + 0.085 + 0.05 * k, (0.04 + 0.012 * k) * float(rng.uniform(0.8, 1.2))
            canvas.ellipse(orb[0], y, half, 0.0105, mix(light.orb, near, 0.3))
    bank = curve([(0.0, horizon + 0.22), (0.28, horizon + 0.285), (0.66, horizon + 0.29), (1.0, horizon + 0.23)])
    canvas.land(bank - 0.014, light.on_land((60, 116, 84)))
    canvas.land(bank, light.on_land((112, 172, 92)))
    _reeds(canvas, rng, light, bank)


def _mirror(canvas: Canvas, image: tuple[NDArray[np.float64], Colour], line: float, near: Colour) -> None:
    """What stands above the waterline, upside down and tinted by the water."""
    lower, colour = image
    x = np.linspace(-0.01, 1.01, len(lower))
    canvas.polygon(np.concatenate([np.stack([x, lower], -1), [(1.01, line), (-0.01, line)]]), mix(colour, near, 0.35))


def _reeds(canvas: Canvas, rng: np.random.Generator, light: Light, bank: NDArray[np.float64]) -> None:
    stem, head = light.on_land((70, 124, 70)), light.on_land((120, 76, 48))
    for start in (0.02, 0.84):
        for k in range(4):
            x = start + 0.04 * k + float(rng.uniform(-0.008, 0.008))
            foot, tall = crest_at(bank, min(max(x, 0.0), 1.0)) + 0.05, float(rng.uniform(0.15, 0.22))
            lean = float(rng.uniform(-0.02, 0.02))
            canvas.polygon(
                [
                    (x - 0.009, foot),
                    (x + 0.009, foot),
                    (x + lean + 0.006, foot - tall),
                    (x + lean - 0.006, foot - tall),
                ],
                stem,
            )
            if k % 2 == 0:
                canvas.ellipse(x + lean, foot - tall + 0.01, 0.0125, 0.034, head)
