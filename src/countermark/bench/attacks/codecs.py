"""Lossy files, by Pillow's encoders."""

from __future__ import annotations

import io

from PIL import Image

from countermark.bench.attacks.attack import Effect, Pixels, to_image, to_pixels


def _saved(form: str, **options: object) -> Effect:
    def effect(pixels: Pixels) -> Pixels:
        buffer = io.BytesIO()
        to_image(pixels).save(buffer, form, **options)
        with Image.open(buffer) as image:
            return to_pixels(image)

    return effect


def jpeg(quality: int) -> Effect:
    """JPEG at a quality of 1 to 100, chroma at half resolution (4:2:0), as most programs save it."""
    return _saved("JPEG", quality=quality, subsampling="4:2:0")


def progressive_jpeg(quality: int) -> Effect:
    """JPEG as servers re-encode it: progressive, optimised tables, 4:2:0."""
    return _saved("JPEG", quality=quality, subsampling="4:2:0", progressive=True, optimize=True)


def webp(quality: int) -> Effect:
    """Lossy WebP at a quality of 1 to 100."""
    return _saved("WEBP", quality=quality)


def avif(quality: int) -> Effect:
    """AVIF at a quality of 1 to 100, encoder speed 8."""
    return _saved("AVIF", quality=quality, speed=8)


def gif(colours: int) -> Effect:
    """GIF with an adaptive palette and Floyd-Steinberg dithering."""

    def effect(pixels: Pixels) -> Pixels:
        image = to_image(pixels)
        palette = image.quantize(colours, method=Image.Quantize.MEDIANCUT)
        dithered = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        buffer = io.BytesIO()
        dithered.save(buffer, "GIF")
        with Image.open(buffer) as saved:
            return to_pixels(saved)

    return effect
