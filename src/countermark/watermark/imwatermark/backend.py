"""A second backend, on the package *invisible-watermark* 0.2.0.

The package has no key, no error correction and no test of presence: its decoder always returns bits. Here the bits are
a record id and a keyed tag, so that presence is decided as for every other watermark (:mod:`.search`). It survives
little more than mild compression; it exists for comparison, and for those who must interoperate.
"""

from __future__ import annotations

import hashlib
from importlib import util
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from countermark.errors import AssetTooSmall, MissingExtra, UsageError, WatermarkFailed
from countermark.model.marks import WatermarkDetection, WatermarkState
from countermark.observe import get_logger
from countermark.watermark.imwatermark.blocks import MIN_AREA, BlockMethod, block_votes, readings
from countermark.watermark.imwatermark.presence import presence
from countermark.watermark.imwatermark.search import TagSearch, id_bits
from countermark.watermark.interface import RECORD_ID_BITS, check_key, check_pixels, check_record_id
from countermark.watermark.payload import TAG_BITS, append_tag, derive_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from countermark.watermark.imwatermark.rivagan import RivaGan

Method = Literal["dwtDctSvd", "dwtDct", "rivaGan"]

DISCOURAGED: frozenset[Method] = frozenset({"dwtDct"})
"""Methods that work, and that nobody should choose for a new mark."""

_TAG_LABEL = b"countermark/imwatermark/v1/tag"
_RIVAGAN_TAG_LABEL = b"countermark/imwatermark/rivaGan/v1/tag"
_RIVAGAN_TAG_BITS = 48
_RIVAGAN_MASK = np.unpackbits(
    np.frombuffer(hashlib.sha256(b"countermark/imwatermark/rivaGan/v1/mask").digest()[:12], np.uint8)
)
"""Added to the word: the network cannot write 32 bits that are nearly all alike, as those of a small number are."""


class InvisibleWatermark:
    """Embeds and detects a record id with the invisible-watermark package.

    Args:
        method: ``dwtDctSvd``; ``rivaGan``, a network (pictures of about 450 to 2048 pixels a side, a second of CPU for
            every quarter of a megapixel); or ``dwtDct``, which is discouraged: hardly a mark of it outlives JPEG.
        key: the secret of the tag, at least 16 bytes.
        older_keys: earlier secrets, whose marks are detected too.

    Detection is ``detected`` only where the tag verifies. For the two block methods a mark whose tag does not verify
    is ``inconclusive``, with the presence statistic in the note. For rivaGan there is no such state: its outputs are
    as large on some unmarked pictures (noise, strong texture) as on marked ones, so that they separate nothing.

    Raises:
        MissingExtra: the package is not installed.
        UsageError: the method is unknown.
        KeyUnavailable: a key is not bytes, or too short.
    """

    def __init__(self, method: str = "dwtDctSvd", *, key: bytes, older_keys: Iterable[bytes] = ()) -> None:
        if method not in get_args(Method):
            raise UsageError(
                f"The watermark method {method!r} is unknown.", remedy="Choose dwtDctSvd, rivaGan or dwtDct."
            )
        keys = [check_key(key), *(check_key(older) for older in older_keys)]
        if util.find_spec("imwatermark") is None:
            raise MissingExtra("imwatermark", "The invisible-watermark backend")
        self._method: Method = method  # type: ignore[assignment]
        self._carrier: _Blocks | _RivaGan = _RivaGan(keys) if method == "rivaGan" else _Blocks(keys, self._method)  # type: ignore[arg-type]
        self.algorithm = f"org.countermark.imwatermark.{method}.1"
        if self._method in DISCOURAGED:
            get_logger("watermark").warning("discouraged watermark method", method=method, instead="lattice")

    def __repr__(self) -> str:
        discouraged = " (discouraged)" if self._method in DISCOURAGED else ""
        return f"InvisibleWatermark(method={self._method!r}){discouraged}"

    def embed(self, pixels: NDArray[np.uint8], record_id: int) -> NDArray[np.uint8]:
        """A copy of ``pixels`` (RGB, uint8, H×W×3, at least 256×256 in area, three times that for rivaGan).

        Raises:
            AssetInvalid, AssetTooSmall, AssetTooLarge: the pixels cannot carry a mark.
            UsageError: the record id is out of range.
            WatermarkFailed: the package failed.
        """
        return self._carrier.embed(check_pixels(pixels), check_record_id(record_id))

    def detect(self, pixels: NDArray[np.uint8]) -> WatermarkDetection:
        """What ``pixels`` (RGB, uint8, H×W×3) carry; too small a picture carries nothing.

        Raises:
            AssetInvalid, AssetTooLarge: the pixels cannot be examined.
        """
        return self._carrier.detect(check_pixels(pixels, min_side=1), self.algorithm)


