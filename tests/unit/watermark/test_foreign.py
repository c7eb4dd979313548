"""Other systems' constant marks are recognised without their package, and never called ours."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from countermark.errors import AssetInvalid, UsageError
from countermark.watermark import Detector, ForeignMarks
from countermark.watermark.imwatermark.foreign import FOREIGN_MARKS, fair_coin_probability


def mark_as(known, pixels):
    """What the program does: diffusers hands floating-point pixels to the package, the older scripts bytes."""
    package = pytest.importorskip("imwatermark", reason="pip install 'countermark[imwatermark]'")
    encoder = package.WatermarkEncoder()
    encoder.set_watermark("bits", list(known.bits))
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    written = encoder.encode(bgr.astype(np.float32) if known.floats else bgr, "dwtDct")
    return np.ascontiguousarray(np.clip(np.rint(written), 0, 255).astype(np.uint8)[:, :, ::-1])


@pytest.mark.parametrize("name", ["astronaut", "china", "coffee"])
@pytest.mark.parametrize("known", FOREIGN_MARKS, ids=lambda mark: mark.origin)
def test_a_known_generators_mark_is_recognised(photographs, known, name):
    found = ForeignMarks().detect(mark_as(known, photographs[name]))
    assert found.state == "foreign"
    assert known.origin in found.note
    assert "proves nothing" in found.note
    assert found.false_positive_probability <= 1e-6
    assert found.record_id is None


def test_diffusers_own_watermarker_is_recognised(photographs):
    pytest.importorskip("imwatermark", reason="pip install 'countermark[imwatermark]'")
    torch = pytest.importorskip("torch", reason="pip install 'countermark[diffusers]'")
    module = pytest.importorskip("diffusers.pipelines.stable_diffusion_xl.watermark")
    image = torch.from_numpy(photographs["astronaut"]).permute(2, 0, 1)[None].float() / 127.5 - 1
    written = module.StableDiffusionXLWatermarker().apply_watermark(image)
    pixels = ((written[0].permute(1, 2, 0).numpy() / 2 + 0.5) * 255).round().astype(np.uint8)
    assert "Stable Diffusion XL" in ForeignMarks().detect(np.ascontiguousarray(pixels)).note


def test_another_message_is_not_taken_for_a_known_one(photographs):
    known = FOREIGN_MARKS[0]
    inverted = type(known)("nobody", tuple(1 - bit for bit in known.bits), known.floats)
    assert ForeignMarks().detect(mark_as(inverted, photographs["astronaut"])).state == "absent"


def test_unmarked_pictures_have_no_foreign_mark(photographs):
    marks = ForeignMarks()
    assert isinstance(marks, Detector)
    for name, pixels in photographs.items():
        assert marks.detect(pixels).state == "absent", name


@pytest.mark.parametrize("width", [384, 480, 512, 768])
def test_pictures_with_structure_of_their_own_have_none(width):
    marks, generator = ForeignMarks(), np.random.default_rng(width)
    rows, columns = np.mgrid[0:384, 0:width]
    ramp = np.stack([columns * 255 // width, rows * 255 // 384, 255 - columns * 255 // width], axis=-1)
    stripes = generator.integers(0, 256, (1, width // 8, 3)).repeat(8, axis=1).repeat(384, axis=0)
    tiles = np.tile(generator.integers(0, 256, (24, 24, 3)), (16, width // 24 + 1, 1))[:, :width]
    for pixels in (np.full((384, width, 3), 77), np.zeros((384, width, 3)), ramp, stripes, tiles):
        assert marks.detect(pixels.astype(np.uint8)).state == "absent"


def test_small_pictures_carry_none_and_what_is_no_picture_is_refused():
    assert ForeignMarks().detect(np.zeros((5, 9, 3), np.uint8)).state == "absent"
    assert ForeignMarks().detect(np.zeros((8, 8192, 3), np.uint8)).state == "absent"
    with pytest.raises(AssetInvalid):
        ForeignMarks().detect(np.zeros((300, 300), np.uint8))
    with pytest.raises(UsageError):
        ForeignMarks(limit=0)


def test_neither_the_package_nor_torch_is_imported():
    program = (
        "import sys, numpy as np\n"
        "from countermark.watermark import ForeignMarks\n"
        "ForeignMarks().detect(np.zeros((300, 300, 3), np.uint8))\n"
        "assert not {'imwatermark', 'torch', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_chance_of_fair_coins_is_binomial():
    assert fair_coin_probability(48, 0) == 2**-48
    assert fair_coin_probability(4, 1) == 5 / 16
    assert fair_coin_probability(10, 10) == 1.0
