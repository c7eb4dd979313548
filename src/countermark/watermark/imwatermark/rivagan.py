"""RivaGAN (Zhang et al., "Robust Invisible Video Watermarking with Attention", 2019) on the package's ONNX files.

The network carries 32 bits. The picture is cut into three strips along its longer side, each of which carries 32 of 96
bits: a record id of 48 and a tag of 48. A strip is cut further into tiles, so that memory stays bounded; each
tile carries its strip's bits and the tiles' outputs are averaged. The sessions are our own (the package's allow any
number of threads and need torch to feed them); the files are the package's, checked by digest.
"""

from __future__ import annotations

import hashlib
from importlib import util
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from countermark.errors import AssetTooLarge, AssetTooSmall, MissingExtra, WeightsMismatch, WeightsMissing

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIPS = 3
STRIP_BITS = 32
MIN_STRIP_AREA = 256 * 256
"""The package's own least area, for each strip."""

MAX_AREA = 2048 * 2048
"""At this size one core writes for a quarter of a minute and reads for another."""

STRENGTH = 1.25
"""How much of the network's own difference (±2 grey levels) is added; with dither this gives 40 dB."""

_MAX_TILE_AREA = 2**18
_DIFFERENCE = 127.5
_DIGESTS = {
    "rivagan_encoder.onnx": "66bc7814fadac7d686105c8ab26c6cf2cc8e40deb83e67bb6ef5b9de9b8ece0d",
    "rivagan_decoder.onnx": "6b006690cf352fa50a91a0b6d6241dbcded0a9957969e2c0665cf9a7011b3880",
}


class RivaGan:
    """Writes 96 bits into a picture, and reads them as soft bits.

    Raises:
        MissingExtra: the package is not installed.
        WeightsMissing, WeightsMismatch: its model files are not there, or not those it was released with.
    """

    def __init__(self) -> None:
        folder = _package_folder()
        self._encoder = _session(folder / "rivagan_encoder.onnx")
        self._decoder = _session(folder / "rivagan_decoder.onnx")

    def embed(self, pixels: NDArray[np.uint8], bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of ``pixels`` (RGB, uint8, H×W×3) that carries 96 ``bits``.

        Raises:
            AssetTooSmall, AssetTooLarge: the picture cannot carry them.
        """
        check_size(pixels)
        marked = pixels.copy()
        dither = np.random.default_rng(0)  # fixed: the same picture and bits give the same file
        for strip, word in zip(_strips(marked), bits.reshape(STRIPS, STRIP_BITS).astype(np.float32), strict=True):
            for tile in _tiles(strip):
                frame = _frame(tile)
                (written,) = self._encoder.run(None, {"frame": frame, "data": word[None]})
                difference = (written - frame)[0, ::-1, 0].transpose(1, 2, 0) * _DIFFERENCE * STRENGTH
                noise = dither.random(tile.shape, dtype=np.float32)
                tile[:] = np.clip(np.floor(tile + difference + noise), 0, 255).astype(np.uint8)
        return marked

    def read(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """96 soft bits, positive for a one. Any picture gives some; what they mean is for the tag to say."""
        return np.concatenate([self._read_strip(strip) for strip in _strips(pixels)])

    def _read_strip(self, strip: NDArray[np.uint8]) -> NDArray[np.float64]:
        tiles = _tiles(strip)
        outputs = [self._decoder.run(None, {"frame": _frame(tile)})[0][0] for tile in tiles]
        areas = [tile.shape[0] * tile.shape[1] for tile in tiles]
        return np.average(np.asarray(outputs, np.float64), axis=0, weights=areas)


def carries(pixels: NDArray[np.uint8]) -> bool:
    """Whether a picture is large enough for three strips."""
    return all(strip.shape[0] * strip.shape[1] >= MIN_STRIP_AREA for strip in _strips(pixels))


def check_size(pixels: NDArray[np.uint8]) -> None:
    """Refuse pictures that rivaGan cannot mark.

    Raises:
        AssetTooSmall: a strip would be smaller than 256 × 256 in area.
        AssetTooLarge: more than 2048 × 2048 in area.
    """
    height, width = pixels.shape[:2]
    if not carries(pixels):
        raise AssetTooSmall(
            f"An image of {width} × {height} pixels is too small for rivaGan, which needs three strips of 256 × 256.",
            remedy="Give an image of at least 450 × 450 pixels in area, or use the lattice watermark.",
        )
    if height * width > MAX_AREA:
        raise AssetTooLarge(
            f"An image of {width} × {height} pixels is too large for rivaGan.",
            remedy="Give an image of at most 2048 × 2048 pixels in area, or use the lattice watermark.",
        )


def _strips(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Three views across the longer side."""
    axis = 0 if pixels.shape[0] >= pixels.shape[1] else 1
    return np.array_split(pixels, STRIPS, axis=axis)


def _tiles(strip: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Views across the strip's longer side, none above the area that memory is planned for."""
    height, width = strip.shape[:2]
    return np.array_split(strip, ceil(height * width / _MAX_TILE_AREA), axis=0 if height >= width else 1)


def _frame(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """BGR in -1..1, batch × channels × 1 × height × width."""
    frame = pixels[:, :, ::-1].astype(np.float32) / np.float32(127.5) - np.float32(1)
    return np.ascontiguousarray(frame.transpose(2, 0, 1)[None, :, None])


def _package_folder() -> Path:
    spec = util.find_spec("imwatermark")
    if spec is None or spec.origin is None:
        raise MissingExtra("imwatermark", "The invisible-watermark backend")
    return Path(spec.origin).parent


def _session(path: Path) -> ort.InferenceSession:
    if not path.is_file():
        raise WeightsMissing(
            f"The model file {path.name} of the invisible-watermark package is missing.",
            remedy='Install it again: pip install --force-reinstall --no-deps "invisible-watermark==0.2.0"',
        )
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != _DIGESTS[path.name]:
        raise WeightsMismatch(f"The model file {path.name} is not the one that invisible-watermark 0.2.0 ships.")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
