from __future__ import annotations

import contextlib
import io
import resource
import struct
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin
from tests.png import chunk

from countermark.errors import AssetInvalid, AssetTooLarge, NotFound, OutputUnwritable
from countermark.imaging import MAX_BYTES, Raster, decode, encode, from_array, media_type_for, read_file


def picture(width: int = 40, height: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(image: Image.Image, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6  # PNG's colour types
DEPTH_8, DEPTH_16 = 8, 16


def png(width: int, height: int, depth: int, colour: int, samples: np.ndarray, *extra: bytes) -> bytes:
    """A PNG file of raw samples (big-endian), with further chunks before the image data."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    parts = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_that_declares(width: int, height: int) -> bytes:
    return png(width, height, DEPTH_8, COLOUR, np.empty((0, 0), np.uint8))


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def deep(channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65536, (30, 40, channels)).astype(">u2")


def renamed(profile: bytes) -> bytes:
    """An sRGB profile that does not say so: what another RGB colour space looks like."""
    return profile.replace(b"s\0R\0G\0B", b"x\0R\0G\0B").replace(b"sRGB", b"xRGB")


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_png_round_trip_is_lossless_with_and_without_alpha() -> None:
    pixels = picture()
    back = decode(encode(Raster(pixels), "image/png"))
    assert np.array_equal(back.pixels, pixels)
    assert back.alpha is None
    alpha = picture()[..., 0]
    alpha[0, 0] = 7
    back = decode(encode(Raster(pixels, alpha), "image/png"))
    assert np.array_equal(back.pixels, pixels)
    assert back.alpha is not None
    assert np.array_equal(back.alpha, alpha)


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/webp", "image/avif"])
def test_xmp_travels_in_every_format(media_type: str) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
    data = encode(Raster(picture(64, 64)), media_type, xmp=packet)  # type: ignore[arg-type]
    assert packet in data
    assert decode(data).media_type == media_type


def test_png_with_xmp_is_read_by_pillow() -> None:
    data = encode(Raster(picture()), "image/png", xmp=b"<x/>")
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, PngImagePlugin.PngImageFile)
    image.load()
    assert image.text["XML:com.adobe.xmp"] == "<x/>"


def test_a_decompression_bomb_is_refused_before_it_unfolds() -> None:
    with pytest.raises(AssetTooLarge):
        decode(png_that_declares(60_000, 60_000))
    with pytest.raises(AssetTooLarge):
        decode(png_that_declares(9_000, 10))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
        b"%PDF-1.4",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a",
        b"\xff\xd8\xff",
    ],
)
def test_what_is_no_image_is_a_typed_error(data: bytes) -> None:
    with pytest.raises(AssetInvalid):
        decode(data)


FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF")


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.97])
def test_a_truncated_file_is_a_typed_error(fmt: str, share: float) -> None:
    data = saved(Image.fromarray(picture(200, 200)), fmt)
    assert decode(data).pixels.shape == (200, 200, 3)
    with pytest.raises(AssetInvalid):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("fmt", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_an_animation_is_refused(fmt: str) -> None:
    frames = [Image.fromarray(picture(seed=i)) for i in range(3)]
    data = saved(frames[0], fmt, save_all=True, append_images=frames[1:])
    with pytest.raises(AssetInvalid, match="animated"):
        decode(data)


def test_of_several_pictures_in_a_jpeg_the_first_is_read_and_said_to_be() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    raster = decode(saved(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert raster.pixels[8, 8, 0] > 200
    assert any("further pictures" in notice for notice in raster.notices)


def huge_webp() -> bytes:
    data = saved(Image.fromarray(picture()), "WEBP", lossless=True)
    return patched(data, 21, struct.pack("<I", 16383 | 16383 << 14))


def huge_webp_canvas() -> bytes:
    frames = [Image.fromarray(picture(seed=i)) for i in range(2)]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    return patched(data, 24, (16382).to_bytes(3, "little") * 2)


def huge_jpeg() -> bytes:
    data = saved(Image.fromarray(picture()), "JPEG")
    return patched(data, data.index(b"\xff\xc0") + 5, b"\xff\xff\xff\xff")


def huge_gif() -> bytes:
    return patched(saved(Image.fromarray(picture()), "GIF"), 6, b"\xff\xff\xff\xff")


def huge_avif() -> bytes:
    data = saved(Image.fromarray(picture()), "AVIF")
    return patched(data, data.index(b"ispe") + 8, struct.pack(">II", 12_000, 12_000))


def huge_tiff() -> bytes:
    data = saved(Image.fromarray(picture()), "TIFF", compression="tiff_deflate")
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        if struct.unpack_from("<H", data, entry)[0] in (256, 257):  # ImageWidth, ImageLength
            data = patched(data, entry + 2, struct.pack("<HII", 4, 1, 60_000))
    return data


@pytest.mark.parametrize("make", [huge_webp, huge_webp_canvas, huge_jpeg, huge_gif, huge_avif, huge_tiff])
def test_a_small_file_that_declares_a_huge_picture_is_refused_in_little_memory(make: Callable[[], bytes]) -> None:
    data = make()
    assert len(data) < 10_000
    before = peak_memory()
    with pytest.raises(AssetInvalid):
        decode(data)
    assert peak_memory() - before < 64


def peak_memory() -> float:
    """MiB that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param((b"iCCP", b"profile\0\0"), id="iCCP"),
        pytest.param((b"zTXt", b"keyword\0\0"), id="zTXt"),
        pytest.param((b"iTXt", b"keyword\0\1\0\0\0"), id="iTXt"),
    ],
)
def test_a_png_chunk_that_unfolds_a_thousandfold_is_refused_in_little_memory(bomb: tuple[bytes, bytes]) -> None:
    kind, head = bomb
    filler = zlib.compress(bytes(100 * 2**20), 9)
    data = png(40, 30, DEPTH_8, COLOUR, picture(), chunk(kind, head + filler))
    before = peak_memory()
    with pytest.raises(AssetInvalid, match="too large"):
        decode(data)
    assert peak_memory() - before < 64


