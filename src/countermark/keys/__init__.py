"""The key ring: secrets by URI, epochs, files that only their owner can read. Never a secret in settings."""

from __future__ import annotations

from countermark.keys.ring import ROTATED, KeyInfo, KeyRing, Purpose
from countermark.keys.uri import is_secret_uri, resolve, resolve_token

__all__ = ["ROTATED", "KeyInfo", "KeyRing", "Purpose", "is_secret_uri", "resolve", "resolve_token"]
