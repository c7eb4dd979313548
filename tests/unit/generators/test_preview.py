"""Previews of a run: what they predict, and what happens where none can be made."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from countermark.generators import DiffusersGenerator, EmbeddedGenerator, WrappedPipeline
from countermark.generators.embedded.pipeline import schedule, steps_of
from countermark.generators.preview import NoPreview, predicted
from countermark.generators.steps import UNSEEN
from countermark.model import GenerationRequest

STEPS = 8


class Half:
    """Looks half way, and keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, list[NDArray[np.uint8]]]] = []

    def wanted(self, done: int, total: int) -> bool:
        return done == total // 2

    def __call__(self, images: Sequence[NDArray[np.uint8]], done: int, total: int) -> None:
        self.seen.append((done, total, list(images)))


def asked(**more: object) -> GenerationRequest:
    return GenerationRequest.model_validate({"prompt": "a red boat at sunset", "seed": 11, "steps": STEPS, **more})


@pytest.mark.parametrize(
    "scheduler",
    [diffusers.DDIMScheduler(clip_sample=False), diffusers.EulerDiscreteScheduler()],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_two_latents_tell_what_the_model_predicted(scheduler: Any) -> None:
    scheduler.set_timesteps(10)
    torch.manual_seed(1)
    latents = torch.randn(1, 4, 8, 8) * scheduler.init_noise_sigma
    for step, timestep in enumerate(scheduler.timesteps[:-1]):
        scheduler.scale_model_input(latents, timestep)
        done = scheduler.step(torch.randn(1, 4, 8, 8), timestep, latents)
        found = predicted(scheduler, step, latents, done.prev_sample)
        assert torch.allclose(found, done.pred_original_sample, rtol=1e-3, atol=1e-3 * float(latents.abs().max()))
        latents = done.prev_sample


def test_a_flow_is_followed_to_its_end() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(10)
    picture, noise = torch.randn(2, 1, 4, 8, 8)
    latents = noise
    for step, timestep in enumerate(scheduler.timesteps):
        after = scheduler.step(noise - picture, timestep, latents).prev_sample
        assert torch.allclose(predicted(scheduler, step, latents, after), picture, atol=1e-4)
        latents = after


def test_a_step_back_into_noise_predicts_nothing() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=[1.0, 0.5, 0.8, 0.4])
    with pytest.raises(NoPreview, match="back into noise"):
        predicted(scheduler, 1, torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 8, 8))


def test_where_a_step_cannot_be_shown_the_next_one_is() -> None:
    back = next(k for k, (here, there) in enumerate(pairwise(schedule(STEPS))) if there > here)

    class Then(Half):
        def wanted(self, done: int, total: int) -> bool:
            return done == back + 1

    watch = Then()
    made = EmbeddedGenerator().generate(asked(), watch=watch)
    assert [done for done, _, _ in watch.seen] == [back + 2]
    assert UNSEEN not in made.notices


def test_a_solver_that_is_not_known_predicts_nothing() -> None:
    scheduler = diffusers.EulerAncestralDiscreteScheduler()
    scheduler.set_timesteps(10)
    with pytest.raises(NoPreview):
        predicted(scheduler, 1, torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 8, 8))


def test_the_embedded_generators_preview_looks_like_its_picture() -> None:
    class Late(Half):
        def wanted(self, done: int, total: int) -> bool:
            return done == 3 * total // 4

    watch = Late()
    generator = EmbeddedGenerator()
    watched = generator.generate(asked(count=2, steps=12), watch=watch)
    ((done, total, images),) = watch.seen
    assert (done, total, len(images)) == (3 * steps_of(12) // 4, steps_of(12), 2)
    for preview, picture in zip(images, watched.images, strict=True):
        assert (preview.shape, preview.dtype) == ((64, 64, 3), np.uint8)
        small = picture.reshape(64, 8, 64, 8, 3).mean(axis=(1, 3))
        assert np.abs(small - preview).mean() < 12
    plain = generator.generate(asked(count=2, steps=12))
    assert all(map(np.array_equal, watched.images, plain.images)), "looking changes nothing"
    assert UNSEEN not in watched.notices


@pytest.mark.parametrize("name", ["stable_diffusion", "stable_diffusion_xl"])
def test_any_pipelines_latents_are_shown_small(name: str, request: pytest.FixtureRequest) -> None:
    watch = Half()
    pipe = request.getfixturevalue(name)
    made = DiffusersGenerator(pipe).generate(asked(count=2, width=256, height=128), watch=watch)
    ((_, _, images),) = watch.seen
    assert [image.shape for image in images] == [(32, 64, 3)] * 2  # two pixels a latent, 32 latents at most
    assert UNSEEN not in made.notices


def test_latents_that_cannot_be_shown_are_told_of(flux: Any) -> None:
    watch = Half()
    made = DiffusersGenerator(flux).generate(asked(width=128, height=128), watch=watch)
    assert not watch.seen
    assert UNSEEN in made.notices


def test_a_solver_that_cannot_be_followed_is_told_of(stable_diffusion: Any) -> None:
    watch = Half()
    stable_diffusion.scheduler = diffusers.EulerAncestralDiscreteScheduler()
    made = DiffusersGenerator(stable_diffusion).generate(asked(width=128, height=128), watch=watch)
    assert not watch.seen
    assert UNSEEN in made.notices


@pytest.mark.parametrize("kind", ["embedded", "diffusers"])
def test_what_a_watch_raises_stops_the_run_and_comes_out_unchanged(kind: str, stable_diffusion: Any) -> None:
    class Stop(Exception):
        pass

    class Refuses(Half):
        def __call__(self, images: Sequence[NDArray[np.uint8]], done: int, total: int) -> None:
            raise Stop

    heard: list[int] = []
    generator = EmbeddedGenerator() if kind == "embedded" else DiffusersGenerator(stable_diffusion)
    size = {} if kind == "embedded" else {"width": 128, "height": 128}
    with pytest.raises(Stop):
        generator.generate(asked(**size), on_step=lambda done, _all: heard.append(done), watch=Refuses())
    half = steps_of(STEPS) // 2 + 1 if kind == "embedded" else STEPS // 2  # half way the one goes back into noise
    assert heard == list(range(1, half + 1))


def test_a_callers_own_callback_is_called_as_well(stable_diffusion: Any) -> None:
    watch = Half()

    class Result:
        def __init__(self, image: NDArray[np.uint8]) -> None:
            self.image = image

    wrapped = WrappedPipeline(
        stable_diffusion,
        lambda request, generator: [Result(i) for i in generator.generate(request, watch=watch).images],
    )
    heard: list[int] = []

    def own(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        assert pipe is wrapped
        heard.append(step)
        return tensors

    wrapped("a boat", num_inference_steps=STEPS, width=128, height=128, callback_on_step_end=own)
    assert heard == list(range(STEPS))
    assert len(watch.seen) == 1
