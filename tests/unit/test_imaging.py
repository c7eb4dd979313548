from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from countermark.errors import AssetInvalid, AssetTooLarge, NotFound, OutputUnwritable
from countermark.imaging import MAX_BYTES, Raster, decode, encode, from_array, media_type_for, read_file, write_new


def picture(width: int = 40, height: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(image: Image.Image, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def png_that_declares(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


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


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_file_is_a_typed_error(fmt: str) -> None:
    data = saved(Image.fromarray(picture(200, 200)), fmt)
    with pytest.raises(AssetInvalid):
        decode(data[: len(data) // 2])


def test_an_animation_is_refused() -> None:
    frames = [Image.fromarray(picture(seed=i)) for i in range(3)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(AssetInvalid, match="animated"):
        decode(data)


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


def test_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    raster = decode(saved(Image.fromarray(picture(40, 20)), "JPEG", exif=exif))
    assert (raster.width, raster.height) == (20, 40)


def test_a_foreign_colour_profile_is_converted_and_a_damaged_one_left_out() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert decode(saved(Image.fromarray(picture()), "PNG", icc_profile=lab)).notices
    damaged = decode(saved(Image.fromarray(picture()), "PNG", icc_profile=b"not a profile"))
    assert any("damaged" in notice for notice in damaged.notices)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode(saved(Image.fromarray(picture()), "PNG", icc_profile=srgb)).notices == ()


def test_transparency_in_jpeg_is_refused() -> None:
    with pytest.raises(AssetInvalid, match="transparency"):
        encode(Raster(picture(), picture()[..., 0]), "image/jpeg")


def test_arrays_are_checked() -> None:
    assert from_array(np.zeros((4, 4, 4), np.uint8)).alpha is not None
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8)):
        with pytest.raises(AssetInvalid):
            from_array(wrong)


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


def test_nothing_is_overwritten_and_no_half_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    write_new(path, b"one")
    with pytest.raises(OutputUnwritable):
        write_new(path, b"two")
    assert path.read_bytes() == b"one"
    write_new(path, b"three", overwrite=True)
    assert path.read_bytes() == b"three"
    with pytest.raises(OutputUnwritable):
        write_new(tmp_path / "no" / "folder.png", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_the_name_decides_the_format() -> None:
    assert media_type_for(Path("a.JPG")) == "image/jpeg"
    with pytest.raises(OutputUnwritable, match="format"):
        media_type_for(Path("a.bmp"))
