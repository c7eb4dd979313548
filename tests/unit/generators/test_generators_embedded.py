from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from countermark.errors import UsageError, WeightsMismatch, WeightsMissing
from countermark.generators import EmbeddedGenerator
from countermark.generators.embedded.pipeline import ScenePipeline, schedule, steps_of
from countermark.generators.embedded.vocabulary import Vocabulary, split_words
from countermark.generators.embedded.weights import SHIPPED, verified_digest
from countermark.model import GenerationRequest

STEPS = 4


@pytest.fixture(scope="module")
def generator() -> EmbeddedGenerator:
    return EmbeddedGenerator()


@pytest.fixture
def copied_weights(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "weights"))


def request(prompt: str = "a red lighthouse at dusk", **more: object) -> GenerationRequest:
    return GenerationRequest.model_validate({"prompt": prompt, "seed": 7, "steps": STEPS, **more})


def test_it_draws_512_pixels_a_side_as_contiguous_rgb(generator: EmbeddedGenerator) -> None:
    (image,) = generator.generate(request()).images
    assert image.shape == (512, 512, 3)
    assert image.dtype == np.uint8
    assert image.flags["C_CONTIGUOUS"]
    assert image.std() > 10, "a flat image means that nothing was drawn"


def test_the_same_seed_gives_the_same_pixels(generator: EmbeddedGenerator) -> None:
    first, second = (generator.generate(request()).images[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_it_draws_on_one_thread_and_leaves_torch_as_it_was(generator: EmbeddedGenerator) -> None:
    before, seen = torch.get_num_threads(), list[int]()
    torch.set_num_threads(2)
    try:
        generator.generate(request(), on_step=lambda done, total: seen.append(torch.get_num_threads()))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


def test_another_seed_or_prompt_gives_another_image(generator: EmbeddedGenerator) -> None:
    base = generator.generate(request()).images[0]
    assert not np.array_equal(base, generator.generate(request(seed=8)).images[0])
    assert not np.array_equal(base, generator.generate(request("a cactus in the desert")).images[0])


def test_night_is_darker_than_day(generator: EmbeddedGenerator) -> None:
    day, night = (
        generator.generate(request(f"a blue house in a meadow {time}", steps=12)).images[0].mean()
        for time in ("in daylight", "at night")
    )
    assert night < 0.6 * day


def test_a_negative_prompt_changes_the_image(generator: EmbeddedGenerator) -> None:
    plain, steered = (generator.generate(request(negative_prompt=text)).images[0] for text in ("", "at dusk"))
    assert not np.array_equal(plain, steered)


def test_a_batch_holds_different_images(generator: EmbeddedGenerator) -> None:
    images = generator.generate(request(count=3)).images
    assert len(images) == 3
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(images[1], images[2])


def test_the_seed_that_was_drawn_is_reported_and_repeats_the_image(generator: EmbeddedGenerator) -> None:
    drawn = generator.generate(request(seed=None))
    again = generator.generate(request(seed=int(drawn.parameters["seed"])))
    assert np.array_equal(drawn.images[0], again.images[0])


def test_the_listener_hears_every_step_and_can_stop(generator: EmbeddedGenerator) -> None:
    heard: list[tuple[int, int]] = []
    generator.generate(request(), on_step=lambda done, total: heard.append((done, total)))
    assert heard == [(k, steps_of(STEPS)) for k in range(1, steps_of(STEPS) + 1)]

    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        heard.append((done, total))
        if done == 2:
            raise Stopped

    heard.clear()
    with pytest.raises(Stopped):
        generator.generate(request(), on_step=stop)
    assert heard == [(1, steps_of(STEPS)), (2, steps_of(STEPS))]


def test_what_it_cannot_draw_is_said_in_notices(generator: EmbeddedGenerator) -> None:
    nearest, left_out = generator.generate(request("a red zeppelin over the sea, trending")).notices
    assert "“balloon” for “zeppelin”" in nearest
    assert "trending" in left_out
    assert "sea" not in nearest + left_out
    assert generator.generate(request()).notices == ()


def test_a_prompt_of_unknown_words_alone_still_draws(generator: EmbeddedGenerator) -> None:
    drawn = generator.generate(request("日本 quantum"))
    assert drawn.images[0].shape == (512, 512, 3)
    assert "a meadow was drawn" in drawn.notices[-1]


def test_768_pixels_a_side_show_the_same_picture_without_visible_seams(generator: EmbeddedGenerator) -> None:
    small, large = (generator.generate(request(width=side, height=side)).images[0] for side in (512, 768))
    assert large.shape == (768, 768, 3)
    reduced = cv2.resize(large, (512, 512), interpolation=cv2.INTER_AREA)
    assert np.abs(reduced.astype(int) - small).mean() < 2
    steps = np.abs(np.diff(large.astype(int), axis=1)).mean((0, 2))
    at_cells, elsewhere = steps[11::12].mean(), np.delete(steps, slice(11, None, 12)).mean()
    assert at_cells < elsewhere + 2, "the borders of the 64×64 cells are steps of more than two levels in the mean"


def test_a_sky_is_no_staircase(generator: EmbeddedGenerator) -> None:
    sky = generator.generate(request()).images[0][:64].astype(float).mean((1, 2))
    within_cells = [np.abs(np.diff(sky))[phase::8].mean() for phase in range(8)]
    assert max(within_cells) < 3 * np.mean(within_cells), "a gradient is cut into steps of a cell each"


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 24, 50])
@pytest.mark.parametrize("strength", [0.01, 0.3, 0.5, 0.7, 1.0])
def test_the_way_ends_as_a_straight_one_and_never_forgets_more_than_the_strength_says(
    steps: int, strength: float
) -> None:
    shares = schedule(steps, strength)
    assert shares[0] == max(shares) == pytest.approx(max(1, round(strength * steps)) / steps)
    assert shares[-1] == pytest.approx(1 / steps)
    assert all(abs(there - here) > 1e-6 for here, there in pairwise(shares)), "a step leads somewhere"


