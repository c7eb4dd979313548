"""The five times of day: the colours of the sky and how they tint whatever stands below it."""

from __future__ import annotations

from dataclasses import dataclass

from .canvas import Colour, mix, multiply


@dataclass(frozen=True)
class Light:
    """Sky colours (top, middle, horizon), the tint on the land, the colour of sun or moon, whether lamps are lit."""

    top: Colour
    middle: Colour
    low: Colour
    tint: Colour
    orb: Colour
    cloud: Colour
    lamps: bool

    def on_land(self, colour: Colour, haze: float = 0.0) -> Colour:
        """Tint a colour of the land; `haze` (0 near, 1 far) blends it into the horizon."""
        return mix(multiply(colour, self.tint), self.low, haze)

    def on_thing(self, colour: Colour) -> Colour:
        """Tint a foreground colour less than the land, so that its hue stays readable at night."""
        r, g, b = (0.45 + 0.55 * t for t in self.tint)
        return multiply(colour, (r, g, b))

    @property
    def window(self) -> Colour:
        """Colour of a window: lit after dark, glass by day."""
        return (255, 220, 120) if self.lamps else self.on_thing((150, 195, 220))


LIGHTS = {
    "day": Light(
        (78, 165, 232), (140, 203, 243), (212, 238, 248), (1.0, 1.0, 1.0), (255, 226, 110), (255, 255, 255), False
    ),
    "sunset": Light(
        (96, 62, 138), (238, 112, 104), (255, 196, 112), (0.82, 0.6, 0.62), (255, 232, 150), (255, 176, 140), True
    ),
    "dawn": Light(
        (150, 178, 226), (244, 200, 212), (255, 232, 200), (0.95, 0.85, 0.88), (255, 246, 214), (255, 240, 240), False
    ),
    "night": Light((13, 18, 52), (30, 44, 98), (58, 80, 140), (0.34, 0.42, 0.64), (244, 240, 214), (62, 78, 130), True),
    "overcast": Light(
        (146, 158, 170), (182, 191, 199), (212, 217, 220), (0.76, 0.8, 0.82), (230, 230, 225), (228, 232, 235), False
    ),
}
