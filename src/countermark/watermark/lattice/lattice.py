"""The lattice watermark: 48 bits in the pixels that survive compression, resizing, cropping, rotation and repainting.

No trained weights: a keyed, tiled spread-spectrum signal with a template of tones for geometry and a polar code for
the payload. :mod:`~countermark.watermark.lattice.tile` describes the waveform,
:mod:`~countermark.watermark.lattice.embed` how it is written, :mod:`~countermark.watermark.lattice.detect` how it is
found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from countermark.errors import UsageError
from countermark.model.marks import WatermarkDetection, WatermarkState
from countermark.watermark.interface import MIN_EXAMINED_SIDE, check_key, check_pixels, check_record_id, whole_number
from countermark.watermark.lattice import keystream, polar
from countermark.watermark.lattice.detect import Examination, Outcome, detect
from countermark.watermark.lattice.embed import embed
from countermark.watermark.lattice.parameters import V1
from countermark.watermark.lattice.registration import transform_of
from countermark.watermark.lattice.tile import keyed_tile
from countermark.watermark.payload import EPOCH_BITS, Payload, append_tag, derive_key, false_positive_bound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PSNR_RANGE = (30.0, 50.0)
"""Decibels between which a mark is neither an eyesore nor lost in rounding."""


class Lattice:
    """Embeds and detects the lattice watermark under a key.

    Args:
        key: the secret of the current epoch, at least 16 bytes.
        epoch: the number of the current key, from 0; the payload carries it modulo 16.
        psnr: strength of the mark, as the peak signal-to-noise ratio of a marked image in decibels, 30 to 50.
        keys: further keys by epoch, for detection only; marks of any of them are found.

    Raises:
        KeyUnavailable: a key is not bytes, or too short.
        UsageError: an epoch is no integer or negative, ``psnr`` out of range, or ``keys`` no mapping of epochs to
            keys, or with another key for ``epoch``.
    """

    algorithm = "org.countermark.lattice.1"

    def __init__(
        self, key: bytes, *, epoch: int = 0, psnr: float = 40.0, keys: Mapping[int, bytes] | None = None
    ) -> None:
        if not isinstance(keys, Mapping | None):
            raise UsageError(
                f"Further watermark keys must come by epoch, not as {type(keys).__name__}.",
                remedy="Give a mapping of epochs to keys: {0: the first key, 1: the next}.",
            )
        epoch = _check_epoch(epoch)
        further = {_check_epoch(number): check_key(secret) for number, secret in (keys or {}).items()}
        if further.get(epoch, key) != key:
            raise UsageError(f"Two different keys are given for epoch {epoch}.", remedy="Give each epoch one key.")
        if not isinstance(psnr, int | float) or not PSNR_RANGE[0] <= psnr <= PSNR_RANGE[1]:
            given = f"{psnr} dB" if isinstance(psnr, int | float) else type(psnr).__name__
            raise UsageError(
                f"The watermark's strength must be {PSNR_RANGE[0]:.0f} to {PSNR_RANGE[1]:.0f} dB, not {given}.",
                remedy="Choose a number in that range; 40 is usual.",
            )
        self._key, self._epoch, self._psnr = check_key(key), epoch, float(psnr)
        self._keys = {**further, epoch: self._key}

    def __repr__(self) -> str:
        return f"Lattice(epoch={self._epoch}, psnr={self._psnr}, keys={sorted(self._keys)})"

    def embed(self, pixels: NDArray[np.uint8], record_id: int) -> NDArray[np.uint8]:
        """A copy of ``pixels`` that carries ``record_id``, of the same shape.

        A picture without room (clipped white or black, extremely narrow) can carry the mark too weakly to be read:
        whoever releases it must read it back.

        Args:
            pixels: RGB, uint8, H×W×3, each side 128 to 8192.
            record_id: an integer below 2**48.

        Raises:
            AssetInvalid, AssetTooSmall, AssetTooLarge: the pixels cannot carry a mark.
            UsageError: the record id is out of range.
            WatermarkFailed: the target strength cannot be met within 0.1 dB.
        """
        pixels = check_pixels(pixels)
        payload = Payload(check_record_id(record_id), self._epoch % (1 << EPOCH_BITS))
        word = append_tag(derive_key(self._key, keystream.label("tag")), payload.to_bits())
        codeword = polar.encode(word, V1.code_length)
        tile = keyed_tile(self._key, V1)
        return embed(pixels, tile, codeword, tile.placement(record_id), self._psnr)

    def detect(self, pixels: NDArray[np.uint8]) -> WatermarkDetection:
        """What ``pixels`` carry under any of the keys, newest first.

        The state is ``detected`` only where the keyed tag verifies; ``inconclusive`` where tones and pilots stand out
        but no tag verifies; else ``absent``. The transform maps pixel indices (x, y, 1) to the marked image's
        canonical plane (see :func:`~countermark.watermark.lattice.registrations`).

        Args:
            pixels: RGB, uint8, H×W×3, each side 64 to 8192.

        Raises:
            AssetInvalid, AssetTooSmall, AssetTooLarge: the pixels cannot be examined.
        """
        examination = Examination(check_pixels(pixels, min_side=MIN_EXAMINED_SIDE), V1)
        return self._report(detect(examination, self._keys), examination)

    def _report(self, outcome: Outcome, examination: Examination) -> WatermarkDetection:
        marks = [
            WatermarkDetection(
                state=WatermarkState.DETECTED,
                algorithm=self.algorithm,
                record_id=found.payload.record_id,
                version=found.payload.version,
                epoch=found.epoch,
                false_positive_probability=false_positive_bound(outcome.comparisons),
                transform=transform_of(found, examination),
                negative=found.negative,
            )
            for found in outcome.found
        ]
        if marks:
            return marks[0].model_copy(update={"further": tuple(marks[1:])})
        trace = "Tones and pilots of the mark stand out, but its payload does not decode."
        return WatermarkDetection(
            state=WatermarkState.INCONCLUSIVE if outcome.traced else WatermarkState.ABSENT,
            algorithm=self.algorithm,
            note=trace if outcome.traced else "",
        )


def _check_epoch(epoch: int) -> int:
    number = whole_number(epoch)
    if number is None or number < 0:
        # What is no number may be a key in the wrong place: it is not quoted.
        given = type(epoch).__name__ if number is None else number
        raise UsageError(f"A key epoch must be an integer from 0, not {given}.", remedy="Number the keys from 0.")
    return number
