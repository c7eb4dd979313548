"""Exact recovery, quality and cost of the watermarks, measured side by side.

    python benchmarks/watermark.py [--images DIR] [--limit N] [--methods lattice,dwtDctSvd] [--psnr 40]

Recovery is the share of images whose whole record id is returned after the attack. Times are CPU milliseconds on one
thread, medians, on images of 1024 × 1024 pixels.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageEnhance
from skimage import data
from skimage.metrics import structural_similarity
from sklearn.datasets import load_sample_image

from countermark.watermark import InvisibleWatermark, Lattice, Watermark

Attack = Callable[[np.ndarray], np.ndarray]
KEY = b"benchmark key, not a secret"


def codec(form: str, quality: int) -> Attack:
    def attack(pixels: np.ndarray) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, form, quality=quality)
        return np.asarray(Image.open(buffer).convert("RGB"))

    return attack


def resize(x: float, y: float | None = None) -> Attack:
    def attack(pixels: np.ndarray) -> np.ndarray:
        size = max(64, round(pixels.shape[1] * x)), max(64, round(pixels.shape[0] * (y or x)))
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))

    return attack


def crop(area: float) -> Attack:
    def attack(pixels: np.ndarray) -> np.ndarray:
        height, width = (int(side * area**0.5) for side in pixels.shape[:2])
        top, left = int((pixels.shape[0] - height) * 0.83), int((pixels.shape[1] - width) * 0.31)
        return np.ascontiguousarray(pixels[top : top + height, left : left + width])

    return attack


def rotate(degrees: float) -> Attack:
    return lambda pixels: np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC, expand=True))


def enhance(kind: Callable[[Image.Image], ImageEnhance._Enhance], factor: float) -> Attack:
    return lambda pixels: np.asarray(kind(Image.fromarray(pixels)).enhance(factor))


def perspective(amount: float) -> Attack:
    def attack(pixels: np.ndarray) -> np.ndarray:
        height, width = pixels.shape[:2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        inwards = np.array([[1, 1], [-0.3, 0.6], [-1, -0.5], [0.5, 0]]) * amount * [width, height]
        matrix = cv2.getPerspectiveTransform(corners, (corners + inwards).astype(np.float32))
        return cv2.warpPerspective(pixels, matrix, (width, height))

    return attack


def noise(deviation: float) -> Attack:
    def attack(pixels: np.ndarray) -> np.ndarray:
        added = np.random.default_rng(7).normal(0, deviation, pixels.shape)
        return np.clip(np.rint(pixels + added), 0, 255).astype(np.uint8)

    return attack


def chain(*attacks: Attack) -> Attack:
    def attack(pixels: np.ndarray) -> np.ndarray:
        for step in attacks:
            pixels = step(pixels)
        return pixels

    return attack


ATTACKS: dict[str, dict[str, Attack]] = {
    "none": {"none": lambda pixels: pixels},
    "compression": {
        **{f"JPEG {quality}": codec("JPEG", quality) for quality in (90, 75, 50, 30, 20)},
        **{f"WebP {quality}": codec("WEBP", quality) for quality in (80, 50, 20)},
    },
    "size": {f"scaled by {scale}": resize(scale) for scale in (0.35, 0.5, 0.75, 1.5)} | {"aspect": resize(0.8, 1.0)},
    "crop": {f"crop to {round(100 * area)} %": crop(area) for area in (0.9, 0.7, 0.5, 0.25)},
    "turn": {
        **{f"rotated {degrees}°": rotate(degrees) for degrees in (1, 5, 15, 45, 90, 180)},
        "flipped": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
        "perspective 3 %": perspective(0.03),
    },
    "colour": {
        "brightness": enhance(ImageEnhance.Brightness, 1.5),
        "contrast": enhance(ImageEnhance.Contrast, 0.5),
        "greyscale": enhance(ImageEnhance.Color, 0.0),
    },
    "filter": {
        **{f"blur {sigma}": lambda pixels, s=sigma: cv2.GaussianBlur(pixels, (0, 0), s) for sigma in (1, 2, 3)},
        **{f"median {size}": lambda pixels, s=size: cv2.medianBlur(pixels, s) for size in (3, 5, 7)},
        "noise 15": noise(15),
    },
    "chain": {
        "web": chain(crop(0.6), resize(0.8), codec("JPEG", 50)),
        "messenger": chain(resize(0.6), codec("JPEG", 60)),
        "repost": chain(crop(0.85), resize(0.7), codec("JPEG", 55), codec("JPEG", 70)),
    },
}


def images(folder: Path | None, limit: int) -> Iterator[np.ndarray]:
    if folder is None:
        samples = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
        yield from [*samples, load_sample_image("china.jpg"), load_sample_image("flower.jpg")][:limit]
        return
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".png", ".jpg", ".jpeg", ".webp"})
    for path in paths[:: max(1, len(paths) // limit)][:limit]:
        yield np.asarray(Image.open(path).convert("RGB"))


def backend(method: str, psnr: float) -> Watermark:
    return Lattice(KEY, psnr=psnr) if method == "lattice" else InvisibleWatermark(method, key=KEY)


def cpu_milliseconds(work: Callable[[], object], repeats: int = 7) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * float(np.median(times))


def measure(mark: Watermark, pictures: list[np.ndarray]) -> tuple[dict[str, float], list[float], list[float]]:
    """Recovery by attack; PSNR and SSIM of every picture."""
    hits: dict[str, list[bool]] = {}
    psnr, ssim = [], []
    for number, pixels in enumerate(pictures, start=1):
        record_id = number * 0x5DEECE66D % 2**48
        marked = mark.embed(pixels, record_id)
        psnr.append(10 * np.log10(255**2 / np.mean((pixels.astype(float) - marked) ** 2)))
        ssim.append(structural_similarity(pixels, marked, channel_axis=2))
        for attacks in ATTACKS.values():
            for name, attack in attacks.items():
                hits.setdefault(name, []).append(mark.detect(attack(marked)).record_id == record_id)
    return {name: float(np.mean(found)) for name, found in hits.items()}, psnr, ssim


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of photographs; default: those of the test libraries")
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--methods", default="lattice,dwtDctSvd")
    parser.add_argument("--psnr", type=float, default=40.0, help="strength of the lattice mark in decibels")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)

    pictures = list(images(arguments.images, arguments.limit))
    methods = {method: backend(method, arguments.psnr) for method in arguments.methods.split(",")}
    results = {method: measure(mark, pictures) for method, mark in methods.items()}
    print(f"{len(pictures)} images, {sum(map(len, ATTACKS.values()))} attacks, exact recovery of the record id\n")
    print(f"{'attack':<20}" + "".join(f"{method:>12}" for method in methods))
    for group, attacks in ATTACKS.items():
        for name in attacks:
            print(f"{name:<20}" + "".join(f"{results[method][0][name]:>12.2f}" for method in methods))
        means = (np.mean([results[method][0][name] for name in attacks]) for method in methods)
        print(f"{'  ' + group:<20}" + "".join(f"{mean:>12.3f}" for mean in means))
    print(f"{'ALL':<20}" + "".join(f"{np.mean(list(results[method][0].values())):>12.3f}" for method in methods))
    print(f"{'PSNR (dB)':<20}" + "".join(f"{np.mean(results[method][1]):>12.2f}" for method in methods))
    print(f"{'SSIM':<20}" + "".join(f"{np.mean(results[method][2]):>12.4f}" for method in methods))

    square = cv2.resize(pictures[0], (1024, 1024), interpolation=cv2.INTER_CUBIC)
    marked = {mark.algorithm: mark.embed(square, 1) for mark in methods.values()}
    steps: dict[str, Callable[[Watermark], object]] = {
        "embed (ms)": lambda mark: mark.embed(square, 1),
        "detect (ms)": lambda mark: mark.detect(marked[mark.algorithm]),
        "unmarked (ms)": lambda mark: mark.detect(square),
    }
    for label, step in steps.items():
        times = [cpu_milliseconds(lambda m=mark, s=step: s(m)) for mark in methods.values()]
        print(f"{label:<20}" + "".join(f"{value:>12.1f}" for value in times))


if __name__ == "__main__":
    main()
