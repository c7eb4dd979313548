"""How often an unmarked picture reads as marked: a trial beside the bound that holds by construction.

    python benchmarks/watermark_false_positives.py [--crops 100000] [--jobs 2] [--minutes M] [--images DIR]
                                                   [--resume FILE] [--seed N]

Every crop is a window of a photograph, rendering, graphic, page or texture at a random place, scale and angle, often
compressed, and is searched in full with one of 32 keys. Work comes in batches of 100 crops; with --resume each batch
is one line of JSON in that file, and batches that are there already are not run again.

The bound by construction is the number of tags compared times 2**-32: it needs no trial. The trial can only say that
nothing contradicts it: none in n crops means a rate below 3/n with 95 % confidence.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from countermark.bench.graphics import graphics
from countermark.bench.images import load
from countermark.errors import CountermarkError
from countermark.watermark.lattice.detect import Examination, detect
from countermark.watermark.lattice.parameters import V1
from countermark.watermark.payload import TAG_BITS

Pixels = NDArray[np.uint8]
Random = np.random.Generator

SCHEMA = "countermark.bench.watermark-false-positives/1"
BATCH = 100
KEYS = [hashlib.sha256(b"false positives, key %d" % number).digest() for number in range(32)]
KEYS_A_BATCH = 1  # each key's tables cost as much as a few searches
FRESH = 3
"""Renderings, pages and textures drawn anew for each batch; every batch has its own."""
SIDES = (160, 1024)

SAMPLES = (
    "the record of every picture is kept and signed so that nobody can change the story in silence 0123456789",
    "Ο έλεγχος της προέλευσης των εικόνων γίνεται πριν και μετά τη δημιουργία τους",
    "Каждое изображение проверяется и получает отметку которую нельзя незаметно удалить",
    "كل صورة تحمل علامة تدل على مصدرها وتسجل في سجل لا يمكن تغييره",
    "każdy obraz niesie ślad swojego pochodzenia — że i ćwierć wystarczy £ € § ½ ≤ ≥",
)


# --- pictures to cut from ---


@cache
def photographs(folder: str) -> tuple[Pixels, ...]:
    shipped = [*load("reporting").pictures, *load("textures").pictures]
    own = load(folder=Path(folder)).pictures if folder else ()
    return tuple(picture.pixels for picture in (*shipped, *own))


@cache
def drawn() -> tuple[Pixels, ...]:
    return tuple(graphics().values())


@cache
def generated() -> tuple[Pixels, ...]:
    try:
        return tuple(picture.pixels for picture in load("generated").pictures)
    except CountermarkError:
        return ()


def grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]


def colours(generator: Random, count: int) -> NDArray[np.float32]:
    return generator.uniform(0, 255, (count, 3)).astype(np.float32)


def clip(plane: NDArray[Any]) -> Pixels:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def fractal(generator: Random, height: int, width: int) -> NDArray[np.float32]:
    """Noise with a spectrum that falls like a picture's, from -1 to 1 or so."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    radius[0, 0] = 1
    spectrum = np.fft.rfft2(generator.standard_normal((height, width))) / radius ** generator.uniform(0.7, 2.0)
    plane = np.fft.irfft2(spectrum, (height, width))
    return np.asarray(plane / (2 * plane.std()), np.float32)


def rendering(generator: Random) -> Pixels:
    """A sky, a fractal ground and shaded spheres on it: smooth shading, hard edges, repeating floors."""
    height, width = 900, 1200
    y, x = grid(height, width)
    top, bottom, ground = colours(generator, 3)
    horizon = height * generator.uniform(0.3, 0.8)
    share = np.clip(y / horizon, 0, 1)[..., None]
    picture = (1 - share) * top + share * bottom + np.zeros((height, width, 1), np.float32)
    depth = np.maximum(y - horizon, 1) / height
    tiles = np.floor(x / width / depth * 2 + 40) + np.floor(0.6 / depth)
    floor = ground * (0.7 + 0.3 * (tiles % 2)[..., None] * (generator.random() < 0.5))
    floor = floor * (1 + 0.25 * fractal(generator, height, width)[..., None])
    picture = np.where((y > horizon)[..., None], floor, picture)
    for _ in range(int(generator.integers(2, 9))):
        radius = generator.uniform(30, 220)
        u = (x - generator.uniform(0, width)) / radius
        v = (y - generator.uniform(0, height)) / radius
        inside = u * u + v * v < 1
        normal = np.sqrt(np.maximum(1 - u * u - v * v, 0))
        light = np.clip(0.3 + 0.5 * normal - 0.4 * u - 0.4 * v, 0, 1) + np.maximum(normal - u - v - 1.4, 0) * 2
        picture = np.where(inside[..., None], light[..., None] * colours(generator, 1)[0], picture)
    return clip(picture)


