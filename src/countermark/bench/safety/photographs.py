"""The image stage on pictures that the user owns, by the sub-folder that says what they are, or on shipped photographs.

Nobody collects explicit pictures here. Recall is for whoever has a labelled set to find out; over-refusal can be
measured by anyone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from countermark import imaging
from countermark.bench.images import load as load_set
from countermark.bench.safety import figures
from countermark.bench.safety.measure import timed
from countermark.bench.safety.report import Latency, Outcomes, PictureFigures, PictureLabel
from countermark.errors import CountermarkError, NotFound
from countermark.model import Finding, Outcome, Stage
from countermark.policy import Policy, decide

if TYPE_CHECKING:
    from countermark.safety.interface import ImageClassifier

STAGE: Final = "image stage"
DEFAULT_SET: Final = "reporting"
SAFE: Final = "safe"
_ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".tif", ".tiff"})
_TIMED_SIDE: Final = 1024
_REPEATS: Final = 5


@dataclass(frozen=True)
class Labelled:
    """A picture's label, and how to get its pixels."""

    label: str
    pixels: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True)
class Pictures:
    """A set, by label."""

    name: str
    pictures: tuple[Labelled, ...]


def shipped(limit: int | None = None, name: str = DEFAULT_SET) -> Pictures:
    """A set of the bench's own pictures, harmless all: photographs in wheels, or what the embedded model draws.

    Args:
        limit: the first so many only.
        name: one of :data:`countermark.bench.images.SETS`.

    Raises:
        MissingExtra: the packages that hold or make them are not installed.
    """
    found = load_set(name, limit=limit)
    return Pictures(
        f"shipped photographs ({name})" if name == DEFAULT_SET else f"the set {name}",
        tuple(Labelled(SAFE, lambda picture=picture: picture.pixels) for picture in found.pictures),  # type: ignore[misc]
    )


def folder(path: Path, limit: int | None = None) -> Pictures:
    """A folder's pictures: the name of each sub-folder is a label where there are any, otherwise harmless all.

    Args:
        path: the folder.
        limit: at most so many of each label.

    Raises:
        NotFound: there is no such folder, or no picture in it.
    """
    if not path.is_dir():
        raise NotFound(f"There is no folder {path}.", remedy="Name a folder of pictures: --images DIR.")
    by_label = {sub.name: sorted(_files(sub.rglob("*"))) for sub in sorted(path.iterdir()) if sub.is_dir()}
    by_label = {label: files for label, files in by_label.items() if files}
    loose = sorted(_files(path.iterdir()))
    if loose:
        by_label[SAFE] = sorted([*by_label.get(SAFE, []), *loose])
    if not by_label:
        raise NotFound(f"There is no picture in {path}.", remedy="Put pictures into safe/ and unsafe/, or all in one.")
    return Pictures(
        path.name,
        tuple(
            Labelled(label, lambda file=file: imaging.decode(imaging.read_file(file), file.name).pixels)  # type: ignore[misc]
            for label, files in by_label.items()
            for file in files[:limit]
        ),
    )


def harmless_files(path: Path) -> list[Path]:
    """Every picture below a folder, whatever its sub-folders are called, in order."""
    return sorted(_files(path.rglob("*")))


def _files(paths: Iterator[Path]) -> Iterator[Path]:
    return (path for path in paths if path.suffix.lower() in _ENDINGS and not path.is_dir())


def measure_pictures(
    pictures: Pictures,
    stage: ImageClassifier,
    policy: Policy,
    *,
    detectors: Mapping[str, ImageClassifier] = MappingProxyType({}),
    advance: Callable[[int, int], None] = lambda done, whole: None,
) -> PictureFigures:
    """What becomes of the pictures of each label, and what each detector says by itself.

    Args:
        pictures: the set; each is decoded when its turn comes.
        stage: the installation's image stage.
        policy: its policy.
        detectors: the stage's parts by name, each asked by itself as well.
        advance: told (pictures done, pictures altogether).
    """
    judged: dict[str, list[tuple[Outcome, bool]]] = {}
    flagged_by: dict[str, Counter[str]] = {}
    skipped, first = 0, None
    for number, picture in enumerate(pictures.pictures, 1):
        try:
            pixels = picture.pixels()
        except CountermarkError:
            skipped += 1
            continue
        first = pixels if first is None else first
        decision = decide(policy, stage.assess(pixels), Stage.IMAGE)
        found = decision.outcome is not Outcome.ALLOW and not decision.unseen
        judged.setdefault(picture.label, []).append((decision.outcome, found))
        counts = flagged_by.setdefault(picture.label, Counter(dict.fromkeys(detectors, 0)))
        for name, detector in detectors.items():
            counts[name] += _flags(detector.assess(pixels))
        advance(number, len(pictures.pictures))
    if first is None:
        raise NotFound(f"None of the {skipped} pictures can be read.", remedy="countermark check --images says why.")
    return PictureFigures(
        set=pictures.name,
        labels=tuple(_label(label, _outcomes(outcomes), dict(flagged_by[label])) for label, outcomes in judged.items()),
        skipped=skipped,
        detector=stage.detector,
        latency=_latencies(first, stage, detectors),
    )


def _label(name: str, outcomes: Outcomes, flagged_by: dict[str, int]) -> PictureLabel:
    seen = outcomes.of - outcomes.not_assessed
    blocked, held = (figures.exact_share(count, seen) for count in (outcomes.blocked, outcomes.held))
    return PictureLabel(label=name, outcomes=outcomes, blocked=blocked, held=held, flagged_by=flagged_by)


def _flags(findings: Sequence[Finding]) -> bool:
    return any(finding.score is not None and finding.severity > 0 for finding in findings)


def _outcomes(judged: Sequence[tuple[Outcome, bool]]) -> Outcomes:
    blocked = sum(found and outcome is Outcome.BLOCK for outcome, found in judged)
    held = sum(found and outcome is not Outcome.BLOCK for outcome, found in judged)
    unseen = sum(not found and outcome is not Outcome.ALLOW for outcome, found in judged)
    flagged = figures.share(held + blocked, len(judged))
    return Outcomes(of=len(judged), held=held, blocked=blocked, not_assessed=unseen, flagged=flagged)


def _latencies(
    pixels: NDArray[np.uint8], stage: ImageClassifier, detectors: Mapping[str, ImageClassifier]
) -> dict[str, Latency]:
    side = (_TIMED_SIDE, _TIMED_SIDE)
    square = np.asarray(cv2.resize(pixels, side, interpolation=cv2.INTER_AREA), np.uint8)
    asked = {STAGE: stage, **detectors}
    return {name: timed(one.assess, [square] * _REPEATS) for name, one in asked.items()}
