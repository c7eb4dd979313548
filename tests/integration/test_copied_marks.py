"""A mark that was copied or made by somebody else: what a verifier says of it."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.conftest import CLEAN_PROMPT, Given, photograph

from countermark import Countermark, Result
from countermark.bench.adversary import add_difference, denoising_residual
from countermark.imaging import Raster, decode, encode
from countermark.model import GenerationRequest, Verdict
from countermark.watermark import Lattice


@pytest.fixture
def released(cm: Countermark, photo: NDArray[np.uint8]) -> Result:
    return cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photo))[0]


def jpeg(pixels: NDArray[np.uint8], quality: int = 80) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "forger",
    [
        lambda forged: encode(Raster(forged), "image/png"),
        lambda forged: jpeg(forged, 85),
        lambda forged: jpeg(np.asarray(Image.fromarray(forged).rotate(4, Image.Resampling.BICUBIC))),
        lambda forged: jpeg(np.ascontiguousarray(forged[30:480, 25:490])),
    ],
    ids=["as it is", "compressed", "turned", "cropped"],
)
def test_a_residual_copied_by_somebody_without_the_original_contradicts(
    cm: Countermark, released: Result, forger: Callable[[NDArray[np.uint8]], bytes]
) -> None:
    """The copy attack: a denoiser parts the mark from its picture well enough to add it to another."""
    assert released.data is not None
    residual = denoising_residual(decode(released.data).pixels)
    report = cm.verify(forger(add_difference(photograph("astronaut"), 1.5 * residual)))
    assert report.evidence.watermark.payload == f"{released.record_id:012x}"
    assert report.verdict is Verdict.CONTRADICTORY, report.reasons
    assert report.verdict.exit_code == 14


def test_a_negative_leads_to_its_record_and_is_called_one(cm: Countermark, released: Result) -> None:
    assert released.data is not None
    pixels = decode(released.data).pixels
    report = cm.verify(jpeg(np.ascontiguousarray(255 - pixels[40:, :480])))
    assert report.verdict is Verdict.RECOVERED, report.reasons
    assert any("is a negative" in reason for reason in report.reasons)
    assert not any("is a negative" in reason for reason in cm.verify(jpeg(pixels)).reasons)
    copied = 255 - add_difference(photograph("astronaut"), 1.5 * denoising_residual(pixels))
    assert cm.verify(jpeg(copied, 85)).verdict is Verdict.CONTRADICTORY


def test_a_mark_under_a_strangers_key_says_nothing_in_our_name(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    report = cm.verify(jpeg(Lattice(b"a stranger's own key, of 32 byte").embed(photo, 1), 95))
    assert report.evidence.watermark.state == "absent"
    assert report.verdict is Verdict.NO_PROVENANCE