class _Blocks:
    """A word of 48 + 32 bits in the votes of blocks."""

    def __init__(self, keys: list[bytes], method: BlockMethod) -> None:
        tag_keys = [derive_key(key, _TAG_LABEL) for key in keys]
        self._tag_key = tag_keys[0]
        self._search = TagSearch(tag_keys, tag_length=TAG_BITS, tag_errors=1, words=2)
        self._method = method

    def embed(self, pixels: NDArray[np.uint8], record_id: int) -> NDArray[np.uint8]:
        height, width = pixels.shape[:2]
        if height * width < MIN_AREA:
            raise AssetTooSmall(
                f"An image of {width} × {height} pixels is too small for the invisible-watermark package.",
                remedy="Give an image of at least 256 × 256 pixels in area, or use the lattice watermark.",
            )
        encoder = _load_package().WatermarkEncoder()
        encoder.set_watermark("bits", append_tag(self._tag_key, id_bits(record_id)).tolist())
        try:
            marked = encoder.encode(_swap(pixels), self._method)
        except (RuntimeError, ValueError, TypeError) as error:
            raise WatermarkFailed(f"The invisible-watermark package could not mark the image: {error}.") from error
        return _swap(np.asarray(marked, np.uint8))

    def detect(self, pixels: NDArray[np.uint8], algorithm: str) -> WatermarkDetection:
        absent = WatermarkDetection(state=WatermarkState.ABSENT, algorithm=algorithm)
        if pixels.shape[0] * pixels.shape[1] < MIN_AREA:
            return absent
        votes = block_votes(pixels, self._method)
        length = RECORD_ID_BITS + TAG_BITS
        detection = _detected(self._search, readings(votes, length), algorithm)
        if detection is not None:
            return detection
        found = presence(votes, length)
        if not found.evident:
            return absent
        return WatermarkDetection(
            state=WatermarkState.INCONCLUSIVE,
            algorithm=algorithm,
            note=f"A mark of this kind is present (presence statistic {found.statistic:.0f}, {found.decoy:.0f} for a "
            "decoy), but its tag does not verify: it was damaged, or made with another key.",
        )


class _RivaGan:
    """A word of 48 + 48 bits in three strips of a picture."""

    def __init__(self, keys: list[bytes]) -> None:
        from countermark.watermark.imwatermark import rivagan

        tag_keys = [derive_key(key, _RIVAGAN_TAG_LABEL) for key in keys]
        self._tag_key = tag_keys[0]
        self._search = TagSearch(tag_keys, tag_length=_RIVAGAN_TAG_BITS, tag_errors=4, words=1)
        self._network: RivaGan = rivagan.RivaGan()
        self._max_area = rivagan.MAX_AREA

    def embed(self, pixels: NDArray[np.uint8], record_id: int) -> NDArray[np.uint8]:
        word = append_tag(self._tag_key, id_bits(record_id), _RIVAGAN_TAG_BITS)
        return self._network.embed(pixels, word ^ _RIVAGAN_MASK)

    def detect(self, pixels: NDArray[np.uint8], algorithm: str) -> WatermarkDetection:
        if pixels.shape[0] * pixels.shape[1] > self._max_area:
            note = "The image is larger than a rivaGan mark can be read from."
            return WatermarkDetection(state=WatermarkState.SKIPPED, algorithm=algorithm, note=note)
        absent = WatermarkDetection(state=WatermarkState.ABSENT, algorithm=algorithm)
        if pixels.shape[0] * pixels.shape[1] < MIN_AREA:
            return absent
        word = self._network.read(pixels) * np.where(_RIVAGAN_MASK == 1, -1.0, 1.0)
        return _detected(self._search, (word,), algorithm) or absent


def _detected(search: TagSearch, words: tuple[NDArray[np.float64], ...], algorithm: str) -> WatermarkDetection | None:
    match = search.find(words)
    if match is None:
        return None
    return WatermarkDetection(
        state=WatermarkState.DETECTED,
        algorithm=algorithm,
        record_id=match.record_id,
        false_positive_probability=match.false_positive_probability,
    )


def _load_package() -> Any:
    # Only to write: it imports torch, which takes a second. Reading does without.
    try:
        import imwatermark
    except ImportError as error:
        raise MissingExtra("imwatermark", "The invisible-watermark backend") from error
    return imwatermark


def _swap(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB to BGR, and back."""
    return np.ascontiguousarray(pixels[:, :, ::-1])
