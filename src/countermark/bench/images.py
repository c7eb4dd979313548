"""The pictures that are measured, in sets that are kept apart: what was used for tuning is never a reported figure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from countermark import imaging
from countermark.bench.graphics import graphics
from countermark.errors import AssetInvalid, CountermarkError, MissingExtra, NotFound, UsageError
from countermark.model import GenerationRequest

Role = Literal["reporting", "tuning", "user"]

TUNING_NOTICE: Final = "These images were used for tuning: not a reported figure."

REPORTING: Final = {
    "astronaut": "skimage/data/astronaut.png",
    "coffee": "skimage/data/coffee.png",
    "chelsea": "skimage/data/chelsea.png",
    "rocket": "skimage/data/rocket.jpg",
    "motorcycle": "skimage/data/motorcycle_left.png",
    "camera": "skimage/data/camera.png",
    "coins": "skimage/data/coins.png",
    "moon": "skimage/data/moon.png",
    "hubble": "skimage/data/hubble_deep_field.jpg",
    "retina": "skimage/data/retina.jpg",
    "tissue": "skimage/data/ihc.png",
    "china": "sklearn/datasets/images/china.jpg",
    "flower": "sklearn/datasets/images/flower.jpg",
}
"""Photographs in the wheels of scikit-image and scikit-learn. The scientific ones stay in although few people post
such pictures: dark, smooth and grey, they are the hardest here, and leaving them out would flatter every figure."""

TEXTURES: Final = {
    "brick": "skimage/data/brick.png",
    "gravel": "skimage/data/gravel.png",
    "grass": "skimage/data/grass.png",
}
"""Nothing but surface, the best cover that a mark can have: apart, for the opposite reason."""

TUNING: Final = tuple(f"kodim{number:02d}" for number in range(1, 25))
"""Kodak's 24 photographs by file name; they are not in the repository."""

GENERATED: Final = (
    ("a red striped lighthouse by the sea at sunset", 1),
    ("a green boat on the sea at night", 2),
    ("snowy mountains and a blue house at noon", 3),
    ("a yellow tent in the desert at dusk", 4),
    ("a windmill in a green meadow in the morning", 5),
    ("a white castle by a volcano at night", 6),
    ("a purple balloon over a canyon at sunset", 7),
    ("a painting of a cottage in the forest at noon", 8),
    ("three white ducks on a lake in fog", 9),
    ("a yellow bus in the city on a cloudy day", 10),
    ("a watercolour of a palm tree on the beach", 11),
    ("a large orange cat on a farm, flat illustration", 12),
)
"""Prompt and seed for the embedded model: smooth pictures, flat and painted, unlike photographs."""

_UNTUNED: Final = ("reporting", "textures", "graphics", "generated")
SETS: Final = (*_UNTUNED, "untuned", "tuning")
_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".tif", ".tiff"})
_KODAK = re.compile(r"kodim\d\d", re.IGNORECASE)
_MIN_SIDE = 128
_MAX_TOTAL = 2 * 2**30  # bytes of pixels: a folder of thousands of photographs must not fill the memory


@dataclass(frozen=True)
class Picture:
    """One picture: RGB, uint8, H×W×3, each side at least 128 pixels."""

    name: str
    pixels: NDArray[np.uint8]

    @property
    def sha256(self) -> str:
        """Of its shape and decoded pixels, so that others can tell whether they measure the same picture."""
        return hashlib.sha256(repr(self.pixels.shape).encode() + self.pixels.tobytes()).hexdigest()


