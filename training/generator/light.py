"""The six times of day and weathers: the colours of the sky and how they tint whatever stands below it."""

from __future__ import annotations

from dataclasses import dataclass

from .canvas import Colour, mix, multiply


@dataclass(frozen=True)
class Light:
    """Sky colours (top, middle, horizon), the tint on the land, sun or moon, clouds, lit lamps, haze in the air."""

    top: Colour
    middle: Colour
    low: Colour
    tint: Colour
    orb: Colour
    cloud: Colour
    lamps: bool
    haze: float = 0.0

    def on_land(self, colour: Colour, haze: float = 0.0) -> Colour:
        """Tint a colour of the land; `haze` (0 near, 1 far) blends it into the horizon, the more so in fog."""
        fog = self.haze * min(1.0, 0.28 + 3.2 * haze)
        return mix(multiply(colour, self.tint), self.low, 1 - (1 - haze) * (1 - fog))

    def on_thing(self, colour: Colour) -> Colour:
        """Tint a foreground colour less than the land, so that its hue stays readable at night."""
        r, g, b = (0.58 + 0.42 * t for t in self.tint)
        return multiply(colour, (r, g, b))

    @property
    def window(self) -> Colour:
        """Colour of a window: lit after dark, glass by day."""
        return (255, 220, 120) if self.lamps else self.on_thing((150, 195, 220))


LIGHTS = {
    "day": Light(
        (64, 156, 230), (128, 198, 243), (206, 236, 248), (1.0, 1.0, 1.0), (255, 224, 100), (255, 255, 255), False
    ),
    "sunset": Light(
        (92, 56, 136), (238, 104, 100), (255, 192, 104), (0.84, 0.59, 0.6), (255, 232, 150), (255, 170, 134), True
    ),
    "dawn": Light(
        (156, 178, 228), (246, 194, 212), (255, 230, 200), (0.96, 0.85, 0.89), (255, 247, 214), (255, 236, 238), False
    ),
    "night": Light((13, 18, 52), (30, 44, 98), (58, 80, 140), (0.31, 0.42, 0.7), (244, 240, 214), (62, 78, 130), True),
    "overcast": Light(
        (112, 124, 138), (152, 162, 172), (190, 197, 203), (0.7, 0.74, 0.77), (220, 222, 220), (204, 210, 215), False
    ),
    "fog": Light(
        (208, 213, 216),
        (222, 226, 228),
        (232, 235, 235),
        (0.9, 0.93, 0.94),
        (252, 250, 240),
        (240, 242, 242),
        False,
        haze=0.8,
    ),
}
