"""The votes that the package's block methods read from a picture, without the package.

The package takes the U plane, one level of the Haar transform, and cuts its low band into blocks of 4 × 4. Each block
votes for one bit, by the remainder of one value modulo 36: its largest entry but the first (``dwtDct``, where despite
the name no cosine transform is computed), or its largest singular value (``dwtDctSvd``; a cosine transform leaves that
as it is). Block *n*, row by row, votes for bit *n* modulo the message's length, and the mean of its votes is the bit.
One pass of votes therefore serves messages of every length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BlockMethod = Literal["dwtDct", "dwtDctSvd"]

MIN_AREA = 256 * 256
"""The package refuses smaller pictures."""

STEP = 36.0
"""The quantiser's step, in units of the low band (``scales=[0, 36, 36]`` and ``[0, 36, 0]``)."""

BLOCK = 4
_HAAR = 0.7071067811865476
_BAND_ROWS = 1024
_NEIGHBOURS = 3


def block_votes(pixels: NDArray[np.uint8], method: BlockMethod, *, floats: bool = False) -> NDArray[np.bool_]:
    """What each block votes for: ``True`` for a one, rows × columns of blocks.

    Args:
        pixels: RGB, uint8, H×W×3, at least 8 pixels a side.
        method: how a block votes.
        floats: read the U plane as OpenCV makes it from floating-point pixels: centred on one half, not on 128. A
            mark written into floating-point pixels (as diffusers does) is read in blocks of little blue only so.
    """
    width = pixels.shape[1] // BLOCK * BLOCK
    height = pixels.shape[0] // BLOCK * BLOCK
    bands = [
        _band_votes(pixels[top : min(top + _BAND_ROWS, height), :width], method, floats)
        for top in range(0, height, _BAND_ROWS)
    ]
    return np.concatenate(bands)


def _band_votes(pixels: NDArray[np.uint8], method: BlockMethod, floats: bool) -> NDArray[np.bool_]:
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    yuv = cv2.cvtColor(bgr.astype(np.float32) if floats else bgr, cv2.COLOR_BGR2YUV)
    plane = yuv[:, :, 1].astype(np.float64)
    # The order of these sums is the package's: values half-way between two bits depend on the last digit.
    low = _HAAR * plane[0::2] + _HAAR * plane[1::2]
    low = _HAAR * low[:, 0::2] + _HAAR * low[:, 1::2]
    rows, columns = low.shape[0] // BLOCK, low.shape[1] // BLOCK
    blocks = low[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    if method == "dwtDctSvd":
        values = np.linalg.svd(blocks, compute_uv=False)[..., 0]
    else:
        values = np.abs(blocks.reshape(rows, columns, BLOCK * BLOCK)[..., 1:]).max(axis=-1)
    votes: NDArray[np.bool_] = (values % STEP) > STEP / 2
    return votes


def centred(votes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Votes as ±1, less the mean of their neighbours in the row, which vote for other bits.

    A smooth area votes alike whatever the mark says; this takes out what neighbours share, and leaves zero everywhere
    in a picture of one colour.
    """
    signs = np.where(votes, 1.0, -1.0)
    kernel = np.ones((1, 2 * _NEIGHBOURS + 1))
    kernel[0, _NEIGHBOURS] = 0.0
    shared = cv2.filter2D(signs, -1, kernel, borderType=cv2.BORDER_CONSTANT)
    counts = cv2.filter2D(np.ones_like(signs), -1, kernel, borderType=cv2.BORDER_CONSTANT)
    centred_votes: NDArray[np.float64] = signs - np.asarray(shared) / np.maximum(counts, 1.0)
    return centred_votes


def fold(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """The mean of the blocks' values for each of ``length`` bits, 0 for a bit without a block."""
    bit = np.arange(values.size) % length
    counts = np.bincount(bit, minlength=length)
    sums = np.bincount(bit, values.ravel(), length).astype(np.float64)
    return np.asarray(sums / np.maximum(counts, 1), np.float64)


def readings(votes: NDArray[np.bool_], length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two soft readings of a message, positive for a one: the package's own majority, and that of centred votes.

    Which of them errs less depends on method and picture: after ``dwtDct`` on photographs the package's majority has
    many wrong bits where the centred one has none to two; after ``dwtDctSvd`` and JPEG it is the other way round.
    """
    # The package says one where the mean of its votes, times 255, exceeds 127.
    return fold(votes.astype(np.float64), length) - 127 / 255, fold(centred(votes), length)