def test_pixels_beyond_the_declared_ones_are_not_unfolded() -> None:
    endless = np.zeros((30 * 20_000, 120), np.uint8)
    endless[:30] = picture().reshape(30, 120)
    data = png(40, 30, DEPTH_8, COLOUR, endless)
    before = peak_memory()
    assert np.array_equal(decode(data).pixels, picture())
    assert peak_memory() - before < 64


def test_a_decoder_that_fails_in_its_own_way_is_a_typed_error() -> None:
    """AVIF's raises RuntimeError, GIF's IndexError: whatever it is, the file is damaged."""
    data = saved(Image.fromarray(picture(40, 40)), "AVIF")
    causes = set()
    for at in range(0, len(data), 4):
        try:
            decode(patched(data, at, b"\xff\0"))
        except AssetInvalid as error:
            causes.add(type(error.__cause__))
    assert RuntimeError in causes


def test_sixteen_bits_and_cmyk_are_converted_with_a_notice() -> None:
    deep = Image.fromarray(np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8))
    raster = decode(saved(deep, "PNG"))
    assert raster.pixels[0, 0, 0] == 0
    assert raster.pixels[-1, -1, 0] == 255
    assert any("8 bits" in notice for notice in raster.notices)
    raster = decode(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert any("CMYK" in notice for notice in raster.notices)
    assert raster.pixels[8, 8, 0] > raster.pixels[8, 8, 1]


def test_palette_and_grey_become_rgb() -> None:
    grey = decode(saved(Image.new("L", (10, 10), 99), "PNG"))
    assert (grey.pixels == 99).all()
    palette = decode(saved(Image.fromarray(picture()).quantize(16), "PNG"))
    assert palette.pixels.shape == (30, 40, 3)


def deep_tiff(channels: int) -> bytes:
    samples = deep(channels)[..., ::-1].astype(np.uint16)
    return bytes(cv2.imencode(".tiff", samples if channels > 1 else samples[..., 0])[1])


@pytest.mark.parametrize(
    ("make", "has_alpha"),
    [
        pytest.param(lambda: png(40, 30, DEPTH_16, GREY, deep(1)), False, id="PNG grey"),
        pytest.param(lambda: png(40, 30, DEPTH_16, COLOUR, deep(3)), False, id="PNG colour"),
        pytest.param(lambda: png(40, 30, DEPTH_16, GREY_ALPHA, deep(2)), True, id="PNG grey, alpha"),
        pytest.param(lambda: png(40, 30, DEPTH_16, COLOUR_ALPHA, deep(4)), True, id="PNG colour, alpha"),
        pytest.param(lambda: deep_tiff(1), False, id="TIFF grey"),
        pytest.param(lambda: deep_tiff(3), False, id="TIFF colour"),
    ],
)
def test_sixteen_bits_become_eight_and_the_notice_says_so(make: Callable[[], bytes], has_alpha: bool) -> None:
    raster = decode(make())
    assert raster.notices == ("Samples of more than 8 bits were reduced to 8 bits.",)
    assert (raster.alpha is not None) is has_alpha
    # The seed is the same for every form: the first channel's high bytes are what has to come out.
    channels = {True: 2, False: 1}[has_alpha] if (raster.pixels[..., 0] == raster.pixels[..., 1]).all() else None
    expected = deep(channels or (4 if has_alpha else 3))[..., 0] / 257
    assert np.abs(raster.pixels[..., 0] - expected).max() <= 1


def test_ten_bits_of_avif_are_noticed() -> None:
    data = saved(Image.fromarray(picture(64, 64)), "AVIF")
    at = data.index(b"pixi") + 8
    assert data[at] == 3
    assert decode(data).notices == ()
    with contextlib.suppress(AssetInvalid):  # its other boxes still say 8: a decoder may refuse, but not keep silent
        assert any("8 bits" in notice for notice in decode(patched(data, at + 1, b"\x0a\x0a\x0a")).notices)


def test_a_transparent_grey_of_sixteen_bits_is_kept() -> None:
    samples = deep(1)
    key = int(samples[3, 4, 0])
    raster = decode(png(40, 30, DEPTH_16, GREY, samples, chunk(b"tRNS", struct.pack(">H", key))))
    assert raster.alpha is not None
    assert np.array_equal(raster.alpha == 0, samples[..., 0] == key)
    assert np.abs(raster.pixels[..., 0] - samples[..., 0] / 257).max() <= 1


def test_a_transparent_colour_of_sixteen_bits_is_left_out_with_a_notice() -> None:
    samples = deep(3)
    key = chunk(b"tRNS", struct.pack(">HHH", *(int(value) for value in samples[0, 0])))
    raster = decode(png(40, 30, DEPTH_16, COLOUR, samples, key))
    assert raster.alpha is None
    assert any("transparent colour" in notice for notice in raster.notices)


@pytest.mark.parametrize(
    ("values", "clipped"),
    [
        (np.linspace(0, 1, 64, dtype=np.float32), False),
        (np.linspace(-1, 9, 64, dtype=np.float32), True),
        (np.full(64, np.nan, np.float32), False),
        (np.full(64, np.inf, np.float32), True),
        (np.linspace(0, 65535, 64).astype(np.int32), False),
        (np.linspace(-5, 2**31 - 1, 64).astype(np.int32), True),
    ],
    ids=["floats", "floats beyond", "not numbers", "infinite", "integers", "integers beyond"],
)
def test_numbers_beyond_the_scale_are_clipped_with_a_notice(values: np.ndarray, clipped: bool) -> None:
    raster = decode(saved(Image.fromarray(values.reshape(8, 8)), "TIFF"))
    assert any("8 bits" in notice for notice in raster.notices)
    assert any("clipped" in notice for notice in raster.notices) is clipped


MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("1", "L", "RGB", "CMYK", "YCbCr"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "I;16", "F"),
}


