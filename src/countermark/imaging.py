"""Every pixel enters and leaves here.

Files may be hostile: the bytes, the sides and the pixel count are bounded *before* anything is decompressed, only the
formats that we sign are opened, and every failure is a typed error. What comes out is always RGB, 8 bits, sRGB,
upright; what had to be converted on the way is said in the raster's notices.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from countermark.errors import AssetInvalid, AssetTooLarge, CountermarkError, NotFound, OutputUnwritable
from countermark.files import open_file
from countermark.model import MediaType
from countermark.structure import Costly, Metered, check_exif, check_structure

MAX_BYTES: Final = 64 * 2**20
MAX_SIDE: Final = 8192
_ROWS: Final = 256
MAX_PIXELS: Final = MAX_SIDE * MAX_SIDE
MAX_ICC: Final = 4 * 2**20

_MEDIA_TYPES: Final[dict[str, MediaType]] = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}
_SUFFIXES: Final[dict[str, MediaType]] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
}
ENCODABLE: Final = tuple(sorted(_SUFFIXES))
_DEEP: Final = "Samples of more than 8 bits were reduced to 8 bits."
_COLOUR_SPACES: Final = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_AVIF_HEADER: Final = 64 * 2**10
_PNG_IHDR_END: Final = 33  # signature 8 + length 4 + type 4 + IHDR data 13 + CRC 4


@dataclass(frozen=True)
class Raster:
    """A decoded image.

    Attributes:
        pixels: RGB, uint8, H×W×3, C-contiguous, upright, sRGB.
        alpha: uint8, H×W, or ``None`` where the image is opaque; carried through unchanged.
        media_type: of the file it came from (``image/png`` for pixels that never were a file).
        notices: what had to be converted, one plain sentence each.
        sha256: of the file that it came from, where that is known; else empty.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    media_type: MediaType = "image/png"
    notices: tuple[str, ...] = field(default=())
    sha256: str = ""

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.pixels.shape[0])

    def over(self, level: int) -> NDArray[np.uint8]:
        """What is to be seen on a grey ground of ``level`` (0 black to 255 white): RGB, uint8, H×W×3."""
        if self.alpha is None:
            return self.pixels
        shown = np.empty_like(self.pixels, order="C")
        for top in range(0, self.height, _ROWS):  # of a large picture all rows at once would take a gigabyte
            rows = slice(top, top + _ROWS)
            share = self.alpha[rows, :, None].astype(np.float32) / np.float32(255)
            shown[rows] = np.rint(self.pixels[rows] * share + np.float32(level) * (1 - share))
        return shown


