"""What a program sees of the package: its names, what a result shows and saves."""

from __future__ import annotations

import pydoc
from collections.abc import Callable
from pathlib import Path

import pytest
from numpy import uint8
from numpy.typing import NDArray

import countermark
from countermark import Countermark
from countermark.errors import OutputUnwritable
from countermark.settings import OutputSettings, Settings


def test_public_names_are_listed_before_they_are_loaded() -> None:
    assert set(countermark.__all__) <= set(dir(countermark))
    told = pydoc.plain(pydoc.render_doc(countermark))
    assert "class Countermark" in told
    assert "verify(file" in told


def test_a_result_is_shown_in_a_few_lines_and_saved_as_what_it_is(
    cm: Countermark, photo: NDArray[uint8], tmp_path: Path
) -> None:
    result = cm.mark(photo, model="some/model", prompt="a cup of coffee")
    assert len(repr(result)) < 1000
    assert result.event_id in repr(result)
    for name in ("x.jpg", "x.JPEG", "x.webp", "x.gif"):
        with pytest.raises(OutputUnwritable, match="another format") as refused:
            result.save(tmp_path / name)
        assert ".png" in refused.value.remedy
    for folder in (".", tmp_path):
        with pytest.raises(OutputUnwritable, match="is a folder"):
            result.save(folder)
    for name in ("x.png", "y.PNG", "no-suffix", "z.part"):
        assert result.save(tmp_path / name).read_bytes() == result.data


def test_a_jpeg_is_saved_as_one(
    build: Callable[..., Countermark], settings: Settings, photo: NDArray[uint8], tmp_path: Path
) -> None:
    cm = build(settings=settings.model_copy(update={"output": OutputSettings(format="image/jpeg")}))
    result = cm.mark(photo, model="some/model")
    for name in ("x.jpg", "x.jpeg"):
        result.save(tmp_path / name)
    with pytest.raises(OutputUnwritable, match="image/jpeg"):
        result.save(tmp_path / "x.png")
