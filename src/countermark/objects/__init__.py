"""Where released and held images and their manifests are kept."""

from __future__ import annotations

from countermark.objects.sealing import seal, unseal
from countermark.objects.store import ObjectStore, object_key

__all__ = ["ObjectStore", "object_key", "seal", "unseal"]
