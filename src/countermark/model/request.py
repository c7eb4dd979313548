"""What the caller asks for, and which model answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from countermark.model.base import Frozen, Sha256Hex

MAX_PROMPT_CHARS = 10_000
"""The longest prompt that is assessed whole; longer ones are refused, never cut."""


class ModelRef(Frozen):
    """One generative model.

    ``digest`` is the SHA-256 over its weights where they are on this machine, else ``None`` (a remote service).
    ``type`` is a C2PA model type (C2PA specification 2.4, asset types).
    """

    id: str = Field(min_length=1, max_length=200)
    version: str = Field(default="", max_length=100)
    digest: Sha256Hex | None = None
    pipeline: str = Field(default="", max_length=200)
    type: str = "c2pa.types.model.pytorch"


class GenerationRequest(Frozen):
    """One request for images. Sides are pixels; ``guidance`` is the classifier-free guidance scale."""

    prompt: str = Field(repr=False)
    negative_prompt: str = Field(default="", repr=False)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    width: int | None = Field(default=None, ge=128, le=8192)
    height: int | None = Field(default=None, ge=128, le=8192)
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0, le=100)
    count: int = Field(default=1, ge=1, le=10)
    tenant: str = Field(default="default", max_length=100)
    actor: str = Field(default="", max_length=300, repr=False)
    purpose: Literal["", "art", "news", "advertising", "education", "research", "test"] = ""
