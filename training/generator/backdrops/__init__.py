"""Skies and the twelve backdrops, drawn as a few flat layers that pale towards the horizon."""

from __future__ import annotations

from .built import city, farm
from .forms import Backdrop, Orb
from .green import forest, meadow, snow
from .land import canyon, desert, mountains, volcano
from .sky import draw_air, draw_sky
from .water import beach, lake, sea

BACKDROPS: dict[str, Backdrop] = {
    "mountains": mountains,
    "sea": sea,
    "desert": desert,
    "forest": forest,
    "city": city,
    "meadow": meadow,
    "snow": snow,
    "beach": beach,
    "lake": lake,
    "canyon": canyon,
    "farm": farm,
    "volcano": volcano,
}

__all__ = ["BACKDROPS", "Backdrop", "Orb", "draw_air", "draw_sky"]
