"""The payload of a watermark: version, key epoch, record id, and a keyed tag that alone decides presence.

A watermark decoder always returns bits; whether they mean anything is decided here, by a truncated
HMAC-SHA-256 (RFC 2104) of the bits under a key of its own. For bits that do not depend on that key, each comparison
succeeds with probability 2**-32 (NIST SP 800-107 rev. 1, section 5.3.4, on truncated tags), so that the number of
comparisons, times 2**-32, bounds the probability of a false detection. No statistics of images enter the bound.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
VERSION_BITS = 4
EPOCH_BITS = 4
ID_BITS = 48
MESSAGE_BITS = VERSION_BITS + EPOCH_BITS + ID_BITS
TAG_BITS = 32


def derive_key(key: bytes, label: bytes) -> bytes:
    """A key of 32 bytes for one purpose: HMAC-SHA-256 of the purpose's label under the master key."""
    return hmac.digest(key, label, hashlib.sha256)


@dataclass(frozen=True, slots=True)
class Payload:
    """What a mark says. ``epoch`` is the key epoch modulo 16."""

    record_id: int
    epoch: int = 0
    version: int = VERSION

    def header_bits(self) -> NDArray[np.uint8]:
        """The 8 leading bits, version and epoch: what a detector that tries a key knows in advance."""
        return self.to_bits()[: VERSION_BITS + EPOCH_BITS]

    def to_bits(self) -> NDArray[np.uint8]:
        """The 56 message bits, most significant first: version, epoch, record id."""
        number = (self.version << (EPOCH_BITS + ID_BITS)) | (self.epoch << ID_BITS) | self.record_id
        return np.unpackbits(np.frombuffer(number.to_bytes(MESSAGE_BITS // 8, "big"), np.uint8))

    @classmethod
    def from_bits(cls, bits: NDArray[np.uint8]) -> Payload:
        """The payload that 56 message bits spell."""
        number = int.from_bytes(np.packbits(bits).tobytes(), "big")
        return cls(
            record_id=number & ((1 << ID_BITS) - 1),
            epoch=(number >> ID_BITS) & ((1 << EPOCH_BITS) - 1),
            version=number >> (ID_BITS + EPOCH_BITS),
        )


def tag_bits(tag_key: bytes, bits: NDArray[np.uint8], length: int = TAG_BITS) -> NDArray[np.uint8]:
    """The ``length`` tag bits (a multiple of 8, at most 256) of a message given as bits."""
    digest = hmac.digest(tag_key, np.packbits(bits).tobytes(), hashlib.sha256)
    return np.unpackbits(np.frombuffer(digest[: length // 8], np.uint8))


def append_tag(tag_key: bytes, bits: NDArray[np.uint8], length: int = TAG_BITS) -> NDArray[np.uint8]:
    """The message followed by its tag of ``length`` bits."""
    return np.concatenate([bits, tag_bits(tag_key, bits, length)])


def tag_verifies(tag_key: bytes, word: NDArray[np.uint8]) -> bool:
    """Whether a word of message and tag is one that the key's holder made."""
    message, tag = word[:-TAG_BITS], word[-TAG_BITS:]
    return hmac.compare_digest(np.packbits(tag_bits(tag_key, message)).tobytes(), np.packbits(tag).tobytes())


def false_positive_bound(comparisons: int, length: int = TAG_BITS) -> float:
    """The chance, at most, that any of so many comparisons of a tag succeeds on an image without the mark."""
    return min(1.0, comparisons * 2.0**-length)
