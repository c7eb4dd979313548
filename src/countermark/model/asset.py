"""An asset: the bytes of one image file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from countermark.model.base import Frozen, Sha256Hex

MediaType = Literal["image/png", "image/jpeg", "image/webp", "image/avif", "image/tiff", "image/gif"]
"""The formats that we read and sign (IANA media types)."""


class Asset(Frozen):
    """What identifies one image file. Sides are pixels, ``size`` is bytes."""

    sha256: Sha256Hex
    media_type: MediaType
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    size: int = Field(ge=1)
