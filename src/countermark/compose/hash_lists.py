"""The hash lists of an installation, searched with the fingerprint room's index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from countermark.fingerprint import Fingerprint, FingerprintIndex, pdq
from countermark.safety.combine import Another, CombinedImageClassifier
from countermark.safety.hash_list import HashListClassifier, LookAlikes
from countermark.safety.hash_store import HashListStore

if TYPE_CHECKING:
    from countermark.safety.interface import ImageClassifier

FOLDER = "hashes"
"""Of the lists, in the home folder."""
_MOST = 1000
"""Look-alikes of one picture that are of interest: the nearest, of which each list's own nearest is told."""
_TURNED_SIDE = 128
"""Pixels a side of what is turned before it is hashed: copies of photographs are found as well as at 512, in a third
of the time."""


class PdqSearch:
    """A :class:`~countermark.safety.hash_list.PictureSearch`: exact, by multi-index hashing."""

    def __init__(self) -> None:
        self.index = FingerprintIndex()

    def enter(self, references: NDArray[np.int64], hashes: NDArray[np.uint8]) -> None:
        """Add PDQ hashes, each under a reference."""
        self.index.extend(references, np.ascontiguousarray(hashes).view(np.uint64))

    def near(self, pixels: NDArray[np.uint8], within: int) -> LookAlikes:
        """Look the eight turned and mirrored forms of a picture up."""
        forms = forms_of(pixels)
        hits = self.index.query_forms(forms, within=within, limit=_MOST)
        return LookAlikes(forms[0].quality, tuple((hit.distance, hit.reference) for hit in hits))


def forms_of(pixels: NDArray[np.uint8]) -> tuple[Fingerprint, ...]:
    """The fingerprint of a picture, and those of its eight quarter turns and mirrored forms, made by turning pixels.

    PDQ can also turn the hash itself (``pdq.dihedral``), at no cost but 12 to 26 bits of likeness: its filter does not
    sample both edges alike. That is most of the 31 that there are, so a recompressed, turned copy would be missed.

    Raises:
        AssetInvalid: not RGB pixels, uint8, H×W×3.
    """
    upright = pdq.compute(pixels)
    size = min(pixels.shape[1], _TURNED_SIDE), min(pixels.shape[0], _TURNED_SIDE)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    turned = [np.rot90(small, quarter) for quarter in range(4)]
    both = [form for one in turned for form in (one, one[:, ::-1])]
    return (upright, *(pdq.compute(np.ascontiguousarray(form)) for form in both))


def hash_lists(home: Path) -> HashListStore:
    """Where an installation keeps its lists."""
    return HashListStore(home / FOLDER)


def hash_list_classifier(home: Path) -> HashListClassifier:
    """Looks pictures up in the lists of an installation, as they are when it is asked."""
    return HashListClassifier(hash_lists(home), PdqSearch)


def with_hash_lists(first: ImageClassifier, home: Path) -> ImageClassifier:
    """An image classifier with the installation's hash lists beside it."""
    return CombinedImageClassifier(first, [Another(hash_list_classifier(home))])
