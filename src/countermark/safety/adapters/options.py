"""How each second opinion is set up: the shapes of ``safety.prompt.opinions`` and ``safety.image.opinions``."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from countermark.model import Category

_URI: Final = r"^(env://[A-Za-z_][A-Za-z0-9_]*|file:///.+)$"
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

SecretUri = Annotated[str, Field(pattern=_URI)]
"""Where a token is kept, ``env://NAME`` or ``file:///path``; never the token."""

Labels = Annotated[dict[str, Category], Field(min_length=1, max_length=200)]
"""A model's own labels and our categories; several labels may mean one category."""


class Options(BaseModel):
    """What every opinion has.

    ``when`` says whether it is asked ``always`` or only where the shipped stage is ``uncertain``. ``multilingual`` says
    that it reads the languages that the shipped prompt stage does not, and so may stand in for it there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: Literal["always", "uncertain"] = "always"
    multilingual: bool = False


class ScaledOptions(Options):
    """For those with scores of their own: ``review`` and ``block`` are the ones that become 0.5 and 0.85 of ours."""

    review: float = Field(default=0.5, gt=0, lt=1)
    block: float = Field(default=0.85, gt=0, lt=1)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.review >= self.block:
            raise ValueError("'review' must be below 'block'")
        return self


class LocalOptions(ScaledOptions):
    """A model on this machine, by folder or hub id, from safetensors files; its own code is never run.

    ``digest`` pins it: the SHA-256 that ``countermark doctor`` prints. ``device`` is one of torch's, or ``auto``.
    ``timeout`` is in seconds for one answer, once the model is loaded; ``load_timeout`` for fetching and loading it.
    """

    model: str = Field(min_length=1, max_length=500)
    revision: str = Field(default="", max_length=200)
    allow_download: bool = False
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?|xpu(:\d+)?)$")
    digest: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    timeout: float = Field(default=30.0, ge=0.1, le=600)
    load_timeout: float = Field(default=300.0, ge=0.1, le=86_400)


class ServiceOptions(Options):
    """A service by HTTP. ``timeout`` is in seconds for the whole exchange; ``key`` says where its API key is kept."""

    url: str = Field(max_length=500)
    key: SecretUri
    timeout: float = Field(default=5.0, ge=0.1, le=60)

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


class TextClassificationOptions(LocalOptions):
    """Any text-classification model of transformers."""

    kind: Literal["text-classification"]
    labels: Labels


class LlamaGuardOptions(LocalOptions):
    """Llama Guard 3 or 4 (Meta). ``labels`` replaces what its codes ``S1`` to ``S14`` mean here."""

    kind: Literal["llama-guard"]
    labels: Labels | None = None


class ShieldGemmaOptions(LocalOptions):
    """ShieldGemma (Google)."""

    kind: Literal["shieldgemma"]


class OpenAIOptions(ScaledOptions, ServiceOptions):
    """OpenAI's moderation endpoint."""

    kind: Literal["openai"]
    url: str = "https://api.openai.com/v1"
    key: SecretUri = "env://OPENAI_API_KEY"
    model: str = Field(default="omni-moderation-latest", min_length=1, max_length=200)


class AzureOptions(ServiceOptions):
    """Azure AI Content Safety. Severities below ``least`` count as 0; 4 (medium) is the service's own default."""

    kind: Literal["azure"]
    key: SecretUri = "env://CONTENT_SAFETY_KEY"
    least: Literal[2, 4, 6] = 4


class ImageClassificationOptions(LocalOptions):
    """Any image-classification model of transformers."""

    kind: Literal["image-classification"]
    labels: Labels


class ShieldGemma2Options(LocalOptions):
    """ShieldGemma 2 (Google)."""

    kind: Literal["shieldgemma-2"]


class SafetyCheckerOptions(LocalOptions):
    """diffusers' ``StableDiffusionSafetyChecker``: its folder, or that of a pipeline that holds one."""

    kind: Literal["stable-diffusion-safety-checker"]


class PromptAgreementOptions(LocalOptions):
    """Any CLIP or SigLIP model of transformers, asked whether an image shows what its prompt asks for.

    ``review`` is the share of everyday captions that fit the image as well as its prompt from which it is a mismatch.
    """

    kind: Literal["prompt-agreement"]
    review: float = Field(default=0.1, gt=0, lt=1)


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
