"""How each second opinion is set up: the shapes of ``safety.prompt.opinions`` and ``safety.image.opinions``."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from countermark.model import Category
from countermark.safety.interface import PROMPT_CATEGORIES

_URI: Final = r"^(env://[A-Za-z_][A-Za-z0-9_]*|file:///.+)$"
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

_URL: Final = "The service's address; https, or http on this machine."
_KEY: Final = "Where its API key is kept: `env://NAME` or `file:///path`, never the key."
_LABELS: Final = "What its labels mean here: each label and one of our categories."

SecretUri = Annotated[str, Field(pattern=_URI)]
"""Where a token is kept, ``env://NAME`` or ``file:///path``; never the token."""

Labels = Annotated[dict[str, Category], Field(min_length=1, max_length=200)]
"""A model's own labels and our categories; several labels may mean one category."""


LLAMA_GUARD_CODES: Final = frozenset(f"S{number}" for number in range(1, 15))
"""Of MLCommons' hazards, as the model names them."""


def _only_of_prompts(labels: dict[str, Category] | None) -> dict[str, Category] | None:
    """Refuse categories of which nobody asks a prompt."""
    if wrong := sorted(set((labels or {}).values()) - set(PROMPT_CATEGORIES)):
        raise ValueError(f"{', '.join(wrong)} can be found in images alone, not in prompts")
    return labels


class Options(BaseModel):
    """What every opinion has; the descriptions are what docs/settings.md prints."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: Literal["always", "uncertain"] = Field(
        default="always", description="Whether it is asked always, or only where the shipped stage is `uncertain`."
    )
    multilingual: bool = Field(
        default=False,
        description="Whether it reads the languages that the shipped prompt stage does not, and so stands in for it.",
    )


class ScaledOptions(Options):
    """For those with scores of their own."""

    review: float = Field(default=0.5, gt=0, lt=1, description="Its own score that becomes 0.5 of ours.")
    block: float = Field(
        default=0.85, gt=0, lt=1, description="Its own score that becomes 0.85 of ours; above `review`."
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.review >= self.block:
            raise ValueError("'review' must be below 'block'")
        return self


class LocalOptions(ScaledOptions):
    """A model on this machine, by folder or hub id, from safetensors files; its own code is never run."""

    model: str = Field(min_length=1, max_length=500, description="The model's folder or hub id.")
    revision: str = Field(default="", max_length=200, description="Which revision of a model of the hub.")
    allow_download: bool = Field(default=False, description="Whether it may be fetched from the hub.")
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?|xpu(:\d+)?)$",
        description="Where it runs: one of torch's devices, such as `cuda:0`, or `auto`.",
    )
    digest: str = Field(
        default="",
        pattern=r"^([0-9a-f]{64})?$",
        description="Pins its files: the SHA-256 that `countermark doctor` prints.",
    )
    timeout: float = Field(
        default=30.0, ge=0.1, le=600, description="How many seconds one answer may take, once it is loaded."
    )
    load_timeout: float = Field(
        default=300.0, ge=0.1, le=86_400, description="How many seconds fetching and loading it may take."
    )


class ServiceOptions(Options):
    """A service by HTTP."""

    url: str = Field(max_length=500, description=_URL)
    key: SecretUri = Field(description=_KEY)
    timeout: float = Field(
        default=5.0, ge=0.1, le=60, description="How many seconds the whole exchange with the service may take."
    )

    @model_validator(mode="after")
    def _private(self) -> Self:
        try:
            parts = urlsplit(self.url)
            odd = parts.username or parts.password or parts.query or parts.fragment or parts.port == 0
        except ValueError:
            raise ValueError("'url' is not an address of HTTP") from None
        if not self.url.isascii() or not self.url.isprintable() or " " in self.url or odd or not parts.hostname:
            raise ValueError("'url' is not an address of HTTP without user, query or fragment")
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("'url' must be https, for prompts and keys travel there; http only on this machine")
        return self


class LabelledOptions(LocalOptions):
    """For classifiers with labels of their own."""

    labels: Labels = Field(description=_LABELS)
    exclusive: bool | None = Field(
        default=None,
        description="Whether its labels exclude each other (softmax) or may hold together (sigmoid); left out, its"
        " configuration says.",
    )


class TextClassificationOptions(LabelledOptions):
    """Any text-classification model of transformers."""

    kind: Literal["text-classification"]

    _of_prompts = field_validator("labels")(_only_of_prompts)


class LlamaGuardOptions(LocalOptions):
    """Llama Guard 3 or 4 (Meta)."""

    kind: Literal["llama-guard"]
    labels: Labels | None = Field(default=None, description="Replaces what its codes `S1` to `S14` mean here.")

    _of_prompts = field_validator("labels")(_only_of_prompts)

    @field_validator("labels")
    @classmethod
    def _are_codes(cls, labels: dict[str, Category] | None) -> dict[str, Category] | None:
        if unknown := sorted(set(labels or ()) - LLAMA_GUARD_CODES):  # its category would look assessed for ever
            raise ValueError(f"the model has no code {', '.join(unknown)}: they are S1 to S{len(LLAMA_GUARD_CODES)}")
        return labels


class ShieldGemmaOptions(LocalOptions):
    """ShieldGemma (Google)."""

    kind: Literal["shieldgemma"]


class OpenAIOptions(ScaledOptions, ServiceOptions):
    """OpenAI's moderation endpoint."""

    kind: Literal["openai"]
    url: str = Field(default="https://api.openai.com/v1", description=_URL)
    key: SecretUri = Field(default="env://OPENAI_API_KEY", description=_KEY)
    model: str = Field(
        default="omni-moderation-latest", min_length=1, max_length=200, description="The service's moderation model."
    )


class AzureOptions(ServiceOptions):
    """Azure AI Content Safety."""

    kind: Literal["azure"]
    key: SecretUri = Field(default="env://CONTENT_SAFETY_KEY", description=_KEY)
    least: Literal[2, 4, 6] = Field(
        default=4, description="Severities below this count as 0; 4 (medium) is the service's own default."
    )


class ImageClassificationOptions(LabelledOptions):
    """Any image-classification model of transformers."""

    kind: Literal["image-classification"]


class ShieldGemma2Options(LocalOptions):
    """ShieldGemma 2 (Google)."""

    kind: Literal["shieldgemma-2"]


class SafetyCheckerOptions(LocalOptions):
    """diffusers' ``StableDiffusionSafetyChecker``: its folder, or that of a pipeline that holds one."""

    kind: Literal["stable-diffusion-safety-checker"]


class PromptAgreementOptions(LocalOptions):
    """Any CLIP or SigLIP model of transformers, asked whether an image shows what its prompt asks for."""

    kind: Literal["prompt-agreement"]
    review: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="The share of everyday captions, fitting the image as well as its prompt, that makes a mismatch.",
    )


PromptOpinion = Annotated[
    TextClassificationOptions | LlamaGuardOptions | ShieldGemmaOptions | OpenAIOptions | AzureOptions,
    Field(discriminator="kind"),
]
ImageOpinion = Annotated[
    ImageClassificationOptions
    | ShieldGemma2Options
    | SafetyCheckerOptions
    | PromptAgreementOptions
    | OpenAIOptions
    | AzureOptions,
    Field(discriminator="kind"),
]
