"""The twenty-four things that can stand in the foreground: a few flat shapes each, large enough for 64 pixels."""

from __future__ import annotations

from .buildings import castle, church, house, lighthouse, pyramid, tent, windmill
from .creatures import cat, duck, snowman
from .nature import cactus, campfire, flowers, mushroom, palm, tree
from .objects import kite, umbrella
from .shapes import COLOURS, Draw, Place
from .vehicles import airplane, balloon, bus, car, rocket, sailboat

__all__ = ["AFLOAT", "COLOURED", "COLOURS", "FLYING", "ON_LAND", "THINGS", "Draw", "Place"]

THINGS: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (
        house, tree, balloon, sailboat, lighthouse, cactus, pyramid, windmill, flowers, snowman, tent, castle,
        car, bus, airplane, rocket, kite, umbrella, mushroom, palm, church, cat, duck, campfire,
    )
}  # fmt: skip
COLOURED = frozenset(THINGS) - {"tree", "cactus", "pyramid", "palm", "campfire"}
FLYING = frozenset({"balloon", "airplane", "kite", "rocket"})
AFLOAT = frozenset({"sailboat", "duck"})
ON_LAND = frozenset(THINGS) - FLYING - {"sailboat"}  # the duck is at home on both water and grass
