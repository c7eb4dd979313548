"""Other systems' marks in a file, and the other backend, through the whole of verification."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import CLEAN_PROMPT, Given, photograph

from countermark import Countermark, verify
from countermark.compose import Home
from countermark.imaging import Raster, encode
from countermark.keys import Purpose
from countermark.model import GenerationRequest, Verdict, WatermarkDetection
from countermark.settings import Settings, WatermarkSettings, load_settings

SENTENCE = (
    "It carries the constant mark that Stable Diffusion XL's software writes; "
    "anyone can write it, so it proves nothing by itself."
)


def as_diffusers_writes(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mark of Stable Diffusion XL, by diffusers' recipe: 48 constant bits into floating-point pixels."""
    package = pytest.importorskip("imwatermark", reason="pip install 'countermark[imwatermark]'")
    encoder = package.WatermarkEncoder()
    encoder.set_watermark("bits", [int(bit) for bit in f"{0xB3EC907BB19E:b}"])
    written = encoder.encode(np.ascontiguousarray(pixels[:, :, ::-1], np.float32), "dwtDct")
    return np.ascontiguousarray(np.clip(np.rint(written), 0, 255).astype(np.uint8)[:, :, ::-1])


def png(pixels: NDArray[np.uint8]) -> bytes:
    return encode(Raster(pixels), "image/png")


def test_a_foreign_mark_is_named_and_proves_nothing(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    report = cm.verify(png(as_diffusers_writes(photo)))
    assert report.verdict is Verdict.NO_PROVENANCE
    assert report.evidence.watermark.state == "foreign"
    assert report.evidence.watermark.payload is None
    assert SENTENCE in report.reasons


def test_a_stranger_without_a_key_learns_both_things(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    report = verify(png(as_diffusers_writes(photo)), settings=Settings(home=tmp_path / "stranger"))
    assert report.verdict is Verdict.NO_PROVENANCE
    assert report.evidence.watermark.state == "foreign"
    assert any(SENTENCE in reason and "No watermark key" in reason for reason in report.reasons)
    plain = verify(png(photo), settings=Settings(home=tmp_path / "stranger"))
    assert plain.evidence.watermark.state == "skipped"


def test_ours_on_top_of_a_foreign_mark_is_ours(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    result = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(as_diffusers_writes(photo)))[0]
    assert result.data is not None
    report = cm.verify(result.data)
    assert report.verdict is Verdict.VERIFIED
    assert report.evidence.watermark.payload == f"{result.record_id:012x}"


def test_foreign_marks_are_not_looked_for_where_ours_is_found(
    cm: Countermark, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    from countermark.watermark import ForeignMarks

    asked: list[tuple[int, ...]] = []

    def spy(self: ForeignMarks, pixels: NDArray[np.uint8]) -> WatermarkDetection:
        asked.append(pixels.shape)
        return WatermarkDetection(state="absent", algorithm=self.algorithm)  # type: ignore[arg-type]

    monkeypatch.setattr(ForeignMarks, "detect", spy)
    cm.verify(png(cm.parts.watermark.embed(photo, 7)))
    assert asked == []
    cm.verify(png(photo))
    assert asked == [photo.shape]


def test_the_other_backend_releases_and_verifies(build: Callable[..., Countermark], tmp_path: Path) -> None:
    pytest.importorskip("imwatermark", reason="pip install 'countermark[imwatermark]'")
    cm = build(settings=Settings(home=tmp_path / "home", watermark=WatermarkSettings(backend="imwatermark")))
    result = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photograph("astronaut")))[0]
    assert result.data is not None
    assert cm.verify(result.data).verdict is Verdict.VERIFIED
    pixels = cv2.imdecode(np.frombuffer(result.data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    report = cm.verify(png(np.ascontiguousarray(pixels)))
    assert report.verdict is Verdict.RECOVERED
    assert report.evidence.watermark.algorithm == "org.countermark.imwatermark.dwtDctSvd.1"


@pytest.mark.parametrize("method", ["dwtDctSvd", "rivaGan", "dwtDct"])
def test_settings_choose_the_method(tmp_path: Path, method: str) -> None:
    pytest.importorskip("imwatermark", reason="pip install 'countermark[imwatermark]'")
    environ = {"COUNTERMARK_WATERMARK__BACKEND": "imwatermark", "COUNTERMARK_WATERMARK__METHOD": method}
    home = Home(load_settings({"home": str(tmp_path / "home")}, environ).settings)
    home.make()
    assert home.watermark().algorithm == f"org.countermark.imwatermark.{method}.1"


def test_marks_of_a_rotated_key_are_still_found(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    pytest.importorskip("imwatermark", reason="pip install 'countermark[imwatermark]'")
    home = Home(Settings(home=tmp_path / "home", watermark=WatermarkSettings(backend="imwatermark")))
    home.make()
    marked = home.watermark().embed(photo, 0x5A17C3E9B264)
    shutil.copy(home.folder / "keys" / "pseudonym-00.key", home.folder / "keys" / "watermark-01.key")
    assert home.keys.epochs(Purpose.WATERMARK) == (0, 1)
    assert home.watermark().detect(marked).record_id == 0x5A17C3E9B264
