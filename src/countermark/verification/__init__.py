"""The second corridor: from a file to what can be proved about it."""

from __future__ import annotations

from countermark.verification.context import Sources, Trust
from countermark.verification.verify import verify_bytes

__all__ = ["Sources", "Trust", "verify_bytes"]