def read_file(path: Path) -> bytes:
    """The bytes of a file, at most :data:`MAX_BYTES`.

    Raises:
        NotFound: there is no such file.
        AssetInvalid: it is a folder, a pipe or a device, or cannot be read.
        AssetTooLarge: it holds more than :data:`MAX_BYTES`.
    """
    try:
        with open_file(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise AssetInvalid(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if len(data) > MAX_BYTES:
        raise AssetTooLarge(f"{path} holds more than {MAX_BYTES // 2**20} MiB.")
    return data


def decode(data: bytes, name: str = "the image") -> Raster:
    """Decode one still image.

    Args:
        data: the file's bytes.
        name: how errors call it.

    Raises:
        AssetInvalid: not an image, truncated, animated, or of a format that we do not sign.
        AssetTooLarge: more bytes, pixels or a longer side than the bounds.
    """
    if not data:
        raise AssetInvalid(f"{name} is empty (0 bytes).")
    if len(data) > MAX_BYTES:
        raise AssetTooLarge(f"{name} holds more than {MAX_BYTES // 2**20} MiB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            check_structure(data)
            with Image.open(Metered(data), formats=("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF")) as image:
                return _decode_opened(image, data, name)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise AssetTooLarge(f"{name} declares more pixels than {MAX_PIXELS:,}.") from error
    except Costly as error:
        raise AssetTooLarge(f"{name} is built so that reading it would cost too much: {error}.") from error
    except MemoryError as error:
        raise AssetTooLarge(f"{name} needs more memory than there is.") from error
    except UnidentifiedImageError as error:
        raise AssetInvalid(f"{name} is not a PNG, JPEG, WebP, AVIF, TIFF or GIF image.") from error
    except CountermarkError:
        raise
    except Exception as error:  # a decoder fed with a hostile file may raise anything at all
        reason = str(error).rstrip(".") or type(error).__name__
        raise AssetInvalid(f"{name} is damaged: {reason}.") from error


def from_array(pixels: NDArray[np.uint8]) -> Raster:
    """A raster from RGB or RGBA pixels that never were a file: a copy, whatever becomes of the array meanwhile.

    Raises:
        AssetInvalid: not uint8, not H×W×3 or H×W×4, or empty.
        AssetTooLarge: a side beyond the bounds.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise AssetInvalid(
            f"The array is {pixels.dtype} of shape {pixels.shape}.", remedy="Give uint8 pixels of shape H×W×3 or H×W×4."
        )
    if 0 in pixels.shape:
        raise AssetInvalid(f"The array is empty: its shape is {pixels.shape}.")
    if max(pixels.shape[:2]) > MAX_SIDE:
        raise AssetTooLarge(f"The array is {pixels.shape[1]}×{pixels.shape[0]} pixels.")
    alpha = np.array(pixels[..., 3], order="C") if pixels.shape[2] == 4 and pixels[..., 3].min() < 255 else None
    return Raster(np.array(pixels[..., :3], order="C"), alpha)


def _decode_opened(image: Image.Image, data: bytes, name: str) -> Raster:
    width, height = image.size
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise AssetTooLarge(f"{name} is {width}×{height} pixels; at most {MAX_SIDE} a side can be handled.")
    notices: list[str] = []
    if getattr(image, "is_animated", False):  # unlike n_frames, this does not walk through a million frames
        if image.format != "MPO":
            raise AssetInvalid(
                f"{name} is animated or has several pages; only still images can be read.",
                remedy="Give its frames one by one.",
            )
        notices.append("The file holds further pictures (MPO); only the first was read.")
    media_type = _MEDIA_TYPES[image.format or ""]
    if _is_deep(image, data):
        notices.append(_DEEP)
    profile = image.info.get("icc_profile")
    image.load()
    check_exif(_exif_of(image))
    upright = ImageOps.exif_transpose(image)
    alpha = _alpha_of(upright, notices)
    rgb = _to_srgb(_to_8_bits(upright, notices), profile, notices)
    return Raster(np.ascontiguousarray(np.asarray(rgb)), alpha, media_type, tuple(notices))


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Whether the file's samples have more than 8 bits; Pillow reduces colours without a word. Before loading only."""
    if image.format == "AVIF":
        at = data.find(b"pixi", 0, _AVIF_HEADER)  # ISO/IEC 23008-12, 6.5.6: version, flags, channels, bits of each
        return at >= 0 and any(bits > 8 for bits in data[at + 9 : at + 9 + data[at + 8]])
    if image.mode.startswith(("I", "F")):
        return True
    arguments = [tile.args for tile in getattr(image, "tile", ())]
    raw_modes = [one if isinstance(one, str) else str(one[0]) for one in arguments if one]
    return any(";16" in mode for mode in raw_modes)


def _exif_of(image: Image.Image) -> bytes:
    """The EXIF block that Pillow would turn the image by; that of a TIFF is the file itself."""
    raw = image.info.get("Raw profile type exif", "")  # of a PNG, as text
    block = image.info.get("exif") or bytes.fromhex("".join(raw.split("\n")[3:]))
    return bytes(block)


def _alpha_of(image: Image.Image, notices: list[str]) -> NDArray[np.uint8] | None:
    """The alpha plane, or None where every pixel is opaque."""
    if not image.has_transparency_data:
        return None
    key = image.info.get("transparency")
    if image.mode.startswith("I"):
        plane = np.where(np.asarray(image) == key, np.uint8(0), np.uint8(255))
    elif image.mode == "RGB" and isinstance(key, tuple) and _DEEP in notices:
        notices.append("The transparent colour was left out: it is told from others by more than 8 bits.")
        return None
    else:
        plane = np.asarray(image.convert("RGBA").getchannel("A"))
    return np.ascontiguousarray(plane) if int(plane.min()) < 255 else None


def _to_8_bits(image: Image.Image, notices: list[str]) -> Image.Image:
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    top = 1.0 if image.mode == "F" else 65535.0
    if values.min() < 0 or values.max() > top:
        notices.append(f"Values beyond 0 to {top:.0f} were clipped.")
    return Image.fromarray(np.rint(np.clip(values, 0, top) * (255.0 / top)).astype(np.uint8), "L")


def _to_srgb(image: Image.Image, profile: bytes | None, notices: list[str]) -> Image.Image:
    """Convert to sRGB by the embedded ICC profile; CMYK without one by the plain formula. Alpha is dropped."""
    if image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    elif image.mode == "P" and image.has_transparency_data:
        image = image.convert("RGBA").convert("RGB")  # at once, Pillow warns of the alpha that it drops
    elif image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("RGB")
    if image.mode in ("CMYK", "LAB"):
        notices.append(f"{image.mode} was converted to sRGB.")
    if profile and image.mode != "LAB":
        return _by_profile(image, profile, notices) or image.convert("RGB")
    return image.convert("RGB")


def _by_profile(image: Image.Image, profile: bytes, notices: list[str]) -> Image.Image | None:
    """The image in sRGB, or None where the profile says nothing new or cannot be used."""
    if len(profile) > MAX_ICC:
        notices.append(f"The embedded colour profile exceeds {MAX_ICC // 2**20} MiB and was left out.")
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        description = ImageCms.getProfileDescription(source).strip()
        if "srgb" in description.lower():
            return None
        space = source.profile.xcolor_space.strip()
        if space == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if space != _COLOUR_SPACES[image.mode]:
            notices.append(f"The embedded colour profile is for {space}, not for this image, and was left out.")
            return None
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        notices.append("The embedded colour profile is damaged and was left out.")
        return None
    named = "".join(letter for letter in description[:60] if letter.isprintable())
    notices.append(f"Colours were converted from the embedded profile '{named}' to sRGB.")
    return converted


def media_type_for(path: Path) -> MediaType:
    """The media type that a file name asks for.

    Raises:
        OutputUnwritable: the suffix is none that we write.
    """
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError as error:
        raise OutputUnwritable(
            f"{path.name} does not end in a format that we write.",
            remedy="End the name in " + ", ".join(ENCODABLE) + ".",
        ) from error


def suffix_for(media_type: str) -> str:
    """The usual file suffix of a media type, with the dot."""
    return {"image/jpeg": ".jpg"}.get(media_type) or "." + media_type.split("/", 1)[1]


def encode(raster: Raster, media_type: MediaType, *, xmp: bytes = b"", quality: int = 92) -> bytes:
    """Encode to a file's bytes, with an optional XMP packet.

    PNG uses compression level 1: a third of the CPU of level 6 for some 8 % more bytes.

    Args:
        raster: what to write; its alpha is kept where the format has one.
        media_type: ``image/png``, ``image/jpeg``, ``image/webp`` or ``image/avif``.
        xmp: an XMP packet, UTF-8.
        quality: 1..100, for the lossy formats.

    Raises:
        AssetInvalid: the format cannot be written, or cannot hold the raster's alpha.
    """
    if media_type == "image/png":
        return _encode_png(raster, xmp)
    if raster.alpha is not None and media_type == "image/jpeg":
        raise AssetInvalid("JPEG cannot hold transparency.", remedy="Write PNG, WebP or AVIF instead.")
    options: dict[str, object] = {"quality": quality}
    if xmp:
        options["xmp"] = xmp
    buffer = io.BytesIO()
    if media_type == "image/jpeg":
        _to_pil(raster).save(buffer, "JPEG", subsampling=0, **options)
    elif media_type == "image/webp":
        _to_pil(raster).save(buffer, "WEBP", method=3, **options)
    elif media_type == "image/avif":
        _to_pil(raster).save(buffer, "AVIF", speed=8, **options)
    else:
        raise AssetInvalid(f"{media_type} cannot be written.", remedy="Write PNG, JPEG, WebP or AVIF.")
    return buffer.getvalue()


def _to_pil(raster: Raster) -> Image.Image:
    image = Image.fromarray(raster.pixels, "RGB")
    if raster.alpha is not None:
        image.putalpha(Image.fromarray(raster.alpha, "L"))
    return image


def _encode_png(raster: Raster, xmp: bytes) -> bytes:
    if raster.alpha is None:
        bgr = cv2.cvtColor(raster.pixels, cv2.COLOR_RGB2BGR)
    else:
        bgr = np.dstack([raster.pixels[..., ::-1], raster.alpha])
    # One filter for all rows instead of trying five on each: half the time of Pillow's level 1 at the same size.
    png: bytes = cv2.imencode(
        ".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH]
    )[1].tobytes()
    if not xmp:
        return png
    # XMP in PNG is an iTXt chunk with this keyword, before the image data (XMP specification part 3, section 1.1.5).
    body = b"iTXt" + b"XML:com.adobe.xmp\0" + b"\0\0\0\0" + xmp
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_PNG_IHDR_END] + chunk + png[_PNG_IHDR_END:]


assert set(_MEDIA_TYPES.values()) == set(get_args(MediaType))
