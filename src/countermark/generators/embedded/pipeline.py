"""The embedded generator as a diffusers pipeline: words in, illustrated scenes of 512 or 768 pixels a side out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, ImagePipelineOutput
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor
from torch.nn import functional

from countermark.generators.embedded.models import SceneAutoencoder, SceneTransformer, SceneUpsampler, WordEncoder
from countermark.generators.embedded.reading import Reading, read
from countermark.generators.embedded.vocabulary import Vocabulary

SIDES = (512, 768)
"""Pixels a side that the model draws; pictures are square."""

DEFAULT_STEPS = 24
DEFAULT_GUIDANCE = 2.5
_FULL_GUIDANCE = (0.1, 0.95)

LEFT_OUT, AWAY = 2, 1.0
"""Besides away from the empty prompt, guidance leads away from what the model would draw without one of its blocks: its
own mistakes, enlarged (Karras et al. 2024, "Guiding a Diffusion Model with a Bad Version of Itself"; Hyung et al. 2024,
"Spatiotemporal Skip Guidance")."""

_RETURNS, _FROM, _TO = 3, 0.5, 0.8
"""Where outlines are decided, the way is gone more than once: back into noise and out again, which mends what steps
before got wrong (Xu et al. 2023, "Restart Sampling for Improving Generative Processes")."""

StepCallback = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any] | None]


def schedule(steps: int, strength: float = 1.0) -> list[float]:
    """The noise shares that are passed through, 1 being all noise, down to the last one before 0.

    Args:
        steps: steps of the way from 1 to 0 if it were gone straight.
        strength: where the way begins; at least one step is made.
    """
    first = steps - max(1, round(strength * steps))
    straight = [1 - k / steps for k in range(first, steps)]
    turn = next((k for k, share in enumerate(straight) if share <= _FROM), 0)
    low, high = straight[turn], min(_TO, straight[0])
    count = round((high - low) * steps) if turn else 0
    again = [high + (low - high) * k / count for k in range(count + 1)] if count else []
    return [*straight[: turn + 1], *again * _RETURNS, *straight[turn + 1 :]]


def steps_of(steps: int, strength: float = 1.0) -> int:
    """How many steps are made in all, those back into noise among them."""
    return len(schedule(steps, strength))


def _more_noise(noise: Tensor, times: int) -> Tensor:
    """More noise that follows from the first, T×B×C×H×W: one seed says all, in a batch as alone."""
    made = []
    for one in noise:
        digest = hashlib.sha256(one.float().cpu().numpy().tobytes()).digest()
        source = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
        made.append(torch.randn((times, *one.shape), generator=source))
    return torch.stack(made, 1).to(noise.device, noise.dtype)


def _drown(latents: Tensor, here: float, there: float, noise: Tensor) -> Tensor:
    """Latents of one noise share to a larger one, with new noise: the mean shrinks and the variances add up."""
    kept = (1 - there) / (1 - here)
    drowned: Tensor = kept * latents + (there**2 - (kept * here) ** 2) ** 0.5 * noise
    return drowned


class ScenePipeline(DiffusionPipeline):  # type: ignore[misc]
    """Text to image with the embedded generator's parts, in the layout and with the keywords of diffusers.

    A prompt is first reduced to what the model learnt; :meth:`read` says what that leaves. The same seed, number of
    images and number of steps give the same pixels on the same machine.
    """

    model_cpu_offload_seq = "text_encoder->transformer->autoencoder->upsampler"
    _callback_tensor_inputs = ("latents",)

    def __init__(
        self,
        text_encoder: WordEncoder,
        transformer: SceneTransformer,
        autoencoder: SceneAutoencoder,
        upsampler: SceneUpsampler,
        scheduler: FlowMatchEulerDiscreteScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(
            text_encoder=text_encoder,
            transformer=transformer,
            autoencoder=autoencoder,
            upsampler=upsampler,
            scheduler=scheduler,
        )
        self.image_processor = VaeImageProcessor(vae_scale_factor=1)
        self._interrupt = False

    @property
    def num_timesteps(self) -> int:
        """Steps of the newest run, those back into noise among them."""
        return len(self.scheduler.timesteps)

    @property
    def vocabulary(self) -> Vocabulary:
        """The words that the model learnt."""
        return Vocabulary(self.text_encoder.config.words)

    def read(self, prompt: str) -> Reading:
        """What the model will make of a prompt, and what it will not draw of it."""
        return read(prompt, self.vocabulary)

    @torch.inference_mode()
    def __call__(  # noqa: PLR0917 (the keywords of diffusers)
        self,
        prompt: str | Sequence[str],
        height: int = SIDES[0],
        width: int = SIDES[0],
        num_inference_steps: int = DEFAULT_STEPS,
        guidance_scale: float = DEFAULT_GUIDANCE,
        negative_prompt: str = "",
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        image: Image.Image | Tensor | None = None,
        strength: float = 0.7,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> Any:
        """Draw pictures.

        Args:
            prompt: one prompt or several.
            height: 512 or 768.
            width: the same as the height.
            num_inference_steps: Euler steps of the straight way from noise to picture, at least 1; 24 is plenty. Some
                of the way is gone more than once, so more are made: see :func:`steps_of`.
            guidance_scale: classifier-free guidance; 1 switches all guidance off.
            negative_prompt: words to steer away from, in all pictures.
            num_images_per_prompt: pictures for each prompt.
            generator: source of the initial noise, one or one for each picture.
            latents: initial noise instead, B×8×16×16.
            image: a picture to start from (image to image): of PIL, or B×3×H×W in 0..1. It is reduced to 64×64.
            strength: how much of that picture is drowned in noise, above 0 and at most 1 (nothing of it is left).
            output_type: "pil", "np", "pt", or "latent" for the B×8×16×16 latents.
            return_dict: whether to return an output object with `images` rather than a tuple.
            callback_on_step_end: called after each step as in diffusers; may set ``_interrupt`` to stop early.
            callback_on_step_end_tensor_inputs: only ``latents`` can be asked for.

        Raises:
            ValueError: if the size is none of those, or the strength is out of its range.
        """
        if height not in SIDES or width != height:
            raise ValueError("this pipeline draws 512x512 or 768x768 pixels only")
        if not 0 < strength <= 1:
            raise ValueError("strength must be above 0 and at most 1")
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        prompts = [text for text in prompts for _ in range(num_images_per_prompt)]
        self._interrupt = False
        latents = self._initial_noise(len(prompts), generator) if latents is None else latents
        encoded = self._encode(prompts, negative_prompt)
        noise = latents
        shares = schedule(num_inference_steps, 1.0 if image is None else strength)
        self.scheduler.set_timesteps(sigmas=shares, device=self.device)
        if image is not None:
            latents = torch.lerp(self._encode_image(image), noise, shares[0])
        latents = self._denoise(latents, noise, encoded, guidance_scale, callback_on_step_end)
        images = latents if output_type == "latent" else self._draw(latents, height, output_type)
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    @torch.inference_mode()
    def preview(self, latents: Tensor) -> Tensor:
        """Pictures of latents without the upsampler, B×3×64×64 in -1..1: a fraction of the work."""
        pictures: Tensor = self.autoencoder.picture(self.autoencoder.features(latents))
        return pictures

    def _encode(self, prompts: list[str], negative: str) -> tuple[Tensor, Tensor, Tensor]:
        """Encode the prompts, followed by as many negative (else empty) ones for guidance."""
        vocabulary, length = self.vocabulary, self.text_encoder.config.max_words
        wanted = [self.read(text).text for text in prompts]
        # A negative prompt is not reduced to one scene: words that the model does not know steer nothing.
        numbers = [vocabulary.numbers(text, length) for text in [*wanted, *[negative] * len(prompts)]]
        ids = torch.tensor(numbers, device=self.device)
        encoded: tuple[Tensor, Tensor, Tensor] = self.text_encoder(ids)
        return encoded

    def _initial_noise(self, count: int, generator: torch.Generator | list[torch.Generator] | None) -> Tensor:
        shape = (self.transformer.config.channels, 16, 16)
        sources = generator if isinstance(generator, list) else [generator] * count
        noise = torch.stack([torch.randn(shape, generator=source) for source in sources])
        return noise.to(self.device, self.transformer.dtype)

    def _encode_image(self, image: Image.Image | Tensor) -> Tensor:
        """A picture to its latents, 1×8×16×16, or B×8×16×16 for a batch."""
        if isinstance(image, Image.Image):
            values: Tensor = VaeImageProcessor.numpy_to_pt(VaeImageProcessor.pil_to_numpy(image.convert("RGB")))
        else:
            values = image
        small = functional.interpolate(values.to(self.device, self.transformer.dtype), (64, 64), mode="area")
        latents: Tensor = self.autoencoder.encode(small * 2 - 1)
        return latents

    def _denoise(
        self,
        latents: Tensor,
        noise: Tensor,
        encoded: tuple[Tensor, Tensor, Tensor],
        guidance: float,
        callback: StepCallback | None,
    ) -> Tensor:
        ways = list(zip(self.scheduler.timesteps, pairwise(self.scheduler.sigmas.tolist()), strict=True))
        returns = iter(_more_noise(noise, sum(there > here for _, (here, there) in ways)))
        for k, (timestep, (here, there)) in enumerate(self.progress_bar(ways)):
            if there > here:
                latents, velocity = _drown(latents, here, there, next(returns)), torch.zeros_like(latents)
            else:
                velocity = self._velocity(latents, here, encoded, guidance)
            latents = self.scheduler.step(velocity, timestep, latents, return_dict=False)[0]
            if callback is not None:
                latents = (callback(self, k, timestep, {"latents": latents}) or {}).get("latents", latents)
            if self._interrupt:
                break
        return latents

    def _velocity(
        self, latents: Tensor, share: float, encoded: tuple[Tensor, Tensor, Tensor], guidance: float
    ) -> Tensor:
        shares = latents.new_full((len(latents),), share)
        both: Tensor = self.transformer(torch.cat([latents, latents]), torch.cat([shares, shares]), *encoded)
        wanted, empty = both.chunk(2)
        if guidance == 1:
            return wanted
        # At both ends of the flow full guidance overshoots: colours burn at the start, edges ring at the end.
        strength = guidance if _FULL_GUIDANCE[0] < share < _FULL_GUIDANCE[1] else (1 + guidance) / 2
        prompted = [part.chunk(2)[0] for part in encoded]
        worse: Tensor = self.transformer(latents, shares, *prompted, LEFT_OUT)
        return empty + strength * (wanted - empty) + AWAY * (wanted - worse)

    def _draw(self, latents: Tensor, side: int, output_type: str) -> Any:
        pictures = []
        for one in latents[:, None]:
            features = self.autoencoder.features(one)
            small = self.autoencoder.picture(features)
            pictures.append(self.upsampler(features, small, side // small.shape[-1]))
        return self.image_processor.postprocess(torch.cat(pictures).float().clamp(-1, 1), output_type=output_type)