def test_the_same_noise_gives_the_same_pixels_wherever_it_comes_from() -> None:
    pipe = ScenePipeline.from_pretrained(SHIPPED)
    noise = torch.randn(2, 8, 16, 16, generator=torch.Generator().manual_seed(3))
    both = pipe("a cat", num_images_per_prompt=2, latents=noise, num_inference_steps=STEPS, output_type="np").images
    alone = pipe("a cat", latents=noise[1:], num_inference_steps=STEPS, output_type="np").images
    assert np.abs(both[1] - alone[0]).max() < 1e-3


def test_an_edit_keeps_the_layout_and_takes_the_prompt(generator: EmbeddedGenerator) -> None:
    start = generator.generate(request("a house in a meadow in daylight", steps=16)).images[0]
    night = request("a house in a meadow at night", steps=16)
    near, far = (generator.edit(night, start, strength=strength) for strength in (0.3, 1.0))
    difference = [np.abs(edited.images[0].astype(int) - start).mean() for edited in (near, far)]
    assert difference[0] < 0.7 * difference[1]
    assert near.parameters["strength"] == "0.3"
    assert far.images[0].mean() < 0.6 * start.mean()


def test_an_edit_of_full_strength_is_a_picture_of_its_own(generator: EmbeddedGenerator) -> None:
    black = np.zeros((100, 300, 3), np.uint8)
    edited = generator.edit(request(), black, strength=1.0).images[0]
    assert np.array_equal(edited, generator.generate(request()).images[0])


def test_an_edit_reports_the_steps_that_it_makes(generator: EmbeddedGenerator) -> None:
    heard: list[tuple[int, int]] = []
    start = np.full((64, 64, 3), 128, np.uint8)
    generator.edit(request(steps=8), start, strength=0.5, on_step=lambda done, total: heard.append((done, total)))
    assert heard == [(k, 4) for k in range(1, 5)]


@pytest.mark.parametrize("strength", [0.0, -1.0, 1.5, float("nan")])
def test_a_strength_out_of_range_is_refused(generator: EmbeddedGenerator, strength: float) -> None:
    with pytest.raises(UsageError, match="strength"):
        generator.edit(request(), np.zeros((64, 64, 3), np.uint8), strength=strength)


@pytest.mark.parametrize("size", [{"width": 1024}, {"height": 256}, {"width": 512, "height": 768}])
def test_other_sizes_are_refused_with_a_remedy(generator: EmbeddedGenerator, size: dict[str, int]) -> None:
    with pytest.raises(UsageError) as caught:
        generator.generate(request(**size))
    assert "512" in caught.value.message
    assert caught.value.remedy


def test_the_model_carries_the_digest_of_its_files(generator: EmbeddedGenerator) -> None:
    assert generator.model.digest == json.loads((SHIPPED / "digest.json").read_text())["digest"]
    assert generator.model.digest == verified_digest(SHIPPED)


def test_a_flipped_byte_is_refused(copied_weights: Path) -> None:
    file = copied_weights / "transformer" / "diffusion_pytorch_model.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(WeightsMismatch, match="transformer"):
        EmbeddedGenerator(copied_weights)


def test_a_changed_configuration_is_refused(copied_weights: Path) -> None:
    file = copied_weights / "model_index.json"
    file.write_text(file.read_text().replace("Euler", "Heun"))
    with pytest.raises(WeightsMismatch, match="model_index"):
        EmbeddedGenerator(copied_weights)


def test_an_added_file_is_refused(copied_weights: Path) -> None:
    (copied_weights / "upsampler" / "more.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsMismatch, match="not on their list"):
        EmbeddedGenerator(copied_weights)


def test_a_list_that_disagrees_with_itself_is_refused(copied_weights: Path) -> None:
    listed = json.loads((copied_weights / "digest.json").read_text())
    (copied_weights / "digest.json").write_text(json.dumps({**listed, "digest": "0" * 64}))
    with pytest.raises(WeightsMismatch, match="combined"):
        EmbeddedGenerator(copied_weights)


@pytest.mark.parametrize("name", ["digest.json", "upsampler/diffusion_pytorch_model.safetensors"])
def test_a_missing_file_is_named(copied_weights: Path, name: str) -> None:
    (copied_weights / name).unlink()
    with pytest.raises(WeightsMissing, match=Path(name).name):
        EmbeddedGenerator(copied_weights)


def test_without_torch_the_error_prints_the_install_line() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from countermark.errors import MissingExtra\n"
        "import countermark.generators as room\n"
        "try: room.EmbeddedGenerator\n"
        "except MissingExtra as error: print(error.remedy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'pip install "countermark[diffusers]"'


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = "import sys, countermark.generators as room; print({'torch', 'diffusers', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_words_are_split_without_case_or_punctuation() -> None:
    assert split_words("A RED boat, at sun-set! 3 gulls") == ["a", "red", "boat", "at", "sun", "set", "3", "gulls"]


def test_unknown_words_leave_no_gap_in_the_numbers() -> None:
    words = Vocabulary(["a", "boat", "red"])
    assert words.numbers("a very red boat", 5) == [1, 3, 2, 0, 0]
    assert words.numbers("a a a a a a", 5) == [1] * 5
    assert "boat" in words
    assert "very" not in words
