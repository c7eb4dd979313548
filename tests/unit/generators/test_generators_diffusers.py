from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from tiny_pipelines import MAX_TOKENS
from transformers import CLIPImageProcessor, CLIPVisionConfig

from countermark.errors import EnvironmentLacking, GenerationFailed, NotFound, UsageError
from countermark.generators import DiffusersGenerator
from countermark.model import GenerationRequest


def request(prompt: str = "a red boat", **more: object) -> GenerationRequest:
    fields = {"prompt": prompt, "seed": 3, "steps": 2, "width": 128, "height": 128, **more}
    return GenerationRequest.model_validate({name: value for name, value in fields.items() if value is not None})


@pytest.mark.parametrize("name", ["stable_diffusion", "stable_diffusion_xl", "flux"])
def test_every_family_gives_repeatable_images(name: str, request: pytest.FixtureRequest) -> None:
    generator = DiffusersGenerator(request.getfixturevalue(name))
    asked = GenerationRequest(prompt="a red boat", seed=3, steps=2, width=128, height=128, count=2)
    first, second = generator.generate(asked), generator.generate(asked)
    assert [image.shape for image in first.images] == [(128, 128, 3)] * 2
    assert all(np.array_equal(a, b) for a, b in zip(first.images, second.images, strict=True))
    assert not np.array_equal(*first.images)
    assert first.parameters["seed"] == "3"
    assert first.parameters["steps"] == 2


def test_image_k_of_a_batch_has_seed_plus_k(stable_diffusion: Any) -> None:
    generator = DiffusersGenerator(stable_diffusion)
    batch = generator.generate(request(seed=5, count=2)).images
    alone = generator.generate(request(seed=6)).images[0]
    assert np.abs(batch[1].astype(int) - alone.astype(int)).max() <= 1, "batching is not bitwise, but nearly"


def test_a_missing_seed_is_drawn_and_reported(stable_diffusion: Any) -> None:
    generator = DiffusersGenerator(stable_diffusion)
    drawn = generator.generate(request(seed=None))
    again = generator.generate(request(seed=int(drawn.parameters["seed"])))
    assert np.array_equal(drawn.images[0], again.images[0])


def test_guidance_and_negative_prompt_reach_the_pipeline(stable_diffusion: Any) -> None:
    generator = DiffusersGenerator(stable_diffusion)
    plain = generator.generate(request(guidance=7.5)).images[0]
    assert not np.array_equal(plain, generator.generate(request(guidance=1.0)).images[0])
    assert not np.array_equal(plain, generator.generate(request(guidance=7.5, negative_prompt="blurry")).images[0])


