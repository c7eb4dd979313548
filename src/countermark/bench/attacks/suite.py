"""The suite: every attack by name, in groups."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from countermark.bench.attacks import codecs, geometry, overlays, tones
from countermark.bench.attacks.attack import CONTROL, LIMITS, Attack, Effect, chain
from countermark.errors import UsageError

_CODECS: dict[str, Effect] = {
    **{f"JPEG {quality}": codecs.jpeg(quality) for quality in (95, 75, 50, 30, 20, 10)},
    **{f"WebP {quality}": codecs.webp(quality) for quality in (80, 50, 20)},
    **{f"AVIF {quality}": codecs.avif(quality) for quality in (60, 35)},
}
_SCALE: dict[str, Effect] = {
    **{f"scale {factor:g}": geometry.scaled(factor) for factor in (0.25, 0.3, 0.35, 0.5, 0.75, 1.5, 2)},
    "aspect 0.8 x 1": geometry.scaled(0.8, 1),
    "aspect 1 x 0.9": geometry.scaled(1, 0.9),
}
_CROP: dict[str, Effect] = {
    "crop 90% centre": geometry.cropped(0.9, centred=True),
    "crop 70% offset": geometry.cropped(0.7),
    "crop 50% centre": geometry.cropped(0.5, centred=True),
    "crop 50% offset": geometry.cropped(0.5),
    "crop 25% offset": geometry.cropped(0.25),
    "crop 70% resized": geometry.cropped_and_resized(0.7),
    "crop 50% resized": geometry.cropped_and_resized(0.5),
    "pasted on a page": geometry.letterboxed,
}
_TURN: dict[str, Effect] = {
    **{f"rotate {degrees}": geometry.rotated(degrees) for degrees in (1, 5, 15, 45)},
    "rotate 10 cut": geometry.rotated_without_corners(10),
    "rotate 90": geometry.quarter_turns(1),
    "rotate 180": geometry.quarter_turns(2),
    "flip": geometry.mirrored,
    "perspective 3%": geometry.perspective(0.03),
    "perspective twice": chain(geometry.perspective(0.03), geometry.perspective(0.03)),
}
_COLOUR: dict[str, Effect] = {
    "brightness 0.6": tones.brightness(0.6),
    "brightness 1.5": tones.brightness(1.5),
    "contrast 0.5": tones.contrast(0.5),
    "contrast 1.7": tones.contrast(1.7),
    "greyscale": tones.saturation(0),
    "saturation 2": tones.saturation(2),
    "hue +40 deg": tones.hue(20),
    "gamma 1.6": tones.gamma(1.6),
}
_FILTER: dict[str, Effect] = {
    **{f"blur {sigma}": tones.blurred(sigma) for sigma in (1, 2, 3)},
    **{f"median {size}": tones.median(size) for size in (3, 5, 7)},
    "non-local means": tones.denoised,
    "bilateral": tones.bilateral,
    "sharpen 3": tones.sharpened(3),
}
_NOISE: dict[str, Effect] = {
    **{f"noise {deviation}": tones.noise(deviation) for deviation in (5, 15, 25)},
    "salt and pepper 2%": tones.salt_and_pepper(0.02),
}
_OVERLAY: dict[str, Effect] = {
    "palette 256": overlays.palette(256),
    "palette 32": overlays.palette(32),
    "posterise 8": overlays.posterised(8),
    "text banner": overlays.banner,
    "logo": overlays.logo,
    "erase 25%": overlays.erased(0.25),
}
_CHAIN: dict[str, Effect] = {
    "screenshot": chain(geometry.scaled(0.83), codecs.jpeg(80)),
    "screenshot cropped": chain(geometry.cropped(0.8), geometry.scaled(0.77), codecs.jpeg(70)),
    "social 1080 px": chain(geometry.longest_side(1080), codecs.jpeg(75)),
    "messenger": chain(geometry.scaled(0.6), codecs.jpeg(60)),
    "JPEG twice": chain(codecs.jpeg(75), geometry.scaled(0.9), codecs.jpeg(60)),
    "crop tone scale JPEG": chain(
        geometry.cropped(0.7), tones.brightness(1.2), tones.contrast(1.15), geometry.scaled(0.7), codecs.jpeg(50)
    ),
    "rotate 3 cut JPEG": chain(geometry.rotated_without_corners(3), codecs.jpeg(60)),
    "repost": chain(geometry.cropped(0.85), geometry.scaled(0.7), codecs.jpeg(55), tones.sharpened(3), codecs.jpeg(70)),
}
_EVERYDAY: dict[str, Effect] = {
    "JPEG 60 progressive": codecs.progressive_jpeg(60),
    "GIF 64 colours": codecs.gif(64),
    "phone photo of a screen": chain(
        geometry.perspective(0.015), geometry.scaled(0.7), tones.gamma(0.8), tones.blurred(0.6), tones.noise(3),
        codecs.jpeg(80),
    ),
    "turn cut scale JPEG": chain(
        geometry.rotated_without_corners(12), geometry.scaled(0.75), codecs.jpeg(50)
    ),
    "photo filter": tones.photo_filter,
    "vignette": tones.vignette(0.6),
    "sticker": overlays.sticker,
    "border and caption": overlays.bordered_with_caption,
    "collage of two": overlays.collage,
}  # fmt: skip
_DISTORTION: dict[str, Effect] = {
    "shear 0.05": geometry.sheared(0.05),
    "barrel 1%": geometry.barrel(0.01),
    "barrel 3%": geometry.barrel(0.03),
    "rotate 2 scale 0.9": chain(geometry.rotated(2), geometry.scaled(0.9)),
    "local blur": overlays.locally_blurred,
    "erased patches": overlays.erased_patches(6, 0.04),
    "denoise and enlarge": chain(tones.denoised, geometry.scaled(0.5), geometry.scaled(2), tones.sharpened(2)),
}
_CORE_GROUPS: dict[str, dict[str, Effect]] = {
    CONTROL: {"none": lambda pixels: pixels},
    "codecs": _CODECS,
    "scale": _SCALE,
    "crop": _CROP,
    "turn": _TURN,
    "colour": _COLOUR,
    "filters": _FILTER,
    "added noise": _NOISE,
    "overlays": _OVERLAY,
    "chains": _CHAIN,
}
_EXTRA_GROUPS: dict[str, dict[str, Effect]] = {"everyday": _EVERYDAY, "distortion": _DISTORTION}
_LIMITS: dict[str, Effect] = {
    **{f"crop {share}% offset": geometry.cropped(share / 100) for share in (20, 15, 10, 5)},
    **{f"squeezed {x:g} x 1": geometry.scaled(x, 1) for x in (0.65, 0.56, 0.5, 0.4)},
    **{f"1/{share} of a page": geometry.on_a_page(math.sqrt(share)) for share in (4, 6, 9, 16)},
    **{
        f"photo from {yaw} deg aside": chain(
            geometry.seen_from(yaw, yaw / 2, 2), tones.gamma(0.8), tones.blurred(0.6), tones.noise(3), codecs.jpeg(80)
        )
        for yaw in (8, 15, 25)
    },
    "shear 0.2": geometry.sheared(0.2),
    **{f"bent by {share:g}%": geometry.bent(share / 100) for share in (0.4, 0.6, 1)},
    "collage of four": overlays.collage_of_four,
    "inverted": tones.inverted,
    "black and white": tones.thresholded,
    "JPEG 5": codecs.jpeg(5),
    "AVIF 20": codecs.avif(20),
    "blur 4": tones.blurred(4),
    "median 9": tones.median(9),
}
_INPUT_SIDES = (128, 192, 256)  # each is marked after shrinking, then saved as JPEG 75


def _build() -> tuple[Attack, ...]:
    core = [Attack(name, group, effect) for group, named in _CORE_GROUPS.items() for name, effect in named.items()]
    small = [Attack(f"marked at {side} px", "input size", codecs.jpeg(75), input_side=side) for side in _INPUT_SIDES]
    extra = [
        Attack(name, group, effect, core=False)
        for group, named in _EXTRA_GROUPS.items()
        for name, effect in named.items()
    ]
    limits = [Attack(name, LIMITS, effect, core=False) for name, effect in _LIMITS.items()]
    return (*core, *small, *extra, *limits)


_ALL: Final = _build()
ATTACKS: Final[Mapping[str, Attack]] = MappingProxyType({attack.name: attack for attack in _ALL})
"""Every attack by name."""

CORE: Final = tuple(attack for attack in _ALL if attack.core and attack.group != CONTROL)
"""The 76 attacks whose mean is compared over time."""

EXTRA: Final = tuple(attack for attack in _ALL if not attack.core and attack.group != LIMITS)
"""Further attacks, kept apart in the totals."""

GROUPS: Final = tuple(dict.fromkeys(attack.group for attack in _ALL))
"""The groups, in the order of the report; each is wholly core or wholly extra."""


def select(wanted: Iterable[str]) -> tuple[Attack, ...]:
    """The attacks that names, groups, ``core``, ``extra`` and ``all`` (both) stand for, in the suite's order.

    Raises:
        UsageError: a name stands for nothing, or nothing is asked for.
    """
    chosen: set[str] = set()
    for name in wanted:
        members = [attack.name for attack in _ALL if name.lower() in _names_of(attack)]
        if not members:
            raise UsageError(
                f"There is no attack and no group called {name!r}.",
                remedy=f"Choose core, extra, all, a group ({', '.join(GROUPS)}), or a name of the table.",
            )
        chosen.update(members)
    if not chosen:
        raise UsageError("No attack was chosen.", remedy="Choose core, extra, all, a group or a name of the table.")
    return tuple(attack for attack in _ALL if attack.name in chosen)


def _names_of(attack: Attack) -> tuple[str, ...]:
    spans = () if attack.group == LIMITS else ("all", "core" if attack.core else "extra")
    return attack.name.lower(), attack.group, *spans