def texture(generator: Random) -> Pixels:
    """Noise, and periodic things that imitate tones: gratings, halftones, moirés, weaves, grids."""
    height, width = 800, 1000
    y, x = grid(height, width)
    kind = int(generator.integers(6))
    if kind == 0:
        return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == 1:
        plane = 128 + 90 * fractal(generator, height, width)
        return clip(plane[..., None] + 20 * generator.standard_normal(3))

    def wave() -> NDArray[np.float32]:
        period, angle = np.exp(generator.uniform(np.log(3), np.log(60))), generator.uniform(0, np.pi)
        phase = 2 * np.pi / period * (x * np.cos(angle) + y * np.sin(angle)) + generator.uniform(0, 6.3)
        return np.asarray(np.sin(phase), np.float32)

    if kind == 2:  # gratings, square or sinusoidal
        hard = generator.random() < 0.5
        waves = [np.sign(wave()) if hard else wave() for _ in range(int(generator.integers(1, 5)))]
        plane = 128 + sum(generator.uniform(15, 60) * one for one in waves)
    elif kind == 3:  # a halftone screen over a picture
        shade = 128 + 100 * fractal(generator, height, width)
        pitch, angle = generator.uniform(4, 14), generator.uniform(0, np.pi / 2)
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        screen = np.cos(2 * np.pi * u / pitch) + np.cos(2 * np.pi * v / pitch)
        plane = np.where(shade / 64 - 2 > screen, 235.0, 20.0)
    elif kind == 4:  # a moiré of rings
        middle = [(generator.uniform(0, width), generator.uniform(0, height)) for _ in range(2)]
        rings = [np.sin(np.hypot(x - u, y - v) * generator.uniform(0.1, 1.2)) for u, v in middle]
        plane = 128 + 100 * rings[0] * rings[1]
    else:  # one motif, repeated at a pitch that need not be whole
        side = int(generator.integers(8, 90))
        motif = cv2.GaussianBlur(generator.normal(128, 90, (side, side)).astype(np.float32), (0, 0), 1.2)
        plane = np.tile(motif, (height // side + 1, width // side + 1))[:height, :width]
    noise = generator.normal(0, generator.uniform(0, 6), (height, width, 1))
    return clip(np.asarray(plane)[..., None] * generator.uniform(0.6, 1.1, 3) + noise)


@cache
def fonts() -> tuple[str, ...]:
    """Scalable fonts of this machine, if any, so that scripts differ; Pillow's own otherwise."""
    return tuple(str(path) for path in sorted(Path("/usr/share/fonts").rglob("*.ttf")))[:40]


def page(generator: Random) -> Pixels:
    """A page of text in one of several scripts and sizes, with or without a table."""
    width, height = 1000, 1100
    paper, ink = ((int(generator.integers(215, 256)),) * 3, (int(generator.integers(0, 70)),) * 3)
    if generator.random() < 0.2:
        paper, ink = ink, paper
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    size = int(generator.integers(9, 34))
    choice = fonts()
    font = ImageFont.truetype(str(generator.choice(choice)), size) if choice else ImageFont.load_default(size)
    words = SAMPLES[int(generator.integers(len(SAMPLES)))].split()
    pitch = round(size * generator.uniform(1.2, 1.8))
    for top in range(size, height - size, pitch):
        if generator.random() < 0.93:
            line = " ".join(str(word) for word in generator.choice(words, max(2, 900 // (size * 4))))
            draw.text((size * 2, top), line, fill=ink, font=font)
    if generator.random() < 0.4:  # ruled like a table
        for x in np.linspace(size, width - size, int(generator.integers(3, 12))):
            draw.line([x, size, x, height - size], fill=ink)
        for y in range(size, height - size, pitch):
            draw.line([size, y, width - size, y], fill=ink)
    return np.asarray(image)


def chart(generator: Random) -> Pixels:
    """Bars, lines and a legend, or a plain interface of boxes."""
    width, height = 1000, 800
    picture = np.full((height, width, 3), int(generator.choice([255, 246, 30])), np.uint8)
    for y in range(60, height - 60, int(generator.integers(25, 120))):
        cv2.line(picture, (50, y), (width - 20, y), (128, 128, 128), 1)
    count = int(generator.integers(3, 40))
    for bar in range(count):
        colour = tuple(int(value) for value in generator.integers(0, 256, 3))
        left = 60 + bar * (width - 100) // count
        top = int(generator.integers(60, height - 60))
        cv2.rectangle(picture, (left, top), (left + (width - 100) // count * 3 // 4, height - 60), colour, -1)
    points = np.column_stack([np.linspace(60, width - 40, 60), generator.normal(height / 2, 90, 60)]).astype(np.int32)
    cv2.polylines(picture, [points], False, tuple(int(v) for v in generator.integers(0, 256, 3)), 2, cv2.LINE_AA)
    return picture


SOURCES: dict[str, tuple[int, Callable[[Random, str], list[Pixels]]]] = {
    "photographs": (40, lambda _, folder: list(photographs(folder))),
    "generated": (5, lambda _, __: list(generated())),
    "renderings": (15, lambda generator, _: [rendering(generator) for _ in range(FRESH)]),
    "flat graphics": (12, lambda generator, _: [*drawn(), *(chart(generator) for _ in range(2 * FRESH))]),
    "text pages": (13, lambda generator, _: [page(generator) for _ in range(FRESH)]),
    "noise and periodic": (15, lambda generator, _: [texture(generator) for _ in range(FRESH)]),
}
"""How many crops of each kind are in a batch, and what they are cut from."""


def crop(source: Pixels, generator: Random) -> Pixels:
    """A window at a random place, scale and angle, in one resampling; then, often, a codec."""
    height, width = (int(np.exp(generator.uniform(*np.log(SIDES)))) for _ in range(2))
    scale = float(np.exp(generator.uniform(np.log(0.5), np.log(1.8))))
    scale = max(scale, 0.5 * max(height / source.shape[0], width / source.shape[1]))
    angle = np.deg2rad(generator.uniform(-45, 45)) if generator.random() < 0.3 else 0.0
    flip = -1.0 if generator.random() < 0.3 else 1.0
    linear = np.array([[flip * np.cos(angle), -np.sin(angle)], [flip * np.sin(angle), np.cos(angle)]]) / scale
    centre = generator.uniform(0.2, 0.8, 2) * (source.shape[1], source.shape[0])
    matrix = np.column_stack([linear, centre - linear @ (width / 2, height / 2)])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    window = cv2.warpAffine(source, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    codec = generator.random()
    if codec < 0.55:
        form, low = (".jpg", 25) if codec < 0.45 else (".webp", 20)
        option = cv2.IMWRITE_JPEG_QUALITY if form == ".jpg" else cv2.IMWRITE_WEBP_QUALITY
        data = cv2.imencode(form, window, [option, int(generator.integers(low, 96))])[1]
        window = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(window)


# --- the trial ---


def run_batch(task: tuple[int, int, str]) -> dict[str, Any]:
    """One batch, wholly determined by seed and number."""
    seed, number, folder = task
    cv2.setNumThreads(1)
    generator = np.random.default_rng([seed, number])
    tasks: list[tuple[str, Pixels]] = []
    for kind, (count, make) in SOURCES.items():
        sources = make(generator, folder)
        if sources:
            tasks += [(kind, crop(sources[int(generator.integers(len(sources)))], generator)) for _ in range(count)]
    keys = generator.choice(len(KEYS), KEYS_A_BATCH, replace=False)
    kinds: dict[str, dict[str, float]] = {}
    alarms = []
    locks = []
    for index, (kind, pixels) in enumerate(tasks):
        key = int(keys[index % KEYS_A_BATCH])
        start = time.process_time()
        outcome = detect(Examination(pixels, V1), {0: KEYS[key]})
        spent = 1000 * (time.process_time() - start)
        figures = kinds.setdefault(kind, dict.fromkeys(FIGURES, 0.0))
        figures["crops"] += 1
        figures["detected"] += bool(outcome.found)
        figures["inconclusive"] += outcome.traced
        figures["lock"] = max(figures["lock"], outcome.lock)
        figures["comparisons"] += outcome.comparisons
        figures["most"] = max(figures["most"], outcome.comparisons)
        figures["cpu_ms"] += spent
        locks.append(round(outcome.lock, 2))
        if outcome.found or outcome.traced:
            state = "detected" if outcome.found else "inconclusive"
            alarms.append({"crop": index, "kind": kind, "key": key, "state": state})
    return {"schema": SCHEMA, "seed": seed, "batch": number, "kinds": kinds, "locks": locks, "alarms": alarms}


FIGURES = ("crops", "detected", "inconclusive", "comparisons", "most", "lock", "cpu_ms")
GREATEST = {"most", "lock"}


def done_before(file: Path | None, seed: int) -> dict[int, dict[str, Any]]:
    """The batches in a checkpoint file; a last line that was cut off is left out."""
    if file is None or not file.is_file():
        return {}
    batches = {}
    for line in file.read_text().splitlines():
        try:
            batch = json.loads(line)
        except ValueError:
            continue
        if batch.get("schema") == SCHEMA and batch["seed"] == seed:
            batches[batch["batch"]] = batch
    return batches


def work(todo: list[tuple[int, int, str]], jobs: int) -> Iterator[dict[str, Any]]:
    if jobs == 1:
        yield from map(run_batch, todo)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run_batch, todo)


def merged(batches: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    total: dict[str, dict[str, float]] = {}
    for batch in batches:
        for kind, figures in batch["kinds"].items():
            for name in (kind, "all"):
                sums = total.setdefault(name, dict.fromkeys(FIGURES, 0.0))
                for figure in FIGURES:
                    sums[figure] = (
                        max(sums[figure], figures[figure]) if figure in GREATEST else sums[figure] + figures[figure]
                    )
    return {kind: total[kind] for kind in (*SOURCES, "all") if kind in total}


def table(total: dict[str, dict[str, float]]) -> Iterator[str]:
    yield (
        f"{'kind':<20}{'crops':>8}{'detected':>10}{'inconcl.':>10}{'compared':>10}{'most':>6}"
        f"{'bound, mean':>13}{'bound, most':>13}{'trial, 95 %':>13}{'lock':>7}{'CPU ms':>8}"
    )
    for kind, row in total.items():
        crops = row["crops"]
        mean = row["comparisons"] / crops
        limit = f"< {3 / crops:.1e}" if not row["detected"] else "see above 0"
        bounds = f"{mean * 2**-TAG_BITS:>13.1e}{row['most'] * 2**-TAG_BITS:>13.1e}"
        yield (
            f"{kind:<20}{crops:>8.0f}{row['detected']:>10.0f}{row['inconclusive']:>10.0f}{mean:>10.1f}{row['most']:>6.0f}"
            f"{bounds}{limit:>13}{row['lock']:>7.2f}{row['cpu_ms'] / crops:>8.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="stop after so long; --resume goes on from there")
    parser.add_argument("--images", type=Path, help="a folder of photographs beside the shipped ones")
    parser.add_argument("--resume", type=Path, help="checkpoint file, JSON lines; made if missing")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    batches = done_before(arguments.resume, arguments.seed)
    folder = str(arguments.images.resolve()) if arguments.images else ""
    wanted = -(-arguments.crops // BATCH)
    todo = [(arguments.seed, number, folder) for number in range(wanted) if number not in batches]
    started, reported = time.monotonic(), 0
    for batch in work(todo, arguments.jobs):
        batches[batch["batch"]] = batch
        if arguments.resume:
            with arguments.resume.open("a") as file:
                file.write(json.dumps(batch) + "\n")
        for alarm in batch["alarms"]:
            print(f"batch {batch['batch']}: {alarm}", file=sys.stderr, flush=True)
        if len(batches) * BATCH // 1000 > reported:
            reported = len(batches) * BATCH // 1000
            minutes = (time.monotonic() - started) / 60
            print(f"{len(batches) * BATCH:,} crops, {minutes:.1f} minutes", file=sys.stderr, flush=True)
        if arguments.minutes and time.monotonic() - started > 60 * arguments.minutes:
            break
    print("\n".join(table(merged(list(batches.values())))))


if __name__ == "__main__":
    main()
