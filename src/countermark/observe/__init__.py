"""The program's own log: structured, on stderr, never a prompt or a secret."""

from __future__ import annotations

from countermark.observe.failures import where_it_broke, without_chain, without_words
from countermark.observe.logging import configure, current_trace_id, get_logger, redact

__all__ = ["configure", "current_trace_id", "get_logger", "redact", "where_it_broke", "without_chain", "without_words"]