@dataclass(frozen=True)
class PictureSet:
    """Pictures with the role that their figures have.

    Attributes:
        skipped: what could not be used: name, reason.
    """

    name: str
    role: Role
    pictures: tuple[Picture, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def notice(self) -> str:
        """What has to be said beside the figures; often nothing."""
        return TUNING_NOTICE if self.role == "tuning" else ""


def load(name: str | None = None, folder: Path | None = None, *, limit: int | None = None) -> PictureSet:
    """A set by name, or a folder of one's own.

    Args:
        name: one of :data:`SETS`; by default ``reporting``, or the folder where one is given.
        folder: one's own pictures, or where those of ``tuning`` are.
        limit: the first so many only.

    Raises:
        MissingExtra: the packages that hold or make the pictures are not installed.
        NotFound: there is no such folder, or no usable picture in it.
        UsageError: the name is unknown, or folder and name do not fit.
    """
    if name == "tuning" or (name is None and folder is not None):
        return _from_folder(folder, limit, kodak_only=name == "tuning")
    if folder is not None:
        raise UsageError(f"The set {name!r} takes no folder.", remedy="Leave out either --set or --images.")
    if name in (None, "reporting"):
        return PictureSet("reporting", "reporting", _shipped(REPORTING, limit))
    if name == "textures":
        return PictureSet("textures", "reporting", _shipped(TEXTURES, limit))
    if name == "graphics":
        drawn = list(graphics().items())[:limit]
        return PictureSet("graphics", "reporting", tuple(Picture(label, pixels) for label, pixels in drawn))
    if name == "untuned":
        parts = [load(part).pictures for part in _UNTUNED]
        return PictureSet("untuned", "reporting", tuple(picture for part in parts for picture in part)[:limit])
    if name == "generated":
        return PictureSet("generated", "reporting", tuple(_generated(limit)))
    raise UsageError(f"There is no set of pictures called {name!r}.", remedy=f"Choose one of {', '.join(SETS)}.")


def _shipped(files: dict[str, str], limit: int | None) -> tuple[Picture, ...]:
    return tuple(Picture(name, _decoded(_in_package(file))) for name, file in list(files.items())[:limit])


def _in_package(file: str) -> Path:
    """Where a package's file lies, without importing the package: its loaders may want to download."""
    package, _, inside = file.partition("/")
    spec = find_spec(package)
    for root in (spec.submodule_search_locations if spec is not None else None) or ():
        if (path := Path(root) / inside).is_file():
            return path
    raise MissingExtra("dev", f"The photograph {file}")


def _decoded(path: Path) -> NDArray[np.uint8]:
    """RGB pixels of a file, greyscale ones too.

    Raises:
        AssetInvalid: not a picture that can be measured.
    """
    pixels = imaging.decode(imaging.read_file(path), path.name).pixels
    if min(pixels.shape[:2]) < _MIN_SIDE:
        raise AssetInvalid(f"{path.name} is smaller than {_MIN_SIDE} pixels a side.")
    return pixels


def _generated(limit: int | None) -> Iterator[Picture]:
    from countermark.generators import EmbeddedGenerator

    generator = EmbeddedGenerator()
    for prompt, seed in GENERATED[:limit]:
        made = generator.generate(GenerationRequest(prompt=prompt, seed=seed))
        yield Picture(f"{prompt} ({seed})", np.ascontiguousarray(made.images[0]))


def _from_folder(folder: Path | None, limit: int | None, *, kodak_only: bool) -> PictureSet:
    if folder is None:
        raise UsageError(
            "Kodak's photographs, which were used for tuning, are not in the repository.",
            remedy="Name the folder that holds kodim01.png to kodim24.png: --set tuning --images DIR.",
        )
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.", remedy="Name a folder of pictures: --images DIR.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS and path.is_file())
    if kodak_only:
        files = [path for path in files if path.stem.lower() in TUNING]
    pictures: list[Picture] = []
    skipped: list[tuple[str, str]] = []
    for path in files:
        if limit is not None and len(pictures) == limit:
            break
        if sum(picture.pixels.nbytes for picture in pictures) > _MAX_TOTAL:
            skipped.append((path.name, "Pictures of 2 GiB are enough: measure a large folder in parts."))
            continue
        try:
            pictures.append(Picture(path.name, _decoded(path)))
        except CountermarkError as error:
            skipped.append((path.name, error.message))
    if not pictures:
        wanted = "Kodak photograph (kodim01.png to kodim24.png)" if kodak_only else "picture that can be measured"
        raise NotFound(
            f"There is no {wanted} in {folder}.",
            remedy=f"Put PNG, JPEG, WebP, AVIF, TIFF or GIF files of at least {_MIN_SIDE} pixels a side there.",
        )
    role: Role = "tuning" if any(_KODAK.match(picture.name) for picture in pictures) else "user"
    return PictureSet("tuning" if kodak_only else folder.name, role, tuple(pictures), tuple(skipped))
