"""What is said of a file beside its record: by the fingerprint alone, and tile by tile."""

from __future__ import annotations

import secrets
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import photograph

from countermark.audit import Warrant
from countermark.credentials import Anchors
from countermark.fingerprint import pdq
from countermark.imaging import Raster, encode
from countermark.model import (
    EventType,
    Manifest,
    ManifestState,
    OutputRecord,
    Receipt,
    WatermarkDetection,
    WatermarkState,
)
from countermark.objects import ObjectStore, object_key
from countermark.verification.collect import Collected
from countermark.verification.compare import Compared, beside, compare
from countermark.verification.context import Sources, Trust
from countermark.verification.registration import MIN_TILES, Overlay
from countermark.verification.resolve import Record, Route

Pixels = NDArray[np.uint8]

NOTHING_FOUND = WatermarkDetection(state=WatermarkState.ABSENT, algorithm="t")
FOUND = WatermarkDetection(state=WatermarkState.DETECTED, algorithm="t", record_id=1)
PLACED = FOUND.model_copy(update={"transform": (1.0, 0, 0, 0, 1, 0, 0, 0, 1)})
PICTURE = photograph("coffee", 256)
OTHER = photograph("chelsea", 256)
NEARLY = np.asarray(PICTURE * 0.5 + OTHER * 0.5, np.uint8)
CLEAR = np.zeros((256, 256), np.uint8)


def compared(
    raster: Raster,
    original: Raster,
    mark: WatermarkDetection = NOTHING_FOUND,
    objects: ObjectStore | None = None,
    route: Route = "watermark",
    lost: bool = False,
) -> Compared:
    """What is said of ``raster`` beside the record of ``original``, which is kept where ``objects`` are given."""
    key = object_key("released", "0" * 64) if lost else ""
    if objects is not None and not lost:
        key = objects.put("released", encode(original, "image/png"))
    output = OutputRecord(
        sha256="0" * 64, media_type="image/png", width=original.width, height=original.height, size=1,
        watermark="t", watermark_payload="0" * 12, fingerprint=pdq.compute(original.pixels).bits, object_key=key,
    )  # fmt: skip
    event = (
        Warrant("asked").event(EventType.RELEASED, event_id=secrets.token_hex(16)).model_copy(update={"output": output})
    )
    record = Record(event, Receipt(entry="", proof="", log_key=""), route)
    collected = Collected("file", "0" * 64, raster, Manifest(state=ManifestState.ABSENT), mark)
    return compare(collected, record, Sources(Trust(Anchors()), objects=objects))


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore.open(str(tmp_path / "objects"))


def test_without_the_original_the_fingerprint_says_what_it_can() -> None:
    for pixels, mark, state, note in (
        (PICTURE, NOTHING_FOUND, "match", ""),
        (np.ascontiguousarray(PICTURE[::-1, ::-1]), NOTHING_FOUND, "near", ""),
        (NEARLY, NOTHING_FOUND, "near", ""),
        (OTHER, NOTHING_FOUND, "none", "as a whole differs"),
        (OTHER, FOUND, "skipped", "as a whole differs"),
        (OTHER, PLACED, "skipped", "may be a part"),
        (PICTURE, PLACED, "match", ""),
    ):
        said = compared(Raster(pixels), Raster(PICTURE), mark)
        assert (said.fingerprint.state, said.original.state, said.veiled) == (state, "skipped", False)
        assert note in said.fingerprint.note
        assert bool(said.fingerprint.note) is bool(note)
        assert said.fingerprint.distance is not None
        assert (said.fingerprint.distance <= 97) is (state in ("match", "near"))


def test_a_transparent_file_is_compared_as_it_shows_and_where_that_cannot_be_told_it_is_said(
    objects: ObjectStore,
) -> None:
    hidden, opaque = Raster(PICTURE, CLEAR), Raster(PICTURE)
    half = Raster(PICTURE, np.full((256, 256), 250, np.uint8))
    unknown = compared(hidden, opaque)
    assert (unknown.fingerprint.state, unknown.veiled) == ("skipped", True)
    assert "transparent" in unknown.fingerprint.note
    assert compared(half, opaque).fingerprint.state == "match"
    assert not compared(half, opaque).veiled
    assert compared(hidden, opaque, route="file digest").fingerprint.state == "match", "these very bytes"
    kept = compared(hidden, opaque, PLACED, objects)
    assert (kept.original.state, kept.veiled) == ("different", False)
    assert compared(hidden, hidden, PLACED, objects).original.state == "skipped", "nothing is to be seen of either"


def test_with_the_original_a_part_of_it_is_told_from_another_picture(objects: ObjectStore) -> None:
    same = compared(Raster(PICTURE), Raster(PICTURE), objects=objects)
    assert (same.fingerprint.state, same.original.state) == ("match", "same")
    part = np.ascontiguousarray(PICTURE[40:200, 60:220])
    placed = PLACED.model_copy(update={"transform": None})
    assert compared(Raster(part), Raster(PICTURE), placed, objects).original.state == "skipped"
    other = compared(Raster(OTHER), Raster(PICTURE), PLACED, objects)
    assert (other.fingerprint.state, other.original.state) == ("none", "different")
    gone = compared(Raster(PICTURE), Raster(PICTURE), PLACED, objects, lost=True)
    assert (gone.fingerprint.state, gone.original.state) == ("match", "skipped")


def test_a_negative_is_compared_as_the_positive(objects: ObjectStore) -> None:
    negative = PLACED.model_copy(update={"negative": True})
    for pixels, mark, states in (
        (255 - PICTURE, negative, ("match", "same")),
        (255 - PICTURE, PLACED, ("none", "different")),
        (255 - OTHER, negative, ("none", "different")),
        (PICTURE, negative, ("none", "different")),
    ):
        said = compared(Raster(pixels), Raster(PICTURE), mark, objects)
        assert (said.fingerprint.state, said.original.state) == states


@pytest.mark.parametrize(
    ("altered", "lost", "shown", "state", "told"),
    [
        (0.0, 0.0, MIN_TILES, "same", 0.0),
        (0.049, 0.0, MIN_TILES, "same", 0.0),
        (0.05, 0.0, MIN_TILES, "altered", 0.0),
        (0.599, 0.599, MIN_TILES, "altered", 0.599),
        (0.6, 0.0, MIN_TILES, "different", 0.0),
        (0.0, 0.599, MIN_TILES, "same", 0.599),
        (0.0, 0.6, MIN_TILES, "different", 0.6),
        (0.049, 1.0, MIN_TILES - 1, "skipped", None),
        (0.05, 1.0, MIN_TILES - 1, "altered", 0.0),
        (0.6, 1.0, MIN_TILES - 1, "different", 0.0),
    ],
)
def test_where_tiles_begin_to_tell(altered: float, lost: float, shown: int, state: str, told: float | None) -> None:
    plane = np.zeros((24, 24), np.uint8)
    said = beside(Overlay(altered, lost, shown, covered=0.75, file=plane, original=plane, where="top"))
    assert (said.state, said.lost) == (state, told)
    assert said.where == ("top" if state == "altered" else "")
    assert (said.altered, said.covered) == ((None, None) if state == "skipped" else (altered, 0.75))
