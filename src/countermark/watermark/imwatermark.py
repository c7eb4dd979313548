"""A second backend, on the package *invisible-watermark* 0.2.0, and a recogniser of other people's marks made with it.

The package hides bits in blocks of the first chroma plane (discrete wavelet and cosine transforms, optionally a
singular value decomposition). It has no key, no error correction and no test of presence: its decoder always returns
bits. Here the bits are a record id and a keyed tag, so that presence is decided as for every other watermark
(:mod:`countermark.watermark.payload`); a single wrong bit means *absent*. It survives little more than mild
compression; it exists for comparison, and for those who must interoperate.

The package wants BGR. Its RivaGAN method carries 32 bits only, which leaves no room for an id and a tag, and is
refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from countermark.errors import AssetTooSmall, MissingExtra, UsageError, WatermarkFailed
from countermark.model.marks import WatermarkDetection, WatermarkState
from countermark.watermark.interface import RECORD_ID_BITS, check_key, check_pixels, check_record_id
from countermark.watermark.payload import TAG_BITS, append_tag, derive_key, false_positive_bound, tag_verifies

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_AREA = 256 * 256
"""The package refuses smaller pictures."""

_TAG_LABEL = b"countermark/imwatermark/v1/tag"
_WORD_BITS = RECORD_ID_BITS + TAG_BITS


class InvisibleWatermark:
    """Embeds and detects a record id with the invisible-watermark package.

    Args:
        method: ``dwtDctSvd``, or ``dwtDct``, of which few photographs return every bit even when nothing happened.
        key: the secret of the tag, at least 16 bytes.

    Raises:
        MissingExtra: the package is not installed.
        UsageError: the method is unknown or cannot carry the payload.
        KeyUnavailable: the key is not bytes, or too short.
    """

    def __init__(self, method: str = "dwtDctSvd", *, key: bytes) -> None:
        if method not in ("dwtDctSvd", "dwtDct"):
            reason = "carries 32 bits, too few for a record id and its tag" if method == "rivaGan" else "is unknown"
            raise UsageError(f"The watermark method {method!r} {reason}.", remedy="Choose dwtDctSvd or dwtDct.")
        self._package = _load_package()
        self._tag_key = derive_key(check_key(key), _TAG_LABEL)
        self._method = method
        self.algorithm = f"org.countermark.imwatermark.{method}.1"

    def __repr__(self) -> str:
        return f"InvisibleWatermark(method={self._method!r})"

    def embed(self, pixels: NDArray[np.uint8], record_id: int) -> NDArray[np.uint8]:
        """A copy of ``pixels`` (RGB, uint8, H×W×3, at least 256×256 in area) that carries ``record_id``.

        Raises:
            AssetInvalid, AssetTooSmall, AssetTooLarge: the pixels cannot carry a mark.
            UsageError: the record id is out of range.
            WatermarkFailed: the package failed.
        """
        pixels = _check_area(check_pixels(pixels))
        number = check_record_id(record_id).to_bytes(RECORD_ID_BITS // 8, "big")
        word = append_tag(self._tag_key, np.unpackbits(np.frombuffer(number, np.uint8)))
        encoder = self._package.WatermarkEncoder()
        encoder.set_watermark("bits", word.tolist())
        try:
            marked = encoder.encode(_swap(pixels), self._method)
        except (RuntimeError, ValueError, TypeError) as error:
            raise WatermarkFailed(f"The invisible-watermark package could not mark the image: {error}.") from error
        return _swap(np.asarray(marked, np.uint8))

    def detect(self, pixels: NDArray[np.uint8]) -> WatermarkDetection:
        """What ``pixels`` (RGB, uint8, H×W×3) carry; too small a picture carries nothing.

        Raises:
            AssetInvalid, AssetTooLarge: the pixels cannot be examined.
        """
        pixels = check_pixels(pixels, min_side=1)
        if pixels.shape[0] * pixels.shape[1] >= MIN_AREA:
            word = _decode(self._package, pixels, _WORD_BITS, self._method)
            if tag_verifies(self._tag_key, word):
                return WatermarkDetection(
                    state=WatermarkState.DETECTED,
                    algorithm=self.algorithm,
                    record_id=int.from_bytes(np.packbits(word[:RECORD_ID_BITS]).tobytes(), "big"),
                    false_positive_probability=false_positive_bound(1),
                )
        return WatermarkDetection(state=WatermarkState.ABSENT, algorithm=self.algorithm)


@dataclass(frozen=True, slots=True)
class ForeignMark:
    """A constant message that a public program writes into every image: who, how, and which bits."""

    origin: str
    method: str
    bits: tuple[int, ...]


def _bits_of_text(text: str) -> tuple[int, ...]:
    return tuple(np.unpackbits(np.frombuffer(text.encode(), np.uint8)).tolist())


def _bits_of_number(number: int) -> tuple[int, ...]:
    # As those programs do: bin(number)[2:], which drops leading zeros.
    return tuple(int(digit) for digit in f"{number:b}")


FOREIGN_MARKS = (
    # diffusers, pipelines/stable_diffusion_xl/watermark.py, WATERMARK_MESSAGE
    ForeignMark("Stable Diffusion XL", "dwtDct", _bits_of_number(0xB3EC907BB19E)),
    # black-forest-labs/flux, WATERMARK_MESSAGE (46 bits after its two leading zeros are dropped)
    ForeignMark("FLUX", "dwtDct", _bits_of_number(0x2AFE879CF52E)),
    # CompVis/stable-diffusion, scripts/txt2img.py
    ForeignMark("Stable Diffusion 1", "dwtDct", _bits_of_text("StableDiffusionV1")),
    # Stability-AI/stablediffusion, scripts/txt2img.py
    ForeignMark("Stable Diffusion 2", "dwtDct", _bits_of_text("SDV2")),
)


class ForeignMarks:
    """Recognises the constant messages of other generators.

    A message counts as found where so few bits are wrong that fair coins would do it with a probability below
    ``limit``, over all messages tried. The decoder's bits of a natural picture are not quite fair coins, so this is
    an indication and never proof; and it says nothing where it is silent, for these marks rarely survive.

    Args:
        limit: the probability of a false alarm on fair coins, in (0, 1).

    Raises:
        MissingExtra: the package is not installed.
        UsageError: ``limit`` is out of range.
    """

    algorithm = "imwatermark.foreign"

    def __init__(self, *, limit: float = 1e-6) -> None:
        if not 0 < limit < 1:
            raise UsageError(f"The false alarm limit must be between 0 and 1, not {limit}.")
        self._package = _load_package()
        self._limit = limit

    def detect(self, pixels: NDArray[np.uint8]) -> WatermarkDetection:
        """``foreign`` with the origin in ``note``, or ``absent``, for ``pixels`` (RGB, uint8, H×W×3).

        Raises:
            AssetInvalid, AssetTooLarge: the pixels cannot be examined.
        """
        pixels = check_pixels(pixels, min_side=1)
        candidates = FOREIGN_MARKS if pixels.shape[0] * pixels.shape[1] >= MIN_AREA else ()
        chances = []
        for mark in candidates:
            bits = _decode(self._package, pixels, len(mark.bits), mark.method)
            errors = int(np.count_nonzero(bits != np.array(mark.bits, np.uint8)))
            chances.append((len(candidates) * fair_coin_probability(len(mark.bits), errors), mark.origin))
        probability, origin = min(chances, default=(1.0, ""))
        if probability > self._limit:
            return WatermarkDetection(state=WatermarkState.ABSENT, algorithm=self.algorithm)
        return WatermarkDetection(
            state=WatermarkState.FOREIGN,
            algorithm=self.algorithm,
            false_positive_probability=probability,
            note=f"The constant mark of {origin}.",
        )


def fair_coin_probability(length: int, errors: int) -> float:
    """The probability that ``length`` fair coins miss a given message in at most ``errors`` places."""
    messages = sum(comb(length, wrong) for wrong in range(errors + 1))
    return float(min(1.0, messages / 2**length))


def _load_package() -> Any:
    try:
        import imwatermark
    except ImportError as error:
        raise MissingExtra("imwatermark", "The invisible-watermark backend") from error
    return imwatermark


def _check_area(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if height * width < MIN_AREA:
        raise AssetTooSmall(
            f"An image of {width} × {height} pixels is too small for the invisible-watermark package.",
            remedy="Give an image of at least 256 × 256 pixels in area, or use the lattice watermark.",
        )
    return pixels


def _swap(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB to BGR, and back."""
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _decode(package: Any, pixels: NDArray[np.uint8], length: int, method: str) -> NDArray[np.uint8]:
    return np.asarray(package.WatermarkDecoder("bits", length).decode(_swap(pixels), method), np.uint8)