class SizelessPipeline(diffusers.DiffusionPipeline):
    """A pipeline that takes little: no size, no steps, no negative prompt, one image at a time."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet)

    def __call__(self, prompt: str, generator: Any = None, output_type: str = "pil", return_dict: bool = True) -> Any:
        noise = torch.randn(128, 128, 3, generator=generator[0])
        images = self.numpy_to_pil(noise.sigmoid()[None].numpy())
        return diffusers.ImagePipelineOutput(images=images)


def test_what_a_pipeline_does_not_take_is_refused_or_noticed(stable_diffusion: Any) -> None:
    generator = DiffusersGenerator(SizelessPipeline(stable_diffusion.unet))
    with pytest.raises(UsageError, match="size"):
        generator.generate(request())
    with pytest.raises(UsageError, match="negative"):
        generator.generate(request(width=None, height=None, negative_prompt="blurry"))
    made = generator.generate(request(width=None, height=None, count=2))
    assert len(made.images) == 2
    assert any("num_inference_steps" in notice for notice in made.notices)
    assert "steps" not in made.parameters


def test_the_listener_can_stop_a_run(stable_diffusion: Any) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        assert (done, total) == (1, 2)
        raise Stopped

    with pytest.raises(Stopped):
        DiffusersGenerator(stable_diffusion).generate(request(), on_step=stop)


def test_a_pipeline_that_raises_is_a_typed_error_without_the_prompt(stable_diffusion: Any) -> None:
    stable_diffusion.unet = None
    with pytest.raises(GenerationFailed) as caught:
        DiffusersGenerator(stable_diffusion).generate(request("a secret boat"))
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__context__, AttributeError)
    assert "in __call__" in "".join(caught.value.__notes__)


def test_a_pipeline_that_quotes_the_prompt_is_not_quoted(stable_diffusion: Any) -> None:
    def check_inputs(prompt: str, *_args: Any, **_more: Any) -> None:
        raise ValueError(f"cannot draw {prompt}")

    stable_diffusion.check_inputs = check_inputs
    asked = request("a secret boat")  # a traceback shows the lines of the source
    with pytest.raises(GenerationFailed) as caught:
        DiffusersGenerator(stable_diffusion).generate(asked)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert "in check_inputs" in "".join(caught.value.__notes__)


def test_a_prompt_that_is_cut_off_gives_a_notice_and_stays_out_of_the_log(
    stable_diffusion: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    long_prompt = "a red boat " * MAX_TOKENS + "sunset"  # known to the tokenizer, so that it could be quoted
    for name in ("diffusers", "transformers"):
        logging.getLogger(name).propagate = True
    made = DiffusersGenerator(stable_diffusion).generate(request(long_prompt))
    assert any(str(MAX_TOKENS) in notice for notice in made.notices)
    captured = capfd.readouterr()
    assert "sunset" not in caplog.text + captured.out + captured.err
    assert not DiffusersGenerator(stable_diffusion).generate(request()).notices


def test_the_digest_is_that_of_the_weights_in_memory(stable_diffusion: Any) -> None:
    generator = DiffusersGenerator(stable_diffusion)
    before = generator.model.digest
    assert before is not None
    assert generator.model.digest == before
    with torch.no_grad():
        next(stable_diffusion.unet.parameters()).add_(0.01)
    assert generator.model.digest != before


def test_weights_that_are_not_in_memory_have_no_digest(stable_diffusion: Any) -> None:
    stable_diffusion.unet.to("meta")
    assert DiffusersGenerator(stable_diffusion).model.digest is None


def test_a_pipeline_object_is_named_by_its_class(stable_diffusion: Any) -> None:
    model = DiffusersGenerator(stable_diffusion, version="2").model
    assert (model.id, model.version, model.pipeline) == ("StableDiffusionPipeline", "2", "StableDiffusionPipeline")
    assert DiffusersGenerator(stable_diffusion, model_id="studio/boats").model.id == "studio/boats"


def test_the_constant_watermark_of_sdxl_is_switched_off(stable_diffusion_xl: Any) -> None:
    class Stamp:
        def apply_watermark(self, image: Any) -> Any:
            raise AssertionError("the pipeline wrote a watermark of its own")

    stable_diffusion_xl.watermark = Stamp()
    made = DiffusersGenerator(stable_diffusion_xl).generate(request())
    assert any("watermark" in notice for notice in made.notices)


def test_sdxl_is_loaded_without_its_watermark(stable_diffusion_xl: Any, tmp_path: Path) -> None:
    stable_diffusion_xl.save_pretrained(tmp_path / "xl")
    generator = DiffusersGenerator(tmp_path / "xl")
    assert generator.generate(request()).images[0].shape == (128, 128, 3)
    assert generator.model.id == "xl"


def saved_with_checker(pipe: Any, folder: Path) -> Path:
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig

    vision = CLIPVisionConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
                              image_size=32, patch_size=16, projection_dim=8)  # fmt: skip
    config = CLIPConfig(vision_config=vision.to_dict(), projection_dim=8)
    checker = StableDiffusionSafetyChecker(config)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    pipe.register_modules(safety_checker=checker, feature_extractor=processor)
    pipe.save_pretrained(folder)
    return folder


def test_a_folder_is_loaded_without_its_safety_checker_and_says_so(stable_diffusion: Any, tmp_path: Path) -> None:
    generator = DiffusersGenerator(saved_with_checker(stable_diffusion, tmp_path / "boats"))
    made = generator.generate(request())
    assert any("safety checker" in notice for notice in made.notices)
    assert made.images[0].any()


def test_an_image_blanked_by_the_pipelines_own_checker_is_a_failure(stable_diffusion: Any, tmp_path: Path) -> None:
    saved_with_checker(stable_diffusion, tmp_path / "boats")
    with torch.no_grad():
        stable_diffusion.safety_checker.concept_embeds_weights.fill_(-1.0)  # every image looks like every concept
        stable_diffusion.safety_checker.special_care_embeds_weights.fill_(-1.0)
    with pytest.raises(GenerationFailed, match="safety checker"):
        DiffusersGenerator(stable_diffusion).generate(request())


def test_a_folder_has_the_digest_of_its_weight_files(stable_diffusion: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        stable_diffusion.save_pretrained(tmp_path / name)
    first, second = (DiffusersGenerator(tmp_path / name).model.digest for name in ("one", "two"))
    assert first == second
    with torch.no_grad():
        next(stable_diffusion.unet.parameters()).add_(0.01)
    stable_diffusion.save_pretrained(tmp_path / "two")
    assert DiffusersGenerator(str(tmp_path / "two")).model.digest != first


def test_pickled_weights_are_refused(stable_diffusion: Any, tmp_path: Path) -> None:
    stable_diffusion.save_pretrained(tmp_path / "pickled", safe_serialization=False)
    with pytest.raises(GenerationFailed) as caught:
        DiffusersGenerator(tmp_path / "pickled")
    assert "safetensors" in caught.value.remedy


def test_a_folder_that_is_no_pipeline_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(GenerationFailed, match="folder"):
        DiffusersGenerator(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "NotOfDiffusers"}')
    with pytest.raises(GenerationFailed, match="class"):
        DiffusersGenerator(tmp_path)


@pytest.mark.parametrize("source", ["/no/such/folder", "no-such-folder", "../elsewhere/model"])
def test_a_path_that_does_not_exist_is_not_found(source: str) -> None:
    with pytest.raises(NotFound):
        DiffusersGenerator(source)


def test_a_hub_id_is_looked_up_in_the_local_cache_only(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        DiffusersGenerator("countermark-test/no-such-model", load_options={"cache_dir": str(tmp_path)})
    assert "hf download" in caught.value.remedy


def test_an_unreachable_hub_is_a_typed_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EnvironmentLacking) as caught:
        DiffusersGenerator(
            "countermark-test/no-such-model", allow_download=True, load_options={"cache_dir": str(tmp_path)}
        )
    assert "HF_HUB_OFFLINE" in caught.value.remedy
