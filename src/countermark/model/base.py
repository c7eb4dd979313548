"""The base of every model: frozen, strict about unknown fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Sha256Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest as 64 lowercase hexadecimal digits."""


class Frozen(BaseModel):
    """A value: immutable, compared by content, refusing fields it does not know.

    Dumps bear the names of the published formats (``schema``, not ``schema_``) without being asked to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), serialize_by_alias=True)