@pytest.mark.parametrize(("fmt", "mode"), [(fmt, mode) for fmt, modes in MODES.items() for mode in modes])
def test_every_mode_becomes_rgb_or_a_typed_error(fmt: str, mode: str) -> None:
    data = saved(Image.new(mode, (12, 9)), fmt)
    try:
        raster = decode(data)
    except AssetInvalid:
        assert mode == "YCbCr"  # which libtiff subsamples, and Pillow then finds too short
        return
    assert raster.pixels.shape == (9, 12, 3)
    assert (raster.alpha is not None) is (mode in ("LA", "RGBA"))
    assert bool(raster.notices) is (mode in ("CMYK", "LAB", "I", "I;16", "F"))


@pytest.mark.parametrize("transparency", [3, b"\0\x80\xff\x10"])
def test_the_alpha_of_a_palette_is_kept_without_a_warning(transparency: int | bytes) -> None:
    image = Image.fromarray(picture()).quantize(4)
    expected = np.asarray(image)
    table = np.frombuffer(transparency, np.uint8) if isinstance(transparency, bytes) else np.array([255] * 3 + [0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raster = decode(saved(image, "PNG", transparency=transparency))
    assert raster.alpha is not None
    assert np.array_equal(raster.alpha, table[expected])


UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}
"""What each value of EXIF's Orientation (CIPA DC-008, 4.6.5.1.6) asks of a reader."""


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_every_orientation_is_applied(orientation: int, fmt: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    raster = decode(saved(Image.fromarray(picture(40, 20)), fmt, exif=exif))
    assert np.array_equal(raster.pixels, UPRIGHT[orientation](picture(40, 20)))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_impossible_orientation_is_none(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode(saved(Image.fromarray(picture(40, 20)), "JPEG", exif=exif)).pixels.shape == (20, 40, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 8192), (8192, 1)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_line_of_pixels_is_a_picture(size: tuple[int, int], mode: str) -> None:
    assert decode(saved(Image.new(mode, size), "PNG")).pixels.shape == (size[1], size[0], 3)


def test_a_foreign_colour_profile_is_converted_and_a_damaged_one_left_out() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert decode(saved(Image.fromarray(picture()), "PNG", icc_profile=lab)).notices
    damaged = decode(saved(Image.fromarray(picture()), "PNG", icc_profile=b"not a profile"))
    assert any("damaged" in notice for notice in damaged.notices)
    assert decode(saved(Image.fromarray(picture()), "PNG", icc_profile=SRGB)).notices == ()


@pytest.mark.parametrize(
    ("mode", "profile", "notice"),
    [
        ("RGB", SRGB, None),
        ("L", SRGB, None),
        ("RGB", renamed(SRGB), "Colours were converted"),
        ("RGBA", renamed(SRGB), "Colours were converted"),
        ("L", renamed(SRGB), "Colours were converted"),
        ("LA", renamed(SRGB), "Colours were converted"),
        ("CMYK", renamed(SRGB), "is for RGB, not for this image"),
        ("RGB", renamed(SRGB)[:200], "damaged"),
        ("RGB", patched(renamed(SRGB), 128, b"\xff" * 100), "damaged"),
        ("RGB", bytes(5 * 2**20), "exceeds 4 MiB"),
        ("RGB", b"\0", "damaged"),
    ],
)
def test_every_profile_is_used_or_left_out_with_a_notice(mode: str, profile: bytes, notice: str | None) -> None:
    raster = decode(saved(Image.new(mode, (12, 9), None), "TIFF", icc_profile=profile))
    about_profile = [line for line in raster.notices if line != "CMYK was converted to sRGB."]
    assert len(about_profile) == (notice is not None)
    assert all(str(notice) in line for line in about_profile)


def test_transparency_in_jpeg_is_refused() -> None:
    with pytest.raises(AssetInvalid, match="transparency"):
        encode(Raster(picture(), picture()[..., 0]), "image/jpeg")


def test_arrays_are_checked() -> None:
    assert from_array(np.zeros((4, 4, 4), np.uint8)).alpha is not None
    shapes = [(4, 4), (4, 4, 2), (0, 4, 3), (4, 0, 4), (0, 0, 4), (4,), ()]
    for wrong in (np.zeros((4, 4, 3), np.float32), *(np.zeros(shape, np.uint8) for shape in shapes)):
        with pytest.raises(AssetInvalid):
            from_array(wrong)
    with pytest.raises(AssetTooLarge):
        from_array(np.zeros((1, 8193, 3), np.uint8))


def test_files_are_bounded_and_missing_ones_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_file(tmp_path / "none.png")
    with pytest.raises(AssetInvalid):
        read_file(tmp_path)
    big = tmp_path / "big.png"
    with big.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(AssetTooLarge):
        read_file(big)


def test_the_name_decides_the_format() -> None:
    assert media_type_for(Path("a.JPG")) == "image/jpeg"
    with pytest.raises(OutputUnwritable, match="format"):
        media_type_for(Path("a.bmp"))


def test_a_large_transparent_picture_is_laid_on_a_ground_in_little_memory() -> None:
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (1500, 1000, 3), np.uint8)
    alpha = random.integers(0, 256, (1500, 1000), np.uint8)
    tracemalloc.start()
    shown = Raster(pixels, alpha).over(200)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * pixels.nbytes
    expected = pixels * (alpha[..., None] / 255) + 200 * (1 - alpha[..., None] / 255)
    assert np.abs(shown - expected).max() < 0.51
