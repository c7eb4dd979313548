from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import photograph

from countermark.bench import images
from countermark.cli.bench_watermark import command
from countermark.errors import NotFound, UsageError


def test_what_was_used_for_tuning_is_never_reported() -> None:
    reported, textures = set(images.REPORTING), set(images.TEXTURES)
    assert len(images.TUNING) == 24
    assert not reported & textures
    assert not {name.lower() for name in reported | textures} & set(images.TUNING)
    assert not set(images.REPORTING.values()) & set(images.TEXTURES.values())


def test_shipped_photographs_are_rgb_and_need_no_download() -> None:
    loaded = images.load()
    assert (loaded.name, loaded.role, loaded.notice, loaded.skipped) == ("reporting", "reporting", "", ())
    assert [picture.name for picture in loaded.pictures] == list(images.REPORTING)
    for picture in loaded.pictures:
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.shape[2] == 3
        assert min(picture.pixels.shape[:2]) >= 128
    assert len({picture.sha256 for picture in loaded.pictures}) == len(loaded.pictures)


def test_textures_and_graphics_are_sets_of_their_own() -> None:
    assert [picture.name for picture in images.load("textures", limit=2).pictures] == ["brick", "gravel"]
    untuned = images.load("untuned")
    assert (untuned.role, len(untuned.pictures)) == ("reporting", 13 + 3 + 11 + 12)
    drawn, again = images.load("graphics"), images.load("graphics")
    assert len(drawn.pictures) == 11
    assert [a.sha256 for a in drawn.pictures] == [b.sha256 for b in again.pictures]


def test_a_folder_names_what_it_leaves_out(tmp_path: Path) -> None:
    Image.fromarray(photograph("coffee", 160)).convert("L").save(tmp_path / "b-grey.png")
    Image.fromarray(photograph("coffee", 64)).save(tmp_path / "a-small.png")
    (tmp_path / "c-bad.jpg").write_bytes(b"no picture")
    (tmp_path / "readme.txt").write_text("no picture either")
    loaded = images.load(folder=tmp_path)
    assert loaded.role == "user"
    assert [(picture.name, picture.pixels.shape) for picture in loaded.pictures] == [("b-grey.png", (160, 160, 3))]
    assert [name for name, _ in loaded.skipped] == ["a-small.png", "c-bad.jpg"]


def test_kodak_photographs_are_recognised_as_tuning(tmp_path: Path) -> None:
    for name in ("kodim03.png", "other.png"):
        Image.fromarray(photograph("coffee", 160)).save(tmp_path / name)
    assert images.load(folder=tmp_path).role == "tuning"
    chosen = images.load("tuning", tmp_path)
    assert [picture.name for picture in chosen.pictures] == ["kodim03.png"]
    assert chosen.notice == images.TUNING_NOTICE


def test_nothing_to_measure_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as empty:
        images.load(folder=tmp_path)
    assert "PNG" in empty.value.remedy
    with pytest.raises(NotFound):
        images.load(folder=tmp_path / "missing")
    with pytest.raises(UsageError) as absent:
        images.load("tuning")
    assert "--images" in absent.value.remedy
    with pytest.raises(UsageError):
        images.load("reporting", tmp_path)
    with pytest.raises(UsageError):
        images.load("no such set")


def test_the_command_offers_every_set() -> None:
    option = next(parameter for parameter in command.params if parameter.name == "set_name")
    assert tuple(option.type.choices) == images.SETS  # type: ignore[attr-defined]
