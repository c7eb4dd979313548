"""The embedded generator as a diffusers pipeline: words in, 512×512 flat illustrations out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, ImagePipelineOutput
from diffusers.image_processor import VaeImageProcessor
from torch import Tensor

from countermark.generators.embedded.models import SceneAutoencoder, SceneTransformer, SceneUpsampler, WordEncoder
from countermark.generators.embedded.vocabulary import Vocabulary

SIDE = 512
"""Pixels a side: the only size that the model draws."""

DEFAULT_STEPS = 24
DEFAULT_GUIDANCE = 3.5
_FULL_GUIDANCE = (0.1, 0.95)

StepCallback = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any] | None]


class ScenePipeline(DiffusionPipeline):  # type: ignore[misc]
    """Text to image with the embedded generator's parts, in the layout and with the keywords of diffusers.

    Words outside the vocabulary are left out of the prompt; :meth:`unknown_words` names them. The same seed, number
    of images and number of steps give the same pixels on the same machine.
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
    def vocabulary(self) -> Vocabulary:
        """The words that the model learnt."""
        return Vocabulary(self.text_encoder.config.words)

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """The words of a prompt that the model never learnt and will not draw."""
        return self.vocabulary.unknown(prompt)

    @torch.inference_mode()
    def __call__(  # noqa: PLR0917 (the keywords of diffusers)
        self,
        prompt: str | Sequence[str],
        height: int = SIDE,
        width: int = SIDE,
        num_inference_steps: int = DEFAULT_STEPS,
        guidance_scale: float = DEFAULT_GUIDANCE,
        negative_prompt: str = "",
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> Any:
        """Draw pictures.

        Args:
            prompt: one prompt or several.
            height: must be 512.
            width: must be 512.
            num_inference_steps: Euler steps of the flow, at least 1; 24 is plenty.
            guidance_scale: classifier-free guidance; 1 switches it off.
            negative_prompt: words to steer away from, in all pictures.
            num_images_per_prompt: pictures for each prompt.
            generator: source of the initial noise, one or one for each picture.
            latents: initial noise instead, B×8×16×16.
            output_type: "pil", "np", "pt", or "latent" for the B×8×16×16 latents.
            return_dict: whether to return an output object with `images` rather than a tuple.
            callback_on_step_end: called after each step as in diffusers; may set ``_interrupt`` to stop early.
            callback_on_step_end_tensor_inputs: only ``latents`` can be asked for.

        Raises:
            ValueError: if the size is not 512×512.
        """
        if (height, width) != (SIDE, SIDE):
            raise ValueError(f"this pipeline draws {SIDE}x{SIDE} pixels only")
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        prompts = [text for text in prompts for _ in range(num_images_per_prompt)]
        self._interrupt = False
        latents = self._initial_noise(len(prompts), generator) if latents is None else latents
        encoded = self._encode(prompts, negative_prompt)
        latents = self._denoise(latents, encoded, num_inference_steps, guidance_scale, callback_on_step_end)
        images = latents if output_type == "latent" else self._draw(latents, output_type)
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    @torch.inference_mode()
    def preview(self, latents: Tensor) -> Tensor:
        """Pictures of latents without the upsampler, B×3×64×64 in -1..1: a fraction of the work."""
        pictures: Tensor = self.autoencoder.picture(self.autoencoder.features(latents))
        return pictures

    def _encode(self, prompts: list[str], negative: str) -> tuple[Tensor, Tensor, Tensor]:
        """Encode the prompts, followed by as many negative (else empty) ones for guidance."""
        vocabulary, length = self.vocabulary, self.text_encoder.config.max_words
        numbers = [vocabulary.numbers(text, length) for text in [*prompts, *[negative] * len(prompts)]]
        ids = torch.tensor(numbers, device=self.device)
        encoded: tuple[Tensor, Tensor, Tensor] = self.text_encoder(ids)
        return encoded

    def _initial_noise(self, count: int, generator: torch.Generator | list[torch.Generator] | None) -> Tensor:
        shape = (self.transformer.config.channels, 16, 16)
        sources = generator if isinstance(generator, list) else [generator] * count
        noise = torch.stack([torch.randn(shape, generator=source) for source in sources])
        return noise.to(self.device, self.transformer.dtype)

    def _denoise(
        self,
        latents: Tensor,
        encoded: tuple[Tensor, Tensor, Tensor],
        steps: int,
        guidance: float,
        callback: StepCallback | None,
    ) -> Tensor:
        self.scheduler.set_timesteps(steps, device=self.device)
        for k, timestep in enumerate(self.progress_bar(self.scheduler.timesteps)):
            share = self.scheduler.sigmas[k]
            pairs = torch.cat([latents, latents])
            velocity = self.transformer(pairs, share.expand(len(pairs)).to(latents.dtype), *encoded)
            wanted, empty = velocity.chunk(2)
            # At both ends of the flow full guidance overshoots: colours burn at the start, edges ring at the end.
            strength = guidance if _FULL_GUIDANCE[0] < share < _FULL_GUIDANCE[1] else (1 + guidance) / 2
            velocity = empty + strength * (wanted - empty)
            latents = self.scheduler.step(velocity, timestep, latents, return_dict=False)[0]
            if callback is not None:
                latents = (callback(self, k, timestep, {"latents": latents}) or {}).get("latents", latents)
            if self._interrupt:
                break
        return latents

    def _draw(self, latents: Tensor, output_type: str) -> Any:
        pictures = []
        for one in latents[:, None]:
            features = self.autoencoder.features(one)
            pictures.append(self.upsampler(features, self.autoencoder.picture(features)))
        return self.image_processor.postprocess(torch.cat(pictures).float().clamp(-1, 1), output_type=output_type)
